"""Changes of colour and sharpness of images on the scale 0 to 255; geometry stays as it is.

Pure functions of images and factors: who calls them decides what is random. Methods that augment
inside a step (DACS, DAFormer) call the same ones.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the brightness of a pixel (ITU-R BT.601)."""

BLUR_SIGMAS = (0.15, 1.15)
"""Smallest and largest deviation of the random blur, in pixels (DACS)."""


def jitter(images: Tensor, factors: Tensor) -> Tensor:
    """Change brightness, contrast and saturation, in this order, as torchvision defines them.

    Brightness mixes an image with black, contrast with its mean grey, saturation with its grey
    version; a factor of 1 leaves it, 0 leaves only the other, above 1 goes beyond. Values are
    clipped to the valid range after each.

    Args:
        images: (N, 3, H, W) RGB of 0 to 255; overwritten.
        factors: (3, N), not negative.

    Returns:
        ``images``, changed in place.
    """
    brightness, contrast, saturation = factors[:, :, None, None, None]
    images.mul_(brightness).clamp_(0, 255)
    mean = _grey(images).mean(dim=(2, 3), keepdim=True)
    images.mul_(contrast).add_((1 - contrast) * mean).clamp_(0, 255)
    grey = _grey(images)
    return images.mul_(saturation).add_(grey.mul_(1 - saturation)).clamp_(0, 255)


def shift_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue of images; brightest and darkest channel of each pixel keep their values.

    Args:
        images: (N, 3, H, W) RGB of any non-negative scale.
        turns: (N,) share of a full turn of the colour circle: 1/3 makes red green.

    Returns:
        A new tensor like ``images``.
    """
    brightest, channel = images.max(dim=1)
    spread = brightest - images.amin(dim=1)
    red, green, blue = images.unbind(dim=1)
    # Place on the colour circle in sixths: 0 red, 2 green, 4 blue (Smith, 1978).
    sides = torch.stack([green - blue, blue - red, red - green], dim=1)
    side = sides.gather(1, channel[:, None])[:, 0]
    hue = side / spread.clamp_min(torch.finfo(images.dtype).tiny) + 2 * channel
    turned = hue + 6 * turns[:, None, None]
    channels = []
    for offset in (5, 3, 1):
        place = (turned + offset) % 6
        height = torch.minimum(place, 4 - place).clamp_(0, 1)
        channels.append(brightest - spread * height)
    return torch.stack(channels, dim=1)


def blur(images: Tensor, sigmas: Tensor, reaches: tuple[int, int] | None = None) -> Tensor:
    """Blur each image with a Gaussian, mirrored at the borders.

    Args:
        images: (N, C, H, W).
        sigmas: (N,) deviation in pixels, not negative; 0 leaves an image as it is.
        reaches: Rows and columns to each side after which the Gaussian is cut off, below H and
            W; absent: four times the largest deviation, as far as the image allows.

    Returns:
        A new tensor like ``images``.
    """
    count, channels, height, width = images.shape
    far = math.ceil(4 * float(sigmas.max()))
    rows, columns = reaches or (min(far, height - 1), min(far, width - 1))
    planes = images.reshape(1, count * channels, height, width)
    padded = F.pad(planes, (columns, columns, rows, rows), mode="reflect")
    across = _gaussians(sigmas.to(images), columns).repeat_interleave(channels, dim=0)
    down = _gaussians(sigmas.to(images), rows).repeat_interleave(channels, dim=0)
    half = F.conv2d(padded, across[:, None, None, :], groups=count * channels)
    return F.conv2d(half, down[:, None, :, None], groups=count * channels).reshape(images.shape)


def _gaussians(sigmas: Tensor, reach: int) -> Tensor:
    """Return one sampled Gaussian per deviation, (N, 2 * reach + 1), each summing to 1."""
    offsets = torch.arange(-reach, reach + 1, dtype=sigmas.dtype, device=sigmas.device)
    weights = (-0.5 * (offsets / sigmas.clamp_min(1e-3)[:, None]) ** 2).exp()
    return weights / weights.sum(dim=1, keepdim=True)


def _grey(images: Tensor) -> Tensor:
    red, green, blue = GREY
    grey = images[:, 0:1] * red
    return grey.add_(images[:, 1:2], alpha=green).add_(images[:, 2:3], alpha=blue)
