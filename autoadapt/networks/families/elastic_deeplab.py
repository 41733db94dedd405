"""DeepLab on a residual network whose every dimension is a choice.

One of its points is the DeepLabV2-ResNet101 of AdaptSegNet, AdvEnt, CCM and IntraDA, with their
parameter names (torchvision's for the backbone, ``layer5`` and ``layer6`` for the heads).

Choices (flat keys; a key that has no effect next to the others must be absent):

================================== ==========================================================
``stem.kind``, ``stem.width``      ``conv`` or ``resnet``; channels
``block``                          ``basic`` or ``bottleneck``
``stride_in``                      ``1x1`` or ``3x3``; bottlenecks only
``norm``                           ``bn`` or ``ibn_a``
``output_stride``                  8 or 16
``stageI.depth``, ``.width``       I = 1..4: blocks; planes
``stageI.kernel``, ``.dilation``   3 or 5; pattern of factors on the base dilation
``stageI.se``                      squeeze-excite on or off
``head.kind``                      ``aspp_sum``, ``aspp_first_two``, ``deeplabv3plus``,
                                   ``pyramid``, ``dual_attention``
``head.rates``                     dilation rates; ``aspp_*`` and ``deeplabv3plus`` only
``head.width``, ``head.skip``      channels, low-level refinement; not with ``aspp_*``
``aux``                            auxiliary head on the third stage
================================== ==========================================================
"""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from autoadapt.networks.blocks.layers import conv_norm_relu, convolution, initialise
from autoadapt.networks.blocks.residual import BasicBlock, BlockPlan, Bottleneck
from autoadapt.networks.contract import Features, Output, SegmentationNetwork, Tap
from autoadapt.networks.families._deeplab_plan import LAYOUTS, DeeplabPlan
from autoadapt.space.architecture import Value

BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {
    "basic": BasicBlock,
    "bottleneck": Bottleneck,
}


class ElasticDeeplab(SegmentationNetwork):
    """Stem of stride 4, four residual stages, a main and perhaps an auxiliary head.

    The first block of a stage has a projection shortcut, whatever its shape, so that the names
    of the parameters do not depend on the widths. ``low``, ``mid`` and ``deep`` features are
    those of stages 1, 3 and 4.

    Args:
        values: The values of an architecture.
        num_classes: Channels of the logits.

    Raises:
        SpaceError: A value is missing, unknown or malformed; the message names the key.
    """

    smoke_values: ClassVar[Mapping[str, Any]] = {
        "stem.kind": "conv",
        "stem.width": 4,
        "block": "basic",
        "norm": "bn",
        "output_stride": 16,
        **{f"stage{i}.depth": 1 for i in (1, 2, 3, 4)},
        **{f"stage{i}.width": 4 + i for i in (1, 2, 3, 4)},
        **{f"stage{i}.kernel": 3 for i in (1, 2, 3, 4)},
        **{f"stage{i}.dilation": [1] for i in (1, 2, 3, 4)},
        **{f"stage{i}.se": False for i in (1, 2, 3, 4)},
        "head.kind": "aspp_sum",
        "head.rates": [1, 2],
        "aux": True,
    }

    def __init__(self, values: Mapping[str, Value], num_classes: int) -> None:
        super().__init__()
        plan = DeeplabPlan.read(values)
        self.num_classes = num_classes
        self.has_aux = plan.aux
        self.conv1, self.reduce = stem(plan)
        self.bn1 = nn.BatchNorm2d(plan.stem_width)
        self.relu = nn.ReLU(inplace=True)
        channels = [plan.stem_width, *(BLOCKS[plan.block].expansion * s.width for s in plan.stages)]
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            stage(inputs, plan, index) for index, inputs in enumerate(channels[:-1])
        )
        initialise(self)
        _, low, _, mid, deep = channels
        stride = plan.output_stride
        self.taps = {"low": Tap(low, 4), "mid": Tap(mid, stride), "deep": Tap(deep, stride)}
        self.layer5 = plan.head.auxiliary(self.taps, num_classes) if plan.aux else None
        self.layer6 = plan.head.main(self.taps, num_classes)

    @staticmethod
    def describe(values: Mapping[str, Value]) -> str:
        """Return the architecture in a few sentences.

        Raises:
            SpaceError: A value is missing, unknown or malformed.
        """
        return DeeplabPlan.read(values).describe()

    def encode(self, images: Tensor) -> Features:
        """Turn normalised images (N, 3, H, W) into features of stages 1, 3 and 4."""
        halved = self.reduce(self.relu(self.bn1(self.conv1(images))))
        low = self.layer1(halved)
        mid = self.layer3(self.layer2(low))
        return Features(low=low, mid=mid, deep=self.layer4(mid))

    def decode(self, features: Features) -> Output:
        """Return logits at the deep stride, or at stride 4 where low features are fused."""
        aux_logits = None if self.layer5 is None else self.layer5(features.mid)
        return Output(self.layer6(features.deep, features.low), features, aux_logits)

    def head_modules(self) -> list[nn.Module]:
        """Return the auxiliary head, if any, and the main one."""
        return [head for head in (self.layer5, self.layer6) if head is not None]


def stem(plan: DeeplabPlan) -> tuple[nn.Conv2d, nn.Module]:
    """Return the first convolution and, after its normalisation, the second halving."""
    if plan.stem == "conv":
        first = convolution(3, plan.stem_width, 3, stride=2)
        return first, conv_norm_relu(plan.stem_width, plan.stem_width, 3, stride=2)
    pool = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
    return convolution(3, plan.stem_width, 7, stride=2), pool


def stage(
    inputs: int, plan: DeeplabPlan, index: int, *, projected: Collection[int] = (0,)
) -> nn.Sequential:
    """Return the blocks of one stage; those at the ``projected`` positions project their shortcut.

    The first one always has to be among them.
    """
    kind, chosen = BLOCKS[plan.block], plan.stages[index]
    ibn = plan.norm == "ibn_a" and index < len(plan.stages) - 1
    stride, base = LAYOUTS[plan.output_stride][index]
    blocks = []
    for position in range(chosen.depth):
        first = position == 0
        block = BlockPlan(
            planes=chosen.width,
            kernel=chosen.kernel,
            stride=stride if first else 1,
            dilation=base * chosen.dilation[position % len(chosen.dilation)],
            project=position in projected,
            squeeze_excite=chosen.squeeze_excite,
            norm="ibn_a" if ibn else "bn",
            stride_in=plan.stride_in or "1x1",
        )
        blocks.append(kind(inputs if first else chosen.width * kind.expansion, block))
    return nn.Sequential(*blocks)
