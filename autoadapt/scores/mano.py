"""Matrix norm of the class probabilities, negated."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from autoadapt.scores.base import Score, Statistics, sampled


@dataclass(frozen=True)
class Mano(Score):
    """Minus the entry-wise norm (sum of p^order / (N C))^(1 / order), in [-C^(-1/order), -1/C].

    The norm grows with confidence and is better when larger, so it is **negated**: smaller is
    better. A collapsed network reaches the best value. Only the softmax form: the Taylor form of
    the paper switches between networks and makes their values incomparable.

    Source: MaNo (arXiv 2405.18979).

    Attributes:
        order: Of the norm.
    """

    summary: ClassVar[str] = "minus the norm of the matrix of class probabilities"

    order: Annotated[float, Field(gt=1)] = 4.0

    def __call__(self, statistics: Statistics) -> float:
        """Return the value."""
        powers = sampled(statistics.target_outputs) ** self.order
        return -float(powers.mean() ** (1.0 / self.order))
