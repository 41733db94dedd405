"""Difference of confidences, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores._calibrated import correct, labelled_locations
from autoadapt.scores.base import Need, Score, Statistics, sampled


@dataclass(frozen=True)
class Doc(Score):
    """Minus the held-out source accuracy less the loss of confidence from source to target.

    It estimates the pixel accuracy, is better when larger and **negated**: smaller is better.

    Source: Guillory et al., "Predicting with Confidence on Unseen Distributions", ICCV 2021.
    """

    summary: ClassVar[str] = "minus the pixel accuracy estimated from the loss of confidence"

    @property
    def needs(self) -> frozenset[Need]:
        """Labelled source images that training does not see."""
        return frozenset({"held_out"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: No source image is held out, or none has a labelled location.
        """
        held_out = labelled_locations(statistics)
        source = float(sampled(held_out.outputs).max(1).mean())
        target = float(sampled(statistics.target_outputs).max(1).mean())
        return source - target - float(correct(held_out).mean())
