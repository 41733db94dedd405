"""DeepLab on a VGG network whose every dimension is a choice.

One of its points is the DeepLabV2-VGG16 of AdaptSegNet and DAST, with their parameter names
(``features.<i>``, where the first 29 modules are those of torchvision's VGG-16 without its last
two poolings, and ``classifier``). There is no normalisation and no dropout.

Choices (flat keys; a key that has no effect next to the others must be absent):

================================== ==========================================================
``stageI.depth``, ``.width``       I = 1..5: 3x3 convolutions; channels
``context.width``                  channels of the two dilated convolutions after stage 5
``head.kind`` and ``head.*``       as of ``elastic_deeplab``
``split``                          ``fc7`` or ``stage5``: the deep features, where what a
                                   method does between encoder and decoder takes place
``aux``                            auxiliary head on the stage before
================================== ==========================================================
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from autoadapt.networks.blocks.layers import initialise
from autoadapt.networks.blocks.vgg import conv_relu
from autoadapt.networks.contract import Features, Output, SegmentationNetwork, Tap
from autoadapt.networks.families._head_plan import HeadPlan, listed
from autoadapt.networks.values import ValueReader, options
from autoadapt.space.architecture import Value

Split = Literal["fc7", "stage5"]

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
        head: The main head; it reads fc7 in any case.
        split: What the deep features are: the output of fc7, or of stage 5 as in DAST. The mid
            features are those of the stage before.
        aux: Whether an auxiliary head reads the mid features.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    context_width: int
    head: HeadPlan
    split: Split
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
            split=reader.one_of("split", options(Split)),
            aux=reader.flag("aux"),
        )
        reader.finish()
        return plan

    def describe(self) -> str:
        """Return the plan in a few sentences."""
        depths = "-".join(map(str, self.depths))
        mid, deep = ("stage 5", "fc7") if self.split == "fc7" else ("stage 4", "stage 5")
        head = self.head.sentence(aux_reads=mid if self.aux else None)
        return (
            f"A plain network of {depths} 3x3 convolutions, {listed(self.widths)} channels wide, "
            f"without normalisation; stage 5 is dilated by {DILATION[5]}, and two convolutions of "
            f"{self.context_width} channels dilated by {CONTEXT_DILATION} follow; its deep "
            f"features, those of {deep}, have stride 8. {head}"
        )


class VggDeeplab(SegmentationNetwork):
    """Five stages of 3x3 convolutions, two dilated ones, a main and perhaps an auxiliary head.

    ``low``, ``mid`` and ``deep`` features are those of stage 3, stage 5 and fc7; where the split
    is ``stage5``, those of stages 3, 4 and 5.

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
        "split": "fc7",
        "head.kind": "aspp_first_two",
        "head.rates": [1, 2, 3],
        "aux": True,
    }

    def __init__(self, values: Mapping[str, Value], num_classes: int) -> None:
        super().__init__()
        plan = VggPlan.read(values)
        self.num_classes = num_classes
        self.has_aux = plan.aux
        self.features, ends = layers_of(plan)
        initialise(self)
        widths = (*plan.widths, plan.context_width)
        last = 5 if plan.split == "fc7" else 4
        self.ends = (ends[2], ends[last - 1], ends[last])
        low, mid, deep = (Tap(widths[2], 4), Tap(widths[last - 1], 8), Tap(widths[last], 8))
        self.taps = {"low": low, "mid": mid, "deep": deep}
        self.aux_classifier = plan.head.auxiliary(self.taps, num_classes) if plan.aux else None
        read = {**self.taps, "deep": Tap(plan.context_width, 8)}
        self.classifier = plan.head.main(read, num_classes)

    @staticmethod
    def describe(values: Mapping[str, Value]) -> str:
        """Return the architecture in a few sentences.

        Raises:
            SpaceError: A value is missing, unknown or malformed.
        """
        return VggPlan.read(values).describe()

    def encode(self, images: Tensor) -> Features:
        """Turn normalised images (N, 3, H, W) into features of three stages."""
        first, second, third = self.ends
        low = self.features[:first](images)
        mid = self.features[first:second](low)
        return Features(low=low, mid=mid, deep=self.features[second:third](mid))

    def decode(self, features: Features) -> Output:
        """Return logits at stride 8, or at stride 4 where low features are fused."""
        aux = None if self.aux_classifier is None else self.aux_classifier(features.mid)
        context = self.features[self.ends[-1] :](features.deep)
        return Output(self.classifier(context, features.low), features, aux)

    def head_modules(self) -> list[nn.Module]:
        """Return the auxiliary head, if any, and the main one."""
        return [head for head in (self.aux_classifier, self.classifier) if head is not None]


def layers_of(plan: VggPlan) -> tuple[nn.Sequential, list[int]]:
    """Return all layers before the head in a row, and the end of each stage, fc7 as the sixth."""
    layers: list[nn.Module] = []
    ends = []
    channels = 3
    for number, (depth, width) in enumerate(zip(plan.depths, plan.widths, strict=True), 1):
        for _ in range(depth):
            layers += conv_relu(channels, width, dilation=DILATION.get(number, 1))
            channels = width
        ends.append(len(layers))
        if number in POOLED:
            layers.append(nn.MaxPool2d(2))
    for _ in range(2):
        layers += conv_relu(channels, plan.context_width, dilation=CONTEXT_DILATION)
        channels = plan.context_width
    return nn.Sequential(*layers), [*ends, len(layers)]
