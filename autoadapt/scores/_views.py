"""Other opinions about the target images: the same network seen differently, or another one."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.modules.batchnorm import _BatchNorm

from autoadapt import seeding
from autoadapt.networks.contract import Features, Output, SegmentationNetwork
from autoadapt.scores.base import Need

Forward = Callable[[Tensor], Output]
View = Callable[[Tensor, int], Iterable[Tensor]]
"""Images (N, 3, H, W), and the number of the first, to one map of logits, (C, h, w), per image."""

CONTRAST, BRIGHTNESS = 0.7, -0.3
"""Of the darker, flatter view: in units of the deviation of a normalised image."""
SCALES = 0.75, 1.25
"""Of the smaller and the larger view."""
DROPPED = 0.3
"""Share of the channels of the deep features that a view does without."""
MIXED = 0.55
"""Weight of an image in the mixture with the one before it."""


def views_of(
    needs: frozenset[Need],
    forward: Forward,
    parts: Sequence[nn.Module],
    teacher: Forward | None,
    *,
    seed: int,
) -> Mapping[Need, tuple[View, ...]]:
    """Return the views that are needed and can be had.

    Args:
        needs: Of all scores together.
        forward: What predicts.
        parts: All modules in it.
        teacher: Another network of the method, if it has one.
        seed: Of the channels that are dropped.
    """
    views: dict[Need, tuple[View, ...]] = {
        "mirrored": (_mirrored(forward),),
        "jittered": (_jittered(forward),),
        "scaled": tuple(_scaled(forward, scale) for scale in SCALES),
        "mixed": (Mixing(forward),),
    }
    if norms := batch_norms(parts):
        views["batch_norm"] = (_with_own_statistics(forward, norms),)
    if networks := [part for part in parts if isinstance(part, SegmentationNetwork)]:
        views["dropped"] = (_without_channels(forward, networks, seed),)
    if teacher is not None:
        views["teacher"] = (lambda images, _: teacher(images).logits,)
    return {need: view for need, view in views.items() if need in needs}


def class_map(logits: Tensor) -> NDArray[np.uint8]:
    """Return the most probable class of each pixel, (H, W), of logits (C, H, W)."""
    best = logits.max(0).indices  # four times as fast as argmax on a CPU
    return best.to(torch.uint8).cpu().numpy()


def batch_norms(parts: Sequence[nn.Module]) -> list[_BatchNorm]:
    """Return the batch-norm layers that normalise with stored statistics."""
    return [
        part for part in parts if isinstance(part, _BatchNorm) and part.running_mean is not None
    ]


def _mirrored(forward: Forward) -> View:
    return lambda images, _: forward(images.flip(-1)).logits.flip(-1)


def _jittered(forward: Forward) -> View:
    return lambda images, _: forward(CONTRAST * images + BRIGHTNESS).logits


def _scaled(forward: Forward, scale: float) -> View:
    def view(images: Tensor, _: int) -> Tensor:
        size = [max(1, round(scale * side)) for side in images.shape[-2:]]
        return forward(interpolate(images, size=size, mode="bilinear", align_corners=False)).logits

    return view


class Mixing:
    """Predicts each image mixed with the one before it; the first one as it is.

    Args:
        forward: What predicts.
    """

    def __init__(self, forward: Forward) -> None:
        self.forward = forward
        self.last: Tensor | None = None

    def __call__(self, images: Tensor, first: int) -> Tensor:
        """Return the logits of the mixtures, (N, C, h, w); batches come in order."""
        fits = first and self.last is not None and self.last.shape[1:] == images.shape[1:]
        before = self.last if fits and self.last is not None else images[:1]
        self.last = images[-1:]
        partners = torch.cat([before, images[:-1]])
        return self.forward(MIXED * images + (1.0 - MIXED) * partners).logits


def _without_channels(forward: Forward, networks: Sequence[SegmentationNetwork], seed: int) -> View:
    def view(images: Tensor, first: int) -> Tensor:
        def change(features: Features) -> Features:
            rows, width = features.deep.shape[:2]
            keep = np.stack([kept_channels(seed, first + row, width) for row in range(rows)])
            factors = torch.from_numpy(keep).to(features.deep) / (1.0 - DROPPED)
            return features._replace(deep=features.deep * factors[..., None, None])

        with features_changed(networks, change):
            return forward(images).logits

    return view


def kept_channels(seed: int, image: int, width: int) -> NDArray[np.bool_]:
    """Return which channels of the deep features of one image stay, (width,)."""
    kept: NDArray[np.bool_] = seeding.generator(seed, "dropped", image).random(width) >= DROPPED
    return kept


@contextlib.contextmanager
def features_changed(
    networks: Sequence[SegmentationNetwork], change: Callable[[Features], Features]
) -> Iterator[None]:
    """Change features on their way to the heads, whoever passes them on."""

    def changed(decode: Callable[[Features], Output]) -> Callable[[Features], Output]:
        return lambda features: decode(change(features))

    for network in networks:  # an attribute of the instance hides the method of its class
        vars(network)["decode"] = changed(network.decode)
    try:
        yield
    finally:
        for network in networks:
            del vars(network)["decode"]


def _with_own_statistics(forward: Forward, norms: Sequence[_BatchNorm]) -> View:
    def view(images: Tensor, _: int) -> list[Tensor]:
        with own_statistics(norms):
            return [forward(image[None]).logits[0] for image in images]

    return view


@contextlib.contextmanager
def own_statistics(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Let layers normalise with the statistics of their input; what they have stored stays.

    A layer that sees a single value per channel, such as one behind global pooling, has no
    statistics of its own there and keeps the stored ones.
    """

    def enough(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        layer.training = inputs[0].numel() > inputs[0].shape[1]

    modes = [(layer.training, layer.track_running_stats) for layer in norms]
    hooks = [layer.register_forward_pre_hook(enough) for layer in norms]
    for layer in norms:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer, hook, (training, tracking) in zip(norms, hooks, modes, strict=True):
            hook.remove()
            layer.training, layer.track_running_stats = training, tracking
