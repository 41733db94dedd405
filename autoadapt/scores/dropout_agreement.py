"""Agreement with predictions that lack some of the features, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores._agreement import Agreement
from autoadapt.scores.base import Need


@dataclass(frozen=True)
class DropoutAgreement(Agreement):
    """Minus the agreement of predictions with those from features with dropped channels.

    For each image 30 % of the channels of the deep features, the same for every candidate of that
    width, are set to zero on their way to the heads, and the others scaled up. Consistency is
    better when larger, so it is **negated**: smaller is better. As ``accuracy`` a collapsed network
    is perfect; as ``miou`` it reaches -1/C, as ``kappa`` 0.

    Source: CTE (arXiv 2503.00450), with the feature dropout that it recommends.

    Attributes:
        measure: ``miou`` (an absent class is 0), ``kappa`` or ``accuracy``.
    """

    summary: ClassVar[str] = "minus the consistency under dropped feature channels"
    opinion: ClassVar[Need] = "dropped"
