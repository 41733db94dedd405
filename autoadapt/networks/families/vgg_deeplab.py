"""DeepLab on a VGG network whose every dimension is a choice.

One of its points is the DeepLabV2-VGG16 of AdaptSegNet and DAST, with their parameter names
(``features.<i>``, where the first 29 modules are those of torchvision's VGG-16 without its last
two poolings, and ``classifier``). There is no normalisation and no dropout.

Choices (flat keys; a key that has no effect next to the others must be absent):

================================== ==========================================================
``stageI.depth``, ``.width``       I = 1..5: 3x3 convolutions; channels
``context.width``                  channels of the two dilated convolutions after stage 5
``head.kind`` and ``head.*``       as of ``elastic_deeplab``
``aux``                            auxiliary head on the fifth stage
================================== ==========================================================
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from autoadapt.networks.blocks.layers import initialise
from autoadapt.networks.contract import Features, Output, SegmentationNetwork, Tap
from autoadapt.networks.families._head_plan import HeadPlan, listed
from autoadapt.networks.values import ValueReader
from autoadapt.space.architecture import Value

STAGES = 5
POOLED = (1, 2, 3)
"""Stages that a 2x2 maximum of stride 2 follows; sizes are rounded down."""

DILATION = {5: 2}
"""Dilation of the stages that replaced their stride by it."""

CONTEXT_DILATION = 4
"""Dilation of fc6 and fc7, by their names in the publication."""


@dataclass(frozen=True, kw_only=True)
class VggPlan:
    """Every decision about one elastic VGG.

    Attributes:
        depths: Convolutions of each of the five stages.
        widths: Their channels.
        context_width: Channels of the two dilated convolutions that follow.
        head: The main head.
        aux: Whether an auxiliary head reads the fifth stage.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    context_width: int
    head: HeadPlan
    aux: bool

    @classmethod
    def read(cls, values: Mapping[str, Value]) -> "VggPlan":
        """Make a plan of the values of an architecture.

        Raises:
            SpaceError: A key is missing, unknown, without effect, or has an impossible value.
        """
        reader = ValueReader("vgg_deeplab", values)
        numbers = range(1, STAGES + 1)
        plan = cls(
            depths=tuple(reader.positive(f"stage{number}.depth") for number in numbers),
            widths=tuple(reader.positive(f"stage{number}.width") for number in numbers),
            context_width=reader.positive("context.width"),
            head=HeadPlan.read(reader),
            aux=reader.flag("aux"),
        )
        reader.finish()
        return plan

    def describe(self) -> str:
        """Return the plan in a few sentences."""
        depths = "-".join(map(str, self.depths))
        head = self.head.sentence(aux_reads="stage 5" if self.aux else None)
        return (
            f"A plain network of {depths} 3x3 convolutions, {listed(self.widths)} channels wide, "
            f"without normalisation; stage 5 is dilated by {DILATION[5]}, and two convolutions of "
            f"{self.context_width} channels dilated by {CONTEXT_DILATION} follow; its deep "
            f"features have stride 8. {head}"
        )


class VggDeeplab(SegmentationNetwork):
    """Five stages of 3x3 convolutions, two dilated ones, a main and perhaps an auxiliary head.

    ``low`` and ``mid`` features are those of stages 3 and 5, ``deep`` ones those of fc7. DAST
    attends to what is ``mid`` here.

    Args:
        values: The values of an architecture.
        num_classes: Channels of the logits.

    Raises:
        SpaceError: A value is missing, unknown or malformed; the message names the key.
    """

    smoke_values: ClassVar[Mapping[str, Any]] = {
        **{f"stage{i}.depth": 1 for i in (1, 2, 3, 4, 5)},
        **{f"stage{i}.width": 3 + i for i in (1, 2, 3, 4, 5)},
        "context.width": 10,
        "head.kind": "aspp_first_two",
        "head.rates": [1, 2, 3],
        "aux": True,
    }

    def __init__(self, values: Mapping[str, Value], num_classes: int) -> None:
        super().__init__()
        plan = VggPlan.read(values)
        self.num_classes = num_classes
        self.has_aux = plan.aux
        layers, ends, channels = [], [], 3
        for number, (depth, width) in enumerate(zip(plan.depths, plan.widths, strict=True), 1):
            for _ in range(depth):
                layers += convolution_relu(channels, width, DILATION.get(number, 1))
                channels = width
            ends.append(len(layers))
            if number in POOLED:
                layers.append(nn.MaxPool2d(2))
        self.low_end, self.mid_end = ends[2], ends[4]
        for _ in range(2):
            layers += convolution_relu(channels, plan.context_width, CONTEXT_DILATION)
            channels = plan.context_width
        self.features = nn.Sequential(*layers)
        initialise(self)
        low, mid = plan.widths[2], plan.widths[4]
        self.taps = {"low": Tap(low, 4), "mid": Tap(mid, 8), "deep": Tap(channels, 8)}
        self.aux_classifier = plan.head.auxiliary(self.taps, num_classes) if plan.aux else None
        self.classifier = plan.head.main(self.taps, num_classes)

    @staticmethod
    def describe(values: Mapping[str, Value]) -> str:
        """Return the architecture in a few sentences.

        Raises:
            SpaceError: A value is missing, unknown or malformed.
        """
        return VggPlan.read(values).describe()

    def encode(self, images: Tensor) -> Features:
        """Turn normalised images (N, 3, H, W) into features of stages 3, 5 and fc7."""
        low = self.features[: self.low_end](images)
        mid = self.features[self.low_end : self.mid_end](low)
        return Features(low=low, mid=mid, deep=self.features[self.mid_end :](mid))

    def decode(self, features: Features) -> Output:
        """Return logits at stride 8, or at stride 4 where low features are fused."""
        aux = None if self.aux_classifier is None else self.aux_classifier(features.mid)
        return Output(self.classifier(features.deep, features.low), features, aux)

    def head_modules(self) -> list[nn.Module]:
        """Return the auxiliary head, if any, and the main one."""
        return [head for head in (self.aux_classifier, self.classifier) if head is not None]


def convolution_relu(inputs: int, outputs: int, dilation: int) -> list[nn.Module]:
    """Return a 3x3 convolution with bias that keeps the size, and a rectifier."""
    convolution = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
    return [convolution, nn.ReLU(inplace=True)]
