"""mIoU on held-out source images, negated."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from autoadapt.scores.base import Need, Score, Statistics, needed


@dataclass(frozen=True)
class SourceMiou(Score):
    """Minus the mean IoU on labelled source images that training does not see, in [-1, 0].

    Over the classes that these labels have. The IoU is better when larger, so it is **negated**:
    smaller is better. It knows nothing of the adaptation; every comparison should list it.
    """

    summary: ClassVar[str] = "minus the mIoU on held-out source images"

    @property
    def needs(self) -> frozenset[Need]:
        """Labelled source images that training does not see."""
        return frozenset({"held_out"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: No source image is held out, or none has a labelled pixel.
        """
        counts = needed(statistics.held_out, "held_out").counts
        present = counts.sum(1) > 0
        if not present.any():
            raise ValueError("no pixel of the held-out source images has a label")
        union = counts.sum(0) + counts.sum(1) - np.diag(counts)
        return 0.0 - float((np.diag(counts)[present] / union[present]).mean())
