"""Heads that read a pyramid of feature maps, named as the published ones of mmsegmentation.

Both project every level to one width, resize all to the first level's size and fuse them. They
resize without aligned corners, as published; the logits of every network are then enlarged with
aligned corners by whoever needs them at the size of the image.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from autoadapt.networks.blocks.layers import convolution, zero_bias
from autoadapt.networks.blocks.transformer import to_map, to_tokens


class LinearEmbedding(nn.Module):
    """A linear layer on every pixel."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.proj = nn.Linear(inputs, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, inputs, h, w) to (N, outputs, h, w)."""
        height, width = features.shape[2:]
        return to_map(self.proj(to_tokens(features)), (height, width))


class NamedConvolution(nn.Module):
    """Convolution, batch normalisation and rectifier, with the names ``conv`` and ``bn``.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        kernel: Odd size.
        dilation: Distance of its taps.
        depthwise: Whether each channel is on its own; then ``outputs`` equals ``inputs``.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, dilation: int = 1, depthwise: bool = False
    ) -> None:
        super().__init__()
        self.conv = convolution(
            inputs, outputs, kernel, dilation=dilation, groups=inputs if depthwise else 1
        )
        self.bn = nn.BatchNorm2d(outputs)
        self.activate = nn.ReLU(inplace=True)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, inputs, h, w) to (N, outputs, h, w)."""
        mapped: Tensor = self.activate(self.bn(self.conv(features)))
        return mapped


class SeparableConvolution(nn.Module):
    """A dilated 3x3 convolution of each channel, then a 1x1 convolution across them."""

    def __init__(self, inputs: int, outputs: int, *, dilation: int) -> None:
        super().__init__()
        self.depthwise_conv = NamedConvolution(inputs, inputs, 3, dilation=dilation, depthwise=True)
        self.pointwise_conv = NamedConvolution(inputs, outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, inputs, h, w) to (N, outputs, h, w)."""
        mapped: Tensor = self.pointwise_conv(self.depthwise_conv(features))
        return mapped


class SeparableAspp(nn.Module):
    """A 1x1 and dilated separable 3x3 branches in parallel, fused by a 3x3 convolution.

    Args:
        inputs: Channels of the features.
        width: Channels of each branch and of the result.
        rates: Dilation of each separable branch.
    """

    def __init__(self, inputs: int, width: int, rates: Sequence[int]) -> None:
        super().__init__()
        separable = [SeparableConvolution(inputs, width, dilation=rate) for rate in rates]
        self.aspp_modules = nn.ModuleList([NamedConvolution(inputs, width, 1), *separable])
        self.bottleneck = NamedConvolution(width * (1 + len(rates)), width, 3)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, inputs, h, w) to (N, width, h, w)."""
        branches = [branch(features) for branch in self.aspp_modules]
        fused: Tensor = self.bottleneck(torch.cat(branches, dim=1))
        return fused


class MlpHead(nn.Module):
    """SegFormer's head: linear layers alone (Xie et al., NeurIPS 2021).

    Args:
        channels: Of each level, the largest map first.
        width: Channels of the embeddings; 256 for B0 and B1, 768 for the larger ones.
        num_classes: Channels of the logits.
        dropout: Chance of dropping a channel before the classifier.
    """

    def __init__(
        self, channels: Sequence[int], width: int, num_classes: int, *, dropout: float
    ) -> None:
        super().__init__()
        self.levels = [f"linear_c{number}" for number in range(1, len(channels) + 1)]
        for name, inputs in zip(self.levels, channels, strict=True):
            self.add_module(name, LinearEmbedding(inputs, width))
        self.linear_fuse = NamedConvolution(width * len(channels), width, 1)
        self.dropout = nn.Dropout2d(dropout)
        self.linear_pred = classifier(width, num_classes)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Return logits at the size of the first level."""
        embedded = [
            self.get_submodule(name)(level) for name, level in zip(self.levels, levels, strict=True)
        ]
        # The published head concatenates from the deepest level to the first.
        fused = self.linear_fuse(torch.cat(resized(embedded)[::-1], dim=1))
        logits: Tensor = self.linear_pred(self.dropout(fused))
        return logits


class DaformerHead(nn.Module):
    """DAFormer's head: embeddings fused by a separable ASPP without pooling (Hoyer et al., 2022).

    Args:
        channels: Of each level, the largest map first.
        width: Channels of the embeddings and of the fusion.
        num_classes: Channels of the logits.
        rates: Dilation rates of the fusion.
        dropout: Chance of dropping a channel before the classifier.
    """

    def __init__(
        self,
        channels: Sequence[int],
        width: int,
        num_classes: int,
        *,
        rates: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        self.embed_layers = nn.ModuleList(LinearEmbedding(inputs, width) for inputs in channels)
        self.fuse_layer = SeparableAspp(width * len(channels), width, rates)
        self.dropout = nn.Dropout2d(dropout)
        self.conv_seg = classifier(width, num_classes)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Return logits at the size of the first level."""
        embedded = [embed(level) for embed, level in zip(self.embed_layers, levels, strict=True)]
        fused = self.fuse_layer(torch.cat(resized(embedded), dim=1))
        logits: Tensor = self.conv_seg(self.dropout(fused))
        return logits


def resized(levels: Sequence[Tensor]) -> list[Tensor]:
    """Resize all maps to the size of the first one, corners not aligned."""
    first, *others = levels
    height, width = first.shape[2:]
    return [
        first,
        *(
            interpolate(level, size=(height, width), mode="bilinear", align_corners=False)
            for level in others
        ),
    ]


def classifier(inputs: int, num_classes: int) -> nn.Conv2d:
    """Return a 1x1 convolution with small normal weights and zero biases."""
    layer = nn.Conv2d(inputs, num_classes, 1)
    nn.init.normal_(layer.weight, std=0.01)
    zero_bias(layer)
    return layer
