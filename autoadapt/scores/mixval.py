"""Consistency under mixed images, negated."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from autoadapt.scores._agreement import Measure, mean_agreement
from autoadapt.scores.base import Need, Score, Statistics, needed


@dataclass(frozen=True)
class Mixval(Score):
    """Minus how often a mixture of two images is predicted as the image that dominates it.

    Each target image is mixed, 0.55 to 0.45, with the one before it. ``inter`` looks at pixels
    where the two predictions differ, so that the mixture crosses a border between classes;
    ``intra`` at pixels where they are the same. Consistency is better when larger, so it is
    **negated**: smaller is better. A collapsed network has no ``inter`` pixels, where the score is
    then missing, and is perfect in ``intra``; mixing destroys the structure of a scene.

    Source: Hu et al., MixVal (NeurIPS 2023), for classification; it adds the ranks of both.

    Attributes:
        pairs: ``inter`` or ``intra``; see above.
        measure: ``accuracy``, as published, ``kappa`` or ``miou`` (an absent class is 0).
    """

    summary: ClassVar[str] = "minus the consistency of predictions under mixing with another image"

    pairs: Literal["inter", "intra"] = "inter"
    measure: Measure = "accuracy"

    @property
    def needs(self) -> frozenset[Need]:
        """Predictions of mixed images."""
        return frozenset({"mixed"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: Mixed images were not predicted, or no pixel is of such a pair.
        """
        counts = needed(statistics.agreements.get(f"mixed_{self.pairs}"), "mixed")
        if not all(each.sum() > 0 for each in counts):
            raise ValueError(f"no pixel of two neighbouring target images is of {self.pairs} pairs")
        return 0.0 - mean_agreement(counts, self.measure)
