"""An elastic DeepLab as typed values, before any layer exists."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from autoadapt.errors import SpaceError
from autoadapt.networks.blocks.layers import Norm
from autoadapt.networks.blocks.residual import StrideIn
from autoadapt.networks.families._head_plan import HeadPlan, listed
from autoadapt.networks.values import ValueReader, options
from autoadapt.space.architecture import Value

StemKind = Literal["conv", "resnet"]
BlockKind = Literal["basic", "bottleneck"]

STAGES = 4
LAYOUTS: dict[int, tuple[tuple[int, int], ...]] = {
    8: ((1, 1), (2, 1), (1, 2), (1, 4)),
    16: ((1, 1), (2, 1), (2, 1), (1, 2)),
}
"""Stride and base dilation of each stage after the stem's stride of 4, by output stride."""


@dataclass(frozen=True, kw_only=True)
class StagePlan:
    """One stage of residual blocks.

    Attributes:
        depth: Number of blocks.
        width: Planes of its blocks (a bottleneck puts out four times as many).
        kernel: Size of the spatial convolutions, 3 or 5.
        dilation: Pattern, repeated over the blocks and multiplied by the base dilation that the
            output stride gives the stage: base 4 and pattern (1, 2) dilate by 4, 8, 4, 8, ...
        squeeze_excite: Whether the blocks have squeeze-excite gates.
    """

    depth: int
    width: int
    kernel: int
    dilation: tuple[int, ...]
    squeeze_excite: bool


@dataclass(frozen=True, kw_only=True)
class DeeplabPlan:
    """Every decision about one elastic DeepLab.

    Attributes:
        stem: ``conv`` is two 3x3 convolutions of stride 2; ``resnet`` one 7x7 convolution and a
            3x3 maximum, both of stride 2, the latter with the size rounded up.
        stem_width: Channels of the stem.
        block: Kind of residual block.
        stride_in: Which convolution of a bottleneck carries the stride; absent for basic blocks.
        norm: ``ibn_a`` mixes instance statistics into the first normalisation of each block of
            the first three stages.
        output_stride: Stride of the deep features, 8 or 16.
        stages: Four of them.
        head: The main head.
        aux: Whether an auxiliary head, a sum of convolutions, reads the third stage.
    """

    stem: StemKind
    stem_width: int
    block: BlockKind
    stride_in: StrideIn | None
    norm: Norm
    output_stride: int
    stages: tuple[StagePlan, ...]
    head: HeadPlan
    aux: bool

    @classmethod
    def read(cls, values: Mapping[str, Value], family: str = "elastic_deeplab") -> "DeeplabPlan":
        """Make a plan of the values of an architecture.

        Args:
            values: Flat dotted keys to values.
            family: Named in messages.

        Raises:
            SpaceError: A key is missing, unknown, without effect, or has an impossible value.
        """
        reader = ValueReader(family, values)
        block = reader.one_of("block", options(BlockKind))
        if block != "bottleneck":
            reader.inactive("stride_in")
        plan = cls(
            stem=reader.one_of("stem.kind", options(StemKind)),
            stem_width=reader.positive("stem.width"),
            block=block,
            stride_in=(
                reader.one_of("stride_in", options(StrideIn)) if block == "bottleneck" else None
            ),
            norm=reader.one_of("norm", options(Norm)),
            output_stride=reader.one_of("output_stride", tuple(LAYOUTS)),
            stages=tuple(read_stage(reader, number) for number in range(1, STAGES + 1)),
            head=HeadPlan.read(reader),
            aux=reader.flag("aux"),
        )
        reader.finish()
        plan.check(family)
        return plan

    def check(self, family: str) -> None:
        """Refuse widths that instance normalisation cannot split."""
        for number, stage in enumerate(self.stages, start=1):
            if self.norm == "ibn_a" and stage.width < 2:
                raise SpaceError(
                    f"{family}: 'stage{number}.width' is {stage.width}, expected 2 or "
                    "more with norm ibn_a, which splits the channels in two"
                )

    def describe(self) -> str:
        """Return the plan in a few sentences."""
        depths = "-".join(str(stage.depth) for stage in self.stages)
        widths = listed(stage.width for stage in self.stages)
        stem = {"conv": "two strided 3x3 convolutions", "resnet": "a 7x7 convolution and pooling"}
        first = (
            f"A residual network of {depths} {self.block} blocks, {widths} channels wide, "
            f"behind {stem[self.stem]} of {self.stem_width} channels; its deep features have "
            f"stride {self.output_stride}."
        )
        head = self.head.sentence(aux_reads="stage 3" if self.aux else None)
        return " ".join([first, self._stage_sentence(), head])

    def _stage_sentence(self) -> str:
        dilations = LAYOUTS[self.output_stride]
        details = [
            "stages 1 to 3 mix instance into batch normalisation (IBN-a)"
            if self.norm == "ibn_a"
            else "all normalisation is by batch"
        ]
        for number, (stage, (_, base)) in enumerate(zip(self.stages, dilations, strict=True), 1):
            used = [base * stage.dilation[i % len(stage.dilation)] for i in range(stage.depth)]
            traits = []
            if set(used) != {1}:
                traits.append(f"is dilated by {listed(dict.fromkeys(used))}")
            if stage.kernel != 3:
                traits.append(f"has {stage.kernel}x{stage.kernel} kernels")
            if stage.squeeze_excite:
                traits.append("gates its channels by squeeze-excite")
            if traits:
                details.append(f"stage {number} {listed(traits)}")
        sentence = "; ".join(details)
        return sentence[0].upper() + sentence[1:] + "."


def read_stage(reader: ValueReader, number: int) -> StagePlan:
    """Read the choices ``stage<number>.*``."""
    name = f"stage{number}"
    return StagePlan(
        depth=reader.positive(f"{name}.depth"),
        width=reader.positive(f"{name}.width"),
        kernel=reader.one_of(f"{name}.kernel", (3, 5)),
        dilation=reader.positives(f"{name}.dilation"),
        squeeze_excite=reader.flag(f"{name}.se"),
    )
