"""Deep embedded validation."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores._calibrated import weighted_error
from autoadapt.scores.base import Need, Score, Statistics


@dataclass(frozen=True)
class Dev(Score):
    """Importance-weighted error of held-out source locations with a control variate; any sign.

    Smaller is better: fewer errors where it matters. A logistic regression on deep features, fitted
    to tell sampled source from target locations, gives the weights (``density_ratio``). The
    control variate takes away what their mean, which should be 1, explains; with nearly equal
    weights it is unstable.

    Source: You et al., "Towards Accurate Model Selection in Deep Unsupervised Domain Adaptation",
    ICML 2019.
    """

    summary: ClassVar[str] = "importance-weighted error on the source with a control variate"

    @property
    def needs(self) -> frozenset[Need]:
        """Labelled source images that training does not see."""
        return frozenset({"held_out"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: No source image is held out, or none has a labelled location.
        """
        return weighted_error(statistics, control=True)
