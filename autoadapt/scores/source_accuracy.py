"""Pixel accuracy on held-out source images, negated."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from autoadapt.scores.base import Need, Score, Statistics, needed


@dataclass(frozen=True)
class SourceAccuracy(Score):
    """Minus the pixel accuracy on labelled source images that training does not see, in [-1, 0].

    Accuracy is better when larger, so it is **negated**: smaller is better. It knows nothing of
    the adaptation, and little of rare classes; ``source_miou`` counts every class alike.
    """

    summary: ClassVar[str] = "minus the pixel accuracy on held-out source images"

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
        if not counts.sum() > 0:
            raise ValueError("no pixel of the held-out source images has a label")
        return 0.0 - float(np.trace(counts) / counts.sum())
