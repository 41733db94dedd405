"""The images and labels of a data set before they are resized and cached, in whatever format.

``Originals`` are what a target is opened with; labels are another value, which is made by asking
for them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoadapt.config.load import make_format
from autoadapt.config.settings import DatasetSettings, Resampling
from autoadapt.data.cache import Recipe
from autoadapt.data.decode import BrokenFileError, Size, nearest
from autoadapt.data.formats.base import Format, Listing
from autoadapt.data.mapping import LabelMap
from autoadapt.data.selection import chosen
from autoadapt.errors import DataError


@dataclass(frozen=True)
class Originals:
    """The images that the settings mean; nothing about labels.

    Attributes:
        kind: Name of the format.
        format: Reads them.
        listing: Their names and places.
    """

    kind: str
    format: Format
    listing: Listing

    def __len__(self) -> int:
        return len(self.listing)

    def image(
        self, index: int, size: Size, resampling: Resampling = "lanczos"
    ) -> NDArray[np.uint8]:
        """Return an image, (H, W, 3) RGB of ``size``.

        Raises:
            BrokenFileError: It cannot be decoded.
        """
        return self.format.read_image(self.listing.origins[index], size, resampling)

    def size(self, index: int) -> Size | None:
        """Return the height and width of an image file; a rendered image has none of its own.

        Raises:
            BrokenFileError: It is not an image.
        """
        return self.format.image_size(self.listing.origins[index])

    def recipe(self, size: Size, resampling: Resampling) -> Recipe:
        """Return how to decode the images to ``size``."""

        def make(index: int) -> NDArray[np.uint8]:
            return self.image(index, size, resampling)

        spec = {
            "format": self.kind,
            "images": self.format.stamps(self.listing.origins),
            "resampling": resampling,
        }
        return Recipe("images", spec, (*size, 3), len(self), make)


@dataclass(frozen=True)
class OriginalLabels:
    """The labels of originals.

    Attributes:
        originals: Their images.
        files: Where the label of each image comes from.
        ids: From their ids to those of the task.
    """

    originals: Originals
    files: tuple[str, ...]
    ids: LabelMap

    def raw(self, index: int, size: Size) -> NDArray[np.uint8]:
        """Return the raw ids of a label, (H, W), as large as it is stored, else of ``size``.

        Raises:
            BrokenFileError: It cannot be decoded, or has another size than its image.
        """
        raw = self.originals.format.read_label(self.files[index], size)
        if not self.originals.format.own_sizes:
            self._check_size(raw, index)
        return raw

    def classes(self, index: int, size: Size) -> NDArray[np.uint8]:
        """Return a label as class indices of the task, (H, W) of ``size``, nearest neighbour.

        Raw ids are checked at full size, so a rare wrong one is found whatever ``size`` is.

        Raises:
            BrokenFileError: It cannot be decoded, or has another size than its image.
            DataError: The data set does not declare one of its ids.
        """
        raw = self.raw(index, size)
        _check_ids(pixels_per_id(raw), self.files[index], self.ids)
        classes: NDArray[np.uint8] = self.ids.table[nearest(raw, size)]
        return classes

    def recipe(self, size: Size) -> Recipe:
        """Return how to decode the labels to class indices of ``size``."""
        reader = self.originals.format
        spec = {
            "format": repr(reader),
            "labels": reader.stamps(self.files),
            # Images belong to it because a label of another size than its image is broken.
            "images": reader.stamps(self.originals.listing.origins),
            "table": self.ids.table.tolist(),
            "known": self.ids.known.tolist(),
            "resampling": "nearest",
        }
        return Recipe("labels", spec, size, len(self.files), lambda i: self.classes(i, size))

    def _check_size(self, raw: NDArray[np.uint8], index: int) -> None:
        try:
            size = self.originals.size(index)
        except BrokenFileError:
            return  # It is reported as a broken image.
        if size is not None and size != raw.shape:
            name = self.originals.listing.origins[index].rpartition("/")[2]
            raise BrokenFileError(
                f"label is {raw.shape[1]}x{raw.shape[0]} but its image {name} is "
                f"{size[1]}x{size[0]} (width x height)"
            )


def find_images(settings: DatasetSettings) -> Originals:
    """List the images that the settings mean; nothing is decoded, no label is looked at.

    Raises:
        DataError: Images are missing.
        ConfigError: The root cannot be used, or the settings keep no image.
    """
    reader: Format = make_format(settings)
    return Originals(settings.kind, reader, chosen(reader.list_images(), settings))


def find_labels(images: Originals, ids: LabelMap) -> OriginalLabels:
    """Find the label of each image.

    Raises:
        DataError: Labels are missing.
    """
    return OriginalLabels(images, images.format.find_labels(images.listing), ids)


def pixels_per_id(raw: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how many pixels each raw id has, (256,)."""
    return np.bincount(raw.reshape(-1), minlength=256).astype(np.int64)


def _check_ids(pixels: Iterable[int], path: str, ids: LabelMap) -> None:
    for raw, count in enumerate(pixels):
        if count and not ids.known[raw]:
            raise DataError(
                f"{path}: label id {raw} on {count} pixels, but {ids.describe()}; correct the "
                "class list or convert the labels ('autoadapt data check' lists all such ids)"
            )
