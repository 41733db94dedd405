"""What several scores compute from the sums over regions (``scores.md`` 1.4).

Quantities of a whole sample pool the pixels of all images: a class that is missing in one street
scene is no sign of collapse, a class that is missing in all of them is.
"""

from collections.abc import Sequence

import numpy as np

from autoadapt.scores.base import Float, RegionStatistics

Regions = Sequence[RegionStatistics]


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


def entropy(p: Float) -> Float:
    """Return the entropy of the last axis in nats; 0 log 0 = 0."""
    positive = np.where(p > 0, p, 1.0)
    # Adding zero turns the -0.0 of a certain prediction into 0.0.
    result: Float = -(positive * np.log(positive)).sum(-1) + 0.0
    return result


def kept(image: RegionStatistics, smallest: int) -> RegionStatistics:
    """Return the regions of at least ``smallest`` pixels.

    Raises:
        ValueError: None is left.
    """
    large = image.areas >= smallest
    if large.all():
        return image
    if not large.any():
        raise ValueError(f"a target image has no region of {smallest} pixels or more")
    return RegionStatistics(
        image.areas[large], image.p_sum[large], image.plogp_sum[large], image.hard[large]
    )


def pixel_entropy(regions: Regions) -> float:
    """Return the mean entropy of a pixel over log C, in [0, 1]: equation 3 of AutoAdapt."""
    scale = log_classes(regions)
    total = -sum(float(image.plogp_sum.sum()) for image in regions) + 0.0
    return total / (sum(float(image.areas.sum()) for image in regions) * scale)


def diversity(regions: Regions) -> float:
    """Return the entropy of the mean prediction over log C, in [0, 1]."""
    scale = log_classes(regions)
    total = np.sum([image.p_sum.sum(0) for image in regions], axis=0)
    return float(entropy(total / total.sum())) / scale


def region_entropy(regions: Regions, weighting: str, smallest: int) -> float:
    """Return the mean entropy of a region's mean prediction over log C, in [0, 1].

    Args:
        regions: One entry per image.
        weighting: ``area`` weighs a region by its pixels, ``region`` counts each once.
        smallest: Smaller regions are left out.
    """
    scale = log_classes(regions)
    large = [kept(image, smallest) for image in regions]
    areas = np.concatenate([image.areas for image in large])
    values = np.concatenate([entropy(image.p_sum / image.areas[:, None]) for image in large])
    return weighted_mean(values, areas, weighting) / scale


def disagreement(regions: Regions, weighting: str, smallest: int) -> float:
    """Return the mean Jensen-Shannon divergence within a region over log C, in [0, 1].

    It is the entropy of the mean prediction of a region less the mean entropy of its pixels.
    """
    scale = log_classes(regions)
    large = [kept(image, smallest) for image in regions]
    areas = np.concatenate([image.areas for image in large])
    values = np.concatenate([divergence(image) for image in large])
    return weighted_mean(values, areas, weighting) / scale


def weighted_mean(values: Float, areas: Float, weighting: str) -> float:
    """Return the mean over regions, (R,), weighted by ``area`` or by nothing (``region``)."""
    if weighting == "region":
        return float(values.mean())
    return float(values @ areas / areas.sum())


def divergence(image: RegionStatistics) -> Float:
    """Return the Jensen-Shannon divergence within each region in nats, (R,), I_r."""
    mean = image.p_sum / image.areas[:, None]
    within = -image.plogp_sum.sum(1) / image.areas
    result: Float = np.maximum(entropy(mean) - within, 0.0)
    return result
