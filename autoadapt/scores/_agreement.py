"""How far two opinions about the same pixels agree, from counts of pairs of classes.

Plain accuracy is blind to rare classes and perfect for a collapsed network; kappa takes away
chance, and mIoU counts every class once, an absent one as 0 (``scores.md`` 4.4).
"""

from collections.abc import Callable, Mapping, Sequence
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


def vote_counts(
    own: NDArray[np.integer], members: Sequence[NDArray[np.integer]], classes: int
) -> Float:
    """Return how many places have each pair of own class (row) and elected class, (C, C).

    The class that most members vote for is elected; several such classes share a place equally.
    """
    votes = np.zeros((classes, own.size))
    for member in members:
        votes[member.ravel(), np.arange(own.size)] += 1.0
    elected = (votes == votes.max(0)).astype(float)
    elected /= elected.sum(0)
    counts: Float = np.stack([elected[:, own.ravel() == c].sum(1) for c in range(classes)])
    return counts


def accuracy(counts: Float) -> float:
    """Return the share of places where both agree, in [0, 1]."""
    return float(np.trace(counts) / counts.sum())


def kappa(counts: Float) -> float:
    """Return Cohen's kappa, at most 1; 0 where both always say the same single class."""
    total = counts.sum()
    chance = float(counts.sum(0) @ counts.sum(1)) / total**2
    return 0.0 if chance >= 1.0 else (accuracy(counts) - chance) / (1.0 - chance)


def class_iou(counts: Float) -> Float:
    """Return the IoU of each class, (C,); a class that is absent from both is 0."""
    union = counts.sum(0) + counts.sum(1) - np.diag(counts)
    ious: Float = np.diag(counts) / np.where(union > 0, union, 1.0)
    return ious


def miou(counts: Float) -> float:
    """Return the mean IoU over all classes, in [0, 1]; a class that is absent from both is 0."""
    return float(class_iou(counts).mean())


MEASURES: Mapping[str, Callable[[Float], float]] = {
    "miou": miou,
    "kappa": kappa,
    "accuracy": accuracy,
}


def mean_agreement(counts: Sequence[Float], measure: Measure) -> float:
    """Return the mean over several opinions."""
    return float(np.mean([MEASURES[measure](each) for each in counts]))


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
        return 0.0 - mean_agreement(counts, self.measure)
