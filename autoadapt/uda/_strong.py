"""Strong augmentation inside a step: colours and blur of whole batches, where they are."""

import math

import numpy as np
import torch
from torch import Tensor

from autoadapt.config.settings import Normalisation
from autoadapt.data.photometric import BLUR_SIGMAS, blur, jitter, shift_hue
from autoadapt.data.transforms import from_pixels, to_pixels


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
    recolour, unsharp = rng.uniform(size=2) > (jitter_above, blur_above)
    if not (recolour and strength > 0) and not unsharp:
        return images
    pixels = to_pixels(images, convention).clamp(0, 255)
    if recolour and strength > 0:
        count = len(images)
        factors = rng.uniform(1 - strength, 1 + strength, size=(3, count))
        turns = rng.uniform(-strength, strength, size=count)
        pixels = jitter(pixels, torch.from_numpy(factors).to(pixels))
        pixels = shift_hue(pixels, torch.from_numpy(turns).to(pixels))
    if unsharp:
        pixels = blurred(pixels, float(rng.uniform(*BLUR_SIGMAS)))
    return from_pixels(pixels, convention)


def blurred(pixels: Tensor, deviation: float) -> Tensor:
    """Smooth images (N, 3, H, W) with a Gaussian of a standard deviation in pixels.

    The kernel is an odd tenth of each side, as in DACS; borders are reflected.
    """
    rows, columns = (_reach(side) for side in pixels.shape[2:])
    return blur(pixels, torch.full((len(pixels),), deviation, dtype=torch.float64), (rows, columns))


def _reach(side: int) -> int:
    size = math.floor(math.ceil(0.1 * side) - 0.5 + math.ceil(0.1 * side) % 2)
    return max(1, size) // 2
