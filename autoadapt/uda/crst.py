"""CRST: self-training whose labels or predictions are kept from being too sure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from autoadapt.config.settings import Above0, NotNegative
from autoadapt.data.batches import IGNORE, SourceBatch
from autoadapt.data.training import TrainingData
from autoadapt.uda._losses import divisor
from autoadapt.uda._pseudo_labels import KEPT, soft_labels, strongest
from autoadapt.uda._self_training import SelfTraining
from autoadapt.uda.base import Needs

Kind = Literal["mrkld", "mrl2", "mrent", "lrent"]


@dataclass
class Crst(SelfTraining):
    """CRST (Zou et al., ICCV 2019): self-training with regularised confidence.

    Three forms pull the predictions of labelled target pixels towards the uniform distribution:
    ``mrkld`` (KL divergence), ``mrl2`` (squared length) and ``mrent`` (negative entropy). The
    fourth, ``lrent``, makes the labels soft instead; of each, the three largest shares are kept.

    Differences to the released code: labels are made at the working size instead of 0.9 of a
    larger one, from all target images instead of a list of 505, and thresholds come from all
    confidences instead of every fourth. It also writes class 18 - k for class k under Python 3,
    which nobody wants.

    Attributes:
        kind: Which regulariser.
        weight: Weight ``alpha`` of ``mrkld``, ``mrl2`` and ``mrent``. The paper says 0.1 for
            ``mrkld``, but the released code multiplies by it twice, so its numbers belong to
            0.01. For the other two no released value exists.
        softness: ``alpha`` of ``lrent``; the larger, the softer the labels.
    """

    summary = "class-balanced self-training with regularised confidence"
    paper = "Zou et al., Confidence Regularized Self-Training, ICCV 2019"
    needs: ClassVar[Needs] = Needs(rounds=3, stage_one=True)
    quick: ClassVar[Mapping[str, Any]] = {"rounds": 1, "portion": 0.3}
    smoke_options: ClassVar[Mapping[str, Any]] = {}

    kind: Kind = "mrkld"
    weight: NotNegative = 0.01
    softness: Above0 = 0.25

    def shapes(self, data: TrainingData) -> dict[str, tuple[int, ...]]:
        """Return what is stored of each target image: for ``lrent`` also soft labels.

        They take six bytes per pixel, a hard label one.
        """
        soft = {"soft": (*data.target.size, 2, min(KEPT, data.num_classes))}
        return super().shapes(data) | (soft if self.kind == "lrent" else {})

    def label(self, probabilities: Tensor, thresholds: Tensor) -> dict[str, Tensor]:
        """Return hard labels, and soft ones for ``lrent``, 0 where a pixel has none."""
        if self.kind != "lrent":
            return super().label(probabilities, thresholds)
        soft, selected = soft_labels(probabilities, thresholds, self.softness)
        hard = soft.argmax(dim=1).masked_fill(~selected, IGNORE)
        shares = strongest(soft) * selected[..., None, None]
        return {"labels": hard.byte(), "soft": shares}

    def label_loss(self, logits: Tensor, batch: SourceBatch) -> Tensor:
        """Return the cross entropy with hard or soft labels, summed over the pixels."""
        if batch.soft is None:
            return super().label_loss(logits, batch)
        return summed_soft_cross_entropy(logits, batch.soft)

    def regularised(self, logits: Tensor, labelled: Tensor) -> dict[str, Tensor]:
        """Return the regulariser, a mean over the labelled target pixels."""
        if self.kind == "lrent" or self.weight == 0:
            return {}
        sureness = (overconfidence(logits, self.kind) * labelled).sum()
        return {"regulariser": self.weight * sureness / divisor(labelled.sum())}


def overconfidence(logits: Tensor, kind: str) -> Tensor:
    """Return how far predictions are from uniform, by one of three measures (CRST, table 1).

    ``mrkld``: minus the mean of ``log p`` over the classes. ``mrl2``: sum of squares of ``p``.
    ``mrent``: sum of ``p log p``, plus ``log C`` so that it is 0 for the uniform distribution and
    never negative; a constant changes no gradient.

    Args:
        logits: (N, C, H, W).
        kind: ``mrkld``, ``mrl2`` or ``mrent``.

    Returns:
        (N, H, W).
    """
    log_prob = logits.log_softmax(dim=1)
    if kind == "mrkld":
        return -log_prob.mean(dim=1)
    if kind == "mrl2":
        return log_prob.exp().square().sum(dim=1)
    return (log_prob.exp() * log_prob).sum(dim=1) + math.log(logits.shape[1])


def summed_soft_cross_entropy(logits: Tensor, soft: Tensor) -> Tensor:
    """Return minus the sum of ``label * log p`` over pixels and classes, both (N, C, H, W)."""
    return -(soft * logits.log_softmax(dim=1)).sum()
