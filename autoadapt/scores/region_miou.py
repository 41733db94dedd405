"""Agreement with the majority of each region, negated."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from autoadapt.scores._agreement import miou
from autoadapt.scores._sums import kept, log_classes
from autoadapt.scores.base import Float, RegionStatistics, Score, Statistics


@dataclass(frozen=True)
class RegionMiou(Score):
    """Minus the mean IoU of predictions with the most frequent class of their region, in [-1, 0].

    Over all images together; a class that is never predicted, or never the most frequent one of a
    region, counts as 0. The IoU is better when larger, so it is **negated**: smaller is better.
    A collapsed network reaches -1/C.

    Attributes:
        smallest: Regions of fewer pixels are left out.
    """

    summary: ClassVar[str] = "minus the mean IoU with the majority of the regions"

    smallest: Annotated[int, Field(ge=1)] = 16

    def __call__(self, statistics: Statistics) -> float:
        """Return the value."""
        log_classes(statistics.regions)
        counts = sum(_counts(image, self.smallest) for image in statistics.regions)
        return 0.0 - miou(np.asarray(counts))


def _counts(image: RegionStatistics, smallest: int) -> Float:
    """Return pixels by the majority of their region (row) and their own class, (C, C).

    A region with several most frequent classes counts for each in equal parts.
    """
    hard = image.hard[kept(image, smallest)]
    most = hard == hard.max(1, keepdims=True)
    counts: Float = (most / most.sum(1, keepdims=True)).T @ hard
    return counts
