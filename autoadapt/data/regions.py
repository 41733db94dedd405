"""Partitions of images into regions of similar appearance, computed once and kept on disk.

A partition depends on the image alone, never on a network, so it is shared by all candidates, all
workers and all runs.
"""

import hashlib
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2gray
from skimage.filters import sobel
from skimage.segmentation import felzenszwalb, slic, watershed

from autoadapt import files
from autoadapt.config.settings import RegionSettings
from autoadapt.errors import DataError

Image = NDArray[np.uint8]
Labels = NDArray[np.int64]

PIXELS_PER_SEGMENT = 655
"""About 200 regions at 256x512 and 800 at 512x1024."""
MOST_REGIONS = 2**16
FORMAT = 1
MAGIC = b"autoadapt regions\n"


class Images(Protocol):
    """Decoded images, by position."""

    def __len__(self) -> int:
        """Return the number of images."""

    def __getitem__(self, index: int) -> Image:
        """Return one image, (H, W, 3) uint8."""


def partition(image: Image, settings: RegionSettings) -> NDArray[np.uint16]:
    """Cut one image into regions, numbered from 0 without gaps; the same input, the same output.

    ``slic`` gives compact regions that follow edges in Lab space, ``grid`` squares that ignore
    the image (the control), ``felzenszwalb`` regions of very different sizes (scale 100, sigma
    0.8, 64 pixels or more: its own settings, apart from ``smallest``) and ``cws`` a compact
    watershed of the gradient (compactness 0.001), twice as fast as ``slic``. ``segments`` steers
    all but ``felzenszwalb``; ``compactness`` and ``sigma`` steer ``slic``.

    Args:
        image: (H, W, 3).
        settings: The algorithm and its parameters.

    Returns:
        (H, W) region of each pixel.

    Raises:
        DataError: The image is not (H, W, 3) uint8, or there are more than 65536 regions.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise DataError(
            f"expected an image (height, width, 3) of type uint8 to cut into regions, "
            f"found {image.shape} of type {image.dtype}"
        )
    segments = settings.segments or max(1, round(image[..., 0].size / PIXELS_PER_SEGMENT))
    labels = ALGORITHMS[settings.algorithm](image, segments, settings)
    labels = merge_small(compact(labels), settings.smallest)
    regions = int(labels.max()) + 1
    if regions > MOST_REGIONS:
        raise DataError(
            f"{regions} regions in one image, at most {MOST_REGIONS} fit; "
            "ask for fewer 'segments' or a larger 'smallest'"
        )
    return labels.astype(np.uint16)


def _slic(image: Image, segments: int, settings: RegionSettings) -> Labels:
    labels: Labels = slic(
        image,
        n_segments=segments,
        compactness=settings.compactness,
        sigma=settings.sigma,
        max_num_iter=10,
        start_label=0,
    )
    return labels


def _grid(image: Image, segments: int, settings: RegionSettings) -> Labels:
    height, width = image.shape[:2]
    rows = min(height, max(1, round((segments * height / width) ** 0.5)))
    columns = min(width, max(1, round(segments / rows)))
    y, x = np.arange(height) * rows // height, np.arange(width) * columns // width
    labels: Labels = y[:, None] * columns + x[None, :]
    return labels


def _felzenszwalb(image: Image, segments: int, settings: RegionSettings) -> Labels:
    labels: Labels = felzenszwalb(image, scale=100, sigma=0.8, min_size=64)
    return labels


def _cws(image: Image, segments: int, settings: RegionSettings) -> Labels:
    edges = sobel(rgb2gray(image))  # type: ignore[no-untyped-call]
    labels: Labels = watershed(edges, markers=segments, compactness=1e-3)  # type: ignore[no-untyped-call]
    return labels


ALGORITHMS: dict[str, Callable[[Image, int, RegionSettings], Labels]] = {
    "slic": _slic,
    "grid": _grid,
    "felzenszwalb": _felzenszwalb,
    "cws": _cws,
}


def compact(labels: NDArray[Any]) -> Labels:
    """Renumber regions from 0 without gaps, in the order of their old numbers."""
    _, numbers = np.unique(labels, return_inverse=True)
    return numbers.reshape(labels.shape).astype(np.int64)


def merge_small(labels: Labels, smallest: int) -> Labels:
    """Merge regions of fewer pixels into the neighbour that shares the longest border.

    The smallest region goes first, of equal ones the first by number. Of equal borders the smaller
    neighbour inherits, then the first by number, so that sizes stay even. A merged
    region may still be too small and is merged on.

    Args:
        labels: (H, W) numbers from 0 without gaps.
        smallest: Pixels that a region must have, unless it is the whole image.

    Returns:
        (H, W) numbers from 0 without gaps.
    """
    areas = np.bincount(labels.ravel())
    if areas.min() >= smallest:
        return labels
    borders = border_lengths(labels)
    owner = np.arange(len(areas))
    while True:
        small = np.flatnonzero((areas > 0) & (areas < smallest))
        if len(small) == 0 or np.count_nonzero(areas) == 1:
            return compact(owner[labels])
        gone = int(small[np.argmin(areas[small])])
        neighbours = borders.pop(gone)
        heir = max(neighbours, key=lambda region: (neighbours[region], -areas[region], -region))
        areas[heir] += areas[gone]
        areas[gone] = 0
        owner[owner == gone] = heir
        del borders[heir][gone]
        for region, length in neighbours.items():
            if region != heir:
                del borders[region][gone]
                borders[heir][region] = borders[heir].get(region, 0) + length
                borders[region][heir] = borders[heir][region]


def border_lengths(labels: Labels) -> dict[int, dict[int, int]]:
    """Return for each region its neighbours and the number of pixel edges shared with each."""
    count = int(labels.max()) + 1
    pairs = [(labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])]
    first = np.concatenate([a.ravel() for a, _ in pairs])
    second = np.concatenate([b.ravel() for _, b in pairs])
    differ = first != second
    first, second = first[differ], second[differ]
    keys = np.minimum(first, second) * count + np.maximum(first, second)
    borders: dict[int, dict[int, int]] = {region: {} for region in range(count)}
    for key, length in zip(*np.unique(keys, return_counts=True), strict=True):
        a, b = divmod(int(key), count)
        borders[a][b] = borders[b][a] = int(length)
    return borders


@dataclass(frozen=True)
class RegionMaps:
    """The regions of a set of images, read from one file when they are needed.

    The file holds a header and each map deflated on its own, about 10 kB at 256x512. Values of
    this class are small and can be sent to other processes that see the same disk.

    Attributes:
        path: The file.
        entries: Per image: offset and length of its bytes, height, width, number of regions.
    """

    path: Path
    entries: tuple[tuple[int, int, int, int, int], ...]

    @classmethod
    def open(
        cls, images: Images, content_hash: str, settings: RegionSettings, folder: Path
    ) -> "RegionMaps":
        """Read the regions of a set of images, cutting them first if nobody has yet.

        Workers that ask at the same time wait for the first one.

        Args:
            images: What to cut; not touched when the file is there.
            content_hash: Changes whenever the images or their size do.
            settings: The algorithm and its parameters.
            folder: Where files are kept.

        Raises:
            DataError: The file is damaged, or an image cannot be cut.
        """
        path = folder / f"{settings.algorithm}-{_key(len(images), content_hash, settings)}.regions"
        if not path.exists():
            with files.waiting_lock(path.with_suffix(".lock")):
                if not path.exists():
                    _write(path, images, settings)
        return cls(path, _read_entries(path, len(images)))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.entries)

    def count(self, index: int) -> int:
        """Return the number of regions of one image."""
        return self.entries[index][4]

    def __getitem__(self, index: int) -> NDArray[np.uint16]:
        """Return the regions of one image, (H, W) uint16.

        Raises:
            DataError: The file is damaged.
        """
        offset, length, height, width, _ = self.entries[index]
        with self.path.open("rb") as file:
            file.seek(offset)
            content = file.read(length)
        try:
            labels = np.frombuffer(zlib.decompress(content), "<u2").reshape(height, width)
        except (zlib.error, ValueError) as error:
            raise _damaged(self.path, str(error)) from error
        return labels.astype(np.uint16)


def _key(count: int, content_hash: str, settings: RegionSettings) -> str:
    """Return a hash of everything that a partition depends on."""
    parts = [FORMAT, metadata.version("scikit-image"), count, content_hash, asdict(settings)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _write(path: Path, images: Images, settings: RegionSettings) -> None:
    """Cut all images and write their file, which appears whole or not at all."""
    with files.replacing(path) as file:
        file.write(MAGIC + struct.pack("<Q", 0))
        entries = []
        for index in range(len(images)):
            labels = partition(images[index], settings)
            content = zlib.compress(labels.astype("<u2").tobytes(), 6)
            entries.append((file.tell(), len(content), *labels.shape, int(labels.max()) + 1))
            file.write(content)
        _finish(file, entries)


def _finish(file: IO[Any], entries: list[Any]) -> None:
    """Write the table behind the maps, and where it starts in front of them."""
    start = file.tell()
    file.write(json.dumps(entries).encode())
    file.seek(len(MAGIC))
    file.write(struct.pack("<Q", start))


def _read_entries(path: Path, count: int) -> tuple[tuple[int, int, int, int, int], ...]:
    with path.open("rb") as file:
        magic, start = file.read(len(MAGIC)), file.read(8)
        if magic != MAGIC or len(start) != 8:
            raise _damaged(path, "it does not start as expected")
        file.seek(struct.unpack("<Q", start)[0])
        content = file.read()
    try:
        entries = tuple(tuple(map(int, entry)) for entry in json.loads(content))
    except (ValueError, TypeError) as error:
        raise _damaged(path, str(error)) from error
    if len(entries) != count or any(len(entry) != 5 for entry in entries):
        raise _damaged(path, f"expected {count} maps, found {len(entries)}")
    return entries  # type: ignore[return-value]


def _damaged(path: Path, why: str) -> DataError:
    return DataError(f"the cached regions in {path} are damaged ({why}); delete the file")
