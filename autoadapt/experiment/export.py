"""Exports a model as a program that runs without this package, and proves that it is the same."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from autoadapt import __version__
from autoadapt.config.settings import Normalisation
from autoadapt.data.street import render
from autoadapt.data.transforms import from_pixels
from autoadapt.errors import ExportError
from autoadapt.experiment.exported import (
    SUFFIXES,
    ExportCard,
    Format,
    Run,
    card_path,
    needed,
    runner,
)
from autoadapt.files import replacing, sha256_of, write_json
from autoadapt.networks.contract import upsample
from autoadapt.training.model import Model

OPSET = 20
"""Version of the ONNX operators; onnxruntime runs it since 1.17."""

TOLERANCE = 1e-4
"""Largest difference of a logit, in units of the largest logit (or of 1, if that is larger)."""

FREE: tuple[tuple[str, ...], ...] = (("batch", "height", "width"), ("batch",), ())
"""Dimensions that are left free, in the order in which it is tried."""

DIMENSIONS = {"batch": 0, "height": 2, "width": 3}
SEED = 0


class Program(nn.Module):
    """A predictor with normalisation before it and the main logits alone after it."""

    def __init__(self, predictor: nn.Module, normalisation: Normalisation) -> None:
        super().__init__()
        self.predictor = predictor
        self.normalisation = normalisation

    def forward(self, images: Tensor) -> Tensor:
        """Map RGB of 0 to 255, (N, 3, H, W), to logits (N, C, h, w)."""
        logits: Tensor = self.predictor(from_pixels(images, self.normalisation)).logits
        return logits


@dataclass(frozen=True)
class Parity:
    """How close an exported program comes to the model on some images.

    Attributes:
        images: What they are.
        shape: (N, 3, H, W).
        difference: Largest difference of a logit.
        tolerance: What is accepted.
        labels: Share of pixels with the same label, in [0, 1].
    """

    images: str
    shape: tuple[int, ...]
    difference: float
    tolerance: float
    labels: float

    @property
    def passed(self) -> bool:
        """Whether the difference is within the tolerance; NaN is not."""
        return self.difference <= self.tolerance

    def line(self) -> str:
        """Return the comparison in words."""
        count, _, height, width = self.shape
        return (
            f"{self.images}, {count} of {width}x{height}: largest difference "
            f"{self.difference:.2g} (tolerance {self.tolerance:.2g}), "
            f"{100 * self.labels:.4f} % equal labels"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "images": self.images,
            "shape": list(self.shape),
            "largest_difference": self.difference,
            "tolerance": self.tolerance,
            "equal_labels": self.labels,
        }


@dataclass(frozen=True)
class Export:
    """One program that was written.

    Attributes:
        dynamic: Dimensions that are free.
        parity: The comparisons that it passed.
    """

    path: Path
    dynamic: tuple[str, ...]
    parity: tuple[Parity, ...]


def export_model(model: Model, folder: Path, *, formats: Sequence[Format]) -> list[Export]:
    """Write ``model.pt2`` and ``model.onnx`` with a card each, and compare them with the model.

    Batch and size of the images stay free where the network and the format allow it; else the
    size is that of training. A program that computes something else is not kept.

    Args:
        model: On the CPU, in evaluation mode.
        folder: Where to; made if it is not there.
        formats: ``torch`` (torch.export), ``onnx``.

    Raises:
        ExportError: The network cannot be exported, or the program differs from it.
        CheckpointError: Packages of the extra ``onnx`` are not installed.
    """
    if "onnx" in formats:
        for package in ("onnx", "onnxscript", "onnxruntime"):
            needed(package)
    program = Program(model.predictor, model.card.normalisation).eval()
    return [export_one(program, model, folder / f"model{SUFFIXES[f]}", f) for f in formats]


def export_one(program: Program, model: Model, path: Path, form: Format) -> Export:
    """Write one program with as many free dimensions as work, and its card."""
    reasons = []
    for dynamic in FREE:
        try:
            content = captured(program, model.card.size, dynamic, form)
            with replacing(path) as file:
                file.write(content)
            parity = compare(runner(path), program, model.card.size, dynamic)
        except ExportError:
            raise
        except Exception as error:  # exporters raise errors of many kinds, onnxruntime its own
            path.unlink(missing_ok=True)
            reasons.append(f"free {' and '.join(dynamic) or 'nothing'}: {first_line(error)}")
            continue
        break
    else:
        raise ExportError(
            f"{type(model.network).__name__} cannot be exported as {form}: {'; '.join(reasons)}"
        )
    failed = [one for one in parity if not one.passed]
    if failed:
        path.unlink(missing_ok=True)
        raise ExportError(f"the program differs from the model ({form}): {failed[0].line()}")
    write_json(card_path(path), card_of(model, path, form, dynamic, parity, reasons).to_json())
    return Export(path, dynamic, tuple(parity))


def captured(
    program: Program, size: tuple[int, int], dynamic: tuple[str, ...], form: Format
) -> bytes:
    """Return the program as the bytes of a file."""
    example = torch.zeros(2 if "batch" in dynamic else 1, 3, *size)
    free = {DIMENSIONS[name]: torch.export.Dim.DYNAMIC for name in dynamic}
    with quiet(), torch.no_grad():
        found = torch.export.export(program, (example,), dynamic_shapes=(free,))
        if form == "torch":
            buffer = io.BytesIO()
            torch.export.save(found, buffer)
            return buffer.getvalue()
        converted = torch.onnx.export(
            found,
            dynamo=True,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["logits"],
            verbose=False,
        )
    assert converted is not None
    content: bytes = converted.model_proto.SerializeToString()
    return content


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence what PyTorch says about itself while it exports: nothing a user could act on."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = registration.level
    registration.setLevel(logging.ERROR)  # "torchvision is not installed", which nothing needs
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "`isinstance.treespec, LeafSpec.` is dep", FutureWarning
            )
            yield
    finally:
        registration.setLevel(before)


def compare(
    run: Run, program: Program, size: tuple[int, int], dynamic: tuple[str, ...]
) -> list[Parity]:
    """Compare on noise and on a street scene, at other sizes and batches where these are free."""
    sizes = [size]
    if "height" in dynamic:
        sizes.append((size[0] * 3 // 4 + 1, size[1] // 2 + 13))
    counts = (1, 3) if "batch" in dynamic else (1,)
    return [
        parity_on(name, images, run, program)
        for at in sizes
        for name, images in (("noise", noise(counts[-1], at)), ("a street scene", scene(at)))
    ]


def parity_on(name: str, images: Tensor, run: Run, program: Program) -> Parity:
    """Compare on some images."""
    with torch.inference_mode():
        expected, found = program(images), run(images)
    size = (images.shape[2], images.shape[3])
    labels = [upsample(logits, size).argmax(dim=1) for logits in (expected, found)]
    scale = max(1.0, float(expected.abs().max()))
    return Parity(
        name,
        tuple(images.shape),
        float((found - expected).abs().max()),
        TOLERANCE * scale,
        float((labels[0] == labels[1]).double().mean()),
    )


def noise(count: int, size: tuple[int, int]) -> Tensor:
    """Return random images, (count, 3, *size), of 0 to 255."""
    generator = torch.Generator().manual_seed(SEED)
    return torch.rand((count, 3, *size), generator=generator) * 255


def scene(size: tuple[int, int]) -> Tensor:
    """Return a rendered street scene, (1, 3, *size), of 0 to 255."""
    image, _ = render("camera", SEED, 0, size)
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()


def card_of(
    model: Model,
    path: Path,
    form: Format,
    dynamic: tuple[str, ...],
    parity: Sequence[Parity],
    reasons: Sequence[str],
) -> ExportCard:
    """Return the card of a program that was written."""
    facts: dict[str, Any] = {
        "sha256": sha256_of(path),
        "format": form,
        "method": model.card.method.name,
        "parity": [one.to_json() for one in parity],
        "not_free_because": list(reasons),
        "versions": {"autoadapt": __version__, "torch": torch.__version__},
    }
    if form == "onnx":
        facts["opset"] = OPSET
        facts["versions"]["onnxruntime"] = needed("onnxruntime").__version__
    return ExportCard(
        classes=model.card.classes,
        size=model.card.size,
        resampling=model.card.resampling,
        normalisation=model.card.normalisation,
        dynamic=dynamic,
        architecture=model.card.architecture.id,
        facts=facts,
    )


def first_line(error: Exception) -> str:
    """Return the first line of an error, cut."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:160] if lines else 'no message'}"
