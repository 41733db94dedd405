"""Diversity of the most probable classes, negated."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from autoadapt.scores._sums import log_classes
from autoadapt.scores.base import Score, Statistics, entropy


@dataclass(frozen=True)
class HardDiv(Score):
    """Minus the entropy of the histogram of most probable classes over log C, in [-1, 0].

    Diversity is better when larger, so it is **negated**: smaller is better. 0 is a network that
    predicts one class everywhere, -1 one that predicts all classes equally often, noise included.
    """

    summary: ClassVar[str] = "minus the diversity of most probable classes"

    def __call__(self, statistics: Statistics) -> float:
        """Return the value."""
        scale = log_classes(statistics.regions)
        total = np.sum([image.hard.sum(0) for image in statistics.regions], axis=0)
        return 0.0 - float(entropy(total / total.sum())) / scale
