"""The class sets that papers report on, by name, with the way into each from other names."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from autoadapt.config.settings import ProtocolName
from autoadapt.data.batches import IGNORE
from autoadapt.data.classes import (
    CAMVID11,
    CITYSCAPES19,
    SYNTHIA13,
    SYNTHIA16,
    VOID_COLOUR,
    ClassTable,
)

TO_CITYSCAPES: Mapping[str, str] = {
    "pavement": "sidewalk",
    "tree": "vegetation",
    "sign": "traffic sign",
    "pedestrian": "person",
    # CamVid's bicyclist is rider and bicycle in one. The rider is nearer to "who moves there";
    # ``merge: {bicyclist: bicycle}`` decides otherwise.
    "bicyclist": "rider",
}
"""Names of CamVid and SYNTHIA that Cityscapes has under another name."""

TO_CAMVID: Mapping[str, str] = {
    "sidewalk": "pavement",
    "vegetation": "tree",
    "traffic sign": "sign",
    "person": "pedestrian",
    "rider": "bicyclist",
    "bicycle": "bicyclist",
}
"""The way back. What CamVid's 11 classes do not name stays void: wall, terrain, truck, ..."""


@dataclass(frozen=True)
class Protocol:
    """A class set.

    Attributes:
        table: Names and colours in the order of the class ids.
        rename: Names of other data sets to names of this one.
        rest: Class id of everything else: void, unless a background counts.
    """

    table: ClassTable
    rename: Mapping[str, str] = field(default_factory=dict)
    rest: int = IGNORE


def _part(names: tuple[str, ...]) -> ClassTable:
    places = [CITYSCAPES19.names.index(name) for name in names]
    return ClassTable(names, tuple(CITYSCAPES19.palette[place] for place in places))


_DICE20 = ClassTable(("background", *CITYSCAPES19.names), (VOID_COLOUR, *CITYSCAPES19.palette))

PROTOCOLS: Mapping[ProtocolName, Protocol] = {
    "cityscapes19": Protocol(CITYSCAPES19, TO_CITYSCAPES),
    "synthia16": Protocol(_part(SYNTHIA16), TO_CITYSCAPES),
    "synthia13": Protocol(_part(SYNTHIA13), TO_CITYSCAPES),
    "camvid11": Protocol(CAMVID11, TO_CAMVID),
    # Train id + 1, and all the rest is class 0, which counts in the mean.
    "dice20": Protocol(_DICE20, TO_CITYSCAPES, rest=0),
}
