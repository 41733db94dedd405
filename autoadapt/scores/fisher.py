"""Sensitivity of the loss to the activations before training, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores.base import Need, Score, Statistics, needed


@dataclass(frozen=True)
class Fisher(Score):
    """Minus the log of the sum over channels of the mean of (activation * gradient)^2 / 2.

    Products are summed over the places of an image first. Of the outputs of convolutions and
    linear layers and the mean pixel entropy on target images, for there are no labels. Larger is
    taken as better, so it is **negated**: smaller is better. A baseline, like ``params``.

    Source: Turner et al., BlockSwap (arXiv 1906.04113);
    as a proxy: Abdelfattah et al. (arXiv 2101.08134).
    """

    summary: ClassVar[str] = "minus the log of the sensitivity of the loss to the activations"

    @property
    def needs(self) -> frozenset[Need]:
        """The architecture before training."""
        return frozenset({"untrained"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: The untrained network was not measured.
        """
        return 0.0 - needed(statistics.untrained.get("fisher"), "untrained")
