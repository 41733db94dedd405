"""GTA5, "Playing for Data" (Richter et al., ECCV 2016): a game with Cityscapes' classes.

The layout::

    images/00001.png ... 24966.png
    labels/00001.png ... 24966.png     palette PNGs; the index is Cityscapes' label id
    split.mat                          only for splits other than ``all``
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from autoadapt.data import decode
from autoadapt.data.classes import Colour
from autoadapt.data.decode import COLOUR, COLOUR_ALPHA, BrokenFileError, Size, png_kind
from autoadapt.data.formats._files import (
    Files,
    expected_counts,
    flat,
    look_up,
    needed_folder,
    report_missing,
)
from autoadapt.data.formats._street import ids_of_colours, label_id_classes
from autoadapt.data.formats.base import Listing
from autoadapt.data.label_ids import cityscapes_colours
from autoadapt.data.mapping import OwnClasses
from autoadapt.errors import DataError

logger = logging.getLogger(__name__)

COUNT = 24966

SUSPECTS = tuple(
    f"{number:05d}"
    for first, last in ((2154, 2158), (4634, 4637), (7115, 7119), (9683, 9688), (12050, 12054))
    for number in range(first, last + 1)
)
"""Images around which users found files missing or damaged in their copies."""

LAYOUT = "GTA5 lies on disk as images/00001.png with labels/00001.png, 24966 of each"


@dataclass(frozen=True)
class Gta5(Files):
    """GTA5, whole or one of its published splits.

    Image and label of several hundred pairs differ from 1914x1052, and of a few from each other:
    both are resized to the working size on their own.

    Attributes:
        split: ``all``, as in most papers, or one of the splits of the file ``split.mat``.
    """

    own_sizes: ClassVar[bool] = True

    split: Literal["all", "train", "val", "test"] = "all"

    def list_images(self) -> Listing:
        """List ``images/``, and keep those of the split."""
        root = self.folder
        folder = needed_folder(root, "images", LAYOUT)
        found = flat(folder, root=root)
        remarks = expected_counts(found, {"": COUNT})
        if self.split != "all":
            wanted = _split_names(root / "split.mat", self.split)
            found = {name: path for name, path in found.items() if name in wanted}
            remarks = expected_counts(found, {"": len(wanted)})
        if not found:
            raise DataError(f"{folder} has none of the images of the split {self.split!r}")
        return Listing(str(root), tuple(found), tuple(map(str, found.values())), remarks)

    def find_labels(self, images: Listing) -> tuple[str, ...]:
        """Find ``labels/<name>.png``, and look at the pairs known to be incomplete in copies.

        What is wrong with one of those is told at once; reading it says so too, so that
        ``data.broken`` decides about it as about any damaged file.
        """
        root = self.folder
        folder = needed_folder(root, "labels", LAYOUT)
        found, missing = look_up(folder, images.ids, (".png",), root=root)
        suspects = set(SUSPECTS)
        if not set(missing) <= suspects:
            report_missing(folder, images.ids, missing)
        labels = tuple(str(found.get(name, folder / f"{name}.png")) for name in images.ids)
        wrong = _wrong_suspects(images, labels)
        if wrong:
            logger.warning("%s: known broken pairs: %s", root, "; ".join(wrong))
        return labels

    def own_classes(self) -> OwnClasses:
        """Return Cityscapes' label ids."""
        return label_id_classes("GTA5 (label ids of Cityscapes)")

    def read_label(self, label: str, size: Size) -> NDArray[np.uint8]:
        """Decode a palette or grey PNG of label ids, or a coloured one by its colours."""
        path = Path(label)
        if not path.exists():
            raise BrokenFileError("there is no label file, as in some copies of GTA5")
        depth, mode = png_kind(path) or (0, 0)
        if depth == 8 and mode in (COLOUR, COLOUR_ALPHA):
            return ids_of_colours(path, _colours())
        return decode.read_ids(path)


@cache
def _colours() -> dict[Colour, int]:
    return cityscapes_colours()


def _wrong_suspects(images: Listing, labels: Sequence[str]) -> list[str]:
    """Say what is wrong with the pairs that others found broken; only headers are read."""
    suspects = set(SUSPECTS)
    wrong = []
    for name, image, label in zip(images.ids, images.origins, labels, strict=True):
        if name in suspects:
            try:
                sizes = decode.image_size(Path(image)), _label_size(Path(label))
            except BrokenFileError as error:
                wrong.append(f"{name} ({error})")
                continue
            if sizes[0] != sizes[1]:
                wrong.append(f"{name} (image {sizes[0]}, label {sizes[1]}, height and width)")
    return wrong


def _label_size(path: Path) -> Size:
    if not path.exists():
        raise BrokenFileError("no label file")
    return decode.image_size(path)


def _split_names(path: Path, split: str) -> set[str]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    if not path.is_file():
        raise DataError(
            f"{path} is missing; the split {split!r} needs it. It is published beside the data "
            "set; or use split: all"
        )
    try:
        numbers = loadmat(path)[f"{split}Ids"].ravel()
    except (KeyError, ValueError, TypeError, NotImplementedError, MatReadError) as error:
        raise DataError(f"{path} is not the split file of GTA5: {error}") from error
    return {f"{int(number):05d}" for number in numbers}
