"""Regional soft IoU, negated."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from autoadapt.scores._sums import log_classes
from autoadapt.scores.base import Score, Statistics


@dataclass(frozen=True)
class Rsi(Score):
    """Minus the mean IoU expected against labels drawn from each region's mean prediction.

    With n_rc the pixels of region r predicted as c, S_rc the sum of p and A_r the area:
    TP_c = sum over r of n_rc S_rc / A_r, IoU_c = TP_c / (n_c + S_c - TP_c), over all images
    together; a class that is never predicted counts as 0. In [-1, 0]; the IoU is better when
    larger, so it is **negated**: smaller is better. A collapsed network reaches -1/C.
    """

    summary: ClassVar[str] = "minus the IoU expected against labels drawn from the regions"

    def __call__(self, statistics: Statistics) -> float:
        """Return the value."""
        log_classes(statistics.regions)
        hits, union = 0.0, 0.0
        for image in statistics.regions:
            hits = hits + (image.hard * image.mean_prediction).sum(0)
            union = union + image.hard.sum(0) + image.class_mass
        union = np.maximum(union - hits, np.finfo(np.float64).tiny)
        return 0.0 - float(np.mean(hits / union))
