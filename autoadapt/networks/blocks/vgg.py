"""The convolutions of VGG networks.

The layers lie flat in one sequence in torchvision's order, so its ``features.N`` fit as names.
"""

from collections.abc import Callable

from torch import nn

DEPTHS = (2, 2, 3, 3, 3)
"""Convolutions of each of the five blocks."""

FACTORS = (1, 2, 4, 8, 8)
"""Channels of each block, in units of the first one's (64 in the publication)."""


def vgg16_widths(width: int) -> tuple[int, ...]:
    """Return the channels of the five blocks."""
    return tuple(width * factor for factor in FACTORS)


def vgg16_features(
    width: int, *, batch_norm: bool, pool: Callable[[], nn.MaxPool2d]
) -> nn.Sequential:
    """Return 13 convolutions of 3x3 in five blocks, each with a pooling layer at its end.

    Args:
        width: Channels of the first block.
        batch_norm: Whether a batch normalisation follows each convolution.
        pool: Makes the pooling layer of a block.
    """
    layers: list[nn.Module] = []
    inputs = 3
    for depth, outputs in zip(DEPTHS, vgg16_widths(width), strict=True):
        for _ in range(depth):
            layers += conv_relu(inputs, outputs, batch_norm=batch_norm)
            inputs = outputs
        layers.append(pool())
    return nn.Sequential(*layers)


def conv_relu(
    inputs: int, outputs: int, *, dilation: int = 1, batch_norm: bool = False
) -> list[nn.Module]:
    """Return a 3x3 convolution with bias that keeps the size, perhaps a norm, and a rectifier."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
    norm = [nn.BatchNorm2d(outputs)] if batch_norm else []
    return [layer, *norm, nn.ReLU(inplace=True)]
