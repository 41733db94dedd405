"""One image or label file to one array of the working size."""

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from autoadapt.data.mapping import LabelMap
from autoadapt.errors import DataError

Size = tuple[int, int]

_PNG_MODES = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"}
_PNG_START = b"\x89PNG\r\n\x1a\n"


class BrokenFileError(Exception):
    """A file whose content cannot be used; the text says why, in a few words."""


def read_image(path: Path, size: Size) -> NDArray[np.uint8]:
    """Return an image as (H, W, 3) RGB, resized to ``size`` (height, width) with Lanczos.

    Raises:
        BrokenFileError: The content is not a whole 8-bit image.
        DataError: The file cannot be opened (permissions, input/output error).
    """
    with _opened(path) as image:
        if image.mode.startswith(("I", "F")):
            raise BrokenFileError(f"more than 8 bits per channel (mode {image.mode})")
        # Pillow warns about palettes with transparency unless they pass through RGBA.
        plain = image.convert("RGBA") if "transparency" in image.info else image
        rgb = plain.convert("RGB")
        return np.asarray(_resized(rgb, size, Image.Resampling.LANCZOS))


def read_label(path: Path, image_path: Path, *, size: Size, ids: LabelMap) -> NDArray[np.uint8]:
    """Return a label map as (H, W) class indices, resized with nearest neighbour.

    The raw ids are checked at full size, so a rare wrong one is found whatever ``size`` is.

    Args:
        path: An 8-bit grey or palette PNG; the index of a palette PNG is the id.
        image_path: Its image, which must be as large as the label.
        size: Height and width of the result.
        ids: Raw id to class index.

    Raises:
        BrokenFileError: The content is not such a PNG, or not as large as the image.
        DataError: A raw id is not declared by the data set, or the file cannot be opened.
    """
    with _opened_label(path, image_path) as image:
        _check_ids(image.histogram(), path, ids)
        raw = np.asarray(_resized(image, size, Image.Resampling.NEAREST))
    labels: NDArray[np.uint8] = ids.table[raw]
    return labels


def raw_ids(path: Path, image_path: Path) -> NDArray[np.int64]:
    """Return how many pixels each raw id of a label file has, (256,).

    Raises:
        BrokenFileError: The content is not an 8-bit PNG, or not as large as the image.
        DataError: The file cannot be opened.
    """
    with _opened_label(path, image_path) as image:
        return np.array(image.histogram())


def image_size(path: Path) -> Size:
    """Return height and width from the header alone.

    Raises:
        BrokenFileError: It is not an image.
        DataError: The file cannot be opened.
    """
    with _opened(path, load=False) as image:
        return image.height, image.width


@contextlib.contextmanager
def _opened_label(path: Path, image_path: Path) -> Iterator[Image.Image]:
    _check_label_format(path)
    with _opened(path, formats=("PNG",)) as image:
        _check_same_size(image.size, image_path)
        yield image


@contextlib.contextmanager
def _opened(
    path: Path, *, formats: tuple[str, ...] = ("JPEG", "PNG"), load: bool = True
) -> Iterator[Image.Image]:
    with contextlib.ExitStack() as stack:
        try:
            image = stack.enter_context(Image.open(path, formats=formats))
            if load:
                image.load()
        except Exception as error:
            # Whatever a decoder throws at damaged bytes is the file's fault; only errors with
            # a number come from the system, and those may be gone at the next attempt.
            if isinstance(error, OSError) and error.errno is not None:
                raise _cannot_open(path, error) from error
            raise BrokenFileError(_why_broken(path, error)) from error
        yield image


def _cannot_open(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{path} cannot be opened: {error.strerror}; check the file and its permissions, "
        "then run the same command again"
    )


def _why_broken(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        return "the file is empty"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer instead of the image; fetch the files with git lfs pull"
    if start.lstrip()[:1] in {b"<", b"{"}:
        return "a web page or text instead of an image, as from a failed download"
    if isinstance(error, UnidentifiedImageError):
        return "not a JPEG or PNG image"
    return str(error)


def _resized(image: Image.Image, size: Size, how: Image.Resampling) -> Image.Image:
    height, width = size
    same = image.size == (width, height)
    return image if same else image.resize((width, height), how)


def _check_label_format(path: Path) -> None:
    # Pillow scales 2- and 4-bit grey to 0..255 and cuts 16 bits to 8: wrong ids without a
    # word. The header of the file tells.
    try:
        with path.open("rb") as file:
            header = file.read(26)
    except OSError as error:
        raise _cannot_open(path, error) from error
    if len(header) < 26 or not header.startswith(_PNG_START):
        if header.startswith(b"\xff\xd8"):
            raise BrokenFileError("a JPEG; a label must be a PNG, because JPEG alters the ids")
        return  # Pillow's attempt gives the reason.
    depth, mode = struct.unpack("BB", header[24:26])
    if mode == 3 or (mode == 0 and depth == 8):
        return
    raise BrokenFileError(
        f"a {depth}-bit {_PNG_MODES.get(mode, 'unknown')} PNG; a label must be an 8-bit grey or "
        "palette PNG that holds class ids"
    )


def _check_same_size(label: tuple[int, int], image_path: Path) -> None:
    try:
        height, width = image_size(image_path)
    except BrokenFileError:
        return  # It is reported as a broken image.
    if label != (width, height):
        raise BrokenFileError(
            f"label is {label[0]}x{label[1]} but its image {image_path.name} is {width}x{height} "
            "(width x height)"
        )


def _check_ids(histogram: list[int], path: Path, ids: LabelMap) -> None:
    for raw, pixels in enumerate(histogram):
        if pixels and not ids.known[raw]:
            raise DataError(
                f"{path}: label id {raw} on {pixels} pixels, but {ids.describe()}; correct the "
                "class list or convert the labels ('autoadapt data check' lists all such ids)"
            )
