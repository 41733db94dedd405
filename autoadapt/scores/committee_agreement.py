"""Agreement with a frozen committee, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores._agreement import Agreement
from autoadapt.scores.base import Need


@dataclass(frozen=True)
class CommitteeAgreement(Agreement):
    """Minus the mean agreement of predictions with each model of a committee that never changes.

    Agreement is better when larger, so it is **negated**: smaller is better. The committee is the
    same for all candidates (``scoring.committee``), so values of any time can be compared. It
    favours the typical good model over the outstanding one.

    Source: pairwise consensus and EnsV (NeurIPS 2024 D&B), with a frozen pool.

    Attributes:
        measure: ``miou`` (an absent class is 0), ``kappa`` or ``accuracy``.
    """

    summary: ClassVar[str] = "minus the agreement with a frozen committee"
    opinion: ClassVar[Need] = "committee"
