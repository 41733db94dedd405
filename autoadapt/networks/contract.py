"""The one surface of a segmentation network that methods and scores may touch."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn
from torch.nn.functional import interpolate


class Features(NamedTuple):
    """Feature maps by role, each (N, C, H / stride, W / stride).

    ``low`` holds edges and texture, ``mid`` feeds an auxiliary head, ``deep`` feeds the main one.
    ``skips`` is whatever else the decoder of this one network takes over from its encoder, such
    as further maps or the places of maxima; methods pass it on as it is.
    """

    low: Tensor
    mid: Tensor
    deep: Tensor
    skips: tuple[Tensor, ...] = ()


class Output(NamedTuple):
    """Class scores at the network's own stride, before softmax, and what they came from."""

    logits: Tensor
    features: Features
    aux_logits: Tensor | None


@dataclass(frozen=True)
class Tap:
    """Channels and stride of one feature map."""

    channels: int
    stride: int


class SegmentationNetwork(nn.Module, ABC):
    """What every network offers, so that every method works with every architecture.

    Attributes:
        num_classes: Number of output classes.
        taps: Channels and stride of the features, by role (``low``, ``mid``, ``deep``).
        has_aux: Whether ``Output.aux_logits`` is there.
        smoke_values: Of a family, the values of a network of a few thousand weights; contract
            tests build it, once with ``aux`` and once without where the family has this choice.
        extra: Of a family, the optional package that building needs, which is also the name of
            the extra of this package that installs it; absent for all but one.
    """

    smoke_values: ClassVar[Mapping[str, Any]]
    extra: ClassVar[str | None] = None

    num_classes: int
    taps: Mapping[str, Tap]
    has_aux: bool

    @abstractmethod
    def encode(self, images: Tensor) -> Features:
        """Turn normalised images (N, 3, H, W) into features."""

    @abstractmethod
    def decode(self, features: Features) -> Output:
        """Turn features, possibly reweighted by a method, into logits."""

    @abstractmethod
    def head_modules(self) -> list[nn.Module]:
        """The parts that map features to classes; they learn with a larger rate."""

    def forward(self, images: Tensor) -> Output:
        """Encode and decode."""
        return self.decode(self.encode(images))

    def parameter_groups(
        self, learning_rate: float, head_multiplier: float, *, backbone_multiplier: float = 1.0
    ) -> list[dict[str, Any]]:
        """Optimiser groups ``backbone`` and ``head``; each trainable parameter stands in one.

        Args:
            learning_rate: What the multipliers multiply.
            head_multiplier: Of the heads (``head_modules``).
            backbone_multiplier: Of everything else.
        """
        head = {id(p) for module in self.head_modules() for p in module.parameters()}
        parameters = [p for p in self.parameters() if p.requires_grad]
        groups = [
            {
                "name": "backbone",
                "params": [p for p in parameters if id(p) not in head],
                "lr": learning_rate * backbone_multiplier,
            },
            {
                "name": "head",
                "params": [p for p in parameters if id(p) in head],
                "lr": learning_rate * head_multiplier,
            },
        ]
        return [group for group in groups if group["params"]]


def upsample(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize logits (N, C, h, w) to (height, width) bilinearly, corner pixels aligned.

    Aligned corners are the convention of the AdaptSegNet and AdvEnt family.
    """
    return interpolate(logits, size=size, mode="bilinear", align_corners=True)
