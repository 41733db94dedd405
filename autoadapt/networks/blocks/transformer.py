"""Blocks of the Mix Transformer (SegFormer, Xie et al., NeurIPS 2021), named as the published ones.

Tokens are (N, h * w, C); the blocks also need the height and width of the map they came from.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from autoadapt.networks.blocks.layers import zero_bias

Grid = tuple[int, int]
"""Height and width of the map that tokens lie on."""


class DropPath(nn.Module):
    """Drops the whole residual branch of random images in training (Huang et al., 2016).

    What is kept is divided by the chance of keeping it, so the mean over draws is the input. The
    draw comes from PyTorch's generator of the device, whose state belongs to checkpoints.

    Args:
        rate: Chance of dropping, from 0 up to, but not, 1; 0 draws nothing.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """Map (N, ...) to the same shape, some of the N set to zero."""
        if not self.training or self.rate == 0:
            return branch
        kept = branch.new_empty(branch.shape[0], *[1] * (branch.ndim - 1)).bernoulli_(1 - self.rate)
        return branch * kept / (1 - self.rate)

    def extra_repr(self) -> str:
        """Return the rate."""
        return f"rate={self.rate}"


class EfficientSelfAttention(nn.Module):
    """Multi-head self-attention whose keys and values come from a reduced map.

    Args:
        channels: Of the tokens; a multiple of ``heads``.
        heads: Number of heads.
        reduction: Side of the squares that become one key each; 1 reduces nothing. A rest
            narrower than that at the right and the bottom of the map has no key.
    """

    def __init__(self, channels: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(channels, channels)
        self.kv = nn.Linear(channels, 2 * channels)
        self.proj = nn.Linear(channels, channels)
        self.sr: nn.Conv2d | None = None
        if reduction > 1:
            self.sr = nn.Conv2d(channels, channels, reduction, stride=reduction)
            self.norm = nn.LayerNorm(channels)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Map (N, h * w, C) to the same shape."""
        reduced = tokens if self.sr is None else self.norm(to_tokens(self.sr(to_map(tokens, grid))))
        key, value = self.kv(reduced).chunk(2, dim=-1)
        query, key, value = (self._split(part) for part in (self.q(tokens), key, value))
        attended = scaled_dot_product_attention(query, key, value)
        mixed: Tensor = self.proj(attended.transpose(1, 2).flatten(2))
        return mixed

    def _split(self, tokens: Tensor) -> Tensor:
        """(N, n, C) to (N, heads, n, C / heads)."""
        images, length, _ = tokens.shape
        return tokens.reshape(images, length, self.heads, -1).transpose(1, 2)


class DepthwiseMixer(nn.Module):
    """A 3x3 convolution of each channel alone: its zero padding tells tokens where they are."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Map (N, h * w, C) to the same shape."""
        return to_tokens(self.dwconv(to_map(tokens, grid)))


class MixFeedForward(nn.Module):
    """Linear, depth-wise 3x3 convolution, GELU, linear: SegFormer's Mix-FFN.

    Args:
        channels: Of the tokens.
        ratio: Hidden channels per channel.
    """

    def __init__(self, channels: int, ratio: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, ratio * channels)
        self.dwconv = DepthwiseMixer(ratio * channels)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(ratio * channels, channels)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Map (N, h * w, C) to the same shape."""
        mixed: Tensor = self.fc2(self.act(self.dwconv(self.fc1(tokens), grid)))
        return mixed


class MixBlock(nn.Module):
    """Attention and feed-forward, each normalised before and added after.

    Args:
        channels: Of the tokens.
        heads: Of the attention.
        reduction: Of the attention.
        ratio: Of the feed-forward part.
        drop_path: Chance of dropping each of the two branches.
    """

    def __init__(
        self, channels: int, *, heads: int, reduction: int, ratio: int, drop_path: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.attn = EfficientSelfAttention(channels, heads, reduction)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = MixFeedForward(channels, ratio)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Map (N, h * w, C) to the same shape."""
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens), grid))
        mixed: Tensor = tokens + self.drop_path(self.mlp(self.norm2(tokens), grid))
        return mixed


class OverlapPatchEmbed(nn.Module):
    """A strided convolution whose windows overlap, and a normalisation.

    Args:
        inputs: Channels of the map.
        outputs: Channels of the tokens.
        kernel: Odd size of the windows.
        stride: Their distance.
    """

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)
        self.norm = nn.LayerNorm(outputs)

    def forward(self, features: Tensor) -> tuple[Tensor, Grid]:
        """Map (N, inputs, H, W) to tokens and their grid, H / stride x W / stride rounded up."""
        patches = self.proj(features)
        height, width = patches.shape[2:]
        return self.norm(to_tokens(patches)), (height, width)


def to_map(tokens: Tensor, grid: Grid) -> Tensor:
    """Lay tokens (N, h * w, C) out as a map (N, C, h, w)."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], -1, *grid)


def to_tokens(features: Tensor) -> Tensor:
    """Turn a map (N, C, h, w) into tokens (N, h * w, C)."""
    return features.flatten(2).transpose(1, 2)


def initialise_transformer(module: nn.Module) -> None:
    """Initialise as SegFormer does: linear layers from a narrow normal, convolutions by fan-out."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.trunc_normal_(part.weight, std=0.02)
            zero_bias(part)
        elif isinstance(part, nn.Conv2d):
            fan_out = part.weight[0, 0].numel() * part.out_channels // part.groups
            nn.init.normal_(part.weight, std=(2 / fan_out) ** 0.5)
            zero_bias(part)


def drop_path_rates(highest: float, count: int) -> list[float]:
    """Return rates that grow evenly from 0 at the first block to ``highest`` at the last."""
    rates: list[float] = torch.linspace(0, highest, count, device="cpu").tolist()
    return rates
