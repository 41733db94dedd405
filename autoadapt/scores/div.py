"""Diversity of the predicted classes, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores._sums import diversity
from autoadapt.scores.base import Score, Statistics


@dataclass(frozen=True)
class Div(Score):
    """Minus the entropy of the mean prediction over log C, in [-1, 0].

    Diversity is better when larger, so it is **negated**: smaller is better. 0 is a network that
    predicts one class everywhere, -1 one that predicts all classes equally often, noise included.
    """

    summary: ClassVar[str] = "minus the diversity of predicted classes"

    def __call__(self, statistics: Statistics) -> float:
        """Return the value."""
        return 0.0 - diversity(statistics.regions)
