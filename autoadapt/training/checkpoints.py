"""Checkpoint files: written atomically, read without running any code in them."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from autoadapt.errors import CheckpointError
from autoadapt.files import replacing


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Replace a checkpoint atomically."""
    with replacing(path) as file:
        torch.save(state, file)


def read_checkpoint(path: Path, device: torch.device | None = None) -> dict[str, Any]:
    """Read a checkpoint without running any code in it.

    Raises:
        CheckpointError: Missing, damaged, or not a checkpoint of tensors and plain values.
    """
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}; expected a file such as model.pt")
    try:
        state = torch.load(path, map_location=device or "cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0][:160]
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint of tensors and plain values: {reason}; "
            "it is damaged, or was written by another program"
        ) from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds a {type(state).__name__}, expected a dictionary")
    return state
