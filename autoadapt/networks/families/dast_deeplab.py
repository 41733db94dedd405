"""The elastic DeepLab as DAST splits it: the last residual block belongs to the decoder.

DAST weighs deep features by what a discriminator says about them, and lets one more block digest
the result. That block has a projection shortcut of its own, and there is no auxiliary head.
Parameters are named as those of ``elastic_deeplab``; with DAST's own names the last block of
``layer4`` is ``layer5.0``.

Choices: those of ``elastic_deeplab`` without ``aux``; ``stage4.depth`` counts the last block and
is 2 or more.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from autoadapt.errors import SpaceError
from autoadapt.networks.blocks.layers import initialise
from autoadapt.networks.contract import Features, Output, SegmentationNetwork, Tap
from autoadapt.networks.families._deeplab_plan import DeeplabPlan
from autoadapt.networks.families.elastic_deeplab import BLOCKS, ElasticDeeplab, stage, stem
from autoadapt.space.architecture import Value


class DastDeeplab(SegmentationNetwork):
    """Stem of stride 4, four residual stages, a head; the fourth stage is split.

    ``low``, ``mid`` and ``deep`` features are those of stage 1, stage 3, and stage 4 without its
    last block.

    Args:
        values: The values of an architecture.
        num_classes: Channels of the logits.

    Raises:
        SpaceError: A value is missing, unknown or malformed; the message names the key.
    """

    has_aux = False
    smoke_values: ClassVar[Mapping[str, Any]] = {
        key: value for key, value in ElasticDeeplab.smoke_values.items() if key != "aux"
    } | {"stage4.depth": 2}

    def __init__(self, values: Mapping[str, Value], num_classes: int) -> None:
        super().__init__()
        plan = read(values)
        self.num_classes = num_classes
        self.conv1, self.reduce = stem(plan)
        self.bn1 = nn.BatchNorm2d(plan.stem_width)
        self.relu = nn.ReLU(inplace=True)
        low, second, mid, deep = (BLOCKS[plan.block].expansion * s.width for s in plan.stages)
        self.layer1 = stage(plan.stem_width, plan, 0)
        self.layer2 = stage(low, plan, 1)
        self.layer3 = stage(second, plan, 2)
        self.layer4 = stage(mid, plan, 3, projected=(0, plan.stages[3].depth - 1))
        initialise(self)
        stride = plan.output_stride
        self.taps = {"low": Tap(low, 4), "mid": Tap(mid, stride), "deep": Tap(deep, stride)}
        self.layer6 = plan.head.main(self.taps, num_classes)

    @staticmethod
    def describe(values: Mapping[str, Value]) -> str:
        """Return the architecture in a few sentences.

        Raises:
            SpaceError: A value is missing, unknown or malformed.
        """
        return f"{read(values).describe()} The last block of stage 4 comes after the deep features."

    def encode(self, images: Tensor) -> Features:
        """Turn normalised images (N, 3, H, W) into features of stages 1, 3 and most of 4."""
        low = self.layer1(self.reduce(self.relu(self.bn1(self.conv1(images)))))
        mid = self.layer3(self.layer2(low))
        return Features(low=low, mid=mid, deep=self.layer4[:-1](mid))

    def decode(self, features: Features) -> Output:
        """Return logits at the deep stride, or at stride 4 where low features are fused."""
        digested = self.layer4[-1](features.deep)
        return Output(self.layer6(digested, features.low), features, None)

    def head_modules(self) -> list[nn.Module]:
        """Return the head; the block before it learns as the backbone does."""
        return [self.layer6]


def read(values: Mapping[str, Value]) -> DeeplabPlan:
    """Make a plan of the values of an architecture.

    Raises:
        SpaceError: A key is missing, unknown, without effect, or has an impossible value.
    """
    if "aux" in values:
        raise SpaceError("dast_deeplab: there is no auxiliary head; leave 'aux' out")
    plan = DeeplabPlan.read({**values, "aux": False}, "dast_deeplab")
    if plan.stages[3].depth < 2:
        raise SpaceError(
            "dast_deeplab: 'stage4.depth' is 1, expected 2 or more: one block before the deep "
            "features and one after"
        )
    return plan
