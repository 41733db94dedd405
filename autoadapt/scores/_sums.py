"""What several scores compute from the sums over regions (``scores.md`` 1.4).

Quantities of a whole sample pool the pixels of all images: a class that is missing in one street
scene is no sign of collapse, a class that is missing in all of them is.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autoadapt.scores.base import Float, RegionStatistics, entropy

Regions = Sequence[RegionStatistics]


def label_statistics(
    labels: NDArray[np.integer], regions: NDArray[np.integer], count: int, classes: int
) -> RegionStatistics:
    """Return the sums that certain predictions of these labels would have.

    Args:
        labels: (H, W) class indices; what is no class, such as void, is left out.
        regions: (H, W) from 0.
        count: Number of regions.
        classes: Number of classes.
    """
    known = labels < classes
    pairs = regions[known].astype(np.int64) * classes + labels[known]
    hard = np.bincount(pairs, minlength=count * classes).reshape(count, classes).astype(float)
    return RegionStatistics(hard.sum(1), hard, np.zeros_like(hard), hard)


def log_classes(regions: Regions) -> float:
    """Return log C.

    Raises:
        ValueError: There is no image, or a single class.
    """
    if not regions:
        raise ValueError("no target image was measured")
    classes = regions[0].p_sum.shape[1]
    if classes < 2:
        raise ValueError("a single class has no entropy")
    return float(np.log(classes))


def kept(image: RegionStatistics, smallest: int) -> NDArray[np.bool_]:
    """Return which regions have at least ``smallest`` pixels, (R,).

    Raises:
        ValueError: None has.
    """
    large: NDArray[np.bool_] = image.areas >= smallest
    if not large.any():
        raise ValueError(f"a target image has no region of {smallest} pixels or more")
    return large


def pixel_entropy(regions: Regions) -> float:
    """Return the mean entropy of a pixel over log C, in [0, 1]: equation 3 of AutoAdapt."""
    scale = log_classes(regions)
    total = sum(float(image.pixel_entropy.sum()) for image in regions)
    return total / (sum(float(image.areas.sum()) for image in regions) * scale)


def diversity(regions: Regions) -> float:
    """Return the entropy of the mean prediction over log C, in [0, 1]."""
    scale = log_classes(regions)
    total = np.sum([image.class_mass for image in regions], axis=0)
    return float(entropy(total / total.sum())) / scale


def region_entropy(regions: Regions, weighting: str, smallest: int) -> float:
    """Return the mean entropy of a region's mean prediction over log C, in [0, 1].

    Args:
        regions: One entry per image.
        weighting: ``area`` weighs a region by its pixels, ``region`` counts each once.
        smallest: Smaller regions are left out.
    """
    values = [image.mean_entropy for image in regions]
    return _mean_of_large(regions, values, weighting, smallest)


def disagreement(regions: Regions, weighting: str, smallest: int) -> float:
    """Return the mean Jensen-Shannon divergence within a region over log C, in [0, 1].

    It is the entropy of the mean prediction of a region less the mean entropy of its pixels.
    """
    values = [divergence(image) for image in regions]
    return _mean_of_large(regions, values, weighting, smallest)


def _mean_of_large(
    regions: Regions, values: Sequence[Float], weighting: str, smallest: int
) -> float:
    """Return the mean of values, (R,) per image, over the larger regions, over log C."""
    scale = log_classes(regions)
    masks = [kept(image, smallest) for image in regions]
    large = np.concatenate([value[mask] for value, mask in zip(values, masks, strict=True)])
    if weighting == "region":
        return float(large.mean()) / scale
    areas = np.concatenate([image.areas[mask] for image, mask in zip(regions, masks, strict=True)])
    return float(large @ areas / areas.sum()) / scale


def divergence(image: RegionStatistics) -> Float:
    """Return the Jensen-Shannon divergence within each region in nats, (R,), I_r; 0 if empty."""
    within = image.pixel_entropy / np.maximum(image.areas, 1.0)
    result: Float = np.maximum(image.mean_entropy - within, 0.0)
    return result
