"""The files of the frozen committee, with whose predictions those of candidates are compared."""

import functools
import glob
from pathlib import Path

from autoadapt.config.load import expand
from autoadapt.config.settings import ExperimentSettings
from autoadapt.errors import CheckpointError
from autoadapt.files import sha256_of
from autoadapt.training.model import MODEL, find_model, is_model

KEY = "scoring.committee"


def committee_files(settings: ExperimentSettings) -> tuple[Path, ...]:
    """Return the model files of the committee, in the order of the settings, each once.

    Raises:
        CheckpointError: There is no model at one of the places.
        ConfigError: An environment variable is not set.
    """
    found: dict[Path, None] = {}
    for text in settings.scoring.committee:
        files = models_at(expand(text, KEY))
        if not files:
            raise CheckpointError(
                f"{KEY}: no model at {text}; expected a {MODEL}, a folder with models in it or "
                "below it, such as the run folder of a bank, or a pattern like runs/*/*.safetensors"
            )
        found |= dict.fromkeys(files)
    return tuple(found)


def models_at(text: str) -> list[Path]:
    """Return the models that a path stands for, sorted: one file, all below a folder, a pattern.

    A path without wildcards that is not there stands for itself.
    """
    path = Path(text)
    if path.is_dir():
        own = find_model(path)
        return [own] if own else sorted(one for one in path.rglob(MODEL) if is_model(one))
    if path.exists() or not glob.has_magic(text):
        return [path]
    return [file for match in sorted(glob.glob(text, recursive=True)) for file in models_at(match)]


def committee_hashes(settings: ExperimentSettings) -> tuple[str, ...]:
    """Return the SHA-256 of each model of the committee: what it is, wherever it lies.

    Raises:
        CheckpointError: A model is missing.
    """
    return tuple(hash_of(path) for path in committee_files(settings))


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a model, read once for as long as the file is not written again."""
    try:
        state = path.stat()
    except FileNotFoundError:
        raise CheckpointError(f"{KEY}: no model at {path}") from None
    return _hash_of(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=1024)
def _hash_of(path: Path, _written: int, _size: int) -> str:
    return sha256_of(path)
