"""How the classes that a network predicts are shared out, next to those of the source."""

import numpy as np

from autoadapt.scores._sums import Regions, log_classes
from autoadapt.scores.base import Float


def mean_prediction(regions: Regions) -> Float:
    """Return the mean class probabilities of all target pixels, (C,).

    Raises:
        ValueError: There is no target image, or a probability is not finite.
    """
    log_classes(regions)
    mean: Float = np.sum([image.class_mass for image in regions], axis=0)
    if not np.isfinite(mean).all():  # max(0, NaN) is 0: a guard would let it pass
        raise ValueError("a class probability is not finite")
    shares: Float = mean / mean.sum()
    return shares


def relative_entropy(p: Float, q: Float) -> float:
    """Return KL(p || q) in nats; a class that q lacks counts as one in a million."""
    floor = np.maximum(q, 1e-6)
    return float((p * np.log(np.maximum(p, 1e-30) / floor)).sum())
