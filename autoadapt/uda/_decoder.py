"""From deep features back to an image."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from autoadapt.networks.contract import Tap

SMALLEST_WIDTH = 8
"""Channels below which the upper layers do not go."""


class ImageDecoder(nn.Module):
    """Decodes features into RGB in [-1, 1]; of the form of UNIT's decoder (Liu et al. 2017).

    A 1x1 convolution, three residual blocks with instance normalisation, a transposed convolution
    with half the channels for each halving of the features, a 1x1 convolution and tanh.

    Args:
        tap: Channels and stride of the features; the stride is a power of two.
        width: Channels of the residual blocks.
    """

    def __init__(self, tap: Tap, width: int = 512) -> None:
        super().__init__()
        doublings = tap.stride.bit_length() - 1
        widths = [max(SMALLEST_WIDTH, width >> number) for number in range(doublings + 1)]
        layers: list[nn.Module] = [nn.Conv2d(tap.channels, width, 1)]
        layers += [ResidualBlock(width) for _ in range(3)]
        for before, after in pairwise(widths):
            layers += [
                nn.ConvTranspose2d(before, after, 4, stride=2, padding=1),
                nn.LeakyReLU(0.2),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 3, 1), nn.Tanh())

    def forward(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        """Return images (N, 3, *size) of features (N, C, h, w)."""
        images: Tensor = self.layers(features)
        if images.shape[2:] == size:
            return images
        return functional.interpolate(images, size=size, mode="bilinear", align_corners=False)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with instance normalisation, added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.InstanceNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1),
            nn.InstanceNorm2d(width),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, width, h, w) to the same shape."""
        changed: Tensor = self.layers(features)
        return features + changed
