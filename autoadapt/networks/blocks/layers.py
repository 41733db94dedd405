"""Convolutions, normalisation with instances, squeeze and excitation."""

from typing import Literal

import torch
from torch import Tensor, nn

Norm = Literal["bn", "ibn_a"]


def convolution(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Conv2d:
    """Return a convolution without bias that keeps the size, up to the stride (rounded up)."""
    return nn.Conv2d(
        inputs,
        outputs,
        kernel,
        stride=stride,
        padding=dilation * (kernel // 2),
        dilation=dilation,
        groups=groups,
        bias=False,
    )


def conv_norm_relu(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    """Return convolution, batch normalisation and rectifier in a row."""
    return nn.Sequential(
        convolution(inputs, outputs, kernel, stride=stride, dilation=dilation),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def normalisation(channels: int, norm: Norm) -> nn.Module:
    """Return batch normalisation, or the mix of instance and batch normalisation of IBN-a."""
    return InstanceBatchNorm(channels) if norm == "ibn_a" else nn.BatchNorm2d(channels)


def zero_bias(layer: nn.Conv2d | nn.Linear) -> None:
    """Start the biases of a layer at zero, if it has any."""
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def initialise(module: nn.Module) -> None:
    """Give every convolution inside He et al.'s normal weights and zero biases.

    The last layers of squeeze-excite gates are left at zero.
    """
    gates = {part.fc2 for part in module.modules() if isinstance(part, SqueezeExcite)}
    for part in module.modules():
        if isinstance(part, nn.Conv2d) and part not in gates:
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            zero_bias(part)


class InstanceBatchNorm(nn.Module):
    """Instance normalisation for the first half of the channels, batch normalisation for the rest.

    Instance statistics remove contrast and colour cast, which differ between domains, and batch
    statistics keep the contents (IBN-Net, Pan et al. 2018, whose parameter names these are).
    Feature maps must have more than one pixel.

    Args:
        channels: Number of channels, two or more; of an odd number the smaller half is first.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sizes = [channels // 2, channels - channels // 2]
        self.IN = nn.InstanceNorm2d(self.sizes[0], affine=True)
        self.BN = nn.BatchNorm2d(self.sizes[1])

    def forward(self, features: Tensor) -> Tensor:
        """Normalise (N, C, H, W)."""
        first, second = torch.split(features, self.sizes, dim=1)
        return torch.cat([self.IN(first), self.BN(second)], dim=1)


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate in (0, 2) computed from the mean of all channels.

    As in SENet (Hu et al. 2018) with a reduction of 16 and no biases. The gate is twice the
    sigmoid and its last layer starts at zero, so a new block passes everything unchanged:
    switching it on does not alter the function of pretrained weights.

    Args:
        channels: Number of channels of the residual branch.
    """

    reduction = 16
    narrowest = 4

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(self.narrowest, channels // self.reduction)
        self.squeeze = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, hidden, 1, bias=False)
        self.fc2 = nn.Conv2d(hidden, channels, 1, bias=False)
        nn.init.zeros_(self.fc2.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Gate the channels of (N, C, H, W)."""
        gate = self.fc2(torch.relu(self.fc1(self.squeeze(features))))
        return features * (2 * torch.sigmoid(gate))
