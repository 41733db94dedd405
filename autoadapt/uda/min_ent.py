"""MinEnt: direct minimisation of the entropy of target predictions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from autoadapt.config.settings import Fraction, NotNegative
from autoadapt.data.batches import SourceBatch, TargetBatch
from autoadapt.data.priors import class_ratio
from autoadapt.data.training import TrainingData
from autoadapt.uda._losses import self_information
from autoadapt.uda.base import Context, Method, Phase, levels


@dataclass
class MinEnt(Method):
    """MinEnt (Vu et al., CVPR 2019, section 3.1): confident on target by decree.

    The published weights belong to the mean over pixels, not to the sum that the paper writes.

    Attributes:
        main_weight: Weight of the entropy of the main output.
        aux_weight: The same for the auxiliary output, where there is one.
        entropy_share: Share of the pixels of each image that count, those of the highest entropy.
            The paper's range "ER" is 0.3.
        prior_weight: Weight of the class-ratio prior "CP" on the main output, which keeps classes
            from vanishing. The paper gives none; 0.001, as for the entropy, is where to start.
        prior_share: Share of its ratio in the source below which a class should not fall in an
            image of the target (mu).
    """

    summary = "entropy minimisation on target"
    paper = "Vu et al., ADVENT, CVPR 2019"
    small: ClassVar[Mapping[str, Any]] = {
        "warm_up": 0.5,
        "main_weight": 0.01,
        "aux_weight": 0.002,
    }
    smoke_options: ClassVar[Mapping[str, Any]] = {
        "entropy_share": 0.3,
        "prior_weight": 0.001,
        "prior_share": 1.0,
    }

    main_weight: NotNegative = 0.001
    aux_weight: NotNegative = 0.0002
    entropy_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    prior_weight: NotNegative = 0.0
    prior_share: Fraction = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.ratio: list[float] = []

    def begin_round(self, context: Context, data: TrainingData, phase: Phase, index: int) -> None:
        """Count the classes of the source, where the prior needs them."""
        if self.prior_weight > 0 and not self.ratio:
            self.ratio = class_ratio(data.source, data.num_classes).tolist()

    def step(self, context: Context, source: SourceBatch, target: TargetBatch) -> dict[str, Tensor]:
        """Source loss, target entropy, one move."""
        _, losses = context.supervised(source, self.aux_source_weight)
        weights = {"main": self.main_weight, "aux": self.aux_weight}
        output = context.forward(target.images, "target")
        uncertain = {
            f"entropy_{name}": weights[name] * highest_entropy(logits, self.entropy_share)
            for name, logits in levels(output).items()
        }
        if self.prior_weight > 0:
            least = self.prior_share * torch.tensor(self.ratio, device=context.device)
            uncertain["prior"] = self.prior_weight * missing_mass(output.logits, least)
        context.backward(torch.stack(list(uncertain.values())).sum())
        context.update("network")
        return losses | {name: loss.detach() for name, loss in uncertain.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the class ratios of the source."""
        return {"ratio": self.ratio}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` returned."""
        self.ratio = state["ratio"]


def highest_entropy(logits: Tensor, share: float) -> Tensor:
    """Return the mean entropy, in [0, 1], of the least certain pixels of each image.

    Args:
        logits: (N, C, H, W).
        share: Share of the pixels that count, at least one; 1 for all.
    """
    entropies = self_information(logits).sum(dim=1)
    if share == 1:
        return entropies.mean()
    pixels = entropies.flatten(1)
    count = max(1, int(pixels.shape[1] * share))
    return pixels.topk(count, dim=1, sorted=False).values.mean()


def missing_mass(logits: Tensor, least: Tensor) -> Tensor:
    """Return how much the classes fall short of their least mass (AdvEnt, eq. 8).

    ``sum_c max(0, least_c - mean over the pixels of p_c)``, a mean over the images.

    Args:
        logits: (N, C, H, W).
        least: (C,).
    """
    mass = logits.softmax(dim=1).mean(dim=(2, 3))
    return (least - mass).clamp(min=0).sum(dim=1).mean()
