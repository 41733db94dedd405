"""Maximum squares loss: confident on target, without rewarding what is certain already."""

from dataclasses import dataclass

from torch import Tensor

from autoadapt.config.settings import NotNegative
from autoadapt.data.batches import SourceBatch, TargetBatch
from autoadapt.uda.base import Context, Method


@dataclass
class MaxSquares(Method):
    """Maximum squares (Chen et al., ICCV 2019): its gradient grows linearly with probability.

    Attributes:
        weight: Weight of the loss on target predictions.
    """

    summary = "maximise the squares of target probabilities"
    paper = "Chen et al., Domain Adaptation with Maximum Squares Loss, ICCV 2019"

    weight: NotNegative = 0.1

    def step(self, context: Context, source: SourceBatch, target: TargetBatch) -> dict[str, Tensor]:
        """Source loss, maximum squares on target, one move."""
        _, losses = context.supervised(source, self.aux_source_weight)
        logits = context.forward(target.images, "target").logits
        loss = self.weight * max_squares(logits)
        context.backward(loss)
        context.update("network")
        return losses | {"squares": loss.detach()}


def max_squares(logits: Tensor) -> Tensor:
    """Return half of one minus the mean sum of squared probabilities of (N, C, H, W)."""
    return (1 - logits.softmax(dim=1).square().sum(dim=1).mean()) / 2
