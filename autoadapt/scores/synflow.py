"""Synaptic flow of the untrained network, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores.base import Need, Score, Statistics, needed


@dataclass(frozen=True)
class Synflow(Score):
    """Minus the log of the sum of |weight * d R / d weight| over convolutions and linear layers.

    R is the sum of the logits of an image of ones once every weight is replaced by its magnitude,
    in double precision. Larger flow is taken as better, so it is **negated**: smaller is better. It
    knows neither data nor training; a baseline, like ``params``.

    Source: Tanaka et al., SynFlow (2020); as a proxy: Abdelfattah et al. (arXiv 2101.08134).
    """

    summary: ClassVar[str] = "minus the log of the synaptic flow before training"

    @property
    def needs(self) -> frozenset[Need]:
        """The architecture before training."""
        return frozenset({"untrained"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: The untrained network was not measured.
        """
        return 0.0 - needed(statistics.untrained.get("synflow"), "untrained")
