"""Size of a network."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores.base import Score, Statistics


@dataclass(frozen=True)
class Params(Score):
    """Number of parameters.

    Smaller is better: cheaper. As a predictor of accuracy it has the wrong sign more often than
    not (larger networks are better), which is why every comparison of scores should list it.
    """

    summary: ClassVar[str] = "number of parameters"

    def __call__(self, statistics: Statistics) -> float:
        """Return the value."""
        if "params" not in statistics.costs:
            raise ValueError("the costs of this candidate lack 'params'")
        return float(statistics.costs["params"])
