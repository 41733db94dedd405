"""Source-only training: the reference that every adaptation is compared with."""

from dataclasses import dataclass

import torch
from torch import Tensor

from autoadapt.data.batches import SourceBatch, TargetBatch
from autoadapt.uda.base import Context, Method


@dataclass
class SourceOnly(Method):
    """Supervised training on source images.

    Attributes:
        target_statistics: Also run target images through the network without any loss, so that
            batch-norm statistics see them. Several published "source-only" numbers were made so;
            it is a form of adaptation and therefore off.
    """

    summary = "no adaptation"
    paper = "the usual lower bound"

    target_statistics: bool = False

    def step(self, context: Context, source: SourceBatch, target: TargetBatch) -> dict[str, Tensor]:
        """Source loss, one move."""
        _, losses = context.supervised(source, self.aux_source_weight)
        if self.target_statistics:
            with torch.no_grad():
                context.forward(target.images, "target")
        context.update("network")
        return losses
