"""Segmentation heads: from deep features, and perhaps low ones, to class scores.

Branches that pool the whole image, or a few bins of it, use a bias instead of batch
normalisation: a pooled map has one value per image and channel, whose variance over a batch of
one does not exist (PyTorch refuses it) and over a few bins is noise.
"""

import torch
from torch import Tensor, nn

from autoadapt.networks.blocks.layers import conv_norm_relu, initialise
from autoadapt.networks.contract import upsample


class AsppSum(nn.Module):
    """Sum of parallel dilated 3x3 convolutions with bias: the head of DeepLabV2.

    AdvEnt, IntraDA, CCM and CRST sum four branches (6, 12, 18, 24). The released AdaptSegNet,
    DAST and DACS networks own the same four, but return from within the loop that sums them: the
    first two alone are ever computed. Parameters are named as theirs.

    Args:
        inputs: Channels of the features.
        num_classes: Channels of the logits.
        rates: Dilation, and padding, of each branch.
        used: How many branches, the first ones, are summed; absent: all. The others are owned,
            so that checkpoints fit, and never learn.
    """

    def __init__(
        self, inputs: int, num_classes: int, rates: tuple[int, ...], *, used: int | None = None
    ) -> None:
        super().__init__()
        self.used = len(rates) if used is None else used
        branches = [nn.Conv2d(inputs, num_classes, 3, padding=r, dilation=r) for r in rates]
        for branch in branches:
            nn.init.normal_(branch.weight, std=0.01)
        self.conv2d_list = nn.ModuleList(branches)
        self.conv2d_list[self.used :].requires_grad_(False)
        self.rates = rates

    def forward(self, deep: Tensor, low: Tensor | None = None) -> Tensor:
        """Map (N, inputs, h, w) to logits (N, num_classes, h, w); ``low`` is not looked at."""
        first, *others = self.conv2d_list[: self.used]
        logits: Tensor = first(deep)
        for branch in others:
            logits = logits + branch(deep)
        return logits


class AsppConcat(nn.Module):
    """1x1, dilated 3x3 and image-pooling branches, concatenated and fused (DeepLabV3).

    Args:
        inputs: Channels of the features.
        width: Channels of each branch and of the result.
        rates: Dilation of each 3x3 branch.
    """

    def __init__(self, inputs: int, width: int, rates: tuple[int, ...]) -> None:
        super().__init__()
        self.pointwise = conv_norm_relu(inputs, width, 1)
        self.dilated = nn.ModuleList(
            conv_norm_relu(inputs, width, 3, dilation=rate) for rate in rates
        )
        self.pooled = pooled_branch(inputs, width, bins=1)
        self.fuse = conv_norm_relu(width * (len(rates) + 2), width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, inputs, h, w) to (N, width, h, w)."""
        local = self.pointwise(features)
        pooled = self.pooled(features).expand_as(local)
        branches = [local, *(branch(features) for branch in self.dilated), pooled]
        fused: Tensor = self.fuse(torch.cat(branches, dim=1))
        return fused


class PyramidPooling(nn.Module):
    """Averages over 1, 4, 9 and 36 bins of the image next to the features (PSPNet).

    Args:
        inputs: Channels of the features.
        width: Channels of the result; each level of the pyramid has a quarter, rounded up.
    """

    bins = (1, 2, 3, 6)

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        narrow = -(-width // len(self.bins))
        self.levels = nn.ModuleList(pooled_branch(inputs, narrow, bins=bins) for bins in self.bins)
        self.fuse = conv_norm_relu(inputs + narrow * len(self.bins), width, 3)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, inputs, h, w) to (N, width, h, w)."""
        height, width = features.shape[-2:]
        levels = [upsample(level(features), (height, width)) for level in self.levels]
        fused: Tensor = self.fuse(torch.cat([features, *levels], dim=1))
        return fused


class DualAttention(nn.Module):
    """Position and channel attention in parallel, summed (DANet, Fu et al. 2019).

    Both attentions start switched off (gains of zero). The two auxiliary classifiers and the
    dropout of the published network are left out.

    Args:
        inputs: Channels of the features.
        width: Channels of both branches and of the result.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.position = nn.Sequential(
            conv_norm_relu(inputs, width, 3),
            PositionAttention(width),
            conv_norm_relu(width, width, 3),
        )
        self.channel = nn.Sequential(
            conv_norm_relu(inputs, width, 3), ChannelAttention(), conv_norm_relu(width, width, 3)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, inputs, h, w) to (N, width, h, w)."""
        attended: Tensor = self.position(features) + self.channel(features)
        return attended


class PositionAttention(nn.Module):
    """Every pixel adds a mean of all pixels, weighted by similarity: (h w)² products."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = max(1, channels // 8)
        self.query = nn.Conv2d(channels, narrow, 1)
        self.key = nn.Conv2d(channels, narrow, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, h, w) to the same shape."""
        query, key = self.query(features).flatten(2), self.key(features).flatten(2)
        weights = torch.bmm(query.transpose(1, 2), key).softmax(dim=-1)
        attended = torch.bmm(self.value(features).flatten(2), weights.transpose(1, 2))
        return features + self.gain * attended.view_as(features)


class ChannelAttention(nn.Module):
    """Every channel adds a mean of all channels, the less similar the more."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(1))

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, h, w) to the same shape."""
        flat = features.flatten(2)
        # The published code takes the softmax of "row maximum minus similarity".
        weights = (-torch.bmm(flat, flat.transpose(1, 2))).softmax(dim=-1)
        return features + self.gain * torch.bmm(weights, flat).view_as(features)


class LowLevelFusion(nn.Module):
    """Refines upsampled deep features with a narrow copy of low ones (DeepLabV3+ decoder).

    Args:
        low_channels: Channels of the low features.
        width: Channels of the deep features and of the result; the copy has 3/16 of it, the
            48 of 256 of the publication, and at least 8.
    """

    def __init__(self, low_channels: int, width: int) -> None:
        super().__init__()
        narrow = max(8, width * 3 // 16)
        self.project = conv_norm_relu(low_channels, narrow, 1)
        self.refine = nn.Sequential(
            conv_norm_relu(width + narrow, width, 3), conv_norm_relu(width, width, 3)
        )

    def forward(self, deep: Tensor, low: Tensor) -> Tensor:
        """Map deep (N, width, h, w) and low (N, low_channels, H, W) to (N, width, H, W)."""
        height, width = low.shape[-2:]
        both = [upsample(deep, (height, width)), self.project(low)]
        refined: Tensor = self.refine(torch.cat(both, dim=1))
        return refined


class ContextHead(nn.Module):
    """Context module, optional low-level fusion, classifier.

    Args:
        context: Maps deep features to ``width`` channels.
        width: Channels of the context.
        num_classes: Channels of the logits.
        low_channels: Channels of the low features to fuse; absent: none are.
    """

    def __init__(
        self, context: nn.Module, width: int, num_classes: int, *, low_channels: int | None
    ) -> None:
        super().__init__()
        self.context = context
        self.fusion = None if low_channels is None else LowLevelFusion(low_channels, width)
        self.classifier = nn.Conv2d(width, num_classes, 1)
        initialise(self)
        nn.init.normal_(self.classifier.weight, std=0.01)

    def forward(self, deep: Tensor, low: Tensor) -> Tensor:
        """Return logits at the size of ``low`` if it is fused, otherwise of ``deep``."""
        features = self.context(deep)
        if self.fusion is not None:
            features = self.fusion(features, low)
        logits: Tensor = self.classifier(features)
        return logits


def pooled_branch(inputs: int, outputs: int, *, bins: int) -> nn.Sequential:
    """Return average pooling to bins x bins, a 1x1 convolution with bias and a rectifier."""
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(bins), nn.Conv2d(inputs, outputs, 1), nn.ReLU(inplace=True)
    )
