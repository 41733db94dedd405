"""Agreement with all other candidates, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores._agreement import Measure
from autoadapt.scores._pool import mean_agreement
from autoadapt.scores.base import Need, Score, Statistics, needed


@dataclass(frozen=True)
class PoolAgreement(Score):
    """Minus the mean agreement of predictions with those of each other candidate.

    Agreement is better when larger, so it is **negated**: smaller is better. Needs the predictions
    of the whole pool, so it serves closed banks and no search: it is missing there.

    Source: pairwise consensus (``scores.md`` 4.4, 8.1 S2).

    Attributes:
        measure: ``miou`` (an absent class is 0), ``kappa`` or ``accuracy``.
    """

    summary: ClassVar[str] = "minus the agreement with all other candidates"

    measure: Measure = "miou"

    @property
    def needs(self) -> frozenset[Need]:
        """The whole pool."""
        return frozenset({"pool"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: The pool is not known.
        """
        pool = needed(statistics.pool, "pool")
        return 0.0 - float(mean_agreement(pool, self.measure)[statistics.place])
