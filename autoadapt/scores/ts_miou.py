"""Expected mIoU under calibrated probabilities, negated."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from autoadapt.scores._calibrated import labelled_locations, temperature
from autoadapt.scores._outputs import expected_iou, softened
from autoadapt.scores.base import Need, Score, Statistics, sampled


@dataclass(frozen=True)
class TsMiou(Score):
    """Minus the mean IoU that the network expects of itself once it is calibrated, in [-1, 0].

    As ``ac_miou``, with a temperature that fits the probabilities to the labels of held-out source
    locations. The IoU is better when larger, so it is **negated**: smaller is better.

    Source: temperature scaling in class-wise performance estimation (arXiv 2207.09957).
    """

    summary: ClassVar[str] = "minus the mean IoU expected under calibrated probabilities"

    @property
    def needs(self) -> frozenset[Need]:
        """Labelled source images that training does not see."""
        return frozenset({"held_out"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: No source image is held out, or none has a labelled location.
        """
        degrees = temperature(labelled_locations(statistics))
        p = np.maximum(sampled(statistics.target_outputs), 1e-30)
        return 0.0 - expected_iou(softened(p, degrees))
