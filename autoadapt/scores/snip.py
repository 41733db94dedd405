"""Sensitivity of the loss to the weights before training, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores.base import Need, Score, Statistics, needed


@dataclass(frozen=True)
class Snip(Score):
    """Minus the log of the sum of |weight * gradient| over convolutions and linear layers.

    The gradient is that of the mean pixel entropy on target images, for there are no labels. Larger
    is taken as better, so it is **negated**: smaller is better. It knows nothing of training; a
    baseline, like ``params``.

    Source: Lee et al., SNIP (arXiv 1810.02340); as a proxy: Abdelfattah et al. (arXiv 2101.08134).
    """

    summary: ClassVar[str] = "minus the log of the sensitivity of the loss to the weights"

    @property
    def needs(self) -> frozenset[Need]:
        """The architecture before training."""
        return frozenset({"untrained"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: The untrained network was not measured.
        """
        return 0.0 - needed(statistics.untrained.get("snip"), "untrained")
