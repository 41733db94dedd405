"""What several distances between the domains start from."""

from typing import Literal

import numpy as np

from autoadapt.scores.base import Float, Statistics

Space = Literal["features", "outputs"]


def domain_samples(statistics: Statistics, space: Space) -> tuple[Float, Float]:
    """Return source (n, D) and target (m, D) samples in double precision.

    Raises:
        ValueError: Fewer than two samples of a domain, or values that are not finite.
    """
    if space == "features":
        pair = statistics.source_features, statistics.target_features
    else:
        pair = statistics.source_outputs, statistics.target_outputs
    x, y = (values.astype(np.float64) for values in pair)
    if min(len(x), len(y)) < 2:
        raise ValueError(f"expected at least 2 samples per domain, found {len(x)} and {len(y)}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("a sampled feature is not finite")
    return x, y


def spread(x: Float, y: Float) -> float:
    """Return the root of the mean variance of the pooled samples.

    Raises:
        ValueError: All samples are equal.
    """
    deviation = float(np.sqrt(np.concatenate([x, y]).var(0).mean()))
    if not deviation > 0:
        raise ValueError("all samples are equal")
    return deviation
