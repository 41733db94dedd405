"""Distance of the covariances of the domains."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from autoadapt.scores._domains import domain_samples, spread
from autoadapt.scores.base import Score, Statistics


@dataclass(frozen=True)
class Coral(Score):
    """Squared Frobenius distance of source and target covariance over 4 D^2, at least 0.

    Smaller is better: the domains scatter alike. Differences of the means are not seen.

    Source: Sun and Saenko, "Deep CORAL", 2016.

    Attributes:
        space: ``features`` compares deep features, ``outputs`` class probabilities.
        scale: ``relative`` divides the features by their pooled deviation first, so that networks
            with different scales can be compared; ``plain`` is the published distance.
    """

    summary: ClassVar[str] = "distance of source and target covariances; alike is small"

    space: Literal["features", "outputs"] = "features"
    scale: Literal["relative", "plain"] = "relative"

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: Fewer than two samples of a domain, or all samples are equal.
        """
        x, y = domain_samples(statistics, self.space)
        unit = spread(x, y) if self.scale == "relative" else 1.0
        apart = np.cov(x.T / unit, ddof=1) - np.cov(y.T / unit, ddof=1)
        return float((apart**2).sum() / (4.0 * x.shape[1] ** 2))
