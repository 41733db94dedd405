"""Effect of the weights on the gradient before training, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores.base import Need, Score, Statistics, needed


@dataclass(frozen=True)
class Grasp(Score):
    """Plus the sum of weight * (Hessian times gradient); any sign.

    Over convolutions and linear layers, of the mean pixel entropy on target images, for there are
    no labels. Weights that lower the norm of the gradient score high in the paper, so the value is
    **negated**: smaller is better. It sees no training; a baseline, like ``params``.

    Source: Wang et al., GraSP (arXiv 2002.07376);
    as a proxy: Abdelfattah et al. (arXiv 2101.08134).
    """

    summary: ClassVar[str] = "effect of the weights on the norm of the gradient"

    @property
    def needs(self) -> frozenset[Need]:
        """Second derivatives of the architecture before training."""
        return frozenset({"curvature"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: They were not measured.
        """
        return 0.0 - needed(statistics.untrained.get("grasp"), "curvature")
