"""One image or label file to one array of the working size."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from autoadapt.config.settings import Resampling
from autoadapt.errors import DataError

Size = tuple[int, int]

RESAMPLING: Mapping[Resampling, Image.Resampling] = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
}
"""Filters that images are resized with; all of them average over what is left out."""

GREY, COLOUR, PALETTE, COLOUR_ALPHA = 0, 2, 3, 6
"""Colour types of a PNG, as its header numbers them."""

_PNG_MODES = {
    GREY: "grey",
    COLOUR: "RGB",
    PALETTE: "palette",
    4: "grey with alpha",
    COLOUR_ALPHA: "RGB with alpha",
}
_PNG_START = b"\x89PNG\r\n\x1a\n"


class BrokenFileError(Exception):
    """A file whose content cannot be used; the text says why, in a few words."""


def read_image(path: Path, size: Size, resampling: Resampling = "lanczos") -> NDArray[np.uint8]:
    """Return an image as (H, W, 3) RGB, resized to ``size`` (height, width).

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
        return np.asarray(_resized(rgb, size, RESAMPLING[resampling]))


def read_ids(path: Path) -> NDArray[np.uint8]:
    """Return the ids of a label file, (H, W).

    Args:
        path: An 8-bit grey or palette PNG; the index of a palette PNG is the id.

    Raises:
        BrokenFileError: The content is not such a PNG.
        DataError: The file cannot be opened.
    """
    depth, mode = png_kind(path) or (8, GREY)
    if mode != PALETTE and (mode, depth) != (GREY, 8):
        # Pillow scales 2- and 4-bit grey to 0..255 and cuts 16 bits to 8: wrong ids without a
        # word. The header of the file tells.
        raise BrokenFileError(
            f"a {png_text(depth, mode)} PNG; a label must be an 8-bit grey or palette PNG that "
            "holds class ids"
        )
    with _opened(path, formats=("PNG",)) as image:
        return np.asarray(image)


def read_colours(path: Path) -> NDArray[np.uint8]:
    """Return the colours of a label file, (H, W, 3).

    Raises:
        BrokenFileError: The content is not an 8-bit colour PNG.
        DataError: The file cannot be opened.
    """
    depth, mode = png_kind(path) or (8, COLOUR)
    if depth != 8 or mode not in (COLOUR, PALETTE, COLOUR_ALPHA):
        raise BrokenFileError(f"a {png_text(depth, mode)} PNG instead of one with 8-bit colours")
    with _opened(path, formats=("PNG",)) as image:
        return np.asarray(image.convert("RGB"))


def read_red16(path: Path) -> NDArray[np.uint16]:
    """Return the first of the three 16-bit channels of a PNG, (H, W).

    Pillow keeps only the high byte of each channel, which for small numbers is zero. Its decoder
    can be told to take the other byte as if the numbers were little-endian; both together are
    the number. Whatever is said about the file, the bytes are inflated and checked by Pillow.

    Raises:
        BrokenFileError: The content is not such a PNG.
        DataError: The file cannot be opened.
    """
    depth, mode = png_kind(path) or (16, COLOUR)
    if (depth, mode) != (16, COLOUR):
        raise BrokenFileError(f"a {png_text(depth, mode)} PNG instead of one with 16-bit colours")
    high, low = (_red_bytes(path, layout) for layout in ("RGB;16B", "RGB;16L"))
    red: NDArray[np.uint16] = high.astype(np.uint16) * np.uint16(256) + low
    return red


def _red_bytes(path: Path, layout: str) -> NDArray[np.uint8]:
    with _opened(path, formats=("PNG",), layout=layout) as image:
        return np.asarray(image)[..., 0]


def nearest(ids: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Return ids, (H, W), resized to ``size`` with nearest neighbour: none is invented."""
    return np.asarray(_resized(Image.fromarray(ids), size, Image.Resampling.NEAREST))


def image_size(path: Path) -> Size:
    """Return height and width from the header alone.

    Raises:
        BrokenFileError: It is not an image.
        DataError: The file cannot be opened.
    """
    with _opened(path, load=False) as image:
        return image.height, image.width


@contextlib.contextmanager
def _opened(
    path: Path,
    *,
    formats: tuple[str, ...] = ("JPEG", "PNG"),
    load: bool = True,
    layout: str | None = None,
) -> Iterator[Image.Image]:
    """Open an image; ``layout`` replaces what Pillow makes of the order of bytes in a pixel."""
    with contextlib.ExitStack() as stack:
        try:
            image = stack.enter_context(Image.open(path, formats=formats))
            if layout is not None:
                image.tile = [tile._replace(args=layout) for tile in image.tile]
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


def png_kind(path: Path) -> tuple[int, int] | None:
    """Return bits per channel and colour type of a PNG from its header, or None for no PNG.

    Raises:
        BrokenFileError: It is a JPEG, which cannot hold ids.
        DataError: The file cannot be opened.
    """
    try:
        with path.open("rb") as file:
            header = file.read(26)
    except OSError as error:
        raise _cannot_open(path, error) from error
    if header.startswith(b"\xff\xd8"):
        raise BrokenFileError("a JPEG; a label must be a PNG, because JPEG alters the ids")
    if len(header) < 26 or not header.startswith(_PNG_START):
        return None  # Pillow's attempt gives the reason.
    return header[24], header[25]


def png_text(depth: int, mode: int) -> str:
    """Return bits and colour type of a PNG in words."""
    return f"{depth}-bit {_PNG_MODES.get(mode, 'unknown')}"
