"""Mixing source into target images, and pseudo-labels for the rest (ClassMix, DACS)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from autoadapt.data.batches import IGNORE


@dataclass(frozen=True)
class PseudoLabels:
    """What a teacher says about target images.

    Attributes:
        labels: (N, H, W) int64 class indices.
        weights: (N, H, W) float weights of the pixels.
    """

    labels: Tensor
    weights: Tensor


def pseudo_labels(
    logits: Tensor, threshold: float, *, top: int = 0, bottom: int = 0
) -> PseudoLabels:
    """Return the most likely class of each pixel, weighted by how sure the batch is.

    All pixels have the same weight: the share of pixels of the whole batch whose probability
    reaches the threshold (DACS, eq. 2; DAFormer). Rows at the image border may be left out.

    Args:
        logits: (N, C, H, W) of the teacher.
        threshold: In [0, 1].
        top: Rows with weight 0 at the upper border: often the sky or the frame of the camera.
        bottom: The same at the lower border: the bonnet of the car that carries the camera.
    """
    probability, labels = logits.softmax(dim=1).max(dim=1)
    share = (probability >= threshold).float().mean()
    weights = share.expand_as(probability).clone()
    weights[:, :top] = 0
    weights[:, weights.shape[1] - bottom :] = 0
    return PseudoLabels(labels, weights)


def present_classes(labels: Tensor) -> list[int]:
    """Return the values in label maps of any shape, ascending; void counts as one."""
    return [int(value) for value in np.unique(labels.cpu().numpy())]


def half_of(classes: Sequence[int], rng: np.random.Generator) -> list[int]:
    """Draw half of the classes, rounded up, without replacement."""
    count = (len(classes) + 1) // 2
    return sorted(int(value) for value in rng.choice(classes, count, replace=False))


def class_mask(labels: Tensor, chosen: Sequence[int]) -> Tensor:
    """Return which pixels of a label map (H, W) are of the chosen classes, as booleans."""
    wanted = torch.tensor(list(chosen), dtype=labels.dtype, device=labels.device)
    return torch.isin(labels, wanted)


def mixed(mask: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Paste the masked pixels of source arrays over target arrays.

    Args:
        mask: (N, H, W) booleans, true where the source is taken.
        source: (N, H, W) or (N, C, H, W).
        target: Of the same shape.
    """
    return torch.where(mask if source.dim() == 3 else mask[:, None], source, target)


def mean_over_all_pixels(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor | None = None,
    class_weights: Tensor | None = None,
) -> Tensor:
    """Cross entropy averaged over all pixels; void ones count as 0 in it.

    DACS (mixed images), DAFormer and MIC (all images) average so, unlike the AdaptSegNet family:
    the fewer pixels are labelled, the less the loss weighs.

    Args:
        logits: (N, C, H, W).
        labels: (N, H, W), class indices or ``IGNORE``.
        weights: (N, H, W) weights of the pixels; absent: 1.
        class_weights: (C,), as in PyTorch, but the average stays one over pixels.
    """
    losses = functional.cross_entropy(
        logits, labels, class_weights, ignore_index=IGNORE, reduction="none"
    )
    return losses.mean() if weights is None else (losses * weights).mean()
