"""Losses that several methods share, each the mean over pixels so that crops do not change weights."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from autoadapt.data.batches import IGNORE

SOURCE_LABEL = 0.0
TARGET_LABEL = 1.0
"""Domain labels of discriminators, as in the code of AdaptSegNet and AdvEnt (their papers swap)."""


def cross_entropy(logits: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Cross entropy averaged over the labelled pixels; 0 where no pixel is labelled.

    Args:
        logits: (N, C, H, W).
        labels: (N, H, W), class indices or ``IGNORE``.
        class_weights: (C,); the average is then weighted, as in PyTorch.
    """
    if not bool((labels != IGNORE).any()):
        return logits.sum() * 0.0  # PyTorch's mean over nothing is NaN
    return functional.cross_entropy(logits, labels, class_weights, ignore_index=IGNORE)


def self_information(logits: Tensor) -> Tensor:
    """Weighted self-information maps ``-p log p / log C`` (AdvEnt, eq. 5), (N, C, H, W).

    Each value lies in [0, 1 / (e ln C)]; the sum over classes is the entropy in [0, 1].
    """
    log_prob = logits.log_softmax(dim=1)
    return -(log_prob.exp() * log_prob) / math.log(logits.shape[1])


def entropy(logits: Tensor) -> Tensor:
    """Mean entropy of the pixels, scaled to [0, 1] (MinEnt; AdvEnt, eq. 2)."""
    return self_information(logits).sum(dim=1).mean()


def domain_loss(scores: Tensor, label: float, kind: str = "bce") -> Tensor:
    """Distance of discriminator scores (N, 1, h, w) from one domain label.

    Args:
        kind: ``bce``, on scores before the sigmoid, or ``mse``, the least-squares GAN.
    """
    wanted = torch.full_like(scores, label)
    if kind == "bce":
        return functional.binary_cross_entropy_with_logits(scores, wanted)
    return functional.mse_loss(scores, wanted)
