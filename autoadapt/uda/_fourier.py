"""The low frequencies of one image given to another (Fourier domain adaptation)."""

import math
from typing import Literal

import torch
from torch import Tensor

Window = Literal["symmetric", "corners"]


def with_low_frequencies(
    source: Tensor, target: Tensor, beta: float, window: Window = "symmetric"
) -> Tensor:
    """Return source images whose slow changes of colour have the strength of those of the target.

    Per channel, the amplitude of every frequency up to ``b = floor(min(H, W) * beta)`` along both
    axes is taken from the target; phases, which say where things are, stay (FDA, eqs. 1 to 3).

    Args:
        source: (N, 3, H, W) colours, such as 0 to 255; nothing is clipped.
        target: Of the same shape.
        beta: In [0, 0.5]; 0 takes over the mean colour alone.
        window: ``symmetric`` has 2b + 1 frequencies along each axis, as the NumPy code of FDA.
            ``corners`` copies the rows and columns [0, b) and [-b, 0), as the code that trained
            the published models: one frequency short on one side, so the real part is taken.

    Raises:
        ValueError: Shapes differ.
    """
    if source.shape != target.shape:
        raise ValueError(
            f"source images are {tuple(source.shape)} but target images {tuple(target.shape)}"
        )
    reach = math.floor(min(source.shape[2:]) * beta)
    spectrum, other = torch.fft.fft2(source), torch.fft.fft2(target)
    mask = _low(source, reach, window)
    swapped = torch.polar(other.abs(), spectrum.angle())
    mixed: Tensor = torch.fft.ifft2(torch.where(mask, swapped, spectrum))
    return mixed.real


def _low(like: Tensor, reach: int, window: Window) -> Tensor:
    """Return which frequencies of an unshifted spectrum are taken over, (H, W) booleans."""
    axes = []
    for length in like.shape[2:]:
        numbers = torch.arange(length, device=like.device)
        signed = torch.where(numbers <= length // 2, numbers, numbers - length)
        low = signed.abs() <= reach
        if window == "corners":
            low = (numbers < reach) | (numbers >= length - reach)
        axes.append(low)
    return axes[0][:, None] & axes[1][None, :]
