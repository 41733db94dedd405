"""Agreement with predictions under the own batch-norm statistics, negated."""

from dataclasses import dataclass
from typing import ClassVar

from autoadapt.scores._agreement import Agreement
from autoadapt.scores.base import Need


@dataclass(frozen=True)
class BatchNormAgreement(Agreement):
    """Minus the agreement of predictions with and without the batch-norm statistics of the image.

    A network that knows the statistics of the target predicts the same with both. Agreement is
    better when larger, so it is **negated**: smaller is better. Each image is its own batch, so
    neither order nor size of batches matters. Missing for a network without batch norm.

    Source: TTYD (arXiv 2409.04409), per batch there.

    Attributes:
        measure: ``miou`` (an absent class is 0), ``kappa`` or ``accuracy``.
    """

    summary: ClassVar[str] = "minus the agreement of stored and own batch-norm statistics"
    opinion: ClassVar[Need] = "batch_norm"
