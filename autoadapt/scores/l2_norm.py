"""Size of the weights before training, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores.base import Need, Score, Statistics, needed


@dataclass(frozen=True)
class L2Norm(Score):
    """Minus the sum of the norms of the weights of convolutions and linear layers.

    Larger is taken as better, so it is **negated**: smaller is better. A baseline, like ``params``,
    of which it says little more.

    Source: Abdelfattah et al. (arXiv 2101.08134).
    """

    summary: ClassVar[str] = "minus the norms of the weights before training"

    @property
    def needs(self) -> frozenset[Need]:
        """The architecture before training."""
        return frozenset({"untrained"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: The untrained network was not measured.
        """
        return 0.0 - needed(statistics.untrained.get("l2_norm"), "untrained")
