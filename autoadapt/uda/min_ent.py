"""MinEnt: direct minimisation of the entropy of target predictions."""

from dataclasses import dataclass

import torch
from torch import Tensor

from autoadapt.config.settings import NotNegative
from autoadapt.data.batches import SourceBatch, TargetBatch
from autoadapt.uda._losses import entropy
from autoadapt.uda.base import Context, Method, levels


@dataclass
class MinEnt(Method):
    """MinEnt (Vu et al., CVPR 2019, section 3.1): confident on target by decree.

    The published weights belong to the mean over pixels, not to the sum that the paper writes.

    Attributes:
        main_weight: Weight of the entropy of the main output.
        aux_weight: The same for the auxiliary output, where there is one.
    """

    summary = "entropy minimisation on target"
    paper = "Vu et al., ADVENT, CVPR 2019"

    main_weight: NotNegative = 0.001
    aux_weight: NotNegative = 0.0002

    def step(self, context: Context, source: SourceBatch, target: TargetBatch) -> dict[str, Tensor]:
        """Source loss, target entropy, one move."""
        _, losses = context.supervised(source, self.aux_source_weight)
        weights = {"main": self.main_weight, "aux": self.aux_weight}
        output = context.forward(target.images, "target")
        uncertain = {
            f"entropy_{name}": weights[name] * entropy(logits)
            for name, logits in levels(output).items()
        }
        context.backward(torch.stack(list(uncertain.values())).sum())
        context.update("network")
        return losses | {name: loss.detach() for name, loss in uncertain.items()}
