"""Distinct activation patterns of the untrained network, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores.base import Need, Score, Statistics, needed


@dataclass(frozen=True)
class Naswot(Score):
    """Minus log det K, where K counts the activations that are alike for two images.

    With b_i the signs before every rectifier for image i: K_ij = number of equal signs of b_i and
    b_j, over the number of signs. Images that are told apart are better and log det K is larger,
    at most 0, so it is **negated**: smaller is better. Works on any rectifier (ReLU, leaky ReLU,
    SiLU, GELU, hard swish and others); missing without one.

    Source: Mellor et al., "Neural Architecture Search without Training" (arXiv 2006.04647); the
    division by the number of signs is ours and makes networks comparable.
    """

    summary: ClassVar[str] = "minus the distinction of images before training"

    @property
    def needs(self) -> frozenset[Need]:
        """The architecture before training."""
        return frozenset({"untrained"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: The untrained network was not measured.
        """
        return 0.0 - needed(statistics.untrained.get("naswot"), "untrained")
