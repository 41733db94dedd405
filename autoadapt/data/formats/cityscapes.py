"""Cityscapes (Cordts et al., CVPR 2016): real streets of 50 cities.

The layout::

    leftImg8bit/{train,val,test}/<city>/<name>_leftImg8bit.png
    gtFine/{train,val,test}/<city>/<name>_gtFine_labelIds.png      or ..._labelTrainIds.png
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autoadapt.data.formats._files import (
    Files,
    expected_counts,
    match,
    needed_folder,
    tree,
)
from autoadapt.data.formats._street import label_id_classes, train_id_classes
from autoadapt.data.formats.base import Listing
from autoadapt.data.mapping import OwnClasses

Split = Literal["train", "val", "test"]
Ids = Literal["labelIds", "trainIds"]

LAYOUT = (
    "Cityscapes lies on disk as leftImg8bit/<split>/<city>/<name>_leftImg8bit.png with "
    "gtFine/<split>/<city>/<name>_gtFine_labelIds.png"
)

CITIES: Mapping[Split, Mapping[str, int]] = {
    "train": {
        "aachen": 174,
        "bochum": 96,
        "bremen": 316,
        "cologne": 154,
        "darmstadt": 85,
        "dusseldorf": 221,
        "erfurt": 109,
        "hamburg": 248,
        "hanover": 196,
        "jena": 119,
        "krefeld": 99,
        "monchengladbach": 94,
        "strasbourg": 365,
        "stuttgart": 196,
        "tubingen": 144,
        "ulm": 95,
        "weimar": 142,
        "zurich": 122,
    },
    "val": {"frankfurt": 267, "lindau": 59, "munster": 174},
    "test": {
        "berlin": 544,
        "bielefeld": 181,
        "bonn": 46,
        "leverkusen": 58,
        "mainz": 298,
        "munich": 398,
    },
}
"""Number of published images per city: 2975, 500 and 1525."""


@dataclass(frozen=True)
class Cityscapes(Files):
    """A split of Cityscapes.

    Attributes:
        split: ``train``, ``val`` or ``test``; the labels of ``test`` are void.
        labels: Which label files are read: ``labelIds`` as published, or ``trainIds``, which the
            scripts of the data set make from them.
    """

    split: Split = "train"
    labels: Ids = "labelIds"

    def list_images(self) -> Listing:
        """List ``leftImg8bit/<split>``, city by city; names are ``<split>/<city>/<name>``."""
        folder = needed_folder(self.folder, f"leftImg8bit/{self.split}", LAYOUT)
        return list_cities(self.folder, folder, self.split, "_leftImg8bit")

    def find_labels(self, images: Listing) -> tuple[str, ...]:
        """Find the file in ``gtFine`` of each image."""
        return find_fine(self, images, self.labels)

    def own_classes(self) -> OwnClasses:
        """Return label ids or train ids."""
        return fine_classes(self.labels)


def list_cities(root: Path, folder: Path, split: Split, suffix: str) -> Listing:
    """List the images of a split, in a folder that holds one folder per city.

    Args:
        root: Folder of the data set, which no link may leave.
        folder: Of the split.
        split: Its name, the first part of the names of its images.
        suffix: What follows the name of an image, before the ending.

    Raises:
        DataError: There is no such image.
    """
    found = tree(folder, root=root, suffix=suffix)
    ids = [f"{split}/{name}" for name in found]
    expected = {f"{split}/{city}": count for city, count in CITIES[split].items()}
    origins = tuple(map(str, found.values()))
    return Listing(str(folder), tuple(ids), origins, expected_counts(ids, expected))


def find_fine(files: Files, images: Listing, ids: Ids) -> tuple[str, ...]:
    """Find the fine label of each image of Cityscapes.

    Raises:
        DataError: Some are missing; the message counts them per city.
    """
    root = files.folder
    folder = needed_folder(root, "gtFine", LAYOUT)
    suffix = "_gtFine_labelIds" if ids == "labelIds" else "_gtFine_labelTrainIds"
    return tuple(map(str, match(folder, images.ids, (".png",), root=root, suffix=suffix)))


def fine_classes(ids: Ids) -> OwnClasses:
    """Return the classes of fine labels."""
    if ids == "trainIds":
        return train_id_classes("Cityscapes (train ids)")
    return label_id_classes("Cityscapes (label ids)")
