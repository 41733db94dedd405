"""Cells searched by DARTS (Liu et al., ICLR 2019) or PC-DARTS (Xu et al., ICLR 2020) as encoder.

The ImageNet network of DARTS without its classifier, and the heads of DeepLabV2 on its last
cells: what the comparison table of the paper calls DeepLabV2-D. The parameters of stem and cells
are named as published (``stem0.0``, ``cells.0.preprocess0.op.1``, ``cells.0._ops.0.op.1``).

Choices (flat keys):

============== =====================================================================
``genotype``   ``darts_v1``, ``darts_v2``, ``pc_darts_cifar`` or ``pc_darts_imagenet``
``width``      channels of the first cells, 48; twice and four times that further on
``cells``      14; a third and two thirds on there is a reduction cell
``head.rates`` dilation rates of the heads, [6, 12, 18, 24]
``aux``        auxiliary head behind the last cell before the second reduction
============== =====================================================================
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from autoadapt.errors import SpaceError
from autoadapt.networks.blocks.cells import DartsCell, Edge
from autoadapt.networks.blocks.heads import AsppSum
from autoadapt.networks.blocks.layers import convolution
from autoadapt.networks.contract import Features, Output, SegmentationNetwork, Tap
from autoadapt.networks.families._head_plan import listed
from autoadapt.networks.values import ValueReader
from autoadapt.space.architecture import Value


@dataclass(frozen=True)
class Genotype:
    """A normal and a reduction cell, two edges for each of four states."""

    normal: tuple[Edge, ...]
    reduce: tuple[Edge, ...]


def cell(text: str) -> tuple[Edge, ...]:
    """Read ``sep_conv_3x3 0, sep_conv_3x3 1, ...``."""
    return tuple(Edge(name, int(state)) for name, state in map(str.split, text.split(",")))


GENOTYPES = {
    "darts_v1": Genotype(
        cell(
            "sep_conv_3x3 1, sep_conv_3x3 0, skip_connect 0, sep_conv_3x3 1, "
            "skip_connect 0, sep_conv_3x3 1, sep_conv_3x3 0, skip_connect 2"
        ),
        cell(
            "max_pool_3x3 0, max_pool_3x3 1, skip_connect 2, max_pool_3x3 0, "
            "max_pool_3x3 0, skip_connect 2, skip_connect 2, avg_pool_3x3 0"
        ),
    ),
    "darts_v2": Genotype(
        cell(
            "sep_conv_3x3 0, sep_conv_3x3 1, sep_conv_3x3 0, sep_conv_3x3 1, "
            "sep_conv_3x3 1, skip_connect 0, skip_connect 0, dil_conv_3x3 2"
        ),
        cell(
            "max_pool_3x3 0, max_pool_3x3 1, skip_connect 2, max_pool_3x3 1, "
            "max_pool_3x3 0, skip_connect 2, skip_connect 2, max_pool_3x3 1"
        ),
    ),
    "pc_darts_cifar": Genotype(
        cell(
            "sep_conv_3x3 1, skip_connect 0, sep_conv_3x3 0, dil_conv_3x3 1, "
            "sep_conv_5x5 0, sep_conv_3x3 1, avg_pool_3x3 0, dil_conv_3x3 1"
        ),
        cell(
            "sep_conv_5x5 1, max_pool_3x3 0, sep_conv_5x5 1, sep_conv_5x5 2, "
            "sep_conv_3x3 0, sep_conv_3x3 3, sep_conv_3x3 1, sep_conv_3x3 2"
        ),
    ),
    "pc_darts_imagenet": Genotype(
        cell(
            "skip_connect 1, sep_conv_3x3 0, sep_conv_3x3 0, skip_connect 1, "
            "sep_conv_3x3 1, sep_conv_3x3 3, sep_conv_3x3 1, dil_conv_5x5 4"
        ),
        cell(
            "sep_conv_3x3 0, skip_connect 1, dil_conv_5x5 2, max_pool_3x3 1, "
            "sep_conv_3x3 2, sep_conv_3x3 1, sep_conv_5x5 0, sep_conv_3x3 3"
        ),
    ),
}
"""The published cells."""


@dataclass(frozen=True, kw_only=True)
class DartsPlan:
    """Every decision about one network.

    Attributes:
        genotype: Name of the published cells.
        width: Channels of each state of the first cells; even.
        cells: Number of cells, three or more.
        rates: Dilation rates of the heads.
        aux: Whether there is an auxiliary head.
    """

    genotype: str
    width: int
    cells: int
    rates: tuple[int, ...]
    aux: bool

    @classmethod
    def read(cls, values: Mapping[str, Value]) -> "DartsPlan":
        """Make a plan of the values of an architecture.

        Raises:
            SpaceError: A value is missing, unknown or malformed.
        """
        reader = ValueReader("darts", values)
        plan = cls(
            genotype=reader.one_of("genotype", tuple(GENOTYPES)),
            width=reader.positive("width"),
            cells=reader.positive("cells"),
            rates=reader.positives("head.rates"),
            aux=reader.flag("aux"),
        )
        reader.finish()
        if plan.cells < 3:
            raise SpaceError(
                f"darts: 'cells' is {plan.cells}, expected 3 or more: two of them reduce"
            )
        if plan.width % 2:
            raise SpaceError(
                f"darts: 'width' is {plan.width}, expected an even number: the stem starts with "
                "half of it"
            )
        return plan

    @property
    def reductions(self) -> tuple[int, int]:
        """Places of the two reduction cells, from 0."""
        return self.cells // 3, 2 * self.cells // 3

    def describe(self) -> str:
        """Return the plan in a few sentences."""
        first, second = self.reductions
        aux = f"an auxiliary head reads cell {second}" if self.aux else "no auxiliary head"
        return (
            f"{self.cells} cells of {self.genotype}, {self.width} channels wide, of which cells "
            f"{first + 1} and {second + 1} halve the size, from stride 8 to 32. The head sums "
            f"parallel 3x3 convolutions (DeepLabV2) at dilation rates "
            f"{listed(self.rates)}; {aux}."
        )


class Darts(SegmentationNetwork):
    """A stem of stride 8, cells of strides 8, 16 and 32, and the heads of DeepLabV2.

    ``low``, ``mid`` and ``deep`` are the outputs of the last cell of each stride.

    Args:
        values: The values of an architecture.
        num_classes: Channels of the logits.

    Raises:
        SpaceError: A value is missing, unknown or malformed; the message names the key.
    """

    smoke_values: ClassVar[Mapping[str, Any]] = {
        "genotype": "darts_v2",
        "width": 4,
        "cells": 5,
        "head.rates": [1, 2],
        "aux": True,
    }

    def __init__(self, values: Mapping[str, Value], num_classes: int) -> None:
        super().__init__()
        plan = DartsPlan.read(values)
        self.num_classes = num_classes
        self.has_aux = plan.aux
        self.reductions = plan.reductions
        half = plan.width // 2
        self.stem0 = nn.Sequential(
            convolution(3, half, 3, stride=2),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            convolution(half, plan.width, 3, stride=2),
            nn.BatchNorm2d(plan.width),
        )
        self.stem1 = nn.Sequential(
            nn.ReLU(), convolution(plan.width, plan.width, 3, stride=2), nn.BatchNorm2d(plan.width)
        )
        self.cells = nn.ModuleList(cells(plan))
        states = len(GENOTYPES[plan.genotype].normal) // 2
        low, mid, deep = (states * plan.width * factor for factor in (1, 2, 4))
        self.taps = {"low": Tap(low, 8), "mid": Tap(mid, 16), "deep": Tap(deep, 32)}
        self.aux_head = AsppSum(mid, num_classes, plan.rates) if plan.aux else None
        self.head = AsppSum(deep, num_classes, plan.rates)

    @staticmethod
    def describe(values: Mapping[str, Value]) -> str:
        """Return the architecture in a few sentences.

        Raises:
            SpaceError: A value is missing, unknown or malformed.
        """
        return DartsPlan.read(values).describe()

    def encode(self, images: Tensor) -> Features:
        """Turn normalised images (N, 3, H, W) into features of strides 8, 16 and 32."""
        older = self.stem0(images)
        newer = self.stem1(older)
        found = []
        for number, one in enumerate(self.cells):
            if number in self.reductions:
                found.append(newer)
            older, newer = newer, one(older, newer)
        low, mid = found
        return Features(low=low, mid=mid, deep=newer)

    def decode(self, features: Features) -> Output:
        """Return logits at stride 32, auxiliary ones at stride 16."""
        aux_logits = None if self.aux_head is None else self.aux_head(features.mid)
        return Output(self.head(features.deep), features, aux_logits)

    def head_modules(self) -> list[nn.Module]:
        """Return the auxiliary head, if any, and the main one."""
        return [head for head in (self.aux_head, self.head) if head is not None]


def cells(plan: DartsPlan) -> list[DartsCell]:
    """Return the cells in a row."""
    genotype = GENOTYPES[plan.genotype]
    older = newer = width = plan.width
    built: list[DartsCell] = []
    after_reduction = True  # the second part of the stem halves the size, too
    for number in range(plan.cells):
        reduce = number in plan.reductions
        width *= 2 if reduce else 1
        edges = genotype.reduce if reduce else genotype.normal
        built.append(
            DartsCell(edges, (older, newer), width, reduce=reduce, after_reduction=after_reduction)
        )
        older, newer, after_reduction = newer, built[-1].outputs, reduce
    return built
