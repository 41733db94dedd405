"""The classes of a street scene, those of CamVid in its eleven-class form."""

from typing import Final

CLASSES: Final[tuple[str, ...]] = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)
"""Name of each class; its place is the value in a label map."""

SKY: Final = 0
BUILDING: Final = 1
POLE: Final = 2
ROAD: Final = 3
PAVEMENT: Final = 4
TREE: Final = 5
SIGN: Final = 6
FENCE: Final = 7
CAR: Final = 8
PEDESTRIAN: Final = 9
BICYCLIST: Final = 10
