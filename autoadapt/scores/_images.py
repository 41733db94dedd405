"""What scores look at, for a choice of the target images: others would have given other values."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from autoadapt.scores.base import Need, Statistics, by_image

Single = NDArray[np.float32]

DERIVABLE: frozenset[Need] = frozenset({"held_out", "source_prior", "source_regions", "label_maps"})
"""Needs that a choice of the images leaves as they are, or can be restricted to."""


def of_images(statistics: Statistics, images: Sequence[int]) -> Statistics:
    """Return the statistics of a candidate as if only these target images had been measured.

    Regions, sampled features and outputs, and class maps of the target are those of the chosen
    images; the source, held-out images, costs, classifier and the untrained network stay as they
    are. Agreements with other opinions and the pool are sums over all images, which cannot be
    taken apart: they are left out, and a score that needs them says that it is missing.

    The order of the choice does not matter: images are taken in the order in which they were
    measured. An image that is chosen twice counts twice. Then scores made for independent samples
    are biased, by an amount that depends on how often images are repeated: an unbiased ``mmd``
    counts pairs of a location with its own copy, at distance 0, and nearest neighbours
    (``hopkins``, ``domain_purity``) are copies. Candidates on the same choice have nearly the
    same bias, so their order can be compared; values on choices with and without repetitions
    cannot.

    Args:
        statistics: Of N target images.
        images: Their numbers from 0, at least one.

    Raises:
        ValueError: No image is chosen, or one that was not measured; or regions and samples are
            not of the same images.
    """
    number = len(statistics.regions)
    chosen = sorted(images)
    if not chosen or chosen[0] < 0 or chosen[-1] >= number:
        raise ValueError(f"expected some of the images 0 to {number - 1}, found {chosen or 'none'}")
    per_image, maps = statistics.per_image, statistics.label_maps
    return replace(
        statistics,
        regions=tuple(statistics.regions[image] for image in chosen),
        target_features=rows_of(statistics.target_features, chosen, per_image, number),
        target_outputs=rows_of(statistics.target_outputs, chosen, per_image, number),
        agreements={},
        label_maps=None if maps is None else maps[np.array(chosen)],
        pool=None,
        place=0,
    )


def rows_of(values: Single, chosen: Sequence[int], per_image: int, number: int) -> Single:
    """Return what was sampled in some of a number of images, (n * per_image, D), in their order.

    Raises:
        ValueError: The samples are of another number of images.
    """
    if len(values) != number * per_image:
        raise ValueError(
            f"{len(values)} locations are not {per_image} in each of {number} target images"
        )
    found: Single = by_image(values, per_image)[np.array(chosen)].reshape(-1, values.shape[1])
    return found
