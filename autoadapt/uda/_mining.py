"""Crops of target images that show rare classes (hard-sample mining of CBST and CRST)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def mined_centres(
    labels: NDArray[np.uint8],
    groups: Sequence[Sequence[int]],
    *,
    rng: np.random.Generator,
    share: float,
) -> NDArray[np.int64]:
    """Return a random pixel of a class looked for, (N, 2) row and column, or -1 for none.

    Args:
        labels: (N, H, W) of whole images.
        groups: Classes looked for: one of those of the first group that an image has any of.
        rng: Decides, with the same number of draws for every image.
        share: Probability that an image is searched.
    """
    found = np.full((len(labels), 2), -1, np.int64)
    for centre, image in zip(found, labels, strict=True):
        chance, which, where = rng.random(3)
        present = wanted(image, groups) if chance < share else []
        if present:
            pixels = np.argwhere(image == present[int(which * len(present))])
            centre[...] = pixels[int(where * len(pixels))]
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
