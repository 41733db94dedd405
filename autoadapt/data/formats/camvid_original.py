"""CamVid (Brostow et al., 2009) as published: 701 frames of 960x720, 32 classes in colours.

The layout::

    701_StillsRaw_full/<name>.png
    LabeledApproved_full/<name>_L.png
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.classes import CAMVID11, Colour
from autoadapt.data.decode import Size
from autoadapt.data.formats._files import (
    Files,
    expected_counts,
    flat,
    match,
    needed_folder,
)
from autoadapt.data.formats._street import ids_of_colours
from autoadapt.data.formats.base import Listing
from autoadapt.data.label_ids import CAMVID32
from autoadapt.data.mapping import OwnClasses

COUNT = 701

LAYOUT = (
    "CamVid as published is 701_StillsRaw_full/<name>.png with LabeledApproved_full/<name>_L.png; "
    "image_folder and label_folder give these folders other names"
)


@dataclass(frozen=True)
class CamvidOriginal(Files):
    """CamVid as published.

    Attributes:
        grouping: ``camvid11`` groups the 32 classes into the usual 11, ``none`` keeps them.
        image_folder: Folder of the images below ``root``.
        label_folder: Folder of the labels below ``root``.
    """

    grouping: Literal["camvid11", "none"] = "camvid11"
    image_folder: str = "701_StillsRaw_full"
    label_folder: str = "LabeledApproved_full"

    def list_images(self) -> Listing:
        """List the folder of images."""
        root = self.folder
        found = flat(needed_folder(root, self.image_folder, LAYOUT), root=root)
        remarks = expected_counts(found, {"": COUNT})
        return Listing(str(root), tuple(found), tuple(map(str, found.values())), remarks)

    def find_labels(self, images: Listing) -> tuple[str, ...]:
        """Find ``<name>_L.png`` of each image."""
        root = self.folder
        folder = needed_folder(root, self.label_folder, LAYOUT)
        return tuple(map(str, match(folder, images.ids, (".png",), root=root, suffix="_L")))

    def own_classes(self) -> OwnClasses:
        """Return the 11 classes of the grouping, or all but void of the 32."""
        if self.grouping == "camvid11":
            return _grouped()
        names = {raw: name for raw, name in enumerate(CAMVID32) if name != "Void"}
        colours = {name: colour for name, (colour, _) in CAMVID32.items() if name != "Void"}
        void = frozenset({list(CAMVID32).index("Void")})
        return OwnClasses(names, void, "CamVid (32 classes)", colours)

    def read_label(self, label: str, size: Size) -> NDArray[np.uint8]:
        """Decode a coloured PNG; an id is the place of a class in the published list."""
        return ids_of_colours(Path(label), _colours())


def _grouped() -> OwnClasses:
    """Return raw ids with the names of their groups, in the order of the 11 classes."""
    groups = {raw: group for raw, (_, group) in enumerate(CAMVID32.values())}
    named = {raw: group for raw, group in groups.items() if group is not None}
    ordered = sorted(named.items(), key=lambda item: CAMVID11.names.index(item[1]))
    void = frozenset(groups.keys() - named.keys())
    colours = dict(zip(CAMVID11.names, CAMVID11.palette, strict=True))
    return OwnClasses(dict(ordered), void, "CamVid (32 classes in 11 groups)", colours)


def _colours() -> Mapping[Colour, int]:
    return {colour: raw for raw, (colour, _) in enumerate(CAMVID32.values())}
