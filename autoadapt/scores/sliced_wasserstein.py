"""Sliced Wasserstein distance of the domains."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from autoadapt import seeding
from autoadapt.scores._domains import domain_samples, spread
from autoadapt.scores.base import Float, Score, Statistics


@dataclass(frozen=True)
class SlicedWasserstein(Score):
    """Mean 1-Wasserstein distance of source and target along random directions, at least 0.

    Smaller is better: the domains look alike. In units of the pooled deviation of the samples, so
    the scale of a network's features does not matter. The directions are the same for all networks
    of one width.

    Source: Bonneel et al., "Sliced and Radon Wasserstein Barycenters of Measures", 2015.

    Attributes:
        space: ``features`` compares deep features, ``outputs`` class probabilities.
        directions: Number of random directions.
    """

    summary: ClassVar[str] = "distance of source and target along random directions; alike is small"

    space: Literal["features", "outputs"] = "features"
    directions: Annotated[int, Field(ge=1)] = 128

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: Fewer than two samples of a domain, or all samples are equal.
        """
        x, y = domain_samples(statistics, self.space)
        width = x.shape[1]
        random = seeding.generator(0, "sliced_wasserstein", width)
        directions = random.normal(size=(width, self.directions))
        directions /= np.linalg.norm(directions, axis=0)
        return float(distances(x @ directions, y @ directions).mean()) / spread(x, y)


def distances(x: Float, y: Float) -> Float:
    """Return the 1-Wasserstein distance of each column of x (n, K) and y (m, K), (K,)."""
    x, y = np.sort(x, axis=0), np.sort(y, axis=0)
    # Both quantile functions are constant between the steps of either.
    steps = np.union1d(np.arange(1, len(x) + 1) / len(x), np.arange(1, len(y) + 1) / len(y))
    widths = np.diff(steps, prepend=0.0)
    middles = steps - widths / 2.0
    rows_x = np.minimum((middles * len(x)).astype(int), len(x) - 1)
    rows_y = np.minimum((middles * len(y)).astype(int), len(y) - 1)
    result: Float = widths @ np.abs(x[rows_x] - y[rows_y])
    return result
