"""TPLD: sparse pseudo-labels are densified, first by voting, then on images found easy."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from autoadapt.config.settings import Above0, Fraction, NotNegative, Positive
from autoadapt.data.batches import IGNORE, SourceBatch, TargetBatch
from autoadapt.data.batching import FULL, target_batch
from autoadapt.data.sampling import batch_indices
from autoadapt.data.training import StepBatch, TrainingData
from autoadapt.data.views import subset
from autoadapt.networks.contract import Output
from autoadapt.uda._discriminator import adam, judge, output_discriminator
from autoadapt.uda._losses import SOURCE_LABEL, TARGET_LABEL, divisor, self_information
from autoadapt.uda._pseudo_labels import ratios
from autoadapt.uda._ranking import split
from autoadapt.uda._self_training import SelfTraining
from autoadapt.uda._sweep import Numbers, Tally
from autoadapt.uda._thresholds import Confidences, grown
from autoadapt.uda._voting import odd_window, voted
from autoadapt.uda.base import Context, Needs, Phase, divided
from autoadapt.uda.crst import overconfidence


@dataclass
class Tpld(SelfTraining):
    """TPLD (Shin et al., ECCV 2020): two-phase pseudo-label densification on top of CRST-MRKLD.

    In the first phase pixels without a label ask the sure pixels around them. In the second the
    target images are ranked: easy ones get a label at every pixel, weighed by how sure it is, and
    hard ones are aligned with them by a discriminator on self-information maps. The loss on
    labels is a bootstrapped one throughout: it also believes what the network says now.

    There is no released code. What the paper leaves open is marked as a choice below.

    Attributes:
        rounds: Rounds of the first phase.
        second_rounds: Rounds of the second; 0 for none.
        weight: Weight of the regulariser of CRST-MRKLD in the first phase; see there.
        beta: Share of the label, against the prediction, in the bootstrapped loss (a choice:
            its inventors use 0.8 to 0.95).
        window: Side of the square in which pixels are asked, as a share of the height (a choice:
            57 of 512 pixels; and a mean over those who are sure).
        own_share: Share of a pixel's own opinion when it asks others.
        votes: Times that it asks.
        easy_share: Share of the images that are easy in the first round of the second phase.
        easy_growth: What each round adds to it.
        gamma: Exponent of the weight of labels below their threshold.
        adversarial_weight: Weight of fooling the discriminator (a choice: that of AdvEnt).
        discriminator_rate: Learning rate of the discriminator (Adam, betas 0.9 and 0.99).
        discriminator_width: Channels of the discriminator after its first layer.
    """

    summary = "self-training with labels densified by voting, then from easy to hard images"
    paper = "Shin et al., Two-phase Pseudo Label Densification, ECCV 2020"
    needs: ClassVar[Needs] = Needs(networks=("a discriminator",), rounds=9, stage_one=True)
    quick: ClassVar[Mapping[str, Any]] = {"rounds": 1, "second_rounds": 1, "portion": 0.3}
    small: ClassVar[Mapping[str, Any]] = {
        **SelfTraining.small,
        "discriminator_width": 16,
    }
    smoke_options: ClassVar[Mapping[str, Any]] = {"discriminator_width": 4}

    rounds: Positive = 6
    second_rounds: Annotated[int, Field(ge=0)] = 3
    weight: NotNegative = 0.01
    beta: Fraction = 0.8
    window: Fraction = 0.111
    own_share: Fraction = 0.7
    votes: Positive = 3
    easy_share: Fraction = 0.3
    easy_growth: NotNegative = 0.05
    gamma: Above0 = 2.0
    adversarial_weight: NotNegative = 0.001
    discriminator_rate: Above0 = 1e-4
    discriminator_width: Positive = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        self.second = False
        self.bounds: list[float] = []
        self.scores = Numbers()
        self.easy: list[int] = []
        self.hard: list[int] = []

    def setup(self, context: Context) -> None:
        """Create the discriminator of easy and hard images."""
        module = output_discriminator(context.num_classes, self.discriminator_width)
        module.to(context.device)
        # The phases scale all rates by that of the self-training; this one is its own.
        context.add("intra", module, adam(module, self.discriminator_rate / self.rate))

    def self_training(self, steps: int) -> tuple[Phase, ...]:
        """Return both phases, their rounds of equal length."""
        first, second = divided(steps, (self.rounds, self.second_rounds))
        phases = [self.labelling_phase("densify", first, self.rounds)]
        if second:
            phases.append(self.labelling_phase("easy_to_hard", second, self.second_rounds))
        return tuple(phases)

    # Labels

    def number(self, phase: Phase, index: int) -> int:
        """Return the number of a round over both phases."""
        return index + (self.rounds if phase.name == "easy_to_hard" else 0)

    def begin_round(self, context: Context, data: TrainingData, phase: Phase, index: int) -> None:
        """Label the target; in the second phase also rank its images."""
        self.second, self.scores = phase.name == "easy_to_hard", Numbers()
        super().begin_round(context, data, phase, index)
        if self.second:
            share = grown(self.easy_share, self.easy_growth, 1.0, index)
            self.easy, self.hard = split([-score for score in self.scores.values], share)
            context.notes |= {"easy_images": len(self.easy), "hard_images": len(self.hard)}

    def thresholds(self, confidences: Confidences, portion: float) -> Tensor:
        """Return the thresholds of the classes, (C,), and keep them for the loss."""
        found = super().thresholds(confidences, portion)
        self.bounds = found.tolist()
        return found

    def shapes(self, data: TrainingData) -> dict[str, tuple[int, ...]]:
        """Return what is stored of each image; in the second phase also the weights of labels."""
        size = data.target.size
        return {"labels": size, "weights": size} if self.second else {"labels": size}

    def tallies(self) -> Mapping[str, Tally]:
        """Return how easy the images are."""
        return {"scores": self.scores}

    def label(self, probabilities: Tensor, thresholds: Tensor) -> dict[str, Tensor]:
        """Return labels where somebody is sure, or everywhere, with weights."""
        own = ratios(probabilities, thresholds)
        if self.second:
            self.scores.values += image_confidence(probabilities, thresholds).tolist()
            best, label = own.max(dim=1)
            weights = best.clamp(max=1).pow(self.gamma) * FULL
            return {"labels": label.byte(), "weights": weights.round().byte()}
        window = odd_window(self.window, probabilities.shape[2])
        best, label = voted(own, window, own=self.own_share, times=self.votes).max(dim=1)
        return {"labels": label.masked_fill(best < 1, IGNORE).byte()}

    # Data

    def view(self, context: Context, data: TrainingData, phase: Phase) -> TrainingData:
        """Return in the second phase the easy images with labels and the hard ones as target."""
        seen = super().view(context, data, phase)
        if phase.name != "easy_to_hard":
            return seen
        easy = subset(seen.further["pseudo"], self.easy)
        hard = subset(data.target, self.hard)
        return replace(seen, target=hard, further={**seen.further, "pseudo": easy})

    def unlabelled(self, data: TrainingData, step: int, pseudo: SourceBatch) -> TargetBatch:
        """Return hard images in the second phase, before it the labelled ones again."""
        if not self.second:
            return super().unlabelled(data, step, pseudo)
        size, count = data.batch_size, len(data.target)
        indices = batch_indices(data.seed, "hard", step, batch_size=size, n=count)
        return target_batch(
            data.target, indices, transform=data.transform, step=step, purpose="hard"
        )

    # Steps

    def train_step(self, context: Context, phase: Phase, batch: StepBatch) -> dict[str, Tensor]:
        """Learn from a mixed batch, and align hard images with easy ones in the second phase."""
        if phase.name != "easy_to_hard":
            return super().train_step(context, phase, batch)
        losses = self.learn(context, batch.source, batch.further["pseudo"])
        losses |= self.align(context, batch.target)
        context.update("network", "intra")
        return losses

    def learn_pseudo(
        self, context: Context, batch: SourceBatch, output: Output, *, pixels: Tensor
    ) -> dict[str, Tensor]:
        """Learn from the labels, and show the discriminator what easy images look like."""
        losses = super().learn_pseudo(context, batch, output, pixels=pixels)
        if not self.second:
            return losses
        maps = self_information(output.logits.detach())
        told = judge(context, "intra", maps, SOURCE_LABEL, kind="bce") / 2
        return losses | self.backward(context, {"tell_easy": told})

    def align(self, context: Context, hard: TargetBatch) -> dict[str, Tensor]:
        """Make hard images pass for easy ones; let the discriminator tell them apart."""
        maps = self_information(context.forward(hard.images, "target").logits)
        with context.frozen("intra"):
            fooled = judge(context, "intra", maps, SOURCE_LABEL, kind="bce")
        losses = self.backward(context, {"fool_hard": self.adversarial_weight * fooled})
        told = judge(context, "intra", maps.detach(), TARGET_LABEL, kind="bce") / 2
        return losses | self.backward(context, {"tell_hard": told})

    def label_loss(self, logits: Tensor, batch: SourceBatch) -> Tensor:
        """Return the bootstrapped loss, weighed where labels have weights, summed over pixels."""
        bounds = torch.tensor(self.bounds, device=logits.device)
        losses = bootstrapped(logits, batch.labels, bounds, beta=self.beta)
        return (losses if batch.weights is None else losses * batch.weights).sum()

    def regularised(self, logits: Tensor, labelled: Tensor) -> dict[str, Tensor]:
        """Return the regulariser of MRKLD in the first phase."""
        if self.second or self.weight == 0:
            return {}
        sureness = (overconfidence(logits, "mrkld") * labelled).sum()
        return {"regulariser": self.weight * sureness / divisor(labelled.sum())}

    # State

    def state_dict(self) -> dict[str, Any]:
        """Return what the round derives from."""
        own = {"second": self.second, "bounds": self.bounds, "easy": self.easy, "hard": self.hard}
        return super().state_dict() | own

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` returned."""
        super().load_state_dict(state)
        self.second, self.bounds = state["second"], state["bounds"]
        self.easy, self.hard = state["easy"], state["hard"]


def bootstrapped(logits: Tensor, labels: Tensor, thresholds: Tensor, *, beta: float) -> Tensor:
    """Return the bootstrapped loss of each pixel, (N, H, W), 0 where there is no label.

    ``-sum_c [beta y_c + (1 - beta) p_c / t_c] log p_c`` with the bracket taken as constant. The
    paper has ``log(p_c / t_c)``; the difference is constant too, and without it the loss is not
    negative.

    Args:
        logits: (N, C, H, W).
        labels: (N, H, W).
        thresholds: t, (C,).
        beta: In [0, 1].
    """
    log_prob = logits.log_softmax(dim=1)
    believed = ratios(log_prob.detach().exp(), thresholds)
    own = -(believed * log_prob).sum(dim=1) * (labels != IGNORE)
    given = cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")
    return beta * given + (1 - beta) * own


def image_confidence(probabilities: Tensor, thresholds: Tensor) -> Tensor:
    """Return how easy each image is, (N,): the larger, the easier.

    The mean over the classes predicted in the image of the share of their pixels above the
    threshold, divided by the threshold: images with rare classes come first.

    Args:
        probabilities: (N, C, H, W).
        thresholds: (C,).
    """
    confidence, label = probabilities.max(dim=1)
    bounds = thresholds.to(probabilities)
    sure = confidence > bounds[label]
    classes = torch.arange(len(thresholds), device=label.device)[:, None]
    mine = label.flatten(1)[:, None] == classes  # (N, C, pixels)
    pixels = mine.sum(dim=2)
    passed = (mine & sure.flatten(1)[:, None]).sum(dim=2)
    shares = passed / pixels.clamp(min=1) / bounds
    return shares.sum(dim=1) / (pixels > 0).sum(dim=1)
