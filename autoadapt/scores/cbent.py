"""Entropy of the predictions, every class alike."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from autoadapt.scores.base import Score, Statistics, entropy, sampled


@dataclass(frozen=True)
class Cbent(Score):
    """Class-balanced entropy: mean over classes of the entropy where the class is predicted.

    In [0, 1], over log C, at the sampled target locations; a class that is never predicted counts
    as 1, the worst. Smaller is better: confident predictions of every class. A collapsed network
    reaches 1 - 1/C, uniform predictions 1; confident noise reaches 0.
    """

    summary: ClassVar[str] = "mean entropy of each class's predictions; an absent class is 1"

    def __call__(self, statistics: Statistics) -> float:
        """Return the value."""
        p = sampled(statistics.target_outputs)
        classes = p.shape[1]
        labels = p.argmax(1)
        totals = np.bincount(labels, weights=entropy(p), minlength=classes)
        numbers = np.bincount(labels, minlength=classes)
        means = totals / np.maximum(numbers, 1) / np.log(classes)
        return float(np.where(numbers > 0, means, 1.0).mean())
