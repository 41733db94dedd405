"""Disagreement inside regions."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from autoadapt.scores._sums import disagreement
from autoadapt.scores.base import Score, Statistics


@dataclass(frozen=True)
class Jsd(Score):
    """Mean Jensen-Shannon divergence of the predictions inside a region over log C, in [0, 1].

    Smaller is taken as better: smooth predictions. That holds only above the value of true labels
    on the same regions (about 0.1): below it a network is smoother than the truth. Uniform and
    collapsed networks reach 0.

    Attributes:
        weighting: ``area`` weighs a region by its pixels, ``region`` counts each once.
        smallest: Regions of fewer pixels are left out.
    """

    summary: ClassVar[str] = "disagreement of predictions inside regions; smooth is small"

    weighting: Literal["area", "region"] = "area"
    smallest: Annotated[int, Field(ge=1)] = 16

    def __call__(self, statistics: Statistics) -> float:
        """Return the value."""
        return disagreement(statistics.regions, self.weighting, self.smallest)
