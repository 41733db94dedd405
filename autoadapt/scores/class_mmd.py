"""Maximum mean discrepancy between the domains, class by class."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from autoadapt.scores.base import Score, Statistics, sampled
from autoadapt.scores.mmd import median_distance, prepared, quadratic


@dataclass(frozen=True)
class ClassMmd(Score):
    """Mean squared discrepancy of deep source and target features of the same predicted class.

    Smaller is better: each class looks alike in both domains, however frequent it is there. The
    unbiased estimate with the kernels and the bandwidth of ``mmd``, over classes predicted often
    enough in both domains; may be negative. Wrong predictions mix the classes; a collapsed network
    compares its single class, which is ``mmd`` again.

    Attributes:
        fewest: Locations of each domain that a class must have.
        kernels: Number of Gaussians, odd.
    """

    summary: ClassVar[str] = "distance of source and target features within predicted classes"

    fewest: Annotated[int, Field(ge=2)] = 4
    kernels: Annotated[int, Field(ge=1, le=15)] = 5

    def __post_init__(self) -> None:
        """Refuse an even number of kernels, which has no middle."""
        if self.kernels % 2 == 0:
            raise ValueError(f"kernels: expected an odd number, found {self.kernels}")

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: No class is predicted often enough in both domains, or more than half of
                the samples are equal.
        """
        source = sampled(statistics.source_outputs).argmax(1)
        target = sampled(statistics.target_outputs).argmax(1)
        x, y = prepared(statistics.source_features, statistics.target_features, normalise=False)
        bandwidth = median_distance(x, y)
        values = [
            quadratic(x[source == c], y[target == c], bandwidth, self.kernels, "unbiased")
            for c in range(statistics.target_outputs.shape[1])
            if min((source == c).sum(), (target == c).sum()) >= self.fewest
        ]
        if not values:
            raise ValueError(f"no class is predicted at {self.fewest} locations of each domain")
        return float(np.mean(values))
