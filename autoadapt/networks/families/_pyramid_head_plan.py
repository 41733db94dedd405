"""The heads that read a whole pyramid of maps: as values, in words, as modules."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from autoadapt.networks.blocks.pyramid_heads import DaformerHead, MlpHead
from autoadapt.networks.families._head_plan import listed
from autoadapt.networks.values import ValueReader, options

PyramidHeadKind = Literal["mlp", "daformer"]


@dataclass(frozen=True, kw_only=True)
class PyramidHeadPlan:
    """One head for a pyramid of maps.

    Attributes:
        kind: ``mlp`` (SegFormer) or ``daformer``.
        width: Channels of the embeddings.
        rates: Dilation rates; empty for ``mlp``.
        dropout: Chance of dropping a channel before the classifier.
    """

    kind: PyramidHeadKind
    width: int
    rates: tuple[int, ...]
    dropout: float

    @classmethod
    def read(cls, reader: ValueReader) -> "PyramidHeadPlan":
        """Read the choices ``head.*`` that the kind of head has.

        Raises:
            SpaceError: A key is missing or has an impossible value.
        """
        kind = reader.one_of("head.kind", options(PyramidHeadKind))
        if kind == "mlp":
            reader.inactive("head.rates")
        return cls(
            kind=kind,
            width=reader.positive("head.width"),
            rates=reader.positives("head.rates") if kind == "daformer" else (),
            dropout=reader.share("head.dropout"),
        )

    def build(self, channels: Sequence[int], num_classes: int) -> MlpHead | DaformerHead:
        """Return the head for maps of these channels, the largest map first."""
        if self.kind == "mlp":
            return MlpHead(channels, self.width, num_classes, dropout=self.dropout)
        return DaformerHead(
            channels, self.width, num_classes, rates=self.rates, dropout=self.dropout
        )

    def sentence(self) -> str:
        """Return the head in words."""
        text = f"The head embeds every level in {self.width} channels and fuses them"
        if self.kind == "mlp":
            return f"{text} pixel by pixel (SegFormer)."
        rates = listed(self.rates)
        return f"{text} by separable convolutions at dilation rates {rates} (DAFormer)."
