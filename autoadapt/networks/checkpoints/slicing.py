"""The weights of a network cut to a smaller one of the same kind, its function kept if possible.

Channels are the leading ones. What a network has in addition starts so that it changes nothing:
surplus input channels with zeros, surplus blocks with a residual branch of zero (as Net2Net,
Chen et al. 2016, widens and deepens), the outer ring of a larger kernel with zeros. Squeeze-excite
gates do so by themselves.
"""

import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor

KERNELS = (3, 5)
"""Kernel sizes that stand for one another: a 5x5 kernel with a ring of zeros is a 3x3 kernel."""

BLOCK = re.compile(r"layer[1-4]\.\d+\.")
SPLIT = re.compile(r"(?P<norm>.*)\.(?P<half>IN|BN)\.(?P<field>\w+)$")
NEUTRAL = {"running_mean": 0.0, "running_var": 1.0}
EPSILON = 1e-5
"""Of batch normalisation."""


def cut(own: Tensor, given: Tensor) -> Tensor | None:
    """Return ``given`` in the shape of ``own``; None if they are of different kinds.

    Args:
        own: Initial values of a weight, (outputs, inputs, ...) or (outputs,); surplus outputs
            keep them, surplus inputs get zero.
        given: The weight to cut.
    """
    if own.dim() != given.dim():
        return None
    kernel = resized(given, tuple(own.shape[2:]))
    if kernel is None:
        return None
    result = own.clone()
    rows = min(len(own), len(kernel))
    if own.dim() < 2:
        result[:rows] = kernel[:rows]
        return result
    columns = min(own.shape[1], kernel.shape[1])
    result[:, columns:] = 0
    result[:rows, :columns] = kernel[:rows, :columns]
    return result


def resized(given: Tensor, size: tuple[int, ...]) -> Tensor | None:
    """Return a kernel with its outer ring cut off, or with a ring of zeros; None if unlike."""
    before = tuple(given.shape[2:])
    if before == size:
        return given
    if not {*before, *size} <= {*KERNELS}:
        return None
    if before > size:
        return given[:, :, 1:-1, 1:-1]
    return torch.nn.functional.pad(given, (1, 1, 1, 1))


def normalisation_part(
    name: str, own: Mapping[str, Tensor], given: Mapping[str, Tensor]
) -> Tensor | None:
    """Return what a file with the other kind of normalisation has for a parameter of IBN-a or BN.

    IBN-a normalises the first half of the channels by instance, the second by batch; scale and
    shift of a channel stay with it.

    Args:
        name: Of the parameter in the network.
        own: The network, by name.
        given: The file, by name.

    Returns:
        (channels,), of as many channels as the file has; None if the file has no such layer.
    """
    match = SPLIT.match(name)
    if match is not None:
        return half_of(given.get(f"{match['norm']}.{match['field']}"), match, own)
    norm, _, field = name.rpartition(".")
    second = given.get(f"{norm}.BN.{field}")
    if second is None or second.dim() == 0:
        return second
    first = given.get(f"{norm}.IN.{field}")
    if first is None:  # instances have no running statistics
        first = torch.full_like(given[f"{norm}.IN.weight"], NEUTRAL.get(field, 0.0))
    return torch.cat([first, second])


def half_of(whole: Tensor | None, match: re.Match[str], own: Mapping[str, Tensor]) -> Tensor | None:
    """Return the channels of batch normalisation that an IBN-a layer has in one of its halves."""
    if whole is None or whole.dim() == 0:
        return whole
    middle = len(own[f"{match['norm']}.IN.weight"])
    start = middle if match["half"] == "BN" else 0
    return whole[start : start + len(own[match[0]])]


def identity_shortcut(name: str, own: Tensor) -> Tensor | None:
    """Return the part of a projection that passes its input on unchanged, in evaluation mode.

    For blocks whose file has no projection because none is needed; None if the channels differ.
    """
    field = name.rpartition(".")[2]
    if name.endswith("downsample.0.weight"):
        outputs, inputs = own.shape[:2]
        square = outputs == inputs
        return torch.eye(outputs).view(outputs, inputs, 1, 1).to(own) if square else None
    if ".downsample.1." not in name or own.dim() == 0:
        return None
    value = math.sqrt(1 + EPSILON) if field == "weight" else NEUTRAL.get(field, 0.0)
    return torch.full_like(own, value)


def block_of(name: str) -> str | None:
    """Return ``layer3.17.`` for a name in that block, None outside of blocks."""
    match = BLOCK.match(name)
    return match[0] if match else None
