"""From class probabilities and class thresholds to labels that a network made for itself."""

import torch
from torch import Tensor, nn

from autoadapt.data.batches import IGNORE
from autoadapt.data.batching import FULL
from autoadapt.networks.contract import Output, upsample


def balanced_labels(probabilities: Tensor, thresholds: Tensor) -> Tensor:
    """Return class-balanced pseudo-labels (CBST, eq. 9), (N, H, W) uint8.

    A pixel becomes the class whose probability exceeds its threshold most, as a ratio, and
    ``IGNORE`` where none reaches it. A rare class with a low threshold may win over the most
    probable one: that is the point.

    Args:
        probabilities: (N, C, H, W), or those times a prior.
        thresholds: (C,), above 0.
    """
    best, label = ratios(probabilities, thresholds).max(dim=1)
    return torch.where(best < 1, IGNORE, label).to(torch.uint8)


def ratios(probabilities: Tensor, thresholds: Tensor) -> Tensor:
    """Return probabilities (N, C, H, W) in units of the thresholds (C,) of their classes."""
    return probabilities / thresholds.to(probabilities)[:, None, None]


def soft_labels(
    probabilities: Tensor, thresholds: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Return entropy-regularised soft labels (CRST-LRENT, eq. 12) and which pixels have one.

    The label of class c is ``(p_c / t_c) ** (1 / temperature)``, normalised over the classes. A
    pixel is selected where the sum before normalisation exceeds 1, which is what minimising over
    the label, zero included, comes to.

    Args:
        probabilities: (N, C, H, W).
        thresholds: (C,), above 0.
        temperature: ``alpha``; towards 0 the label becomes hard.

    Returns:
        (N, C, H, W) for all pixels, and (N, H, W) bool.
    """
    smallest = torch.finfo(probabilities.dtype).tiny
    scaled = ratios(probabilities, thresholds).clamp(min=smallest).log() / temperature
    return scaled.softmax(dim=1), scaled.logsumexp(dim=1) > 0


def quantised(soft: Tensor) -> Tensor:
    """Return shares of classes (N, C, H, W) as bytes (N, H, W, C) whose sum is ``FULL``.

    Rounding changes a share by at most 1/510; what is missing, or too much, goes to the largest.
    """
    shares = (soft * FULL).round_()
    largest = soft.argmax(dim=1, keepdim=True)
    shares.scatter_add_(1, largest, FULL - shares.sum(dim=1, keepdim=True))
    return shares.to(torch.uint8).permute(0, 2, 3, 1)


class MirrorAverage(nn.Module):
    """Predicts with the mean over an image and its mirror image, at the size of the image.

    The logits of its output are logarithms of the mean probabilities, so that their softmax
    returns them.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Output:
        """Return the averaged output of images (N, 3, H, W), features of the plain image."""
        size = (images.shape[2], images.shape[3])
        plain: Output = self.network(images)
        mirrored: Output = self.network(images.flip(-1))
        probabilities = upsample(plain.logits.float(), size).softmax(dim=1)
        probabilities += upsample(mirrored.logits.float(), size).softmax(dim=1).flip(-1)
        tiny = torch.finfo(probabilities.dtype).tiny
        return Output((probabilities / 2).clamp(min=tiny).log(), plain.features, None)
