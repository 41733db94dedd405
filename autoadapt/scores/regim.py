"""Regional information maximisation, negated."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from autoadapt.scores._sums import diversity, region_entropy
from autoadapt.scores.base import Score, Statistics


@dataclass(frozen=True)
class Regim(Score):
    """Minus the mutual information of region and class over log C, about [-1, 0].

    It is diversity less ``regent`` and better when larger, so it is **negated**: smaller is
    better. Collapsed, uniform and constant networks reach 0, and so does confident noise.

    Attributes:
        smallest: Regions of fewer pixels are left out of ``regent``.
    """

    summary: ClassVar[str] = "minus the mutual information of region and class"

    smallest: Annotated[int, Field(ge=1)] = 16

    def __call__(self, statistics: Statistics) -> float:
        """Return the value."""
        regions = statistics.regions
        return region_entropy(regions, "area", self.smallest) - diversity(regions)
