"""Image-to-image networks and their adversaries (CycleGAN), as CyCADA and MADAN train them."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from autoadapt.config.settings import Normalisation
from autoadapt.data.transforms import from_pixels, to_pixels

REAL = 1.0
FAKE = 0.0
"""Labels of real and made images for patch discriminators."""

MULTIPLE = 4
"""Sides of an image that a generator can halve twice and double again."""


def to_signed(images: Tensor, convention: Normalisation) -> Tensor:
    """Return network input (N, 3, H, W) as RGB in [-1, 1]."""
    return to_pixels(images, convention) / 127.5 - 1


def from_signed(images: Tensor, convention: Normalisation) -> Tensor:
    """Undo ``to_signed``."""
    return from_pixels((images + 1) * 127.5, convention)


def pixels_of(signed: Tensor) -> Tensor:
    """Return RGB (N, 3, H, W) in [-1, 1] as uint8 images (N, H, W, 3)."""
    pixels = ((signed.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1)


class Generator(nn.Module):
    """The residual generator of CycleGAN (Zhu et al. 2017; Johnson et al. 2016).

    A 7x7 convolution, two halvings, residual blocks, two doublings, a 7x7 convolution and tanh;
    instance normalisation, reflected borders. With a width of 64 and 9 blocks it has 11,378,179
    parameters. Sides that are no multiple of four are extended by reflection and cut again.

    Args:
        width: Channels after the first layer.
        blocks: Number of residual blocks.
        dropout: Share of the numbers dropped inside the blocks while training.
    """

    def __init__(self, width: int = 64, blocks: int = 9, *, dropout: float = 0.0) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7), *after(width)]
        for inputs, outputs in pairwise((width, 2 * width, 4 * width)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), *after(outputs)]
        layers += [Residual(4 * width, dropout) for _ in range(blocks)]
        for inputs, outputs in pairwise((4 * width, 2 * width, width)):
            up = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
            layers += [up, *after(outputs)]
        self.layers = nn.Sequential(
            *layers, nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh()
        )
        self.apply(initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, H, W) in [-1, 1] to images of the same shape."""
        height, width = images.shape[2:]
        missing = (0, -width % MULTIPLE, 0, -height % MULTIPLE)
        padded = functional.pad(images, missing, mode="reflect") if any(missing) else images
        made: Tensor = self.layers(padded)
        return made[:, :, :height, :width]


class Residual(nn.Module):
    """Two 3x3 convolutions with instance normalisation, added to what came in."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        between = [nn.Dropout(dropout)] if dropout else []
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            *after(width),
            *between,
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            nn.InstanceNorm2d(width),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, width, h, w) to the same shape."""
        changed: Tensor = self.layers(features)
        return features + changed


def after(width: int) -> list[nn.Module]:
    """Return what follows a convolution."""
    return [nn.InstanceNorm2d(width), nn.ReLU(inplace=True)]


class PatchDiscriminator(nn.Sequential):
    """Judges overlapping patches of 70 x 70 pixels (Isola et al. 2017), one score each.

    4x4 convolutions with strides 2, 2, 2, 1, 1; instance normalisation in the middle three, leaky
    ReLU 0.2. With a width of 64 it has 2,764,737 parameters.

    Args:
        width: Channels after the first layer.
    """

    def __init__(self, width: int = 64) -> None:
        widths = (width, 2 * width, 4 * width, 8 * width)
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for (inputs, outputs), stride in zip(pairwise(widths), (2, 2, 1), strict=True):
            layers += [
                nn.Conv2d(inputs, outputs, 4, stride=stride, padding=1),
                nn.InstanceNorm2d(outputs),
                nn.LeakyReLU(0.2),
            ]
        super().__init__(*layers, nn.Conv2d(widths[-1], 1, 4, padding=1))
        self.apply(initialise)


def initialise(module: nn.Module) -> None:
    """Give convolutions normal weights of deviation 0.02 and no bias, as CycleGAN does."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def judged(scores: Tensor, label: float) -> Tensor:
    """Return the mean squared distance of scores from a label (LSGAN)."""
    return functional.mse_loss(scores, torch.full_like(scores, label))


@dataclass
class ImagePool:
    """Images made before, of which a discriminator sees some (Shrivastava et al. 2017).

    While the pool fills, new images go in and are returned. Then each new image is, with
    probability one half, exchanged for a random one of the pool.

    Attributes:
        size: Largest number of images kept; 0 returns what it is given.
    """

    size: int = 50
    images: list[Tensor] = field(default_factory=list)

    def exchanged(self, made: Tensor, rng: np.random.Generator) -> Tensor:
        """Return images (N, 3, H, W) for new ones, detached."""
        return torch.stack([self.exchange(one, rng) for one in made.detach()])

    def exchange(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        """Return an image for a new one."""
        if len(self.images) < self.size:
            self.images.append(image.clone())
            return image
        if not self.size or rng.random() < 0.5:
            return image
        place = int(rng.integers(self.size))
        old, self.images[place] = self.images[place], image.clone()
        return old.to(image.device)  # a resumed run has it in the memory of the CPU
