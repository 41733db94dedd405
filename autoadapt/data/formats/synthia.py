"""SYNTHIA-RAND-CITYSCAPES (Ros et al., CVPR 2016): rendered streets with Cityscapes' classes.

The layout::

    RGB/0000000.png ... 0009399.png
    GT/LABELS/0000000.png ...          16-bit colour PNGs; the red channel is the class
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from autoadapt.data import decode
from autoadapt.data.decode import GREY, PALETTE, BrokenFileError, Size, png_kind, png_text
from autoadapt.data.formats._files import (
    Files,
    expected_counts,
    flat,
    match,
    needed_folder,
)
from autoadapt.data.formats._street import COLOURS, label_id_classes, train_id_classes
from autoadapt.data.formats.base import Listing
from autoadapt.data.label_ids import SYNTHIA_IDS
from autoadapt.data.mapping import OwnClasses
from autoadapt.errors import DataError

COUNT = 9400
ORIGINAL = (16, decode.COLOUR)

LAYOUT = "SYNTHIA-RAND-CITYSCAPES lies on disk as RGB/0000000.png with GT/LABELS/0000000.png"

CONVERTED: Mapping[str, str] = {
    "train_ids": "Cityscapes' train ids, 0 to 18 and 255",
    "label_ids": "Cityscapes' label ids, 0 to 33",
    "synthia_ids": "SYNTHIA's own ids, 0 to 22",
}
"""What 8-bit labels that somebody converted can hold."""


@dataclass(frozen=True)
class Synthia(Files):
    """SYNTHIA-RAND-CITYSCAPES.

    Attributes:
        labels: What the label files hold: ``original`` (as published), or, converted to 8 bits,
            ``train_ids``, ``label_ids`` (of Cityscapes) or ``synthia_ids``.
        label_folder: Folder of the label files below ``root``.
    """

    labels: Literal["original", "train_ids", "label_ids", "synthia_ids"] = "original"
    label_folder: str = "GT/LABELS"

    def list_images(self) -> Listing:
        """List ``RGB/``."""
        root = self.folder
        found = flat(needed_folder(root, "RGB", LAYOUT), root=root)
        remarks = expected_counts(found, {"": COUNT})
        return Listing(str(root), tuple(found), tuple(map(str, found.values())), remarks)

    def find_labels(self, images: Listing) -> tuple[str, ...]:
        """Find the label file of each image; the first one must be what ``labels`` says."""
        root = self.folder
        folder = needed_folder(root, self.label_folder, LAYOUT)
        labels = match(folder, images.ids, (".png",), root=root)
        self._check_flavour(labels[0])
        return tuple(map(str, labels))

    def own_classes(self) -> OwnClasses:
        """Return the classes in the ids that the label files hold."""
        where = f"SYNTHIA (labels: {self.labels})"
        if self.labels == "train_ids":
            return train_id_classes(where)
        if self.labels == "label_ids":
            return label_id_classes(where)
        names = {raw: name for name, raw in SYNTHIA_IDS.items()}
        void = frozenset(raw for raw, name in names.items() if name not in COLOURS)
        return OwnClasses(names, void, where, COLOURS)

    def read_label(self, label: str, size: Size) -> NDArray[np.uint8]:
        """Decode the red channel of a 16-bit PNG, or an 8-bit PNG of converted labels."""
        if self.labels != "original":
            return decode.read_ids(Path(label))
        red = decode.read_red16(Path(label))
        if red.max() > np.iinfo(np.uint8).max:
            raise BrokenFileError(f"id {red.max()} in the red channel; SYNTHIA has 0 to 22")
        return red.astype(np.uint8)

    def _check_flavour(self, path: Path) -> None:
        """Refuse labels of the other kind once, instead of each of them as a broken file.

        Raises:
            DataError: The label is of the other kind.
        """
        try:
            kind = png_kind(path)
        except BrokenFileError:
            kind = None
        if kind is None:
            return  # It is reported as a broken file.
        original = self.labels == "original"
        if original and kind != ORIGINAL:
            raise DataError(
                f"{path} is a {png_text(*kind)} PNG, but labels of SYNTHIA as published are "
                f"16-bit RGB PNGs: {_advice(path, kind)}"
            )
        if not original and kind == ORIGINAL:
            raise DataError(
                f"{path} is a 16-bit RGB PNG as published, but labels: {self.labels} says that "
                "the labels were converted to 8 bits; remove labels, or name the folder of the "
                "converted ones with label_folder"
            )


def _advice(path: Path, kind: tuple[int, int]) -> str:
    if kind not in {(8, GREY), (8, PALETTE)}:
        return (
            "pictures for viewing, or labels that a program without 16-bit colours saved and "
            "ruined; use the folder GT/LABELS of the original archive"
        )
    try:
        ids = set(np.unique(decode.read_ids(path)).tolist())
    except BrokenFileError as error:
        return f"these were converted to 8 bits, and this one is damaged ({error}); replace it"
    fits = [
        f"labels: {flavour} ({text})"
        for flavour, text in CONVERTED.items()
        if ids <= _ids_of(flavour)
    ]
    return (
        f"these were converted to 8 bits. This one holds ids {sorted(ids)}; say what they are "
        f"with {' or '.join(fits) or 'another folder, they fit no known conversion'}"
    )


def _ids_of(flavour: str) -> set[int]:
    last = {"train_ids": 18, "label_ids": 34, "synthia_ids": 22}[flavour]
    return {*range(last + 1)} | ({255} if flavour != "synthia_ids" else set())
