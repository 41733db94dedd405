"""What a training step sees. A target batch has no field for labels, and that is the point."""

from dataclasses import dataclass

from torch import Tensor

IGNORE = 255
"""Label of pixels that count nowhere."""


@dataclass(frozen=True)
class SourceBatch:
    """Labelled images of the source domain.

    Attributes:
        images: (N, 3, H, W) float32, normalised.
        labels: (N, H, W) int64, class indices or ``IGNORE``.
        ids: Name of each image.
        weights: (N, H, W) float32 in [0, 1], how much each label counts; absent: all the same.
        soft: (N, C, H, W) float32, shares of the classes; 0 for all where there is no label.
    """

    images: Tensor
    labels: Tensor
    ids: tuple[str, ...]
    weights: Tensor | None = None
    soft: Tensor | None = None


@dataclass(frozen=True)
class TargetBatch:
    """Images of the target domain, (N, 3, H, W) float32, normalised."""

    images: Tensor
    ids: tuple[str, ...]
