"""Confidence optimal transport."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import linear_sum_assignment

from autoadapt.scores._clusters import spread_evenly
from autoadapt.scores.base import Float, Need, Score, Statistics, needed, sampled


@dataclass(frozen=True)
class Cot(Score):
    """Cost of moving target predictions to source labels in their shares, in [0, 1].

    Smaller is better: it estimates the pixel error. A prediction p that is given the label c costs
    1 - p_c, and each class takes its share of the source labels. A domain with other shares of the
    classes is charged for them; so is a collapsed network.

    Source: Lu et al., COT (arXiv 2305.15640).

    Attributes:
        locations: At most that many are used, spread evenly over the sample.
    """

    summary: ClassVar[str] = "cost of moving target predictions to labels in source shares"

    locations: Annotated[int, Field(ge=1)] = 800

    @property
    def needs(self) -> frozenset[Need]:
        """Class shares of the source."""
        return frozenset({"source_prior"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: The shares were not measured, or no location was sampled.
        """
        prior = needed(statistics.source_prior, "source_prior")
        p = sampled(statistics.target_outputs)
        chosen = spread_evenly(len(p), self.locations)
        labels = apportioned(prior, len(chosen))
        cost = 1.0 - p[chosen][:, labels]
        rows, columns = linear_sum_assignment(cost)
        return float(cost[rows, columns].mean())


def apportioned(shares: Float, seats: int) -> NDArray[np.int64]:
    """Return ``seats`` class indices in the given shares, by the largest remainders."""
    exact = shares / shares.sum() * seats
    numbers = np.floor(exact + 1e-9).astype(np.int64)
    largest = np.argsort(numbers - exact, kind="stable")[: seats - int(numbers.sum())]
    numbers[largest] += 1
    return np.repeat(np.arange(len(shares)), numbers)
