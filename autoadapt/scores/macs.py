"""Multiply-adds of a network."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores.base import Score, Statistics


@dataclass(frozen=True)
class Macs(Score):
    """Multiply-adds for one image at the search resolution.

    Smaller is better: cheaper. As a predictor of accuracy it has the wrong sign more often than
    not (larger networks are better), which is why every comparison of scores should list it.
    """

    summary: ClassVar[str] = "multiply-adds for one image"

    def __call__(self, statistics: Statistics) -> float:
        """Return the value."""
        if "macs" not in statistics.costs:
            raise ValueError("the costs of this candidate lack 'macs'")
        return float(statistics.costs["macs"])
