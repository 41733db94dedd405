"""Losses that several methods share, each a mean over pixels: weights suit crops of any size."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

from autoadapt.data.batches import IGNORE
from autoadapt.networks.contract import upsample

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
    # PyTorch's own mean over no pixel is NaN, and asking whether there is one waits for the GPU.
    total = summed_cross_entropy(logits, labels, class_weights)
    return total / divisor(counted(labels, class_weights))


def summed_cross_entropy(
    logits: Tensor, labels: Tensor, class_weights: Tensor | None = None
) -> Tensor:
    """Cross entropy summed over the labelled pixels; arguments as in ``cross_entropy``."""
    return functional.cross_entropy(
        logits, labels, class_weights, ignore_index=IGNORE, reduction="sum"
    )


def counted(labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Number of labelled pixels, or the sum of the weights of their classes: a scalar."""
    labelled = labels != IGNORE
    if class_weights is None:
        return labelled.sum()
    return (class_weights[labels * labelled] * labelled).sum()


def divisor(count: Tensor) -> Tensor:
    """Return what a sum is divided by for a mean: the count, 1 where it is 0."""
    return torch.where(count > 0, count, 1)


def self_information(logits: Tensor) -> Tensor:
    """Weighted self-information maps ``-p log p / log C`` (AdvEnt, eq. 5), (N, C, H, W).

    Each value lies in [0, 1 / (e ln C)]; the sum over classes is the entropy in [0, 1].
    """
    maps: Tensor = SelfInformation.apply(logits)  # type: ignore[no-untyped-call]
    return maps


class SelfInformation(Function):
    """``self_information`` with a derivative of its own.

    Left to autograd, each of its operations would keep a map of its own for the way back, and
    each would go through memory once more there; at the size of the images, for all classes, that
    takes as long as the losses themselves.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        """Return the maps (N, C, H, W)."""
        log_prob = logits.log_softmax(dim=1)
        ctx.save_for_backward(log_prob)
        return log_prob.exp().mul_(log_prob).div_(-math.log(logits.shape[1]))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return the derivative: with h = -g p (1 + log p) / log C, it is h - p sum(h)."""
        (log_prob,) = ctx.saved_tensors
        prob = log_prob.exp()
        inner = torch.addcmul(prob, prob, log_prob).mul_(gradient)
        total = inner.sum(dim=1, keepdim=True)
        return inner.addcmul_(prob, total, value=-1).div_(-math.log(log_prob.shape[1]))


def entropy(logits: Tensor) -> Tensor:
    """Mean entropy of the pixels, scaled to [0, 1] (MinEnt; AdvEnt, eq. 2)."""
    return self_information(logits).sum(dim=1).mean()


def robust_entropy(logits: Tensor, eta: float) -> Tensor:
    """Mean of a Charbonnier penalty on the entropy of each pixel (FDA, eq. 4).

    ``(H ** 2 + 1e-8) ** eta`` of the entropy H in [0, 1]. The released code divides by 2.9444,
    a rounded ln 19; here by the logarithm of the number of classes.

    Args:
        logits: (N, C, H, W).
        eta: Exponent; 0.5 is nearly the entropy itself.
    """
    uncertain = self_information(logits).sum(dim=1)
    return (uncertain.square() + 1e-8).pow(eta).mean()


def domain_loss(
    scores: Tensor, label: float, kind: str = "bce", factors: Tensor | None = None
) -> Tensor:
    """Distance of discriminator scores (N, 1, h, w) from one domain label, a mean over places.

    Args:
        scores: Before the sigmoid.
        label: ``SOURCE_LABEL`` or ``TARGET_LABEL``.
        kind: ``bce``, or ``mse``, the least-squares GAN.
        factors: (N, 1, H, W) on the distance of each place, to whose size the scores are enlarged;
            absent: 1.
    """
    if factors is not None:
        scores = upsample(scores, (factors.shape[2], factors.shape[3]))
    wanted = torch.full_like(scores, label)
    distance = functional.binary_cross_entropy_with_logits if kind == "bce" else functional.mse_loss
    if factors is None:
        return distance(scores, wanted)
    return (factors * distance(scores, wanted, reduction="none")).mean()


def disagreement(first: Tensor, second: Tensor) -> Tensor:
    """Return how much two predictions differ at each pixel: 1 minus the cosine of both.

    Args:
        first: Class probabilities (N, C, H, W).
        second: Of another classifier, of the same shape.

    Returns:
        (N, 1, H, W) in [0, 1] (CLAN, eq. 3).
    """
    return 1 - functional.cosine_similarity(first, second, dim=1)[:, None]
