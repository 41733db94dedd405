"""Mix Transformer encoder (SegFormer) with SegFormer's or DAFormer's head.

Parameters are named as in the published checkpoints (``backbone.patch_embed1.proj``,
``backbone.block1.0.attn.q``, ``decode_head.linear_c1.proj``, ``decode_head.embed_layers.0.proj``).

Choices (flat keys; a key that has no effect next to the others must be absent):

====================== ==================================================================
``encoder.widths``     channels of the four stages; B0 [32, 64, 160, 256], larger ones
                       [64, 128, 320, 512]
``encoder.depths``     blocks of the four stages; B5 [3, 6, 40, 3]
``encoder.heads``      attention heads of the four stages, [1, 2, 5, 8]
``encoder.reductions`` side of the squares that become one key, [8, 4, 2, 1]
``encoder.ratio``      hidden channels per channel, 4
``encoder.drop_path``  chance of dropping a branch of the last block, 0.1; grows from 0
``head.kind``          ``mlp`` (SegFormer) or ``daformer``
``head.width``         channels of the embeddings; 256, and 768 for ``mlp`` on B2 and larger
``head.rates``         dilation rates, [6, 12, 18]; ``daformer`` only
``head.dropout``       chance of dropping a channel before the classifier, 0.1
====================== ==================================================================
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from autoadapt.errors import SpaceError
from autoadapt.networks.blocks.transformer import (
    MixBlock,
    OverlapPatchEmbed,
    drop_path_rates,
    initialise_transformer,
    to_map,
)
from autoadapt.networks.contract import Features, Output, SegmentationNetwork, Tap
from autoadapt.networks.families._head_plan import listed
from autoadapt.networks.families._pyramid_head_plan import PyramidHeadPlan
from autoadapt.networks.values import ValueReader
from autoadapt.space.architecture import Value

STAGES = 4
STRIDES = (4, 8, 16, 32)


@dataclass(frozen=True, kw_only=True)
class SegformerPlan:
    """Every decision about one network; tuples have one entry per stage."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    reductions: tuple[int, ...]
    ratio: int
    drop_path: float
    head: PyramidHeadPlan

    @classmethod
    def read(cls, values: Mapping[str, Value]) -> "SegformerPlan":
        """Make a plan of the values of an architecture.

        Raises:
            SpaceError: A value is missing, unknown or malformed.
        """
        reader = ValueReader("segformer", values)
        plan = cls(
            widths=reader.several("encoder.widths", STAGES),
            depths=reader.several("encoder.depths", STAGES),
            heads=reader.several("encoder.heads", STAGES),
            reductions=reader.several("encoder.reductions", STAGES),
            ratio=reader.positive("encoder.ratio"),
            drop_path=reader.share("encoder.drop_path"),
            head=PyramidHeadPlan.read(reader),
        )
        reader.finish()
        for width, heads in zip(plan.widths, plan.heads, strict=True):
            if width % heads:
                raise SpaceError(
                    f"segformer: 'encoder.widths' has {width} next to {heads} in "
                    f"'encoder.heads', expected a multiple of {heads}"
                )
        return plan

    def describe(self) -> str:
        """Return the plan in a few sentences."""
        return (
            f"A Mix Transformer of {'-'.join(map(str, self.depths))} blocks, "
            f"{listed(self.widths)} channels wide, whose attention has {listed(self.heads)} heads "
            f"and keys reduced by {listed(self.reductions)} along each side. "
            f"{self.head.sentence()} There is no auxiliary head."
        )


class Segformer(SegmentationNetwork):
    """A hierarchical transformer of strides 4, 8, 16 and 32, and a head that reads them all.

    ``low``, ``mid`` and ``deep`` are stages 1, 3 and 4, ``skips`` is stage 2. There is no
    auxiliary output.

    Args:
        values: The values of an architecture.
        num_classes: Channels of the logits.

    Raises:
        SpaceError: A value is missing, unknown or malformed; the message names the key.
    """

    smoke_values: ClassVar[Mapping[str, Any]] = {
        "encoder.widths": [4, 8, 10, 16],
        "encoder.depths": [1, 1, 2, 1],
        "encoder.heads": [1, 2, 5, 8],
        "encoder.reductions": [8, 4, 2, 1],
        "encoder.ratio": 2,
        "encoder.drop_path": 0.1,
        "head.kind": "daformer",
        "head.width": 9,
        "head.rates": [2, 3],
        "head.dropout": 0.1,
    }

    has_aux = False

    def __init__(self, values: Mapping[str, Value], num_classes: int) -> None:
        super().__init__()
        plan = SegformerPlan.read(values)
        self.num_classes = num_classes
        low, _, mid, deep = (Tap(*pair) for pair in zip(plan.widths, STRIDES, strict=True))
        self.taps = {"low": low, "mid": mid, "deep": deep}
        self.backbone = MixTransformer(plan)
        self.decode_head = plan.head.build(plan.widths, num_classes)

    @staticmethod
    def describe(values: Mapping[str, Value]) -> str:
        """Return the architecture in a few sentences.

        Raises:
            SpaceError: A value is missing, unknown or malformed.
        """
        return SegformerPlan.read(values).describe()

    def encode(self, images: Tensor) -> Features:
        """Turn normalised images (N, 3, H, W) into features of the four stages."""
        low, second, mid, deep = self.backbone(images)
        return Features(low=low, mid=mid, deep=deep, skips=(second,))

    def decode(self, features: Features) -> Output:
        """Return logits at the size of ``low``, stride 4."""
        (second,) = features.skips
        levels = (features.low, second, features.mid, features.deep)
        return Output(self.decode_head(levels), features, None)

    def head_modules(self) -> list[nn.Module]:
        """Return the head."""
        return [self.decode_head]


class MixTransformer(nn.Module):
    """Four stages, each an overlapping patch embedding, blocks and a normalisation.

    Args:
        plan: What to build; its head is not looked at.
    """

    def __init__(self, plan: SegformerPlan) -> None:
        super().__init__()
        inputs = 3
        rates = iter(drop_path_rates(plan.drop_path, sum(plan.depths)))
        for index, width in enumerate(plan.widths):
            kernel, stride = (7, 4) if index == 0 else (3, 2)
            blocks = [
                MixBlock(
                    width,
                    heads=plan.heads[index],
                    reduction=plan.reductions[index],
                    ratio=plan.ratio,
                    drop_path=next(rates),
                )
                for _ in range(plan.depths[index])
            ]
            number = index + 1
            embed = OverlapPatchEmbed(inputs, width, kernel=kernel, stride=stride)
            self.add_module(f"patch_embed{number}", embed)
            self.add_module(f"block{number}", nn.ModuleList(blocks))
            self.add_module(f"norm{number}", nn.LayerNorm(width, eps=1e-6))
            inputs = width
        initialise_transformer(self)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps of the stages, strides 4, 8, 16 and 32."""
        maps, features = [], images
        for number in range(1, STAGES + 1):
            tokens, grid = self.get_submodule(f"patch_embed{number}")(features)
            for block in self.get_submodule(f"block{number}").children():
                tokens = block(tokens, grid)
            features = to_map(self.get_submodule(f"norm{number}")(tokens), grid)
            maps.append(features)
        return maps
