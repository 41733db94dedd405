"""Transfer Score, negated."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from autoadapt.scores.base import Float, Need, Score, Statistics, entropy, needed, sampled
from autoadapt.scores.hopkins import hopkins


@dataclass(frozen=True)
class TransferScore(Score):
    """Minus (Hopkins statistic + mutual information / log C - unevenness of the classifier).

    The Hopkins statistic says how clustered the deep target features are, in [0, 1]; the mutual
    information of location and class, how confident and diverse the predictions; the unevenness,
    how far the angles between the rows of the classifier are from those of a simplex. The sum is
    better when larger, so it is **negated**: smaller is better. The three parts have different
    units, and classifiers of different widths different angles. Missing where the network has no
    linear classifier.

    Source: Yang et al., "Can We Evaluate Domain Adaptation Models Without Target-Domain Labels?",
    ICLR 2024.

    Attributes:
        share: Of the target locations whose neighbours the Hopkins statistic looks at.
    """

    summary: ClassVar[str] = "minus clustering, information and evenness of the classifier"

    share: Annotated[float, Field(gt=0, le=1)] = 0.05

    @property
    def needs(self) -> frozenset[Need]:
        """The weights of the last layer."""
        return frozenset({"classifier"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: There is no linear classifier, or too few features.
        """
        classifier = needed(statistics.classifier, "classifier")
        p = sampled(statistics.target_outputs)
        information = float(entropy(p.mean(0)) - entropy(p).mean()) / float(np.log(p.shape[1]))
        clustered = hopkins(statistics.target_features.astype(np.float64), self.share)
        return unevenness(classifier) - information - clustered


def unevenness(classifier: Float) -> float:
    """Return the mean squared distance of the angles between rows (C, K) from a simplex's.

    In radians squared, over all ordered pairs of different rows; 0 for a regular simplex.

    Raises:
        ValueError: There are fewer than two rows, or one is zero.
    """
    classes = len(classifier)
    lengths = np.linalg.norm(classifier, axis=1, keepdims=True)
    if classes < 2 or not (lengths > 0).all():
        raise ValueError("the classifier has a single row, or one of zeros")
    units = classifier / lengths
    angles = np.arccos(np.clip(units @ units.T, -1.0, 1.0))[~np.eye(classes, dtype=bool)]
    return float(((angles - np.arccos(-1.0 / (classes - 1))) ** 2).mean())
