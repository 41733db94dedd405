"""U-Net on ResNet-50, laid out as in segmentation_models_pytorch.

The network of the study on batch normalisation in fog: with the encoder of ResNet-50, decoder
widths 256-128-64-32-16 and 20 classes it has 32,523,860 parameters. Parameters are named as
there (``encoder.layer1.0.conv1``, ``decoder.blocks.0.conv1.0``, ``segmentation_head.0``), and in
the encoder as torchvision's.

Choices (flat keys):

================== ==========================================================
``encoder.width``  channels of the stem, 64 in ResNet-50
``encoder.depths`` blocks of the four stages, [3, 4, 6, 3]
``decoder.widths`` channels of the five decoder blocks, [256, 128, 64, 32, 16]
================== ==========================================================
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from autoadapt.networks.blocks.layers import (
    conv_norm_relu,
    convolution,
    initialise,
    zero_bias,
)
from autoadapt.networks.blocks.residual import BlockPlan, Bottleneck
from autoadapt.networks.contract import Features, Output, SegmentationNetwork, Tap
from autoadapt.networks.values import ValueReader
from autoadapt.space.architecture import Value


@dataclass(frozen=True)
class UnetPlan:
    """Every decision about one U-Net."""

    width: int
    depths: tuple[int, ...]
    decoder_widths: tuple[int, ...]

    @classmethod
    def read(cls, values: Mapping[str, Value]) -> "UnetPlan":
        """Make a plan of the values of an architecture.

        Raises:
            SpaceError: A value is missing, unknown or malformed.
        """
        reader = ValueReader("unet", values)
        plan = cls(
            reader.positive("encoder.width"),
            reader.several("encoder.depths", 4),
            reader.several("decoder.widths", 5),
        )
        reader.finish()
        return plan

    @property
    def encoder_widths(self) -> tuple[int, ...]:
        """Channels at strides 2, 4, 8, 16 and 32."""
        stages = (Bottleneck.expansion * self.width * factor for factor in (1, 2, 4, 8))
        return self.width, *stages


class Unet(SegmentationNetwork):
    """A residual encoder to stride 32, and a decoder that takes over its maps at every stride.

    ``low``, ``mid`` and ``deep`` are stages 1, 3 and 4 of the encoder; ``skips`` are its stem and
    stage 2. Of an image of odd height or width the logits have one row or column more. There is
    no auxiliary output.

    Args:
        values: The values of an architecture.
        num_classes: Channels of the logits.

    Raises:
        SpaceError: A value is missing, unknown or malformed; the message names the key.
    """

    smoke_values: ClassVar[Mapping[str, Any]] = {
        "encoder.width": 4,
        "encoder.depths": [1, 2, 1, 1],
        "decoder.widths": [10, 9, 8, 7, 6],
    }

    has_aux = False

    def __init__(self, values: Mapping[str, Value], num_classes: int) -> None:
        super().__init__()
        plan = UnetPlan.read(values)
        self.num_classes = num_classes
        _, low, _, mid, deep = plan.encoder_widths
        self.taps = {"low": Tap(low, 4), "mid": Tap(mid, 16), "deep": Tap(deep, 32)}
        self.encoder = ResidualEncoder(plan.width, plan.depths)
        self.decoder = UnetDecoder(plan.encoder_widths, plan.decoder_widths)
        head = nn.Conv2d(plan.decoder_widths[-1], num_classes, 3, padding=1)
        nn.init.xavier_uniform_(head.weight)
        zero_bias(head)
        self.segmentation_head = nn.Sequential(head)

    @staticmethod
    def describe(values: Mapping[str, Value]) -> str:
        """Return the architecture in a few sentences.

        Raises:
            SpaceError: A value is missing, unknown or malformed.
        """
        plan = UnetPlan.read(values)
        return (
            f"U-Net: a residual encoder of {'-'.join(map(str, plan.depths))} bottleneck blocks "
            f"behind a stem of {plan.width} channels, and a decoder of "
            f"{'-'.join(map(str, plan.decoder_widths))} channels that takes over the maps of "
            "every stride up to the size of the image. There is no auxiliary head."
        )

    def encode(self, images: Tensor) -> Features:
        """Turn normalised images (N, 3, H, W) into features of the stem and the stages."""
        stem, low, second, mid, deep = self.encoder(images)
        return Features(low=low, mid=mid, deep=deep, skips=(stem, second))

    def decode(self, features: Features) -> Output:
        """Return logits at the size of the image, rounded up to even numbers."""
        stem, second = features.skips
        refined = self.decoder(features.deep, (features.mid, second, features.low, stem))
        return Output(self.segmentation_head(refined), features, None)

    def head_modules(self) -> list[nn.Module]:
        """Return the decoder and the classifier."""
        return [self.decoder, self.segmentation_head]


class ResidualEncoder(nn.Module):
    """ResNet with bottleneck blocks and the stride in the 3x3, as torchvision's; no classifier.

    Args:
        width: Channels of the stem.
        depths: Blocks of each stage.
    """

    def __init__(self, width: int, depths: tuple[int, ...]) -> None:
        super().__init__()
        self.conv1 = convolution(3, width, 7, stride=2)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs = width
        self.stages = [f"layer{number}" for number in range(1, len(depths) + 1)]
        for number, (name, depth) in enumerate(zip(self.stages, depths, strict=True)):
            planes, stride = width * 2**number, 1 if number == 0 else 2
            self.add_module(name, residual_stage(inputs, planes, depth, stride))
            inputs = planes * Bottleneck.expansion
        initialise(self)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps of the stem, stride 2, and of the stages, strides 4, 8, 16 and 32."""
        maps = [self.relu(self.bn1(self.conv1(images)))]
        features = self.maxpool(maps[0])
        for name in self.stages:
            features = self.get_submodule(name)(features)
            maps.append(features)
        return maps


class UnetDecoder(nn.Module):
    """Doubles a map five times, next to the encoder's map of that size where there is one.

    Args:
        encoder_widths: Channels of the encoder's maps, the largest map first.
        widths: Channels of the blocks.
    """

    def __init__(self, encoder_widths: tuple[int, ...], widths: tuple[int, ...]) -> None:
        super().__init__()
        deep, *skips = encoder_widths[::-1]
        inputs = (deep, *widths[:-1])
        self.blocks = nn.ModuleList(
            UnetBlock(before + skip, outputs)
            for before, skip, outputs in zip(inputs, (*skips, 0), widths, strict=True)
        )

    def forward(self, deep: Tensor, skips: tuple[Tensor, ...]) -> Tensor:
        """Map the deepest map and the others, the smallest first, to twice the largest's size."""
        refined = deep
        for number, block in enumerate(self.blocks):
            if number < len(skips):
                height, width = skips[number].shape[2:]
                refined = interpolate(refined, size=(height, width), mode="nearest")
                refined = torch.cat([refined, skips[number]], dim=1)
            else:
                refined = interpolate(refined, scale_factor=2, mode="nearest")
            refined = block(refined)
        return refined


class UnetBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation and rectifier."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = conv_norm_relu(inputs, outputs, 3)
        self.conv2 = conv_norm_relu(outputs, outputs, 3)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W)."""
        refined: Tensor = self.conv2(self.conv1(features))
        return refined


def residual_stage(inputs: int, planes: int, depth: int, stride: int) -> nn.Sequential:
    """Return the blocks of one stage; the first one has the stride and a projection."""
    blocks = []
    for number in range(depth):
        first = number == 0
        plan = BlockPlan(
            planes=planes, stride=stride if first else 1, project=first, stride_in="3x3"
        )
        blocks.append(Bottleneck(inputs if first else planes * Bottleneck.expansion, plan))
    return nn.Sequential(*blocks)
