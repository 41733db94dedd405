"""Importance-weighted error on held-out source locations."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores._calibrated import weighted_error
from autoadapt.scores.base import Need, Score, Statistics


@dataclass(frozen=True)
class Iwcv(Score):
    """Error of held-out source locations, weighted by how target-like they are; at least 0.

    Smaller is better: fewer errors where it matters. A logistic regression on deep features, fitted
    to tell sampled source from target locations, gives the weights (``density_ratio``). They
    explode where the domains are easily told apart.

    Source: Sugiyama et al., "Covariate Shift Adaptation by Importance Weighted Cross
    Validation", 2007.
    """

    summary: ClassVar[str] = "importance-weighted error on held-out source locations"

    @property
    def needs(self) -> frozenset[Need]:
        """Labelled source images that training does not see."""
        return frozenset({"held_out"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: No source image is held out, or none has a labelled location.
        """
        return weighted_error(statistics, control=False)
