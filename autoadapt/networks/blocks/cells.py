"""Operations and cells of searched networks: DARTS and Auto-DeepLab.

A cell is a small graph. Its two inputs are states 0 and 1; each further state is the sum of two
earlier ones, each through an operation; the new states, side by side, are the output.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from autoadapt.networks.blocks.layers import convolution


class Edge(NamedTuple):
    """An operation and the state it is applied to."""

    operation: str
    state: int


class SeparableTwice(nn.Sequential):
    """Rectifier, separable convolution, normalisation, and the same again (``sep_conv``).

    The first one has the stride.
    """

    def __init__(self, channels: int, kernel: int, *, stride: int, eps: float = 1e-5) -> None:
        super().__init__(
            *separable(channels, kernel, stride=stride, eps=eps),
            *separable(channels, kernel, stride=1, eps=eps),
        )


class FactorizedReduce(nn.Module):
    """Halves the size by two 1x1 convolutions that look at different pixels, then normalises.

    An odd size is rounded up, as every other halving of these networks does.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.conv_1 = convolution(inputs, outputs // 2, 1, stride=2)
        self.conv_2 = convolution(inputs, outputs - outputs // 2, 1, stride=2)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / 2, W / 2)."""
        features = self.relu(features)
        # One row and one column on: the last ones are zeros, and are met in odd sizes only.
        shifted = pad(features, (-1, 1, -1, 1))
        halves = [self.conv_1(features), self.conv_2(shifted)]
        reduced: Tensor = self.bn(torch.cat(halves, dim=1))
        return reduced


class Atrous(nn.Module):
    """Rectifier, a full convolution of dilation 2 and normalisation; or, halving, of dilation 1.

    Halving is bilinear and comes first, as in the published Auto-DeepLab.
    """

    def __init__(self, channels: int, kernel: int, *, stride: int, eps: float) -> None:
        super().__init__()
        self.stride = stride
        self.conv = convolution(channels, channels, kernel, dilation=1 if stride == 2 else 2)
        self.bn = nn.BatchNorm2d(channels, eps=eps)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, H / stride, W / stride)."""
        features = torch.relu(features)
        if self.stride == 2:
            height, width = features.shape[2:]
            features = resized(features, ((height + 1) // 2, (width + 1) // 2))
        mapped: Tensor = self.bn(self.conv(features))
        return mapped


class DartsCell(nn.Module):
    """One cell of a DARTS network, its parameters named as published.

    Args:
        edges: Two for each new state.
        before: Channels of the output of the cell before the last one, and of the last one.
        channels: Of each new state.
        reduce: Whether the cell halves the size.
        after_reduction: Whether the last cell did, and its input is twice as large.
    """

    def __init__(
        self,
        edges: Sequence[Edge],
        before: tuple[int, int],
        channels: int,
        *,
        reduce: bool,
        after_reduction: bool,
    ) -> None:
        super().__init__()
        older, newer = before
        self.preprocess0 = (
            FactorizedReduce(older, channels) if after_reduction else pointwise(older, channels)
        )
        self.preprocess1 = pointwise(newer, channels)
        self.edges = tuple(edges)
        self._ops = nn.ModuleList(
            darts_operation(edge.operation, channels, 2 if reduce and edge.state < 2 else 1)
            for edge in edges
        )
        self.outputs = channels * (len(edges) // 2)

    def forward(self, older: Tensor, newer: Tensor) -> Tensor:
        """Return (N, outputs, H, W) of the outputs of the two cells before."""
        return run_graph(
            [self.preprocess0(older), self.preprocess1(newer)], self.edges, list(self._ops)
        )


class AutoDeeplabCell(nn.Module):
    """One cell of Auto-DeepLab: state 0 is the last cell's output, state 1 the one's before.

    Both are first projected; the older one is resized to the size of the newer.

    Args:
        edges: Two for each new state.
        before: Channels of the output of the cell before the last one, and of the last one.
        channels: Of each new state.
        stride: 2 where the size is halved.
    """

    eps = 1e-3

    def __init__(
        self, edges: Sequence[Edge], before: tuple[int, int], channels: int, *, stride: int
    ) -> None:
        super().__init__()
        older, newer = before
        self.older = pointwise(older, channels, eps=self.eps)
        self.newer = pointwise(newer, channels, eps=self.eps)
        self.edges = tuple(edges)
        self.operations = nn.ModuleList(
            auto_deeplab_operation(
                edge.operation, channels, stride if edge.state < 2 else 1, eps=self.eps
            )
            for edge in edges
        )
        self.outputs = channels * (len(edges) // 2)

    def forward(self, older: Tensor, newer: Tensor) -> Tensor:
        """Return (N, outputs, H / stride, W / stride), from the size of ``newer``."""
        height, width = newer.shape[2:]
        states = [self.newer(newer), self.older(resized(older, (height, width)))]
        return run_graph(states, self.edges, list(self.operations))


def run_graph(
    states: list[Tensor], edges: Sequence[Edge], operations: Sequence[nn.Module]
) -> Tensor:
    """Return the new states, side by side."""
    inputs = len(states)
    results = zip(edges, operations, strict=True)
    for (edge, operation), (other, second) in zip(results, results, strict=True):
        states = [*states, operation(states[edge.state]) + second(states[other.state])]
    return torch.cat(states[inputs:], dim=1)


def darts_operation(name: str, channels: int, stride: int) -> nn.Module:
    """Return an operation of DARTS by its published name."""
    kind, _, size = name.rpartition("_")
    kernel = int(size[0]) if size[:1].isdigit() else 0
    if kind == "sep_conv":
        return Named(SeparableTwice(channels, kernel, stride=stride))
    if kind == "dil_conv":
        return Named(nn.Sequential(*separable(channels, kernel, stride=stride, dilation=2)))
    if kind == "max_pool":
        return nn.MaxPool2d(kernel, stride=stride, padding=kernel // 2)
    if kind == "avg_pool":
        return nn.AvgPool2d(kernel, stride=stride, padding=kernel // 2, count_include_pad=False)
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)
    raise ValueError(f"no operation of DARTS is named {name!r}")


def auto_deeplab_operation(name: str, channels: int, stride: int, *, eps: float) -> nn.Module:
    """Return ``sep_3x3``, ``sep_5x5``, ``atrous_3x3`` or ``atrous_5x5``."""
    kind, _, size = name.partition("_")
    kernel = int(size[0])
    if kind == "sep":
        return SeparableTwice(channels, kernel, stride=stride, eps=eps)
    if kind == "atrous":
        return Atrous(channels, kernel, stride=stride, eps=eps)
    raise ValueError(f"no operation of Auto-DeepLab is named {name!r}")


class Named(nn.Module):
    """Gives layers the name ``op``, as published."""

    def __init__(self, op: nn.Sequential) -> None:
        super().__init__()
        self.op = op

    def forward(self, features: Tensor) -> Tensor:
        """Run the layers."""
        mapped: Tensor = self.op(features)
        return mapped


def separable(
    channels: int, kernel: int, *, stride: int, dilation: int = 1, eps: float = 1e-5
) -> list[nn.Module]:
    """Return rectifier, depth-wise and pointwise convolution, and batch normalisation."""
    return [
        nn.ReLU(),
        convolution(channels, channels, kernel, stride=stride, dilation=dilation, groups=channels),
        convolution(channels, channels, 1),
        nn.BatchNorm2d(channels, eps=eps),
    ]


def pointwise(inputs: int, outputs: int, *, eps: float = 1e-5) -> nn.Module:
    """Return rectifier, 1x1 convolution and batch normalisation."""
    return Named(
        nn.Sequential(nn.ReLU(), convolution(inputs, outputs, 1), nn.BatchNorm2d(outputs, eps=eps))
    )


def resized(features: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a map bilinearly, corners aligned, unless it has that size."""
    if tuple(features.shape[2:]) == size:
        return features
    return interpolate(features, size=size, mode="bilinear", align_corners=True)
