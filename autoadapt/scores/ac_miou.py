"""Expected mIoU under the own probabilities, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores._outputs import expected_iou
from autoadapt.scores.base import Score, Statistics, sampled


@dataclass(frozen=True)
class AcMiou(Score):
    """Minus the mean IoU that the network expects of itself, in [-1, 0].

    Class probabilities at the sampled target locations stand in for labels; a class that is never
    predicted counts as 0. The IoU is better when larger, so it is **negated**: smaller is better.
    An overconfident network overrates itself; a collapsed one reaches at best -1/C.

    Source: the soft Dice of class-wise performance estimation (arXiv 2207.09957), as an IoU.
    """

    summary: ClassVar[str] = "minus the mean IoU that the network expects of itself"

    def __call__(self, statistics: Statistics) -> float:
        """Return the value."""
        return 0.0 - expected_iou(sampled(statistics.target_outputs))
