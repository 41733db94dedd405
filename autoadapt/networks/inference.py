"""Class scores of whole images: several scales, mirrored images, sliding windows.

Memory does not grow with the number of views: one running sum and one view are held.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

Size = tuple[int, int]
Forward = Callable[[Tensor], Tensor]
"""Normalised images (N, 3, H, W) to logits (N, C, h, w)."""


@dataclass(frozen=True, kw_only=True)
class Views:
    """Which views of an image are averaged, and how they are brought to one size.

    Attributes:
        scales: Factors on height and width of the images.
        flip: Also average over the mirrored images.
        average: Whether logits (CRST) or probabilities (CBST) are averaged.
        corners: Whether bilinear resizing of logits aligns the corner pixels, as in the
            AdaptSegNet family; DAFormer does not.
        window: Height and width of a sliding window over each scaled image; absent: the whole.
        stride: Distance between windows, in both directions; absent: half a window.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    average: Literal["logits", "probabilities"] = "logits"
    corners: bool = True
    window: Size | None = None
    stride: Size | None = None


PLAIN = Views()
"""The image itself, once."""


@torch.no_grad()
def class_scores(forward: Forward, images: Tensor, size: Size, views: Views = PLAIN) -> Tensor:
    """Return the mean over views of logits or probabilities, (N, C, *size) float32.

    Args:
        forward: The network.
        images: Normalised images, (N, 3, H, W).
        size: Height and width to which the scores of each view are resized before the mean.
        views: What is averaged.
    """
    total: Tensor | None = None
    for view, mirrored in _views_of(images, views):
        found = _resized(_logits(forward, view, views), size, views.corners)
        if views.average == "probabilities":
            found = found.softmax(dim=1)
        found = found.flip(-1) if mirrored else found
        # A copy: what the network returned is not ours to add to.
        total = found.clone() if total is None else total.add_(found)
    if total is None:
        raise ValueError("views without a scale")
    return total.div_(len(views.scales) * (1 + views.flip))


def class_maps(
    forward: Forward,
    images: Tensor,
    size: Size,
    views: Views = PLAIN,
    *,
    resize: Literal["logits", "classes"] = "logits",
) -> Tensor:
    """Return the class with the largest score at each pixel, (N, *size) uint8.

    Args:
        forward: The network.
        images: Normalised images, (N, 3, H, W).
        size: Height and width of the result.
        views: What is averaged.
        resize: ``logits``: scores are resized to ``size``, then compared. ``classes``: they are
            compared at the size of ``images`` and the classes resized with nearest neighbour.
    """
    if resize == "logits":
        return class_scores(forward, images, size, views).argmax(dim=1).to(torch.uint8)
    own = (images.shape[-2], images.shape[-1])
    classes = class_scores(forward, images, own, views).argmax(dim=1, keepdim=True)
    # Pixel centres, as Pillow resizes label maps; plain "nearest" takes the upper left corner.
    return interpolate(classes.to(torch.uint8), size=size, mode="nearest-exact")[:, 0]


def _views_of(images: Tensor, views: Views) -> Iterator[tuple[Tensor, bool]]:
    """Yield each scaled image and, where asked for, its mirror image with True."""
    height, width = images.shape[-2:]
    for scale in views.scales:
        size = (max(1, round(scale * height)), max(1, round(scale * width)))
        # As OpenCV scales: bilinear between pixel centres, no smoothing when it shrinks.
        scaled = _resized(images, size, corners=False)
        yield scaled, False
        if views.flip:
            yield scaled.flip(-1), True


def _logits(forward: Forward, images: Tensor, views: Views) -> Tensor:
    if views.window is None:
        return forward(images).float()
    return _windowed(forward, images, views)


def _windowed(forward: Forward, images: Tensor, views: Views) -> Tensor:
    """Return logits at the size of the images, the mean of all windows that see a pixel."""
    size = (images.shape[-2], images.shape[-1])
    window = _smaller(views.window or size, size)
    stride = views.stride or (max(1, window[0] // 2), max(1, window[1] // 2))
    total: Tensor | None = None
    seen = images.new_zeros(1, 1, *size, dtype=torch.float32)
    starts = (window_starts(size[axis], window[axis], stride[axis]) for axis in (0, 1))
    for top, left in product(*starts):
        area = (..., slice(top, top + window[0]), slice(left, left + window[1]))
        found = _resized(forward(images[area]).float(), window, views.corners)
        if total is None:
            total = found.new_zeros(*found.shape[:2], *size)
            seen = seen.to(found.device)
        total[area] += found
        seen[area] += 1
    if total is None:
        raise ValueError("images without pixels")
    return total.div_(seen)


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """Return where windows begin along one side: every ``stride``, the last at the very end."""
    last = length - window
    return [*range(0, last, stride), last]


def _smaller(one: Size, other: Size) -> Size:
    return min(one[0], other[0]), min(one[1], other[1])


def _resized(maps: Tensor, size: Size, corners: bool) -> Tensor:
    if tuple(maps.shape[-2:]) == size:
        return maps
    return interpolate(maps, size=size, mode="bilinear", align_corners=corners)
