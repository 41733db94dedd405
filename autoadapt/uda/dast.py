"""DAST: a discriminator points at what differs between the domains; then self-training."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate

from autoadapt.config.settings import Above0, Fraction, NotNegative, Positive
from autoadapt.data.batches import SourceBatch, TargetBatch
from autoadapt.data.training import StepBatch, TrainingData
from autoadapt.data.views import relabelled
from autoadapt.networks.batch_norm import Policy
from autoadapt.networks.contract import Features, Output, SegmentationNetwork
from autoadapt.uda._discriminator import adam, check_size, output_discriminator, scored
from autoadapt.uda._labelling import Labelling
from autoadapt.uda._losses import SOURCE_LABEL, TARGET_LABEL, cross_entropy, domain_loss
from autoadapt.uda.base import Context, Method, Needs, Phase, divided

ADAPT, ROUND = 150, 20
"""Published lengths of the adversarial stage and of a round, in thousands of steps."""
HORIZON = 5
"""Published length of the schedule of a round, in units of the round: 100,000 of 20,000."""


@dataclass
class Dast(Method):
    """DAST (Yu et al., AAAI 2021): discriminator attention, then rounds of self-training.

    The *discoverer* looks at deep features. Where it is sure of the domain, features of target
    images are amplified on their way to the heads, also in prediction, which therefore needs it.
    The *corrector* looks at class probabilities. The network fools both (least squares), moves,
    and then they learn on the same maps. Self-training labels the target with the attention.

    Where paper and released code differ, this follows the code: the surest half of each class,
    not of all pixels, and thresholds of at most ``cap``. The extra bottleneck behind the
    attention belongs to a network.

    Attributes:
        feature_weight: Weight of fooling the discoverer.
        output_weight: Weight of fooling the corrector.
        pseudo_weight: Weight of the loss on pseudo-labels.
        reweight: Weigh the corrector's pixels by the attention when it is fooled, which the paper
            describes and the released code leaves out.
        rounds: Rounds of self-training; 0 is the paper's DA, without.
        portion: Share of the pixels of each class that get a label.
        cap: Largest class threshold.
        rate: Learning rate of the self-training, of backbone and heads alike, in units of that of
            the settings.
        self_training_batch_norm: Batch-norm policy of the self-training. Published is ``eval``:
            the released code leaves the network in evaluation mode after labelling. Absent:
            ``eval`` where the network begins with given weights, ``train`` where not.
        discriminator_rate: Learning rate of both discriminators (one Adam, betas 0.9 and 0.99).
        discriminator_width: Channels of the corrector after its first layer.
        discoverer_width: The same of the discoverer; absent: half of those of the features, as
            published (24.8 million parameters on a ResNet-101).
    """

    summary = "discriminator attention on target features, then self-training"
    paper = "Yu et al., DAST: Discriminator Attention and Self-Training, AAAI 2021"
    needs: ClassVar[Needs] = Needs(networks=("discoverer", "corrector"), rounds=3, predictor=True)
    quick: ClassVar[Mapping[str, Any]] = {"rounds": 1, "discoverer_width": 64}
    small: ClassVar[Mapping[str, Any]] = {"warm_up": 0.4, "discriminator_width": 16}
    smoke_options: ClassVar[Mapping[str, Any]] = {"discriminator_width": 4}

    feature_weight: NotNegative = 0.01
    output_weight: NotNegative = 0.01
    pseudo_weight: NotNegative = 1.0
    reweight: bool = False
    rounds: Annotated[int, Field(ge=0)] = 3
    portion: Fraction = 0.5
    cap: Fraction = 0.9
    rate: Above0 = 0.8
    self_training_batch_norm: Policy | None = None
    discriminator_rate: Above0 = 1e-4
    discriminator_width: Positive = 64
    discoverer_width: Positive | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rows: dict[str, str] = {}

    def setup(self, context: Context) -> None:
        """Create discoverer and corrector, which share an optimiser."""
        channels = context.network.taps["deep"].channels
        context.add("discoverer", discoverer(channels, self.discoverer_width))
        corrector = output_discriminator(context.num_classes, self.discriminator_width)
        context.add("corrector", corrector)
        both = nn.ModuleList(context.modules.values())
        context.optimizers["discriminators"] = adam(both, self.discriminator_rate)

    def phases(self, steps: int) -> tuple[Phase, ...]:
        """Return warm-up, adversarial stage and rounds, as long as published in proportion."""
        first = round(self.warm_up * steps)
        adapting, rounds = divided(steps - first, (ADAPT, ROUND * self.rounds))
        lengths = (("warm_up", first), ("adapt", adapting))
        taught = (self.self_training(rounds),) if rounds else ()
        return (*(Phase(n, s, batch_norm=self.batch_norm) for n, s in lengths if s), *taught)

    def self_training(self, steps: int) -> Phase:
        """Return the rounds of self-training."""
        return Phase.of_rounds(
            "self_training",
            steps,
            self.rounds,
            batch_norm=self.kept_statistics(self.self_training_batch_norm),
            horizon=HORIZON * -(-steps // self.rounds),
            restart="optimizers",
        )

    def begin_round(self, context: Context, data: TrainingData, phase: Phase, index: int) -> None:
        """Label the target, and let the heads learn at the rate of the backbone from now on."""
        if phase.name != "self_training":
            return
        predictor = self.predictor(context.network, context.modules)
        labelling = Labelling(context, data, predictor)
        thresholds = labelling.confidences().thresholds(self.portion, cap=self.cap)
        self.rows = labelling.store_balanced(thresholds)
        labelling.note(self.portion, thresholds)
        for group in context.optimizers["network"].param_groups:
            group["initial_lr"] = self.rate * context.settings.learning_rate

    def view(self, context: Context, data: TrainingData, phase: Phase) -> TrainingData:
        """Return the target with labels beside itself, in the self-training."""
        if phase.name != "self_training":
            return data
        labels = context.stored(self.rows["labels"])
        pseudo = relabelled(data.target, labels, data.source.classes)
        return replace(data, further={**data.further, "pseudo": pseudo})

    def draw(self, data: TrainingData, step: int) -> StepBatch:
        """Choose the images of a step; labelled target images are its target images as well."""
        batch = data.draw(step)
        pseudo = batch.further.get("pseudo")
        if pseudo is None:
            return batch
        return replace(batch, target=TargetBatch(pseudo.images, pseudo.ids))

    def train_step(self, context: Context, phase: Phase, batch: StepBatch) -> dict[str, Tensor]:
        """Adapt, with labels for the target where there are any."""
        if "pseudo" not in batch.further:
            return super().train_step(context, phase, batch)
        labels = batch.further["pseudo"].labels
        return self.learn(context, batch.source, batch.target, labels=labels)

    def step(self, context: Context, source: SourceBatch, target: TargetBatch) -> dict[str, Tensor]:
        """Adapt without labels for the target."""
        return self.learn(context, source, target, labels=None)

    def learn(
        self, context: Context, source: SourceBatch, target: TargetBatch, *, labels: Tensor | None
    ) -> dict[str, Tensor]:
        """Source loss; fool both discriminators; move; let them tell the same maps apart."""
        source_output, losses = context.supervised(source, self.aux_source_weight)
        with context.frozen("discoverer", "corrector"):
            deep, scores, output = self.attend(context, target.images)
            fooling = self.fool(context, scores, output)
            if labels is not None:
                taught = cross_entropy(output.logits, labels)
                fooling["pseudo"] = self.pseudo_weight * taught
            context.backward(torch.stack(list(fooling.values())).sum())
        context.update("network")

        telling = {
            "tell_discoverer": self.tell(context, "discoverer", source_output.features.deep, deep),
            "tell_corrector": self.tell(
                context,
                "corrector",
                source_output.logits.softmax(dim=1),
                output.logits.softmax(dim=1),
            ),
        }
        context.backward(torch.stack(list(telling.values())).sum())
        context.update("discriminators")
        return losses | {name: loss.detach() for name, loss in (fooling | telling).items()}

    def attend(self, context: Context, images: Tensor) -> tuple[Tensor, Tensor, Output]:
        """Run target images: deep features, what the discoverer says of them, and the output.

        Gradients go through the discoverer too: the attention is not detached.
        """
        seen: list[tuple[Tensor, Tensor]] = []

        def between(features: Features) -> Features:
            scores = context.modules["discoverer"](features.deep)
            seen.append((features.deep, scores))
            return features._replace(deep=attended(features.deep, scores))

        output = context.forward(images, "target", between=between)
        return (*seen[0], output)

    def fool(self, context: Context, scores: Tensor, output: Output) -> dict[str, Tensor]:
        """Return the weighted losses of passing for the source.

        Raises:
            ConfigError: The images are too small for the corrector.
        """
        maps = output.logits.softmax(dim=1)
        check_size(maps)
        verdict, seen = scored(context, "corrector", maps), scores.float()
        on_output = (
            reweighted(verdict, seen)
            if self.reweight
            else domain_loss(verdict, SOURCE_LABEL, "mse")
        )
        return {
            "fool_discoverer": self.feature_weight * domain_loss(seen, SOURCE_LABEL, "mse"),
            "fool_corrector": self.output_weight * on_output,
        }

    def tell(self, context: Context, name: str, source: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a discriminator on maps of both domains, without a factor 1/2."""
        of_source = domain_loss(scored(context, name, source.detach()), SOURCE_LABEL, "mse")
        of_target = domain_loss(scored(context, name, target.detach()), TARGET_LABEL, "mse")
        return of_source + of_target

    def predictor(
        self, network: SegmentationNetwork, modules: Mapping[str, nn.Module]
    ) -> nn.Module:
        """Return the network with the attention of the discoverer."""
        return Attentive(network, modules["discoverer"])

    def state_dict(self) -> dict[str, Any]:
        """Return where the labels of the round are."""
        return {"rows": self.rows}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` returned."""
        self.rows = state["rows"]


class Attentive(nn.Module):
    """A network whose deep features are amplified where a discoverer is sure of the domain."""

    def __init__(self, network: SegmentationNetwork, discoverer: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.discoverer = discoverer

    def forward(self, images: Tensor) -> Output:
        """Return the output for target images (N, 3, H, W)."""
        features = self.network.encode(images)
        deep = attended(features.deep, self.discoverer(features.deep))
        output: Output = self.network.decode(features._replace(deep=deep))
        return output


def attended(features: Tensor, scores: Tensor) -> Tensor:
    """Return ``x (1 + |tanh D(x)|)`` (DAST, eq. 3).

    Args:
        features: x, (N, C, h, w).
        scores: D(x), (N, 1, h, w).
    """
    return features * (1 + scores.tanh().abs())


def reweighted(scores: Tensor, attention_scores: Tensor) -> Tensor:
    """Return the least-squares loss of passing for the source, pixels weighed by the attention.

    Args:
        scores: Of the corrector, (N, 1, h, w).
        attention_scores: Of the discoverer, (N, 1, H, W); resized to the other.
    """
    size = scores.shape[2:]
    attention = attention_scores.tanh().abs()
    weights = interpolate(attention, size=size, mode="bilinear", align_corners=True)
    return (weights * (scores - SOURCE_LABEL).square()).mean()


def discoverer(channels: int, width: int | None = None) -> nn.Sequential:
    """Four 3x3 convolutions of stride 1, ``C -> w -> w / 2 -> w / 4 -> 1``, leaky ReLU 0.2 between.

    Args:
        channels: C, those of the features.
        width: w; absent: C / 2.
    """
    first = width or channels // 2
    widths = [channels, *(max(1, first // divisor) for divisor in (1, 2, 4))]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 3, padding=1))
