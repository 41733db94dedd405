"""FCAN: source images in the appearance of the target, and features that tell no domain."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from autoadapt.config.settings import Above0, Fraction, NotNegative, Positive
from autoadapt.data.batches import SourceBatch, TargetBatch
from autoadapt.data.training import StepBatch, TrainingData
from autoadapt.data.views import repainted
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.uda._aspp_discriminator import AsppDiscriminator
from autoadapt.uda._decoder import ImageDecoder
from autoadapt.uda._losses import SOURCE_LABEL, TARGET_LABEL, domain_loss
from autoadapt.uda._sweep import Sums
from autoadapt.uda._teacher import copy_weights
from autoadapt.uda._translation import pixels_of, to_signed
from autoadapt.uda.base import Context, Method, Needs, Phase, divided

EPSILON = 1e-5
"""Added to variances before their root is taken."""


@dataclass
class Fcan(Method):
    """FCAN (Zhang et al., CVPR 2018): appearance, then representation adaptation.

    The paper optimises each source image for a thousand passes through a ResNet-50: weeks for
    a data set. Here appearance is adapted by one forward pass, as in AdaIN (Huang and Belongie
    2017): a decoder learns to draw images of both domains from the low features of the network
    as the source stage left it; then each channel of a source image's features gets mean and
    deviation of the target, averaged over all its images as the paper averages Gram matrices, and
    is drawn. Representation is adapted as in the paper: a discriminator with dilated branches on
    the deep features.

    Attributes:
        warm_up: Share of the steps that train on the source as it is.
        appearance_share: Share of the steps that train the decoder; 0 leaves images as they are.
        decoder_width: Channels of the decoder.
        decoder_rate: Its learning rate (Adam), constant.
        style: How far statistics move to those of the target, in [0, 1].
        adversarial_weight: Of fooling the discriminator. The paper weighs the segmentation loss
            with 5 against 1; this is the same up to the learning rate.
        discriminator_width: Channels of each branch of the discriminator.
        discriminator_rate: Its learning rate (Adam, betas 0.9 and 0.99).
    """

    summary = "source images in the style of the target (AdaIN), adversarial deep features"
    paper = "Zhang et al., Fully Convolutional Adaptation Networks, CVPR 2018"
    needs: ClassVar[Needs] = Needs(
        networks=("a frozen twin", "an image decoder", "a discriminator")
    )
    quick: ClassVar[Mapping[str, Any]] = {"decoder_width": 32}
    small: ClassVar[Mapping[str, Any]] = {"discriminator_width": 16}
    smoke_options: ClassVar[Mapping[str, Any]] = {
        "decoder_width": 8,
        "discriminator_width": 4,
        "appearance_share": 0.4,
    }

    warm_up: Fraction = 0.25
    appearance_share: Fraction = 0.25
    decoder_width: Positive = 128
    decoder_rate: Above0 = 1e-3
    style: Fraction = 1.0
    adversarial_weight: NotNegative = 0.2
    discriminator_width: Positive = 128
    discriminator_rate: Above0 = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        self.painted = ""

    def setup(self, context: Context) -> None:
        """Create the frozen twin, the decoder and the discriminator."""
        taps = context.network.taps
        if self.appearance_share:
            context.add("twin", copy.deepcopy(context.network).requires_grad_(False).eval())
            decoder = ImageDecoder(taps["low"], self.decoder_width).to(context.device)
            adam = torch.optim.Adam(decoder.parameters(), lr=self.decoder_rate)
            context.add("decoder", decoder, adam)
        judge = AsppDiscriminator(taps["deep"].channels, self.discriminator_width)
        judge.to(context.device)
        rate = self.discriminator_rate
        adam = torch.optim.Adam(judge.parameters(), lr=rate, betas=(0.9, 0.99))
        context.add("discriminator", judge, adam)

    def phases(self, steps: int) -> tuple[Phase, ...]:
        """Divide the steps by the shares."""
        rest = max(0.0, 1 - self.warm_up - self.appearance_share)
        shares = (self.warm_up, self.appearance_share, rest)
        first, middle, last = divided(steps, [round(1000 * share) for share in shares])
        laid = (
            Phase("warm_up", first, batch_norm=self.batch_norm),
            Phase("appearance", middle, batch_norm="eval", restart="schedule", power=0.0),
            Phase("adapt", last, batch_norm=self.batch_norm, restart="schedule"),
        )
        return tuple(phase for phase in laid if phase.steps)

    def begin_round(self, context: Context, data: TrainingData, phase: Phase, index: int) -> None:
        """Freeze the network before the decoder learns; paint the source after it has."""
        if phase.name == "appearance":
            copy_weights(context.modules["twin"], context.network)
        if phase.name == "adapt" and self.appearance_share:
            self.painted = self.paint(context, data, self.style_of(context, data))

    def low(self, context: Context, images: Tensor) -> Tensor:
        """Return the low features of the frozen network, without gradients."""
        twin = context.modules["twin"].eval()
        assert isinstance(twin, SegmentationNetwork)
        with torch.no_grad(), context.autocast():
            return twin.encode(images).low.float()

    def style_of(self, context: Context, data: TrainingData) -> tuple[Tensor, Tensor]:
        """Return mean and deviation of each channel, averaged over the target images, (C,)."""
        channels = context.network.taps["low"].channels
        mean, deviation = (torch.zeros(channels, dtype=torch.float64) for _ in range(2))
        sweep = context.go_through(
            data,
            data.target,
            "measuring style",
            lambda batch: moments(self.low(context, batch.images.to(context.device))),
            tallies={"style": Sums({"mean": mean, "deviation": deviation})},
            given=[context.modules["twin"]],
        )
        for _, found in sweep:
            for total, moment in zip((mean, deviation), found, strict=True):
                total += moment.sum(dim=0).double().cpu()
        count = len(data.target)
        return (mean / count).float(), (deviation / count).float()

    def paint(self, context: Context, data: TrainingData, style: tuple[Tensor, Tensor]) -> str:
        """Store the source images in a style, (H, W, 3), and return where."""
        sweep = context.go_through(
            data,
            data.source.unlabelled(),
            "painting",
            lambda batch: self.in_style(context, batch.images.to(context.device), style),
            shapes={"painted": (*data.source.size, 3)},
            given=[context.modules["twin"], context.modules["decoder"], *style],
        )
        for _, painted in sweep:
            sweep.put(painted=painted)
        return sweep.references["painted"]

    def in_style(self, context: Context, images: Tensor, style: tuple[Tensor, Tensor]) -> Tensor:
        """Return images (N, 3, H, W) in a style, (N, H, W, 3) uint8."""
        moved = restyled(self.low(context, images), *style, share=self.style)
        with torch.no_grad(), context.autocast():
            made = context.modules["decoder"](moved, (images.shape[2], images.shape[3]))
        return pixels_of(made)

    def view(self, context: Context, data: TrainingData, phase: Phase) -> TrainingData:
        """Replace the source images by the painted ones while representation is adapted."""
        if phase.name != "adapt" or not self.painted:
            return data
        return replace(data, source=repainted(data.source, context.stored(self.painted)))

    def train_step(self, context: Context, phase: Phase, batch: StepBatch) -> dict[str, Tensor]:
        """Let the decoder learn in its phase."""
        if phase.name == "appearance":
            return self.learn_to_draw(context, batch)
        return super().train_step(context, phase, batch)

    def learn_to_draw(self, context: Context, batch: StepBatch) -> dict[str, Tensor]:
        """Move the decoder towards drawing the images of both domains."""
        losses = {}
        for domain, images in (("source", batch.source.images), ("target", batch.target.images)):
            wanted = to_signed(images, context.normalisation)
            with context.autocast():
                features = self.low(context, images)
                drawn = context.modules["decoder"](features, (images.shape[2], images.shape[3]))
            losses[f"draw_{domain}"] = functional.l1_loss(drawn.float(), wanted)
        context.backward(torch.stack(list(losses.values())).sum())
        context.update("decoder")
        return {name: loss.detach() for name, loss in losses.items()}

    def step(self, context: Context, source: SourceBatch, target: TargetBatch) -> dict[str, Tensor]:
        """Source loss, fool the discriminator with deep features, train it, move both."""
        output, losses = context.supervised(source, self.aux_source_weight)
        target_output = context.forward(target.images, "target")
        deep = [output.features.deep.detach(), target_output.features.deep]
        with context.frozen("discriminator"):
            fooling = domain_loss(self.scores(context, deep[1]), SOURCE_LABEL)
            fooling = self.adversarial_weight * fooling
        context.backward(fooling)
        on_source = domain_loss(self.scores(context, deep[0]), SOURCE_LABEL)
        on_target = domain_loss(self.scores(context, deep[1].detach()), TARGET_LABEL)
        telling = (on_source + on_target) / 2
        context.backward(telling)
        context.update("network", "discriminator")
        return losses | {"fool": fooling.detach(), "tell": telling.detach()}

    def scores(self, context: Context, features: Tensor) -> Tensor:
        """Return what the discriminator says about deep features."""
        with context.autocast():
            scores: Tensor = context.modules["discriminator"](features)
        return scores.float()

    def state_dict(self) -> dict[str, Any]:
        """Return where the painted images are."""
        return {"painted": self.painted}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` returned."""
        self.painted = state["painted"]


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each channel of each image, (N, C) of (N, C, h, w)."""
    variance, mean = torch.var_mean(features, dim=(2, 3), correction=0)
    return mean, (variance + EPSILON).sqrt()


def restyled(features: Tensor, mean: Tensor, deviation: Tensor, *, share: float) -> Tensor:
    """Give each channel another mean and deviation (AdaIN, eq. 8).

    Args:
        features: (N, C, h, w).
        mean: (C,) wanted.
        deviation: (C,) wanted.
        share: How far to go; 0 leaves the features as they are.
    """
    own_mean, own_deviation = (moment[:, :, None, None] for moment in moments(features))
    wanted = [moment.to(features)[None, :, None, None] for moment in (mean, deviation)]
    moved = (features - own_mean) / own_deviation * wanted[1] + wanted[0]
    return torch.lerp(features, moved, share)
