"""Crops of target images that show rare classes (hard-sample mining of CBST and CRST)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autoadapt.config.settings import Size


def mined_corners(
    corners: NDArray[np.int64],
    labels: NDArray[np.uint8],
    *,
    groups: Sequence[Sequence[int]],
    crop: Size,
    rng: np.random.Generator,
    share: float,
) -> NDArray[np.int64]:
    """Return crops of which a share is centred on a random pixel of a class looked for.

    Args:
        corners: (N, 2) upper left corners to fall back on.
        labels: (N, H, W) of the whole images.
        groups: Classes looked for: one of the first group that an image has any of.
        crop: Height and width of a crop; moved inwards where it would leave the image.
        rng: Decides; one and the same number of draws per image.
        share: Probability that an image is searched.
    """
    found = corners.copy()
    for corner, image in zip(found, labels, strict=True):
        chance, which, where = rng.random(3)
        present = wanted(image, groups) if chance < share else []
        if present:
            rows, columns = np.nonzero(image == present[int(which * len(present))])
            pixel = int(where * len(rows))
            centre = np.array([rows[pixel], columns[pixel]])
            room = np.subtract(image.shape, crop)
            corner[...] = (centre - np.array(crop) // 2).clip(0, room)
    return found


def wanted(labels: NDArray[np.uint8], groups: Sequence[Sequence[int]]) -> list[int]:
    """Return the classes of the first group that has any in the image, those that it has."""
    present = set(np.unique(labels).tolist())
    found = ([label for label in group if label in present] for group in groups)
    return next((group for group in found if group), [])


def rarest(shares: NDArray[np.float64], count: int) -> list[int]:
    """Return the classes with the smallest shares, in ascending order; ties by class index."""
    return [int(label) for label in np.argsort(shares, kind="stable")[:count]]


def rarer_than(shares: NDArray[np.float64], limit: float) -> list[int]:
    """Return the classes with a share below a limit, in ascending order; ties by class index."""
    return [label for label in rarest(shares, len(shares)) if shares[label] < limit]
