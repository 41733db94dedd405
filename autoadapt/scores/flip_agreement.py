"""Agreement with the predictions of mirrored images, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores._agreement import Agreement
from autoadapt.scores.base import Need


@dataclass(frozen=True)
class FlipAgreement(Agreement):
    """Minus the agreement of predictions with those of the mirrored image, mirrored back.

    Consistency is better when larger, so it is **negated**: smaller is better. As ``accuracy`` a
    collapsed network is perfect; as ``miou`` it reaches -1/C, as ``kappa`` 0.

    Attributes:
        measure: ``miou`` (an absent class is 0), ``kappa`` or ``accuracy``.
    """

    summary: ClassVar[str] = "minus the consistency under mirroring"
    opinion: ClassVar[Need] = "mirrored"
