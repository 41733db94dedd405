"""Other opinions about the target images: the same network seen differently, or another one."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from autoadapt.networks.contract import Output
from autoadapt.scores.base import Need

Forward = Callable[[Tensor], Output]
View = Callable[[Tensor], Iterable[Tensor]]
"""Images (N, 3, H, W) to one map of logits, (C, h, w), per image."""

CONTRAST, BRIGHTNESS = 0.7, -0.3
"""Of the darker, flatter view: in units of the deviation of a normalised image."""


def views_of(
    needs: frozenset[Need], forward: Forward, parts: Sequence[nn.Module], teacher: Forward | None
) -> Mapping[Need, View]:
    """Return the views that are needed and can be had.

    Args:
        needs: Of all scores together.
        forward: What predicts.
        parts: All modules in it.
        teacher: Another network of the method, if it has one.
    """
    norms = batch_norms(parts)
    views: dict[Need, View] = {"mirrored": _mirrored(forward), "jittered": _jittered(forward)}
    if norms:
        views["batch_norm"] = _with_own_statistics(forward, norms)
    if teacher is not None:
        views["teacher"] = lambda images: teacher(images).logits
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
    return lambda images: forward(images.flip(-1)).logits.flip(-1)


def _jittered(forward: Forward) -> View:
    return lambda images: forward(CONTRAST * images + BRIGHTNESS).logits


def _with_own_statistics(forward: Forward, norms: Sequence[_BatchNorm]) -> View:
    def view(images: Tensor) -> Iterator[Tensor]:
        with own_statistics(norms):
            for image in images:
                yield forward(image[None]).logits[0]

    return lambda images: list(view(images))


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
