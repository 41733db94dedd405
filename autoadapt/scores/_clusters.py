"""Sampled locations, their distances and the clusters that predicted classes make of them."""

import numpy as np
from numpy.typing import NDArray

from autoadapt.scores.base import Float, Statistics, sampled


def spread_evenly(available: int, wanted: int) -> NDArray[np.int64]:
    """Return at most ``wanted`` indices, spread evenly over what is there."""
    chosen = np.linspace(0, available - 1, min(available, wanted)).round()
    return chosen.astype(np.int64)


def predicted_classes(statistics: Statistics, locations: int) -> tuple[Float, NDArray[np.int64]]:
    """Return deep target features (n, D) in double precision and their predicted classes (n,).

    Args:
        statistics: Of a candidate.
        locations: At most that many, spread evenly over the sample.

    Raises:
        ValueError: Fewer than two classes are predicted, or a feature is not finite.
    """
    p = sampled(statistics.target_outputs)
    chosen = spread_evenly(len(p), locations)
    features = statistics.target_features[chosen].astype(np.float64)
    if not np.isfinite(features).all():
        raise ValueError("a sampled feature is not finite")
    labels = p[chosen].argmax(1)
    if len(np.unique(labels)) < 2:
        raise ValueError("a single class is predicted, which has no distance from others")
    return features, labels


def squared_distances(points: Float) -> Float:
    """Return the squared distance of each pair of points (n, D), (n, n), at least 0."""
    centred = points - points.mean(0)
    squares = (centred**2).sum(1)
    result: Float = squares[:, None] + squares - 2.0 * centred @ centred.T
    return np.maximum(result, 0.0)
