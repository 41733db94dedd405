"""A discriminator that looks at several scales through parallel dilated convolutions."""

import torch
from torch import Tensor, nn

RATES = (1, 2, 3, 4)


class AsppDiscriminator(nn.Module):
    """Parallel dilated 3x3 convolutions, concatenated, then one score per position.

    As in the representation adaptation of FCAN (Zhang et al. 2018), whose 128 channels per branch
    it has, and on the outputs in structure enhancement. No sigmoid.

    Args:
        inputs: Channels of the maps that are judged.
        width: Channels of each branch.
    """

    def __init__(self, inputs: int, width: int = 128) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(inputs, width, 3, padding=rate, dilation=rate) for rate in RATES
        )
        self.rectify = nn.LeakyReLU(0.2)
        self.judge = nn.Conv2d(width * len(RATES), 1, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Return scores (N, 1, H, W) of maps (N, inputs, H, W)."""
        seen = torch.cat([branch(maps) for branch in self.branches], dim=1)
        scores: Tensor = self.judge(self.rectify(seen))
        return scores
