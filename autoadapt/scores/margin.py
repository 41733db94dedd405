"""Lead of the most probable class, negated."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from autoadapt.scores.base import Score, Statistics, sampled


@dataclass(frozen=True)
class Margin(Score):
    """Minus the mean lead of the most probable class over the second, in [-1, 0].

    At the sampled target locations. A lead is better when larger, so it is **negated**: smaller is
    better. A collapsed network reaches -1, the best value.
    """

    summary: ClassVar[str] = "minus the mean lead of the most probable class over the second"

    def __call__(self, statistics: Statistics) -> float:
        """Return the value."""
        two = np.sort(sampled(statistics.target_outputs), axis=1)[:, -2:]
        return 0.0 - float((two[:, -1] - two[:, 0]).mean())
