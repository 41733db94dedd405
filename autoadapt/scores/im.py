"""Information maximisation, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores._sums import diversity, pixel_entropy
from autoadapt.scores.base import Score, Statistics


@dataclass(frozen=True)
class Im(Score):
    """Minus the mutual information of pixel and class over log C, in [-1, 0].

    Mutual information is diversity less entropy and better when larger, so it is **negated**:
    smaller is better. Collapsed and uniform networks reach 0, the worst; confident noise -1.
    """

    summary: ClassVar[str] = "minus the mutual information of pixel and class"

    def __call__(self, statistics: Statistics) -> float:
        """Return the value."""
        return pixel_entropy(statistics.regions) - diversity(statistics.regions)
