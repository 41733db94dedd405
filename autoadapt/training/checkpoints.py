"""Checkpoint files: written atomically, read without running any code in them."""

from pathlib import Path
from typing import Any

import torch

from autoadapt.errors import CheckpointError
from autoadapt.files import replacing


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Replace a checkpoint atomically."""
    with replacing(path) as file:
        torch.save(state, file)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint into the memory of the CPU, without running any code in it.

    Raises:
        CheckpointError: Missing, damaged, or not a checkpoint of tensors and plain values.
    """
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}; expected a file such as model.pt")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint of tensors and plain values: {reason}; "
            "it is damaged, or was written by another program"
        ) from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds a {type(state).__name__}, expected a dictionary")
    return state
