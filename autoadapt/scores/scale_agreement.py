"""Agreement with the predictions of smaller and larger images, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores._agreement import Agreement
from autoadapt.scores.base import Need


@dataclass(frozen=True)
class ScaleAgreement(Agreement):
    """Minus the agreement of predictions with those of the image at 0.75 and 1.25 times its size.

    The mean of both sizes; logits come back to the size of the image. Consistency is better when
    larger, so it is **negated**: smaller is better. As ``accuracy`` a collapsed network is perfect;
    as ``miou`` it reaches -1/C, as ``kappa`` 0. The network has to accept the smaller size.

    Attributes:
        measure: ``miou`` (an absent class is 0), ``kappa`` or ``accuracy``.
    """

    summary: ClassVar[str] = "minus the consistency under a change of scale"
    opinion: ClassVar[Need] = "scaled"
