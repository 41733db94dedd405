"""Checkpoint files: written atomically, read without running any code in them."""

from pathlib import Path
from typing import Any

import torch

from autoadapt.files import replacing
from autoadapt.networks.checkpoints.reading import read_state


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Replace a checkpoint atomically."""
    with replacing(path) as file:
        torch.save(state, file)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint into the memory of the CPU, without running any code in it.

    Raises:
        CheckpointError: Missing, damaged, or not a checkpoint of tensors and plain values.
    """
    return dict(read_state(path))
