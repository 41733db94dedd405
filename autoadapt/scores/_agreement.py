"""How far two opinions about the same pixels agree, from counts of pairs of classes.

Plain accuracy is blind to rare classes and perfect for a collapsed network; kappa takes away
chance, and mIoU counts every class once, an absent one as 0 (``scores.md`` 4.4).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from autoadapt.scores.base import Float, Need, Score, Statistics, needed

Measure = Literal["miou", "kappa", "accuracy"]


def pair_counts(a: NDArray[np.integer], b: NDArray[np.integer], classes: int) -> Float:
    """Return how many places have each pair of classes, (C, C): rows of a, columns of b."""
    pairs = a.astype(np.int64).ravel() * classes + b.astype(np.int64).ravel()
    counts: Float = np.bincount(pairs, minlength=classes**2).reshape(classes, classes).astype(float)
    return counts


def accuracy(counts: Float) -> float:
    """Return the share of places where both agree, in [0, 1]."""
    return float(np.trace(counts) / counts.sum())


def kappa(counts: Float) -> float:
    """Return Cohen's kappa, at most 1; 0 where both always say the same single class."""
    total = counts.sum()
    chance = float(counts.sum(0) @ counts.sum(1)) / total**2
    return 0.0 if chance >= 1.0 else (accuracy(counts) - chance) / (1.0 - chance)


def miou(counts: Float) -> float:
    """Return the mean IoU over all classes, in [0, 1]; a class that is absent from both is 0."""
    union = counts.sum(0) + counts.sum(1) - np.diag(counts)
    return float((np.diag(counts) / np.maximum(union, 1.0)).mean())


MEASURES: Mapping[str, Callable[[Float], float]] = {
    "miou": miou,
    "kappa": kappa,
    "accuracy": accuracy,
}


@dataclass(frozen=True)
class Agreement(Score):
    """Minus the mean agreement of the predictions with other opinions about the same pixels.

    Attributes:
        measure: ``miou`` (an absent class is 0), ``kappa`` or ``accuracy``.
    """

    opinion: ClassVar[Need]

    measure: Measure = "miou"

    @property
    def needs(self) -> frozenset[Need]:
        """The other opinion."""
        return frozenset({self.opinion})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: The other opinion was not measured.
        """
        counts = needed(statistics.agreements.get(self.opinion), self.opinion)
        return 0.0 - float(np.mean([MEASURES[self.measure](each) for each in counts]))
