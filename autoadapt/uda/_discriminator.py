"""The fully convolutional discriminator on output maps (AdaptSegNet; also AdvEnt and IntraDA)."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from autoadapt.errors import ConfigError
from autoadapt.uda._losses import domain_loss
from autoadapt.uda.base import Context

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


def judge(context: Context, name: str, maps: Tensor, label: float, *, kind: str) -> Tensor:
    """Return the loss of one discriminator if maps came from the domain of ``label``.

    Args:
        context: Holds the discriminator among its modules.
        name: Its name there.
        maps: (N, C, H, W) what it judges.
        label: ``SOURCE_LABEL`` or ``TARGET_LABEL``.
        kind: Of ``domain_loss``.

    Raises:
        ConfigError: The maps are too small for five halvings.
    """
    check_size(maps)
    return domain_loss(scored(context, name, maps), label, kind)


def scored(context: Context, name: str, maps: Tensor) -> Tensor:
    """Return what a discriminator says of maps (N, C, H, W), before any sigmoid: (N, 1, h, w)."""
    with context.autocast():
        scores: Tensor = context.modules[name](maps)
    return scores.float()


def check_size(maps: Tensor) -> None:
    """Refuse maps (N, C, H, W) that are too small for the discriminator on output maps.

    Raises:
        ConfigError: Nothing would be left after five halvings.
    """
    height, width = maps.shape[2:]
    if min(height, width) < SMALLEST:
        raise ConfigError(
            f"the discriminator needs maps of at least {SMALLEST} x {SMALLEST} pixels, got "
            f"{height} x {width}; enlarge data.crop or data.size"
        )


def adam(module: nn.Module, rate: float) -> torch.optim.Adam:
    """Return the optimiser of discriminators in this family, betas 0.9 and 0.99."""
    return torch.optim.Adam(module.parameters(), lr=rate, betas=(0.9, 0.99))
