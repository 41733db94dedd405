"""The main job and its parts, as the command line starts them; the same call resumes."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from autoadapt.config.settings import ExperimentSettings
from autoadapt.errors import RunError
from autoadapt.experiment.adapt import overridden
from autoadapt.experiment.reporting import write_search_report
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.search import Experiment
from autoadapt.experiment.watching import Watcher
from autoadapt.files import owning


@contextlib.contextmanager
def owned_experiment(
    path: Path, settings: ExperimentSettings, watcher: Watcher
) -> Iterator[Experiment]:
    """Own a run folder, check that it fits the settings, and open the data of the experiment."""
    with owning(path):
        folder = RunFolder(path)
        folder.prepare(settings)
        experiment = Experiment(folder, settings, watcher)
        experiment.check_data()
        yield experiment


def run_search(settings: ExperimentSettings, path: Path, watcher: Watcher) -> Path:
    """Do the whole job in a run folder, or continue it, and return the report page.

    Raises:
        AutoAdaptError: Something the user can mend; what was finished before is kept.
    """
    with owned_experiment(path, settings, watcher) as experiment:
        winner = experiment.search()
        if settings.adapt is not None:
            experiment.adapt(winner.architecture, settings.adapt)
        watcher.stage("writing the report")
        return write_search_report(experiment)


def run_adapt(
    path: Path, watcher: Watcher, method: str | None = None, steps: int | None = None
) -> Path:
    """Adapt the winner of an existing run with a method, and return the report page.

    Raises:
        RunError: The run has no winner yet, or its config no ``adapt`` section.
    """
    settings = RunFolder(path).settings()
    if settings.adapt is None:
        raise RunError(
            f"{path}: its config has no 'adapt' section, which says how long and how to train; "
            "add one and search into a new folder"
        )
    with owned_experiment(path, settings, watcher) as experiment:
        winner = experiment.winner()
        experiment.adapt(winner.architecture, overridden(settings.adapt, method, steps))
        watcher.stage("writing the report")
        return write_search_report(experiment)
