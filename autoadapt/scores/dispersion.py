"""Dispersion of the predicted classes in feature space, negated."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from autoadapt.scores.base import Score, Statistics, sampled


@dataclass(frozen=True)
class Dispersion(Score):
    """Minus the log of the scatter between predicted classes over the total scatter.

    With n_k target locations predicted as k, their mean feature m_k and the mean m of all K such
    classes: log(sum of n_k |m_k - m|^2 / ((K - 1) total)), where the total scatter (mean squared
    distance from m) takes away the scale of a network's features. Well separated classes are
    better and larger, so it is **negated**: smaller is better.

    Source: dispersion score (arXiv 2303.15488); the division by the total is ours.
    """

    summary: ClassVar[str] = "minus the separation of predicted classes in feature space"

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: Fewer than two classes are predicted, or all features are equal.
        """
        features = statistics.target_features.astype(np.float64)
        labels = sampled(statistics.target_outputs).argmax(1)
        classes, numbers = np.unique(labels, return_counts=True)
        if len(classes) < 2:
            raise ValueError("a single class is predicted, which has no distance from others")
        centred = features - features.mean(0)
        means = np.stack([centred[labels == c].mean(0) for c in classes])
        between = float(numbers @ (means**2).sum(1)) / (len(classes) - 1)
        total = float((centred**2).sum(1).mean())
        if not 0 < between < np.inf or not total > 0:
            raise ValueError("the sampled features do not differ between predicted classes")
        return -float(np.log(between / total))
