"""Average thresholded confidence, negated."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from autoadapt.scores._calibrated import correct, labelled_locations, threshold
from autoadapt.scores.base import Float, Need, Score, Statistics, entropy, sampled


@dataclass(frozen=True)
class Atc(Score):
    """Minus the share of target locations above a confidence, in [-1, 0].

    The threshold is the confidence that as many held-out source locations lie below as are wrong,
    so the share estimates the pixel accuracy. It is better when larger and **negated**: smaller is
    better. A pixel accuracy says little about rare classes.

    Source: Garg et al., ATC (arXiv 2201.04234), with the threshold of the released code.

    Attributes:
        confidence: ``entropy`` (ATC-NE) or the largest ``probability`` (ATC-MC).
    """

    summary: ClassVar[str] = "minus the pixel accuracy estimated from thresholded confidence"

    confidence: Literal["entropy", "probability"] = "entropy"

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
        source = self._confidence(sampled(held_out.outputs))
        limit = threshold(source, correct(held_out))
        target = self._confidence(sampled(statistics.target_outputs))
        return 0.0 - float((target >= limit).mean())

    def _confidence(self, p: Float) -> Float:
        confidence: Float = p.max(1) if self.confidence == "probability" else 0.0 - entropy(p)
        return confidence
