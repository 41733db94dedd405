"""Entropy of the predictions."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores._sums import pixel_entropy
from autoadapt.scores.base import Score, Statistics


@dataclass(frozen=True)
class Entropy(Score):
    """Mean entropy of a pixel's class probabilities over log C, in [0, 1].

    Smaller is better: confident predictions. A collapsed network reaches 0.

    Source: AutoAdapt (arXiv 2106.13227), equations 2 and 3.
    """

    summary: ClassVar[str] = "mean pixel entropy; confident is small"

    def __call__(self, statistics: Statistics) -> float:
        """Return the value."""
        return pixel_entropy(statistics.regions)
