"""Confidence, negated."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from autoadapt.scores._calibrated import labelled_locations, temperature
from autoadapt.scores._outputs import softened
from autoadapt.scores.base import Need, Score, Statistics, sampled


@dataclass(frozen=True)
class MaxProb(Score):
    """Minus the mean largest class probability of the sampled target locations, in [-1, -1/C].

    Confidence is better when larger, so it is **negated**: smaller is better. A collapsed network
    reaches -1, the best value.

    Attributes:
        calibrated: Fit a temperature to the labels of held-out source locations first, for
            networks differ in how much they overrate themselves.
    """

    summary: ClassVar[str] = "minus the mean confidence"

    calibrated: bool = False

    @property
    def needs(self) -> frozenset[Need]:
        """Labelled source images that training does not see, where calibrated."""
        return frozenset({"held_out"}) if self.calibrated else frozenset()

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: No location was sampled; calibrated: no labelled source is held out.
        """
        p = sampled(statistics.target_outputs)
        if self.calibrated:
            p = softened(np.maximum(p, 1e-30), temperature(labelled_locations(statistics)))
        return -float(p.max(1).mean())
