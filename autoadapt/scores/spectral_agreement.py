"""Agreement with the other candidates, the better ones counting more, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores._agreement import Measure
from autoadapt.scores._pool import reliability
from autoadapt.scores.base import Need, Score, Statistics, needed


@dataclass(frozen=True)
class SpectralAgreement(Score):
    """Minus the entry of the leading eigenvector of all pairwise agreements.

    If candidates err independently, two of them agree about as much as the product of how good
    they are, a_i a_j; a is found from all pairs of different candidates. Those that agree with
    good ones count more than in ``pool_agreement``. Agreement is better when larger, so it is
    **negated**: smaller is better. It needs the whole pool, and is missing in a search.

    Source: ``scores.md`` 8.1 S3.

    Attributes:
        measure: ``miou`` (an absent class is 0), ``kappa`` or ``accuracy``.
    """

    summary: ClassVar[str] = "minus the agreement with all others, better ones weighing more"

    measure: Measure = "miou"

    @property
    def needs(self) -> frozenset[Need]:
        """The whole pool."""
        return frozenset({"pool"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: The pool is not known, or has fewer than three candidates.
        """
        pool = needed(statistics.pool, "pool")
        return 0.0 - float(reliability(pool, self.measure)[statistics.place])
