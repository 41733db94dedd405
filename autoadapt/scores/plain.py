"""Product of weights and gradients before training, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores.base import Need, Score, Statistics, needed


@dataclass(frozen=True)
class Plain(Score):
    """Minus the sum of weight * gradient over convolutions and linear layers; any sign.

    As ``snip``, with signs. Larger is taken as better, so it is **negated**: smaller is better. A
    baseline, like ``params``.

    Source: Abdelfattah et al. (arXiv 2101.08134).
    """

    summary: ClassVar[str] = "minus the sum of weights times gradients before training"

    @property
    def needs(self) -> frozenset[Need]:
        """The architecture before training."""
        return frozenset({"untrained"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: The untrained network was not measured.
        """
        return 0.0 - needed(statistics.untrained.get("plain"), "untrained")
