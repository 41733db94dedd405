"""Agreement with the vote of a frozen committee, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores._agreement import Measure, mean_agreement
from autoadapt.scores.base import Need, Score, Statistics, needed


@dataclass(frozen=True)
class EnsembleAgreement(Score):
    """Minus the agreement of predictions with the vote of a committee that never changes.

    Each member of ``scoring.committee`` votes for one class per pixel; a pixel with several most
    frequent classes counts for each in equal parts. Agreement is better when larger, so it is
    **negated**: smaller is better. ``committee_agreement`` asks the members one by one; the vote
    of weak models gives up rare classes, so it favours networks that do, too.

    Source: EnsV (NeurIPS 2024 D&B), with a frozen pool and votes in place of mean probabilities.

    Attributes:
        measure: ``miou`` (an absent class is 0), ``kappa`` or ``accuracy``, as published.
    """

    summary: ClassVar[str] = "minus the agreement with the vote of a frozen committee"

    measure: Measure = "miou"

    @property
    def needs(self) -> frozenset[Need]:
        """The committee."""
        return frozenset({"committee"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: There is no committee.
        """
        counts = needed(statistics.agreements.get("ensemble"), "committee")
        return 0.0 - mean_agreement(counts, self.measure)
