"""Gradient norm of the untrained network, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores.base import Need, Score, Statistics, needed


@dataclass(frozen=True)
class GradNorm(Score):
    """Minus the log of the norm of the gradient of the entropy of some target images.

    Larger gradients are taken as better, so it is **negated**: smaller is better. The gradient is
    that of the mean pixel entropy of the first target images before training, because no label of
    theirs may be used. A baseline, like ``params``.

    Source: grad-norm of Abdelfattah et al. (arXiv 2101.08134), with the entropy as loss.
    """

    summary: ClassVar[str] = "minus the log of the gradient norm before training"

    @property
    def needs(self) -> frozenset[Need]:
        """The architecture before training."""
        return frozenset({"untrained"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: The untrained network was not measured.
        """
        return 0.0 - needed(statistics.untrained.get("grad_norm"), "untrained")
