"""Errors that a user can act on; everything else is a bug and keeps its traceback."""


class AutoAdaptError(Exception):
    """Something the user can mend: what was found, what was expected, where, what to do."""


class ConfigError(AutoAdaptError):
    """A config, a ``--set`` override or a plug-in name is wrong."""


class SpaceError(AutoAdaptError):
    """A search space file or an architecture is wrong, or nothing fits the limits."""


class DataError(AutoAdaptError):
    """Images, labels, class tables or splits are missing, broken or contradict each other."""


class CheckpointError(AutoAdaptError):
    """A checkpoint is unreadable or belongs to another architecture."""


class ExportError(AutoAdaptError):
    """A network cannot be exported, or the exported program computes something else."""


class RunError(AutoAdaptError):
    """A run folder is missing, locked, damaged or belongs to another config."""


class ExecutorError(AutoAdaptError):
    """The machine or cluster cannot run what was asked for."""


class TrainingDivergedError(AutoAdaptError):
    """A loss became NaN or infinite."""
