"""Distinction of images by their gradients before training, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores.base import Need, Score, Statistics, needed


@dataclass(frozen=True)
class Jacov(Score):
    """Sum of log v + 1 / v over the eigenvalues v of the correlation of input gradients.

    Of the sum of the logits, for some target images. Uncorrelated gradients tell images apart and
    are taken as better; the published value is minus this one, so it is **negated**: smaller is
    better. A baseline, like ``params``.

    Source: Mellor et al., "Neural Architecture Search without Training" (arXiv 2006.04647), first
    version.
    """

    summary: ClassVar[str] = "correlation of the input gradients of images before training"

    @property
    def needs(self) -> frozenset[Need]:
        """The architecture before training."""
        return frozenset({"untrained"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: The untrained network was not measured.
        """
        return 0.0 - needed(statistics.untrained.get("jacov"), "untrained")
