"""Structure enhancement: features that suffice to draw the image again, and aligned outputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from autoadapt.config.settings import Above0, NotNegative, Positive
from autoadapt.data.batches import SourceBatch, TargetBatch
from autoadapt.data.transforms import to_pixels
from autoadapt.networks.contract import Output
from autoadapt.uda._aspp_discriminator import AsppDiscriminator
from autoadapt.uda._decoder import ImageDecoder
from autoadapt.uda._losses import SOURCE_LABEL, TARGET_LABEL, domain_loss
from autoadapt.uda.base import Context, Method, Needs

PUBLISHED_NUMBERS = 3 * 512 * 1024
"""Colours of an image of the published size."""


@dataclass
class StructureEnhancement(Method):
    """Structure enhancement: output-space alignment with a reconstruction branch.

    There is no released code; what the text leaves open is said at the options.

    A decoder draws the images of both domains from the deep features, so that these keep their
    structure; a discriminator on class probabilities aligns the outputs. A weight of 0 leaves a
    part out: the two ablations of the paper.

    The paper's L1 distance and its weight of 1e-5 only come to a term of order one if the distance
    is a sum over all colours of an image: as published, of 1024 x 512 pixels.

    Attributes:
        reconstruction_weight: Of the distance between images and their reconstructions.
        reduction: ``size_free`` is the mean times the number of colours of an image of the
            published size, so that the weight suits images of any size; ``sum`` and ``mean`` are
            over an image as it is.
        adversarial_weight: Of fooling the discriminator.
        saturating: Minimise ``log(1 - D)`` of the target, as the paper writes, instead of
            ``-log D``; its gradient vanishes where the discriminator is sure.
        rate: Learning rate of decoder and discriminator (Adam, betas 0.9 and 0.99).
        decoder_width: Channels of the residual blocks of the decoder.
        discriminator_width: Channels of each branch of the discriminator.
    """

    summary = "reconstruction of images from features, and aligned class probabilities"
    paper = "structure enhancement by reconstruction and output-space alignment; no code released"
    needs: ClassVar[Needs] = Needs(networks=("an image decoder", "a discriminator"))
    quick: ClassVar[Mapping[str, Any]] = {"decoder_width": 64, "discriminator_width": 32}
    small: ClassVar[Mapping[str, Any]] = {
        "warm_up": 0.5,
        "decoder_width": 32,
        "discriminator_width": 16,
    }
    smoke_options: ClassVar[Mapping[str, Any]] = {"decoder_width": 8, "discriminator_width": 4}

    reconstruction_weight: NotNegative = 1e-5
    reduction: Literal["size_free", "sum", "mean"] = "size_free"
    adversarial_weight: NotNegative = 1e-3
    saturating: bool = False
    rate: Above0 = 2.5e-4
    decoder_width: Positive = 512
    discriminator_width: Positive = 128

    def setup(self, context: Context) -> None:
        """Create the decoder and the discriminator, unless their weight is 0."""
        deep, classes = context.network.taps["deep"], context.num_classes
        if self.reconstruction_weight:
            self.add(context, "decoder", ImageDecoder(deep, self.decoder_width))
        if self.adversarial_weight:
            judge = AsppDiscriminator(classes, self.discriminator_width)
            self.add(context, "discriminator", judge)

    def add(self, context: Context, name: str, module: torch.nn.Module) -> None:
        """Put a module with its optimiser under the care of the loop."""
        module.to(context.device)
        adam = torch.optim.Adam(module.parameters(), lr=self.rate, betas=(0.9, 0.99))
        context.add(name, module, adam)

    def step(self, context: Context, source: SourceBatch, target: TargetBatch) -> dict[str, Tensor]:
        """Source and its image, target image and fooling, discriminator, all moves."""
        output, losses = context.supervised(
            source,
            self.aux_source_weight,
            also=lambda found: self.drawn(context, found, source.images, "source"),
        )
        target_output = context.forward(target.images, "target")
        with context.frozen(*["discriminator"] * bool(self.adversarial_weight)):
            wanted = self.drawn(context, target_output, target.images, "target")
            wanted |= self.fooled(context, target_output)
        if wanted:
            context.backward(torch.stack(list(wanted.values())).sum())
        wanted |= self.told(context, output, target_output)
        context.update("network", *context.modules)
        return losses | {name: loss.detach() for name, loss in wanted.items()}

    def drawn(
        self, context: Context, output: Output, images: Tensor, domain: str
    ) -> dict[str, Tensor]:
        """Return the weighted distance of images to their reconstructions."""
        if not self.reconstruction_weight:
            return {}
        wanted = to_pixels(images, context.normalisation) / 127.5 - 1
        with context.autocast():
            found = context.modules["decoder"](output.features.deep, tuple(images.shape[2:]))
        distance = functional.l1_loss(found.float(), wanted)
        weight = self.reconstruction_weight * self.numbers(images)
        return {f"reconstruct_{domain}": weight * distance}

    def numbers(self, images: Tensor) -> int:
        """Return what a mean distance is multiplied by."""
        own = images[0].numel()
        return {"size_free": PUBLISHED_NUMBERS, "sum": own, "mean": 1}[self.reduction]

    def fooled(self, context: Context, output: Output) -> dict[str, Tensor]:
        """Return the weighted loss of taking target maps for source ones."""
        if not self.adversarial_weight:
            return {}
        scores = self.scores(context, output.logits)
        if self.saturating:
            fooling = -domain_loss(scores, TARGET_LABEL)
        else:
            fooling = domain_loss(scores, SOURCE_LABEL)
        return {"fool": self.adversarial_weight * fooling}

    def told(self, context: Context, source: Output, target: Output) -> dict[str, Tensor]:
        """Train the discriminator on the same maps and return its loss."""
        if not self.adversarial_weight:
            return {}
        on_source = domain_loss(self.scores(context, source.logits.detach()), SOURCE_LABEL)
        on_target = domain_loss(self.scores(context, target.logits.detach()), TARGET_LABEL)
        loss = on_source + on_target
        context.backward(loss)
        return {"tell": loss}

    def scores(self, context: Context, logits: Tensor) -> Tensor:
        """Return what the discriminator says about class probabilities."""
        with context.autocast():
            scores: Tensor = context.modules["discriminator"](logits.softmax(dim=1))
        return scores.float()
