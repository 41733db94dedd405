"""Auto-DeepLab (Liu et al., CVPR 2019): a searched cell along a searched path of resolutions.

The cell and, with the path [4, 4, 4, 8, 16, 8, 16, 16, 32, 32, 16, 8] and 20 filters, the path
are the published ones of Auto-DeepLab-S. The head is the one of DeepLabV3+: parallel dilated
convolutions and image pooling, refined by features of stride 4.

Choices (flat keys):

============== ==========================================================================
``stem.width`` channels of the first two convolutions, 64; the third has twice as many
``width``      filters F of a state at stride 4, 20; at stride s it has F * s / 4
``path``       stride of each cell: 4, 8, 16 or 32, at most one step from the cell before
``head.width`` channels of the head, 256
``head.rates`` dilation rates of the head, [12, 24, 36]
============== ==========================================================================
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from autoadapt.errors import SpaceError
from autoadapt.networks.blocks.cells import AutoDeeplabCell, Edge, resized
from autoadapt.networks.blocks.heads import AsppConcat, ContextHead
from autoadapt.networks.blocks.layers import convolution
from autoadapt.networks.contract import Features, Output, SegmentationNetwork, Tap
from autoadapt.networks.families._head_plan import listed
from autoadapt.networks.values import ValueReader
from autoadapt.space.architecture import Value, thaw

CELL = (
    Edge("atrous_5x5", 1),
    Edge("sep_3x3", 0),
    Edge("sep_3x3", 1),
    Edge("atrous_3x3", 0),
    Edge("sep_3x3", 3),
    Edge("sep_3x3", 1),
    Edge("sep_5x5", 4),
    Edge("sep_5x5", 2),
    Edge("sep_5x5", 3),
    Edge("atrous_5x5", 5),
)
"""The published cell."""

STATES = len(CELL) // 2
STRIDES = (4, 8, 16, 32)


@dataclass(frozen=True, kw_only=True)
class AutoDeeplabPlan:
    """Every decision about one network.

    Attributes:
        stem_width: Channels of the first two convolutions.
        width: Filters of a state at stride 4.
        path: Stride of each cell.
        head_width: Channels of the head.
        rates: Dilation rates of the head.
    """

    stem_width: int
    width: int
    path: tuple[int, ...]
    head_width: int
    rates: tuple[int, ...]

    @classmethod
    def read(cls, values: Mapping[str, Value]) -> "AutoDeeplabPlan":
        """Make a plan of the values of an architecture.

        Raises:
            SpaceError: A value is missing, unknown or malformed.
        """
        reader = ValueReader("auto_deeplab", values)
        plan = cls(
            stem_width=reader.positive("stem.width"),
            width=reader.positive("width"),
            path=reader.positives("path"),
            head_width=reader.positive("head.width"),
            rates=reader.positives("head.rates"),
        )
        reader.finish()
        plan.check()
        return plan

    def check(self) -> None:
        """Refuse other strides, and leaps."""
        steps = pairwise((4, *self.path))
        leaps = [f"{a} to {b}" for a, b in steps if b not in (a // 2, a, 2 * a)]
        if leaps or not set(self.path) <= set(STRIDES):
            raise SpaceError(
                f"auto_deeplab: 'path' is {thaw(self.path)}, expected strides of 4, 8, 16 and 32 "
                "that start from 4 and at most halve or double"
                + (f"; {leaps[0]} is a leap" if leaps else "")
            )

    def channels(self, number: int) -> int:
        """Channels of the output of a cell."""
        return STATES * self.width * self.path[number] // 4

    @property
    def low(self) -> int:
        """Number of the cell whose output is the low features: the last before stride 4 is left.

        A path that leaves stride 4 at once, or never, has the first cell there.
        """
        left = next((i for i, stride in enumerate(self.path) if stride != 4), len(self.path))
        return max(left - 1, 0)

    @property
    def mid(self) -> int:
        """Number of the first cell of the largest stride."""
        return self.path.index(max(self.path))

    def describe(self) -> str:
        """Return the plan in a few sentences."""
        return (
            f"{len(self.path)} Auto-DeepLab cells along strides "
            f"{listed(self.path)}, {self.width} filters wide at stride 4, behind "
            f"three convolutions of {self.stem_width}, {self.stem_width} and "
            f"{2 * self.stem_width} channels. The head concatenates parallel convolutions and "
            f"image pooling at dilation rates {listed(self.rates)}, "
            f"{self.head_width} channels wide, and is refined by the output of cell "
            f"{self.low + 1}. There is no auxiliary head."
        )


class AutoDeeplab(SegmentationNetwork):
    """A stem of stride 4, cells along a path, and the head of DeepLabV3+.

    ``low`` is the last output before the path leaves stride 4, ``mid`` that of the first cell of
    the largest stride, ``deep`` that of the last cell. There is no auxiliary output.

    Args:
        values: The values of an architecture.
        num_classes: Channels of the logits.

    Raises:
        SpaceError: A value is missing, unknown or malformed; the message names the key.
    """

    smoke_values: ClassVar[Mapping[str, Any]] = {
        "stem.width": 4,
        "width": 2,
        "path": [4, 8, 16, 8],
        "head.width": 8,
        "head.rates": [1, 2],
    }

    has_aux = False

    def __init__(self, values: Mapping[str, Value], num_classes: int) -> None:
        super().__init__()
        plan = AutoDeeplabPlan.read(values)
        self.plan = plan
        self.num_classes = num_classes
        places = {"low": plan.low, "mid": plan.mid, "deep": len(plan.path) - 1}
        self.taps = {
            role: Tap(plan.channels(number), plan.path[number]) for role, number in places.items()
        }
        width, eps = plan.stem_width, AutoDeeplabCell.eps
        self.stem0 = nn.Sequential(
            convolution(3, width, 3, stride=2),
            nn.BatchNorm2d(width, eps=eps),
            nn.ReLU(inplace=True),
            convolution(width, width, 3),
            nn.BatchNorm2d(width, eps=eps),
        )
        self.stem1 = nn.Sequential(
            nn.ReLU(),
            convolution(width, 2 * width, 3, stride=2),
            nn.BatchNorm2d(2 * width, eps=eps),
        )
        self.cells = nn.ModuleList(cells(plan))
        deep, low = self.taps["deep"].channels, self.taps["low"].channels
        context = AsppConcat(deep, plan.head_width, plan.rates)
        self.head = ContextHead(context, plan.head_width, num_classes, low_channels=low)

    @staticmethod
    def describe(values: Mapping[str, Value]) -> str:
        """Return the architecture in a few sentences.

        Raises:
            SpaceError: A value is missing, unknown or malformed.
        """
        return AutoDeeplabPlan.read(values).describe()

    def encode(self, images: Tensor) -> Features:
        """Turn normalised images (N, 3, H, W) into the outputs of three cells, rectified."""
        older = self.stem0(images)
        newer = self.stem1(older)
        sizes = {4: tuple(newer.shape[2:])}
        found = []
        before = 4
        for cell, stride in zip(self.cells, self.plan.path, strict=True):
            if stride < before:
                height, width = sizes[stride]
                newer = resized(newer, (height, width))
            older, newer = newer, cell(older, newer)
            sizes[stride] = tuple(newer.shape[2:])
            found.append(newer)
            before = stride
        low, mid = found[self.plan.low], found[self.plan.mid]
        return Features(low=low, mid=mid, deep=torch.relu(newer))

    def decode(self, features: Features) -> Output:
        """Return logits at the size of ``low``."""
        return Output(self.head(features.deep, features.low), features, None)

    def head_modules(self) -> list[nn.Module]:
        """Return the head."""
        return [self.head]


def cells(plan: AutoDeeplabPlan) -> list[AutoDeeplabCell]:
    """Return the cells in a row."""
    older, newer, before = plan.stem_width, 2 * plan.stem_width, 4
    built = []
    for stride in plan.path:
        built.append(
            AutoDeeplabCell(
                CELL,
                (older, newer),
                plan.width * stride // 4,
                stride=2 if stride > before else 1,
            )
        )
        older, newer, before = newer, built[-1].outputs, stride
    return built
