"""Agreement with the ensemble of all candidates, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores._agreement import Measure
from autoadapt.scores.base import Need, Score, Statistics, needed


@dataclass(frozen=True)
class Ensv(Score):
    """Minus the agreement with the most probable class under the mean prediction of the pool.

    The mean is that of the class probabilities of all candidates, this one included, at every
    pixel. Agreement is better when larger, so it is **negated**: smaller is better. A pool of
    mostly bad candidates has a bad mean, which forgets rare classes. It needs the whole pool, and
    is missing in a search.

    Source: EnsV (NeurIPS 2024 Datasets and Benchmarks), which measures accuracy.

    Attributes:
        measure: ``accuracy``, ``kappa`` or ``miou`` (an absent class is 0).
    """

    summary: ClassVar[str] = "minus the agreement with the ensemble of all candidates"

    measure: Measure = "accuracy"

    @property
    def needs(self) -> frozenset[Need]:
        """The whole pool."""
        return frozenset({"pool"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: The pool, or its ensemble, is not known.
        """
        pool = needed(statistics.pool, "pool")
        return 0.0 - float(needed(pool.ensemble, "pool")[self.measure][statistics.place])
