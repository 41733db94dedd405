"""Silhouette of the predicted classes in feature space, negated."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from autoadapt.scores._clusters import predicted_classes, squared_distances
from autoadapt.scores.base import Float, Score, Statistics


@dataclass(frozen=True)
class Silhouette(Score):
    """Minus the mean silhouette of the predicted classes among deep target features, in [-1, 1].

    With a the mean distance of a location to others of its predicted class and b that to the
    nearest other class, the silhouette is (b - a) / max(a, b), and 0 for the only location of a
    class. Compact and separate classes are better and larger, so it is **negated**: smaller is
    better. Few tight classes do well whether they are right or not.

    Source: Rousseeuw, 1987; as a validator: ClassSS in arXiv 2208.07360, and ABAS (WACV 2022).

    Attributes:
        locations: At most that many are used, spread evenly over the sample.
    """

    summary: ClassVar[str] = "minus the silhouette of predicted classes in feature space"

    locations: Annotated[int, Field(ge=3)] = 1000

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: Fewer than two classes are predicted, or a feature is not finite.
        """
        features, labels = predicted_classes(statistics, self.locations)
        return 0.0 - float(silhouettes(features, labels).mean())


def silhouettes(features: Float, labels: NDArray[np.int64]) -> Float:
    """Return the silhouette of each feature (n, D) under labels (n,), (n,)."""
    _, own = np.unique(labels, return_inverse=True)
    members = np.eye(own.max() + 1)[own]
    numbers = members.sum(0)
    totals = np.sqrt(squared_distances(features)) @ members
    rows = np.arange(len(own))
    others = numbers[own] - 1.0
    inside = totals[rows, own] / np.maximum(others, 1.0)
    means = totals / numbers
    means[rows, own] = np.inf
    outside = means.min(1)
    largest = np.maximum(inside, outside)
    result: Float = np.where(
        (others > 0) & (largest > 0), (outside - inside) / np.where(largest > 0, largest, 1.0), 0.0
    )
    return result
