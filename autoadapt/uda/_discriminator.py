"""The fully convolutional discriminator on output maps (AdaptSegNet; also AdvEnt and IntraDA)."""

from itertools import pairwise

from torch import nn

SMALLEST = 32
"""Height and width below which nothing is left after the five halvings."""


def output_discriminator(num_classes: int, width: int = 64) -> nn.Sequential:
    """Five 4x4 convolutions of stride 2, ``C -> w -> 2w -> 4w -> 8w -> 1``, leaky ReLU 0.2 between.

    No normalisation and no sigmoid. With 19 classes and the published width of 64 it has
    2,781,121 parameters. Maps (N, C, H, W) become scores (N, 1, about H / 32, about W / 32);
    H and W must be at least ``SMALLEST``.
    """
    channels = [num_classes, width, 2 * width, 4 * width, 8 * width]
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(channels[-1], 1, 4, stride=2, padding=1))
