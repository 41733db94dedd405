"""What the formats of street scenes share: classes in Cityscapes' ids, and colours to ids."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.batches import IGNORE
from autoadapt.data.classes import CITYSCAPES19, Colour
from autoadapt.data.decode import BrokenFileError, read_colours
from autoadapt.data.label_ids import CITYSCAPES_IDS
from autoadapt.data.mapping import OwnClasses

_UNKNOWN = 255

COLOURS = dict(zip(CITYSCAPES19.names, CITYSCAPES19.palette, strict=True))


def label_id_classes(where: str) -> OwnClasses:
    """Return the classes of files that hold Cityscapes' label ids, 0 to 34 and -1 as 255."""
    others = {raw for raw, name in CITYSCAPES_IDS.items() if name not in COLOURS}
    return OwnClasses(CITYSCAPES_IDS, frozenset(others | {IGNORE}), where, COLOURS)


def train_id_classes(where: str) -> OwnClasses:
    """Return the classes of files that hold Cityscapes' train ids, 0 to 18 and 255."""
    return OwnClasses.numbered(CITYSCAPES19.names, CITYSCAPES19.palette, where=where)


def ids_of_colours(path: Path, ids: Mapping[Colour, int]) -> NDArray[np.uint8]:
    """Return the ids, (H, W), of a label that is written in colours.

    Args:
        path: An 8-bit colour PNG.
        ids: Id of each colour.

    Raises:
        BrokenFileError: A colour has no id, or the file is no such PNG.
    """
    colours = read_colours(path)
    found = _table(tuple(ids.items()))[_codes(colours)]
    strange = found == _UNKNOWN
    if strange.any():
        shown = tuple(int(channel) for channel in colours[strange][0])
        raise BrokenFileError(
            f"colour {shown} on {int((colours == shown).all(axis=-1).sum())} pixels belongs to no "
            "class: a label that was resized with interpolation, or of another data set?"
        )
    return found


@cache
def _table(ids: tuple[tuple[Colour, int], ...]) -> NDArray[np.uint8]:
    """Return the id of each of the 2**24 colours; 16 MiB, which a search per pixel would save."""
    table = np.full(1 << 24, _UNKNOWN, np.uint8)
    for colour, raw in ids:
        table[_codes(np.array(colour, np.uint8))] = raw
    return table


def _codes(colours: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """(..., 3) RGB to one number per colour."""
    red, green, blue = np.moveaxis(colours.astype(np.uint32), -1, 0)
    codes: NDArray[np.uint32] = (red * 256 + green) * 256 + blue
    return codes
