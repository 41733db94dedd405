"""Confidence, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores.base import Score, Statistics, sampled


@dataclass(frozen=True)
class MaxProb(Score):
    """Minus the mean largest class probability of the sampled target locations, in [-1, -1/C].

    Confidence is better when larger, so it is **negated**: smaller is better. A collapsed network
    reaches -1, the best value.
    """

    summary: ClassVar[str] = "minus the mean confidence"

    def __call__(self, statistics: Statistics) -> float:
        """Return the value."""
        return -float(sampled(statistics.target_outputs).max(1).mean())
