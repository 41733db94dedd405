"""Strong augmentation inside a step: colours and blur of whole batches, where they are."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from autoadapt.data.transforms import Normalisation, from_pixels, jitter, to_pixels

BLUR_DEVIATIONS = (0.15, 1.15)
"""Range of the Gaussian's standard deviation in pixels (DACS)."""


def strongly_augmented(
    images: Tensor,
    convention: Normalisation,
    rng: np.random.Generator,
    *,
    strength: float,
    jitter_above: float = 0.2,
    blur_above: float = 0.5,
) -> Tensor:
    """Return a batch with other colours and perhaps blurred, as DACS and DAFormer do.

    One uniform number per batch decides whether colours change, another whether it is blurred;
    every image has factors of its own.

    Args:
        images: (N, 3, H, W) network input.
        convention: How it was normalised.
        rng: Of this step and purpose.
        strength: Of brightness, contrast and saturation, and of hue as a share of the circle.
        jitter_above: Colours change if the uniform number lies above it.
        blur_above: The same for blur.
    """
    recolour, blur = rng.uniform(size=2) > (jitter_above, blur_above)
    if not (recolour and strength > 0) and not blur:
        return images
    pixels = to_pixels(images, convention).clamp(0, 255)
    if recolour and strength > 0:
        count = len(images)
        factors = rng.uniform(1 - strength, 1 + strength, size=(3, count))
        turns = rng.uniform(-strength, strength, size=count)
        pixels = jitter(pixels, torch.from_numpy(factors).to(pixels))
        pixels = with_hue_turned(pixels, torch.from_numpy(turns).to(pixels))
    if blur:
        pixels = blurred(pixels, float(rng.uniform(*BLUR_DEVIATIONS)))
    return from_pixels(pixels, convention)


def with_hue_turned(pixels: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue of RGB images of the HSV cone; value and saturation stay.

    Args:
        pixels: (N, 3, H, W) RGB of 0 to 255.
        turns: (N,) shares of the circle, in [-0.5, 0.5].
    """
    value, brightest = pixels.max(dim=1)
    chroma = value - pixels.amin(dim=1)
    safe = torch.where(chroma > 0, chroma, 1)
    red, green, blue = pixels.unbind(dim=1)
    # Sixths of the circle from red, by the channel that is largest.
    sixths = torch.stack(
        ((green - blue) / safe, 2 + (blue - red) / safe, 4 + (red - green) / safe), dim=1
    )
    hue = sixths.gather(1, brightest[:, None])[:, 0] + 6 * turns[:, None, None]
    # The inverse in one formula: channel n is value - chroma * clamp(min(k, 4 - k), 0, 1).
    offsets = torch.tensor([5.0, 3.0, 1.0], dtype=pixels.dtype, device=pixels.device)
    k = (offsets[None, :, None, None] + hue[:, None]) % 6
    return value[:, None] - chroma[:, None] * torch.minimum(k, 4 - k).clamp(0, 1)


def blurred(pixels: Tensor, deviation: float) -> Tensor:
    """Smooth images (N, 3, H, W) with a Gaussian of a standard deviation in pixels.

    The kernel is an odd tenth of each side, as in DACS; borders are reflected.
    """
    for axis in (2, 3):
        side = pixels.shape[axis]
        size = math.floor(math.ceil(0.1 * side) - 0.5 + math.ceil(0.1 * side) % 2)
        pixels = _smoothed(pixels, max(1, size), deviation, axis)
    return pixels


def _smoothed(pixels: Tensor, size: int, deviation: float, axis: int) -> Tensor:
    reach = size // 2
    places = torch.arange(-reach, reach + 1, dtype=pixels.dtype, device=pixels.device)
    weights = torch.exp(-(places**2) / (2 * deviation**2))
    shape = (1, 1, -1, 1) if axis == 2 else (1, 1, 1, -1)
    kernel = (weights / weights.sum()).view(shape).expand(pixels.shape[1], 1, *shape[2:])
    padding = (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0)
    padded = functional.pad(pixels, padding, mode="reflect")
    return functional.conv2d(padded, kernel.contiguous(), groups=pixels.shape[1])
