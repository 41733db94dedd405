"""Densification of pseudo-labels by what sure pixels nearby are (TPLD, section 3.2)."""

import torch
from torch import Tensor


def voted(ratios: Tensor, window: int, *, own: float, times: int) -> Tensor:
    """Return ratios in which pixels without a label have asked the sure pixels around them.

    A pixel that reaches no threshold takes its two largest ratios, mixes each with the mean of
    those of the pixels in its window that are sure of that class, and keeps the better one if it
    exceeds 1. From then on it is one of the sure pixels.

    Args:
        ratios: (N, C, H, W), C at least 2: probabilities in units of the class thresholds.
        window: Odd side of the window in pixels; it is cut off at the border of the image.
        own: Share of the pixel's own ratio in the mixture.
        times: Passes over the map.
    """
    ratios = ratios.clone()
    for _ in range(times):
        sure = ratios > 1
        sums = window_sums(torch.where(sure, ratios, 0), window)
        pooled = sums / window_sums(sure, window).clamp(min=1)  # 0 where nobody is sure
        highest, classes = ratios.topk(2, dim=1)
        scores = own * highest + (1 - own) * pooled.gather(1, classes).to(ratios)
        best, place = scores.max(dim=1, keepdim=True)
        label = classes.gather(1, place)
        won = (highest[:, :1] < 1) & (best > 1)
        ratios.scatter_(1, label, torch.where(won, best, ratios.gather(1, label)))
    return ratios


def window_sums(maps: Tensor, window: int) -> Tensor:
    """Return the sums over a square around each pixel, float64, without what lies outside.

    Args:
        maps: (..., H, W).
        window: Odd side of the square; the cost does not depend on it.
    """
    sums = maps.double()
    for axis in (-2, -1):
        sums = _sums_along(sums, axis, window // 2)
    return sums


def _sums_along(maps: Tensor, axis: int, reach: int) -> Tensor:
    length = maps.shape[axis]
    total = torch.cat([torch.zeros_like(maps.narrow(axis, 0, 1)), maps.cumsum(axis)], dim=axis)
    places = torch.arange(length, device=maps.device)
    after = total.index_select(axis, (places + reach + 1).clamp(max=length))
    return after - total.index_select(axis, (places - reach).clamp(min=0))


def odd_window(share: float, height: int) -> int:
    """Return the odd side, at least 3, of a window that is a share of the height of an image."""
    return max(3, 2 * int(share * height / 2) + 1)
