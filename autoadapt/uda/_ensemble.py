"""Several networks that predict as one."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from autoadapt.networks.contract import Output, upsample


def mean_probabilities(
    logits: Sequence[Tensor], size: tuple[int, int], weights: Sequence[float] | None = None
) -> Tensor:
    """Return the mean of class probabilities (N, C, *size), averaged before they are enlarged.

    Args:
        logits: (N, C, h, w) of each network, all at one stride.
        size: Height and width.
        weights: Share of each network, summing to 1; absent: the same for all.
    """
    shares = weights or [1 / len(logits)] * len(logits)
    parts = [share * one.float().softmax(dim=1) for share, one in zip(shares, logits, strict=True)]
    return upsample(torch.stack(parts).sum(dim=0), size)


class Ensemble(nn.Module):
    """Predicts with the mean of the class probabilities of its members, at the size of the image.

    The logits of its output are logarithms of the mean probabilities, so that their softmax
    returns them; the features are those of the first member.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Output:
        """Return the output of images (N, 3, H, W)."""
        outputs: list[Output] = [member(images) for member in self.members]
        size = (images.shape[2], images.shape[3])
        mean = mean_probabilities([output.logits for output in outputs], size)
        tiny = torch.finfo(mean.dtype).tiny
        return Output(mean.clamp(min=tiny).log(), outputs[0].features, None)


class LogitEnsemble(nn.Module):
    """Predicts with the mean of the logits of its members, enlarged to the size of the image.

    "AdvEnt + MinEnt" (Vu et al., CVPR 2019) is such a mean of two networks trained apart.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Output:
        """Return the output of images (N, 3, H, W), features of the first member."""
        outputs: list[Output] = [member(images) for member in self.members]
        size = (images.shape[2], images.shape[3])
        logits = [upsample(output.logits.float(), size) for output in outputs]
        return Output(torch.stack(logits).mean(dim=0), outputs[0].features, None)
