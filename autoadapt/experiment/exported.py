"""Exported models: one program with normalisation inside, and a card that says how to run it.

Input ``images``: RGB of 0 to 255, (N, 3, H, W) float32. Output ``logits``: (N, C, h, w) at the
stride of the network, before softmax; resized bilinearly with aligned corners to any size, the
largest class is the label.
"""

import contextlib
import importlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoadapt.config.settings import Resampling
from autoadapt.errors import CheckpointError
from autoadapt.files import sha256_of
from autoadapt.networks.contract import upsample

Format = Literal["torch", "onnx"]
Run = Callable[[Tensor], Tensor]

SUFFIXES: Mapping[Format, str] = {"torch": ".pt2", "onnx": ".onnx"}
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ExportCard:
    """What stands beside an exported program.

    Attributes:
        classes: Class names in the order of the outputs.
        size: Height and width that images are resized to.
        resampling: Filter that they are resized with.
        normalisation: Input convention of the network, applied inside the program.
        dynamic: Dimensions of the input that are free; the others are those of ``size``, and one
            image.
        architecture: Id of the architecture.
        facts: Versions, parity and the like, for people.
    """

    classes: tuple[str, ...]
    size: tuple[int, int]
    resampling: Resampling
    normalisation: str
    dynamic: tuple[str, ...]
    architecture: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "version": VERSION,
            "input": {
                "name": "images",
                "type": "float32",
                "layout": ["batch", "channel", "height", "width"],
                "colours": "RGB of 0 to 255; normalisation is part of the program",
                "dynamic": list(self.dynamic),
            },
            "output": {
                "name": "logits",
                "layout": ["batch", "class", "height", "width"],
                "resize": "bilinear, corners aligned",
            },
            "classes": list(self.classes),
            "size": list(self.size),
            "resampling": self.resampling,
            "normalisation": self.normalisation,
            "architecture": self.architecture,
            **self.facts,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "ExportCard":
        """Undo ``to_json``, but for the facts.

        Raises:
            KeyError: A key is missing.
        """
        return cls(
            classes=tuple(raw["classes"]),
            size=(raw["size"][0], raw["size"][1]),
            resampling=raw["resampling"],
            normalisation=raw["normalisation"],
            dynamic=tuple(raw["input"]["dynamic"]),
            architecture=raw["architecture"],
        )


@dataclass(frozen=True)
class Exported:
    """An exported program, ready to predict on the CPU."""

    card: ExportCard
    run: Run

    def predict(self, images: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return class indices (N, *size) of RGB images (N, H, W, 3) at the training size."""
        writable = np.require(images, requirements=["C", "W"])  # PyTorch warns otherwise
        planes = torch.from_numpy(writable).permute(0, 3, 1, 2).float().contiguous()
        at_once = len(planes) if "batch" in self.card.dynamic else 1
        starts = range(0, len(planes), at_once)
        logits = torch.cat([self.run(planes[start : start + at_once]) for start in starts])
        labels = upsample(logits, size).argmax(dim=1)
        return labels.to(torch.uint8).numpy()


def is_exported(path: Path) -> bool:
    """Whether a path is that of an exported program, by its suffix."""
    return path.suffix in SUFFIXES.values()


def card_path(path: Path) -> Path:
    """Return the path of the card of an exported program."""
    return path.with_name(f"{path.name}.json")


def load_exported(path: Path) -> Exported:
    """Read an exported program and its card.

    Raises:
        CheckpointError: One of both is missing or damaged, or they do not belong together.
    """
    if not path.is_file():
        raise CheckpointError(f"no exported program at {path}")
    card = card_path(path)
    try:
        raw = json.loads(card.read_text(encoding="utf-8"))
        read = ExportCard.from_json(raw)
    except FileNotFoundError:
        raise CheckpointError(
            f"{path} has no card {card.name} beside it, which says what its outputs mean; "
            "keep both files that 'autoadapt export' wrote together"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise CheckpointError(f"{card} is damaged: {error!r}; export again") from error
    if raw.get("sha256") != sha256_of(path):
        raise CheckpointError(f"{path} is not the program that {card.name} describes; export again")
    return Exported(read, runner(path))


def runner(path: Path) -> Run:
    """Return a function from images to logits."""
    return onnx_runner(path) if path.suffix == SUFFIXES["onnx"] else torch_runner(path)


def torch_runner(path: Path) -> Run:
    """Return what a ``torch.export`` program computes.

    Raises:
        CheckpointError: This version of PyTorch cannot read it.
    """
    try:
        with plain_values_only():
            module = torch.export.load(path).module()
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        raise CheckpointError(
            f"{path} cannot be read by PyTorch {torch.__version__}: {error}"
        ) from error

    def run(images: Tensor) -> Tensor:
        with torch.inference_mode():
            logits: Tensor = module(images)
        return logits

    return run


@contextlib.contextmanager
def plain_values_only() -> Iterator[None]:
    """Keep PyTorch from unpickling objects, whose code it would otherwise run.

    ``torch.export.load`` offers no such choice; the variable is PyTorch's own way to insist.
    """
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def onnx_runner(path: Path) -> Run:
    """Return what an ONNX program computes, on the CPU.

    Raises:
        CheckpointError: onnxruntime is not installed, or cannot read the file.
    """
    runtime = needed("onnxruntime")
    try:
        session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise CheckpointError(f"{path} cannot be read by onnxruntime: {error}") from error

    def run(images: Tensor) -> Tensor:
        (logits,) = session.run(["logits"], {"images": images.numpy()})
        return torch.from_numpy(logits)

    return run


def needed(package: str) -> Any:
    """Import a package of the extra ``onnx``.

    Raises:
        CheckpointError: It is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise CheckpointError(
            f"ONNX needs the package {package}, which is not installed: install the extra "
            "'onnx' (pip install 'autoadapt[onnx]'), or export with --format torch"
        ) from error
