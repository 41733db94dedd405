"""Deep embedded validation with normalised weights."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from autoadapt.scores._calibrated import importance, normalised, weighted_risk
from autoadapt.scores.base import Need, Score, Statistics


@dataclass(frozen=True)
class Devn(Score):
    """As ``dev``, with importance weights that are normalised first; any sign.

    Smaller is better: fewer errors where it matters. Normalised weights have mean 1 and tamer
    tails, so the control variate cannot explode; the value comes close to the plain error on the
    held-out source and adds little to it.

    Source: Musgrave et al., "Three New Validators and a Large-Scale Benchmark Ranking for
    Unsupervised Domain Adaptation" (arXiv 2208.07360).

    Attributes:
        normalise: ``max`` divides the weights by the largest and shifts them to mean 1;
            ``standardise`` gives them mean and deviation 1, which can make some negative.
    """

    summary: ClassVar[str] = "importance-weighted source error with normalised weights"

    normalise: Literal["max", "standardise"] = "max"

    @property
    def needs(self) -> frozenset[Need]:
        """Labelled source images that training does not see."""
        return frozenset({"held_out"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: No source image is held out, or none has a labelled location.
        """
        weights, errors = importance(statistics)
        return weighted_risk(normalised(weights, self.normalise), errors, control=True)
