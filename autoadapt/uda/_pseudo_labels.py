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


KEPT = 3
"""Classes of a soft label that are stored, each with its share."""


def strongest(soft: Tensor) -> Tensor:
    """Return the largest shares of classes (N, C, H, W) as bytes (N, H, W, 2, K), K at most 3.

    First the classes, the largest first, then their shares, which sum to ``FULL``: what rounding
    leaves over, and what the other classes had, goes to the largest. Two bytes per class that is
    kept instead of one per class that there is: of 19 classes, six bytes per pixel instead of 19.
    """
    shares, classes = soft.topk(min(KEPT, soft.shape[1]), dim=1)
    shares = (shares * FULL).round_()
    shares[:, 0] += FULL - shares.sum(dim=1)
    return torch.stack([classes, shares], dim=1).to(torch.uint8).permute(0, 3, 4, 1, 2)


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
