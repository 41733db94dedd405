"""The segmentation heads that families share: as values, in words, as modules."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import nn

from autoadapt.errors import SpaceError
from autoadapt.networks.blocks.heads import (
    AsppConcat,
    AsppSum,
    ContextHead,
    DualAttention,
    PyramidPooling,
)
from autoadapt.networks.contract import Tap
from autoadapt.networks.values import ValueReader, options

HeadKind = Literal["aspp_sum", "aspp_first_two", "deeplabv3plus", "pyramid", "dual_attention"]

SUMMED: tuple[HeadKind, ...] = ("aspp_sum", "aspp_first_two")
"""Heads without a width, which read nothing but the deep features."""

RATED: tuple[HeadKind, ...] = (*SUMMED, "deeplabv3plus")
"""Heads with dilation rates."""

WORDS: dict[HeadKind, str] = {
    "aspp_sum": "sums parallel 3x3 convolutions (DeepLabV2)",
    "aspp_first_two": "sums the first two of its parallel 3x3 convolutions (AdaptSegNet's code)",
    "deeplabv3plus": "concatenates parallel convolutions and image pooling (DeepLabV3)",
    "pyramid": "pools the image in a pyramid of bins (PSPNet)",
    "dual_attention": "attends to positions and channels (DANet)",
}


@dataclass(frozen=True, kw_only=True)
class HeadPlan:
    """The main head.

    Attributes:
        kind: Name of the head.
        rates: Dilation rates of a rated head, otherwise empty.
        width: Channels between features and classifier; summed heads have none and 0 here.
        skip: Whether low-level features refine the result; never with summed heads.
    """

    kind: HeadKind
    rates: tuple[int, ...] = ()
    width: int = 0
    skip: bool = False

    @classmethod
    def read(cls, reader: ValueReader) -> "HeadPlan":
        """Read the choices ``head.*`` that the kind of head has.

        Raises:
            SpaceError: A key is missing or has an impossible value.
        """
        kind = reader.one_of("head.kind", options(HeadKind))
        rates = reader.positives("head.rates") if kind in RATED else ()
        reader.inactive("head.rates")
        if kind == "aspp_first_two" and len(rates) < 3:
            raise SpaceError(
                f"{reader.family}: 'head.rates' is {list(rates)}, expected three or more with "
                "head.kind aspp_first_two, which leaves all but two without use; with two or "
                "fewer choose aspp_sum"
            )
        if kind in SUMMED:
            reader.inactive("head.width", "head.skip")
            return cls(kind=kind, rates=rates)
        width, skip = reader.positive("head.width"), reader.flag("head.skip")
        return cls(kind=kind, rates=rates, width=width, skip=skip)

    def sentence(self, *, aux_reads: str | None) -> str:
        """Return the head in words; ``aux_reads`` names what an auxiliary head reads, if any."""
        text = f"The head {WORDS[self.kind]}"
        if self.rates:
            text += f" at dilation rates {listed(self.rates)}"
        if self.width:
            text += f", {self.width} channels wide"
            text += ", and is refined by low-level features" if self.skip else ""
        aux = f"an auxiliary head reads {aux_reads}" if aux_reads else "there is no auxiliary head"
        return f"{text}; {aux}."

    def main(self, taps: Mapping[str, Tap], num_classes: int) -> AsppSum | ContextHead:
        """Return the main head, called with deep and low features."""
        deep = taps["deep"].channels
        if self.kind in SUMMED:
            return self._summed(deep, num_classes, self.rates)
        context: nn.Module
        if self.kind == "deeplabv3plus":
            context = AsppConcat(deep, self.width, self.rates)
        elif self.kind == "pyramid":
            context = PyramidPooling(deep, self.width)
        else:
            context = DualAttention(deep, self.width)
        low = taps["low"].channels if self.skip else None
        return ContextHead(context, self.width, num_classes, low_channels=low)

    def auxiliary(self, taps: Mapping[str, Tap], num_classes: int) -> AsppSum:
        """Return a head for the mid features with the main rates, or one plain convolution."""
        return self._summed(taps["mid"].channels, num_classes, self.rates or (1,))

    def _summed(self, inputs: int, num_classes: int, rates: tuple[int, ...]) -> AsppSum:
        used = 2 if self.kind == "aspp_first_two" else None
        return AsppSum(inputs, num_classes, rates, used=used)


def listed(items: Iterable[object]) -> str:
    """Return ``a, b and c``."""
    *others, last = map(str, items)
    return f"{', '.join(others)} and {last}" if others else last
