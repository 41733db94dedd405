"""Expected mIoU under thresholds of each class, negated."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from autoadapt.scores._calibrated import class_thresholds, labelled_locations
from autoadapt.scores._outputs import expected_iou
from autoadapt.scores.base import Float, Need, Score, Statistics, sampled


@dataclass(frozen=True)
class CsAtcMiou(Score):
    """Minus the mean IoU expected if predictions above a threshold of their class are right.

    In [-1, 0], at the sampled target locations. The threshold of a class is the confidence that as
    many held-out source predictions of it lie below as are wrong. A prediction below it counts as
    each of the other classes in proportion to their probabilities; a class that is never predicted
    counts as 0. The IoU is better when larger, so it is **negated**: smaller is better. Assumes
    that calibration carries over to the target; rare classes have few held-out locations.

    Source: CS-ATC of Li et al., "Estimating Model Performance under Domain Shifts with
    Class-Specific Confidence Scores" (arXiv 2207.09957); there a rejected prediction counts as no
    class at all, which leaves out what the other classes have missed.
    """

    summary: ClassVar[str] = "minus the mean IoU expected under confidence thresholds per class"

    @property
    def needs(self) -> frozenset[Need]:
        """Labelled source images that training does not see."""
        return frozenset({"held_out"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: No source image is held out, or none has a labelled location.
        """
        limits = class_thresholds(labelled_locations(statistics))
        p = sampled(statistics.target_outputs)
        predicted = p.argmax(1)
        return 0.0 - expected_iou(decided(p, predicted, limits[predicted]), predicted)


def decided(p: Float, predicted: NDArray[np.int64], limits: Float) -> Float:
    """Return one-hot rows where p reaches the limit (N,), elsewhere p without its first class."""
    first = np.eye(p.shape[1])[predicted]
    others = p * (1.0 - first)
    others /= np.maximum(others.sum(1, keepdims=True), np.finfo(float).tiny)
    result: Float = np.where((p.max(1) >= limits)[:, None], first, others)
    return result
