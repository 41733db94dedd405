"""Disagreement inside regions, referred to that of true source labels."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from autoadapt.scores._sums import disagreement
from autoadapt.scores.base import Need, Score, Statistics, needed


@dataclass(frozen=True)
class JsdGap(Score):
    """Distance of ``jsd`` from the value that true labels have on source images, in [0, 1].

    Smaller is better: predictions are as smooth inside regions as the truth, neither noisy nor
    smoothed over. Regions straddle borders, so the truth itself disagrees inside them, by about
    0.1; below that, smoother is worse, which ``jsd`` alone cannot say. The value of the source
    stands in for the target's: close for SLIC and grid regions, less so for others.

    Attributes:
        weighting: ``area`` weighs a region by its pixels, ``region`` counts each once.
        smallest: Regions of fewer labelled pixels are left out.
    """

    summary: ClassVar[str] = "distance of the disagreement inside regions from that of true labels"

    weighting: Literal["area", "region"] = "area"
    smallest: Annotated[int, Field(ge=1)] = 16

    @property
    def needs(self) -> frozenset[Need]:
        """Regions of labelled source images."""
        return frozenset({"source_regions"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: The regions were not measured, or none is large enough.
        """
        source = needed(statistics.source_regions or None, "source_regions")
        truth = disagreement(source, self.weighting, self.smallest)
        return abs(disagreement(statistics.regions, self.weighting, self.smallest) - truth)
