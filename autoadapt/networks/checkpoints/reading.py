"""Opens a file of weights, whoever wrote it, without running any code in it."""

import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from autoadapt.errors import CheckpointError

WRAPPERS = ("state_dict", "model_state_dict", "model", "network", "net")
"""Keys under which training programs store the weights beside optimisers and counters."""

PREFIXES = ("module.", "_orig_mod.")
"""What ``DataParallel`` and ``torch.compile`` put before every name."""


@dataclass(frozen=True)
class Weights:
    """Tensors by name, as a file holds them.

    Attributes:
        path: The file.
        tensors: Without wrappers and common prefixes.
        unwrapped: What was taken off, outermost first.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    unwrapped: tuple[str, ...] = ()


def read_weights(path: Path) -> Weights:
    """Read a PyTorch or safetensors file into the memory of the CPU.

    Raises:
        CheckpointError: Missing, damaged, not weights, or readable only by running its code.
    """
    state, unwrapped = unwrap(path, read_state(path))
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    while (prefix := common_prefix(tensors)) is not None:
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
        unwrapped = (*unwrapped, prefix)
    return Weights(path, tensors, unwrapped)


def read_state(path: Path) -> Mapping[str, Any]:
    """Return the dictionary that a file holds, in PyTorch's format or in safetensors'.

    Raises:
        CheckpointError: See ``read_weights``.
    """
    refuse_other_formats(path)
    try:
        state = load_file(path) if is_safetensors(path) else load_pickle(path)
    except (MemoryError, CheckpointError):
        raise
    except SafetensorError as error:
        raise CheckpointError(f"{path} is a damaged safetensors file: {error}") from error
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        raise unreadable(path, error) from error
    if not isinstance(state, Mapping):
        raise CheckpointError(f"{path} holds a {type(state).__name__}, expected a dictionary")
    return state


def load_pickle(path: Path) -> Any:
    """Read PyTorch's formats; only tensors and plain values are allowed in them."""
    return torch.load(path, map_location="cpu", weights_only=True)


def is_safetensors(path: Path) -> bool:
    """Whether a file starts as safetensors do: the length of a JSON header, then the header."""
    with path.open("rb") as file:
        length, brace = int.from_bytes(file.read(8), "little"), file.read(1)
    return brace == b"{" and length < path.stat().st_size


def refuse_other_formats(path: Path) -> None:
    """Name what is often found in place of weights.

    Raises:
        CheckpointError: There is no file, or a web page, a pointer of Git LFS, or an old tar.
    """
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}; expected a file of weights")
    with path.open("rb") as file:
        start = file.read(64).lstrip().lower()
    if not start:
        raise CheckpointError(f"{path} is empty; download it again")
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise CheckpointError(
            f"{path} is a web page, not weights: the download stopped at a page that asks for "
            "something; fetch the file by hand"
        )
    if start.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"{path} is a pointer of Git LFS, not weights; run 'git lfs pull'")
    if start[:2] != b"pk" and tarfile.is_tarfile(path):
        raise CheckpointError(
            f"{path} is in the tar format of PyTorch before 0.2, which can only be read by "
            "running its code; where you trust it, load it with an old PyTorch and save its "
            "state dictionary again"
        )


def unreadable(path: Path, error: Exception) -> CheckpointError:
    """Return the error for a file that PyTorch does not read as plain values."""
    text = str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    globals_in_it = [line for line in lines if "GLOBAL" in line]
    reason = (globals_in_it or lines or [type(error).__name__])[0][:200]
    if globals_in_it:
        return CheckpointError(
            f"{path} holds objects that only running its code could restore ({reason}); it was "
            "not opened; where you trust it, save its state dictionary alone: "
            "torch.save(torch.load(path, weights_only=False)['state_dict'], new_path)"
        )
    return CheckpointError(
        f"{path} cannot be read as a checkpoint of tensors and plain values: {reason}; "
        "it is damaged, or was written by another program"
    )


def unwrap(path: Path, state: Mapping[str, Any]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Descend to the dictionary with the tensors; also return the keys on the way.

    Raises:
        CheckpointError: There are no tensors.
    """
    way: tuple[str, ...] = ()
    while not any(isinstance(value, Tensor) for value in state.values()):
        inner = next((k for k in WRAPPERS if isinstance(state.get(k), Mapping)), None)
        if inner is None:
            held = ", ".join(map(str, list(state)[:8])) or "nothing"
            raise CheckpointError(
                f"{path} holds no tensors; it has the keys {held}; expected a state dictionary, "
                f"or one under {', '.join(WRAPPERS)}"
            )
        state, way = state[inner], (*way, inner)
    return state, way


def common_prefix(names: Mapping[str, Any]) -> str | None:
    """Return the prefix of ``PREFIXES`` that every name has."""
    return next((p for p in PREFIXES if names and all(n.startswith(p) for n in names)), None)
