"""Predictions as label maps and coloured overlays."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from autoadapt.config.settings import Resampling
from autoadapt.data.batching import chunks
from autoadapt.data.classes import ClassTable, blend, palette_for
from autoadapt.data.decode import RESAMPLING
from autoadapt.data.transforms import normalise
from autoadapt.errors import DataError
from autoadapt.experiment.exported import is_exported, load_exported
from autoadapt.files import replacing
from autoadapt.networks.batch_norm import layers, mix_statistics, reestimate, statistics_of
from autoadapt.training.model import Model, load_model

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm"}


def find_pictures(sources: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Return image files with the name of their output, without a suffix.

    A folder stands for all images below it; its outputs keep the folder's inner layout.

    Raises:
        DataError: A path does not exist, a folder has no images, or two outputs would collide.
    """
    found: list[tuple[Path, Path]] = []
    for source in sources:
        if source.is_dir():
            inside = sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES)
            if not inside:
                raise DataError(f"no images in {source}; expected {', '.join(sorted(SUFFIXES))}")
            found += [(path, path.relative_to(source).with_suffix("")) for path in inside]
        elif source.is_file():
            found.append((source, Path(source.stem)))
        else:
            raise DataError(f"no image or folder at {source}")
    names = [name for _, name in found]
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"{len(twice)} output names stand for several images, e.g. {twice[0]!r}; "
            "predict them into different folders"
        )
    return found


def read_picture(path: Path) -> Image.Image:
    """Decode one image as RGB.

    Raises:
        DataError: It is not an image, or damaged.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} cannot be read as an image: {error}") from error


class Describes(Protocol):
    """What a card says that prediction needs: classes, height and width, filter."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the outputs."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width that images are resized to."""

    @property
    def resampling(self) -> Resampling:
        """Filter that they are resized with."""


class Predicts(Protocol):
    """A model, or a program exported from one."""

    @property
    def card(self) -> Describes:
        """What it says about itself."""

    def predict(self, images: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return class indices (N, *size) of RGB images (N, H, W, 3)."""


def load_any(path: Path, device: torch.device) -> Predicts:
    """Read a model, or an exported program (which runs on the CPU).

    Raises:
        CheckpointError: Missing, damaged, or neither.
    """
    return load_exported(path) if is_exported(path) else load_model(path, device)


def predict_pictures(
    model: Predicts,
    sources: Sequence[Path],
    out: Path,
    on_done: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write ``<name>.png`` (class indices) and ``<name>_overlay.png`` per image.

    Images are resized to the working size of the model; label maps come back at their own size.
    What is already in ``out`` under another name is left alone.

    Raises:
        DataError: An image cannot be read; what was predicted before stays.
    """
    pictures = find_pictures(sources)
    table = ClassTable(model.card.classes, palette_for(model.card.classes))
    written = []
    for number, (path, name) in enumerate(pictures, start=1):
        image = read_picture(path)
        labels = label_map(model, image)
        target = out / name
        save_png(target.with_name(f"{target.name}.png"), labels, table)
        overlay = blend(np.asarray(image), labels, table, alpha=0.55)
        save_png(target.with_name(f"{target.name}_overlay.png"), overlay)
        written.append(target.with_name(f"{target.name}.png"))
        if on_done:
            on_done(number, len(pictures))
    return written


def adapt_statistics(
    model: Model, sources: Sequence[Path], alpha: float, batch_size: int = 8
) -> None:
    """Replace the batch-norm statistics of a model by those of images without labels (AdaBN).

    The statistics that the model came with stand for its training images.

    Args:
        model: Changed in place; one without batch normalisation stays as it is.
        sources: Files or folders.
        alpha: Training images per image that the statistics are mixed for, in closed form.
        batch_size: Images that are measured at a time.

    Raises:
        DataError: An image cannot be read.
    """
    pictures = [path for path, _ in find_pictures(sources)]
    if not layers(model.predictor):
        return
    before = statistics_of(model.predictor)
    batches = (
        normalise(
            np.stack([resized(model, read_picture(pictures[place])) for place in places]),
            model.card.normalisation,
        ).to(model.device)
        for places in chunks(len(pictures), batch_size)
    )
    reestimate(model.predictor, batches)
    mix_statistics(model.predictor, before, alpha)


def label_map(model: Predicts, image: Image.Image) -> NDArray[np.uint8]:
    """Return the class indices of one image at its own size, (H, W)."""
    size = (image.height, image.width)
    labels: NDArray[np.uint8] = model.predict(resized(model, image)[None], size)[0]
    return labels


def resized(model: Predicts, image: Image.Image) -> NDArray[np.uint8]:
    """Return an image at the working size of a model, (H, W, 3)."""
    height, width = model.card.size
    return np.asarray(image.resize((width, height), RESAMPLING[model.card.resampling]))


def save_png(path: Path, pixels: NDArray[np.uint8], table: ClassTable | None = None) -> None:
    """Write a PNG atomically; label maps get the palette, so that viewers show classes."""
    with replacing(path) as file:
        file.write(png_bytes(pixels, table))


def png_bytes(pixels: NDArray[np.uint8], table: ClassTable | None = None) -> bytes:
    """Encode an image (H, W, 3) or a label map (H, W) as PNG."""
    image = Image.fromarray(pixels)
    if table is not None:
        image = image.convert("P")
        image.putpalette([channel for colour in table.palette for channel in colour])
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
