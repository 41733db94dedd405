"""Entropy of the mean prediction of regions."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from autoadapt.scores._sums import region_entropy
from autoadapt.scores.base import Score, Statistics


@dataclass(frozen=True)
class Regent(Score):
    """Mean entropy of a region's mean prediction over log C, in [0, 1].

    Smaller is better: pixels of one region are confident *and* agree. With area weights and every
    region kept it is ``entropy`` plus ``jsd``. A collapsed network reaches 0.

    Attributes:
        weighting: ``area`` weighs a region by its pixels, ``region`` counts each once.
        smallest: Regions of fewer pixels are left out.
    """

    summary: ClassVar[str] = "entropy of the mean prediction of regions; confident is small"

    weighting: Literal["area", "region"] = "area"
    smallest: Annotated[int, Field(ge=1)] = 16

    def __call__(self, statistics: Statistics) -> float:
        """Return the value."""
        return region_entropy(statistics.regions, self.weighting, self.smallest)
