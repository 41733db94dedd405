"""CamVid (Brostow et al., 2009) as the SegNet tutorial gives it: 480x360, 11 classes.

The layout::

    train/<name>.png   trainannot/<name>.png       and so on for val and test
    train.txt          optional: its first column lists images, with any folders in front

Labels are 8-bit PNGs of 0 to 10, and 11 for void.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from autoadapt.data.classes import CAMVID11
from autoadapt.data.formats._files import (
    Files,
    check_unique,
    expected_counts,
    flat,
    match,
    needed_folder,
)
from autoadapt.data.formats.base import Listing
from autoadapt.data.mapping import OwnClasses
from autoadapt.errors import DataError

LAYOUT = "CamVid in the layout of SegNet is train/, trainannot/, val/, valannot/, test/, testannot/"

COUNTS = {"train": 367, "val": 101, "test": 233}


@dataclass(frozen=True)
class Camvid(Files):
    """A split of CamVid in the layout of SegNet.

    Attributes:
        split: ``train``, ``val`` or ``test``.
    """

    split: Literal["train", "val", "test"] = "train"

    def list_images(self) -> Listing:
        """List the images of ``<split>.txt``, else of the folder ``<split>``."""
        root = self.folder
        found = flat(needed_folder(root, self.split, LAYOUT), root=root)
        there = {f"{self.split}/{name}": str(path) for name, path in found.items()}
        ids = _listed(root / f"{self.split}.txt", self.split) or list(there)
        missing = [name for name in ids if name not in there]
        if missing:
            raise DataError(
                f"{root / self.split}.txt lists {len(missing)} of {len(ids)} images that are not "
                f"in {root / self.split}, e.g. {missing[:3]}"
            )
        remarks = expected_counts(ids, {self.split: COUNTS[self.split]})
        return Listing(str(root), tuple(ids), tuple(there[name] for name in ids), remarks)

    def find_labels(self, images: Listing) -> tuple[str, ...]:
        """Find the file of each image in ``<split>annot``."""
        root = self.folder
        folder = needed_folder(root, f"{self.split}annot", LAYOUT)
        names = [PurePosixPath(name).name for name in images.ids]
        return tuple(map(str, match(folder, names, (".png",), root=root)))

    def own_classes(self) -> OwnClasses:
        """Return the 11 classes, 11 for void."""
        names, palette = CAMVID11.names, CAMVID11.palette
        return OwnClasses.numbered(names, palette, where="CamVid (SegNet)", void=len(names))


def _listed(path: Path, split: str) -> Sequence[str]:
    """Return the images of a list whose paths begin with somebody's own folders."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    ids = [f"{split}/{PurePosixPath(line.split()[0]).stem}" for line in lines if line.strip()]
    check_unique(ids, str(path))
    return ids
