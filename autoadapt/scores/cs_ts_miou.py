"""Expected mIoU under probabilities calibrated for each class, negated."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from autoadapt.scores._calibrated import class_temperatures, labelled_locations
from autoadapt.scores._outputs import expected_iou, softened
from autoadapt.scores.base import Need, Score, Statistics, sampled


@dataclass(frozen=True)
class CsTsMiou(Score):
    """Minus the mean IoU that the network expects of itself, calibrated class by class, in [-1, 0].

    As ``ts_miou``, with one temperature for the locations of each predicted class: that at which
    the mean confidence equals the accuracy on the held-out source. The IoU is better when larger,
    so it is **negated**: smaller is better. Assumes that calibration carries over to the target;
    rare classes have few held-out locations.

    Source: CS-TS of Li et al. (arXiv 2207.09957), matched to the accuracy of every class; there
    that of the foreground is matched to Dice.
    """

    summary: ClassVar[str] = "minus the mean IoU expected under class-wise calibration"

    @property
    def needs(self) -> frozenset[Need]:
        """Labelled source images that training does not see."""
        return frozenset({"held_out"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: No source image is held out, or none has a labelled location.
        """
        degrees = class_temperatures(labelled_locations(statistics))
        p = np.maximum(sampled(statistics.target_outputs), 1e-30)
        predicted = p.argmax(1)
        calibrated = softened(p ** (1.0 / degrees[predicted])[:, None], 1.0)
        return 0.0 - expected_iou(calibrated, predicted)
