"""Expected mIoU corrected by what was wrong with it on the source, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores._agreement import miou, pair_counts
from autoadapt.scores._calibrated import labelled_locations
from autoadapt.scores._outputs import expected_iou
from autoadapt.scores.base import Need, Score, Statistics, sampled


@dataclass(frozen=True)
class CsDocMiou(Score):
    """Minus the mIoU expected on the target, corrected by its error on the held-out source.

    As ``ac_miou``, plus the true mIoU less the expected one at the held-out source locations; about
    [-1, 0]. Of both a class that is never predicted counts as 0. The IoU is better when larger, so
    it is **negated**: smaller is better. Assumes that the network overrates itself equally in both
    domains.

    Source: CS-DoC of Li et al. (arXiv 2207.09957), with the IoU in place of Dice.
    """

    summary: ClassVar[str] = "minus the expected mIoU, corrected by its error on the source"

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
        p = sampled(held_out.outputs)
        true = miou(pair_counts(held_out.labels, p.argmax(1), p.shape[1]))
        excess = expected_iou(p) - true
        return excess - expected_iou(sampled(statistics.target_outputs))
