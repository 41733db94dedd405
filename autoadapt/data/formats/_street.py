"""What the formats of street scenes share: classes in Cityscapes' ids, and colours to ids."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.batches import IGNORE
from autoadapt.data.classes import CITYSCAPES19, Colour
from autoadapt.data.decode import BrokenFileError, read_colours
from autoadapt.data.label_ids import CITYSCAPES_IDS
from autoadapt.data.mapping import OwnClasses

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
    codes = _codes(colours)
    known = np.array(list(ids), np.uint8)
    order = np.argsort(_codes(known))
    sorted_codes = _codes(known)[order]
    places = np.searchsorted(sorted_codes, codes).clip(max=len(order) - 1)
    strange = sorted_codes[places] != codes
    if strange.any():
        shown = tuple(int(channel) for channel in colours[strange][0])
        raise BrokenFileError(
            f"colour {shown} on {int((colours == shown).all(axis=-1).sum())} pixels belongs to no "
            "class: a label that was resized with interpolation, or of another data set?"
        )
    values = np.array(list(ids.values()), np.uint8)[order]
    result: NDArray[np.uint8] = values[places]
    return result


def _codes(colours: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """(..., 3) RGB to one number per colour."""
    red, green, blue = np.moveaxis(colours.astype(np.uint32), -1, 0)
    codes: NDArray[np.uint32] = (red * 256 + green) * 256 + blue
    return codes
