"""IntraDA: first from source to target, then from easy to hard images of the target."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from autoadapt.config.settings import Fraction
from autoadapt.data.training import TrainingData
from autoadapt.data.views import relabelled, subset
from autoadapt.uda._losses import self_information
from autoadapt.uda._ranking import split
from autoadapt.uda._sweep import Numbers
from autoadapt.uda.advent import Advent
from autoadapt.uda.base import Context, Needs, Phase

ClassIndex = Annotated[int, Field(ge=0)]

RARE_IN_CITYSCAPES = (3, 4, 5, 6, 7, 9, 12, 14, 15, 16, 17)
"""Train ids that the released code takes for rare."""


@dataclass
class IntraDa(Advent):
    """IntraDA (Pan et al., CVPR 2020): AdvEnt, then AdvEnt again within the target.

    After the first stage the images of the target are ranked by their mean entropy. The easy ones
    keep what the network says of every pixel as labels and play the source, the hard ones play
    the target, and a new network is trained on them; the source itself is not used any more. The
    paper writes one joint objective; the released code, and this, go one after the other.

    Attributes:
        first_share: Share of the steps that the first stage takes.
        easy_share: Share of the target images that are easy (lambda).
        rare_normaliser: Take an image for easier the more rare classes are predicted in it. In
            the released code any text after ``--normalize`` switches this on.
        rare_classes: Indices of those classes; published: those of Cityscapes.
        fresh: Start the second stage from the weights that the first one started from.
    """

    summary = "AdvEnt, then again from easy to hard target images"
    paper = "Pan et al., Unsupervised Intra-domain Adaptation, CVPR 2020"
    needs: ClassVar[Needs] = Needs(networks=("a discriminator per output",), rounds=1)
    quick: ClassVar[Mapping[str, Any]] = {"fresh": False, "first_share": 0.67}
    small: ClassVar[Mapping[str, Any]] = {**Advent.small, "warm_up": 0.4}

    first_share: Fraction = 0.5
    easy_share: Fraction = 0.67
    rare_normaliser: bool = False
    rare_classes: tuple[ClassIndex, ...] = RARE_IN_CITYSCAPES
    fresh: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.easy: list[int] = []
        self.hard: list[int] = []
        self.labels = ""

    def phases(self, steps: int) -> tuple[Phase, ...]:
        """Return the phases of AdvEnt twice; the second stage starts anew."""
        first = math.ceil(self.first_share * steps)
        rest = steps - first
        warm = round(self.warm_up * rest) if self.fresh else 0
        second = [
            Phase(name, length, batch_norm=self.batch_norm)
            for name, length in (("intra_warm_up", warm), ("intra", rest - warm))
            if length
        ]
        if second:
            second[0] = replace(second[0], restart="everything" if self.fresh else "schedule")
        return (*super().phases(first), *second)

    def begin_round(self, context: Context, data: TrainingData, phase: Phase, index: int) -> None:
        """Rank and label the target, once, with the network of the first stage."""
        if not phase.name.startswith("intra") or self.easy:
            return
        scores = self.rank(context, data)
        self.easy, self.hard = split(scores, self.easy_share)
        context.notes |= {"easy_images": len(self.easy), "hard_images": len(self.hard)}

    def rank(self, context: Context, data: TrainingData) -> list[float]:
        """Store the label map of each target image and return its score."""
        scores = Numbers()
        sweep = context.sweep(
            data,
            data.target,
            "ranking",
            tallies={"scores": scores},
            shapes={"labels": data.target.size},
        )
        for _, output in sweep:
            labels = output.logits.argmax(dim=1)
            score = image_scores(output.logits)
            if self.rare_normaliser:
                score = score * rare_factor(labels, self.rare_classes)
            scores.values += score.tolist()
            sweep.put(labels=labels.byte())
        self.labels = sweep.references["labels"]
        return scores.values

    def view(self, context: Context, data: TrainingData, phase: Phase) -> TrainingData:
        """Return easy target images as source and hard ones as target, in the second stage."""
        if not phase.name.startswith("intra"):
            return data
        labelled = relabelled(data.target, context.stored(self.labels), data.source.classes)
        easy, hard = subset(labelled, self.easy), subset(data.target, self.hard)
        return replace(data, source=easy, target=hard)

    def state_dict(self) -> dict[str, Any]:
        """Return the ranking and where the labels are."""
        return {"easy": self.easy, "hard": self.hard, "labels": self.labels}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` returned."""
        self.easy, self.hard, self.labels = state["easy"], state["hard"], state["labels"]


def image_scores(logits: Tensor) -> Tensor:
    """Return how unsure the predictions of each image are, (N,).

    The mean of the self-information over classes and pixels, as in the released code; the paper
    sums over the classes, which ranks the same.

    Args:
        logits: (N, C, H, W) at the size of the images.
    """
    return self_information(logits).mean(dim=(1, 2, 3))


def rare_factor(labels: Tensor, rare: tuple[int, ...]) -> Tensor:
    """Return the factor on the score of each image, (N,), from 1.5 down to 0.5.

    ``(K - r) / K + 0.5``, where r of the K rare classes are predicted somewhere in the image.

    Args:
        labels: (N, H, W) predicted classes.
        rare: Indices of the rare classes.
    """
    present = [(labels == label).flatten(1).any(dim=1) for label in rare]
    count = torch.stack(present).sum(dim=0)
    return (len(rare) - count) / len(rare) + 0.5
