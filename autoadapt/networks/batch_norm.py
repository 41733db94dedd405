"""What batch normalisation does in a phase of training.

A batch-normalisation layer has an affine pair that learns, statistics of the batch at hand, and
running statistics. Which of them a forward pass uses and changes matters more for adaptation
than most losses, so each phase names a policy:

============== ============================ ======================= =======================
policy         normalises with              source forward updates  target forward updates
============== ============================ ======================= =======================
``train``      statistics of the batch      running statistics      running statistics
``source_only`` statistics of the batch     running statistics      nothing
``eval``       running statistics           nothing                 nothing
============== ============================ ======================= =======================

``train`` lets running statistics drift towards the target: an implicit AdaBN that the published
AdaptSegNet and AdvEnt numbers contain. ``source_only`` switches that off.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Policy = Literal["train", "eval", "source_only"]

NORMALISATIONS = (_BatchNorm, nn.InstanceNorm2d, nn.GroupNorm, nn.LayerNorm)


def layers(network: nn.Module) -> list[_BatchNorm]:
    """Return the batch-normalisation layers in the order of the modules."""
    return [module for module in network.modules() if isinstance(module, _BatchNorm)]


def freeze_norm_affine(network: nn.Module) -> None:
    """Stop scale and shift of every normalisation layer from learning.

    The DeepLabV2 family of methods trains so; running statistics are the policy's business.
    """
    for module in network.modules():
        if isinstance(module, NORMALISATIONS):
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(False)


def set_policy(network: nn.Module, policy: Policy) -> None:
    """Put the batch-normalisation layers, and no others, into a policy.

    Call it after ``network.train()`` or ``network.eval()``, which undo it. Under ``source_only``
    a forward pass on target images also needs ``target_pass`` around it.
    """
    for layer in layers(network):
        layer.train(policy != "eval")


@contextmanager
def target_pass(network: nn.Module, policy: Policy) -> Iterator[None]:
    """Guard forward passes on target images; does nothing unless the policy is ``source_only``."""
    if policy != "source_only":
        yield
        return
    with statistics_kept(network):
        yield


@contextmanager
def statistics_kept(network: nn.Module) -> Iterator[None]:
    """Leave running statistics and their counters as they are, whatever passes through.

    Layers in train mode still normalise with the statistics of the batch.
    """
    tracking = [(layer, layer.track_running_stats) for layer in layers(network) if layer.training]
    for layer, _ in tracking:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer, tracked in tracking:
            layer.track_running_stats = tracked


def reestimate(
    network: nn.Module, batches: Iterable[Tensor], *, momentum: float | None = None
) -> None:
    """Replace running statistics by those of batches of images (AdaBN).

    Without a momentum they start from zero and each batch counts the same, so neither the old
    statistics nor the order of the batches matters (up to what deeper layers see: each layer
    normalises with the batch at hand while it is measured). With one, they move from the old ones
    by that share per batch, and the last batches count most. Everything but batch normalisation is
    in eval mode meanwhile; modes and momenta are restored afterwards.

    Args:
        network: Any network; it gets one forward pass per batch, without gradients.
        batches: Images (N, 3, H, W) on the device of the network.
        momentum: In (0, 1], or absent.

    Raises:
        ValueError: There is no batch: the statistics would be those of nothing.
    """
    modes = [(module, module.training) for module in network.modules()]
    momenta = [(layer, layer.momentum) for layer in layers(network)]
    iterator = iter(batches)
    first = next(iterator, None)
    if first is None:
        raise ValueError("no batches to estimate batch-norm statistics from")
    network.eval()
    for layer, _ in momenta:
        if momentum is None:
            layer.reset_running_stats()
        layer.momentum = momentum  # none: cumulative average
        layer.train()
    try:
        with torch.no_grad():
            network(first)
            for images in iterator:
                network(images)
    finally:
        for layer, before in momenta:
            layer.momentum = before
        for module, mode in modes:
            module.training = mode


Statistics = list[tuple[Tensor, Tensor]]
"""Running mean and variance of each batch-normalisation layer, (C,) each, in their order."""


def statistics_of(network: nn.Module) -> Statistics:
    """Return a copy of the running statistics of a network."""
    return [(mean.clone(), variance.clone()) for mean, variance in running(network)]


def mix_statistics(network: nn.Module, source: Statistics, alpha: float) -> None:
    """Mix statistics of source images into the running ones, which are of target images.

    What batch normalisation would have measured on all images together, had there been ``alpha``
    source images per target image: ``w = alpha / (1 + alpha)``, the mean is ``(1 - w) m_t + w
    m_s``, and the variance that of the mixture of both distributions.

    Args:
        network: Its running statistics are changed in place.
        source: Of the same network.
        alpha: Source images per target image, 0 or more.
    """
    share = alpha / (1 + alpha)
    for (mean, variance), (mean_s, variance_s) in zip(running(network), source, strict=True):
        mixed = torch.lerp(mean, mean_s, share)
        square = torch.lerp(variance + mean.square(), variance_s + mean_s.square(), share)
        variance.copy_(square - mixed.square())
        mean.copy_(mixed)


def running(network: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield running mean and variance of each batch-normalisation layer that keeps them."""
    for layer in layers(network):
        if layer.running_mean is not None and layer.running_var is not None:
            yield layer.running_mean, layer.running_var
