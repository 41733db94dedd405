"""Residual blocks with free width, kernel, dilation, normalisation and squeeze-excite."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from autoadapt.networks.blocks.layers import Norm, SqueezeExcite, convolution, normalisation

StrideIn = Literal["1x1", "3x3"]


@dataclass(frozen=True, kw_only=True)
class BlockPlan:
    """One residual block.

    Attributes:
        planes: Channels of the spatial convolution; a bottleneck puts out four times as many.
        kernel: Size of the spatial convolutions.
        stride: Of the whole block.
        dilation: Of the spatial convolutions.
        project: Whether the shortcut is a 1x1 convolution with batch normalisation.
        squeeze_excite: Whether the residual branch is gated before the addition.
        norm: Normalisation after the first convolution; the others use batch normalisation.
        stride_in: Which convolution of a bottleneck carries the stride: the first (``1x1``, as in
            Caffe and the DeepLabV2 family) or the spatial one (``3x3``, as in torchvision).
    """

    planes: int
    kernel: int = 3
    stride: int = 1
    dilation: int = 1
    project: bool = False
    squeeze_excite: bool = False
    norm: Norm = "bn"
    stride_in: StrideIn = "1x1"


def shortcut(inputs: int, outputs: int, plan: BlockPlan) -> nn.Sequential | None:
    """Return the projection of the shortcut, or None where it is the identity."""
    if not plan.project:
        return None
    projection = convolution(inputs, outputs, 1, stride=plan.stride)
    return nn.Sequential(projection, nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two spatial convolutions (He et al. 2016); the stride sits on the first."""

    expansion: ClassVar[int] = 1

    def __init__(self, inputs: int, plan: BlockPlan) -> None:
        super().__init__()
        width, kernel, dilation = plan.planes, plan.kernel, plan.dilation
        self.conv1 = convolution(inputs, width, kernel, stride=plan.stride, dilation=dilation)
        self.bn1 = normalisation(width, plan.norm)
        self.conv2 = convolution(width, width, kernel, dilation=dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.se = SqueezeExcite(width) if plan.squeeze_excite else None
        self.downsample = shortcut(inputs, width, plan)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, planes, H / stride, W / stride)."""
        residual = self.relu(self.bn1(self.conv1(features)))
        residual = self.bn2(self.conv2(residual))
        return add_shortcut(self, residual, features)


class Bottleneck(nn.Module):
    """1x1 to ``planes``, spatial convolution, 1x1 to four times ``planes`` (He et al. 2016)."""

    expansion: ClassVar[int] = 4

    def __init__(self, inputs: int, plan: BlockPlan) -> None:
        super().__init__()
        width, outputs = plan.planes, plan.planes * self.expansion
        first, second = (plan.stride, 1) if plan.stride_in == "1x1" else (1, plan.stride)
        self.conv1 = convolution(inputs, width, 1, stride=first)
        self.bn1 = normalisation(width, plan.norm)
        self.conv2 = convolution(width, width, plan.kernel, stride=second, dilation=plan.dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = convolution(width, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.se = SqueezeExcite(outputs) if plan.squeeze_excite else None
        self.downsample = shortcut(inputs, outputs, plan)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, 4 * planes, H / stride, W / stride)."""
        residual = self.relu(self.bn1(self.conv1(features)))
        residual = self.relu(self.bn2(self.conv2(residual)))
        residual = self.bn3(self.conv3(residual))
        return add_shortcut(self, residual, features)


def add_shortcut(block: BasicBlock | Bottleneck, residual: Tensor, features: Tensor) -> Tensor:
    """Gate the residual branch if the block does so, add the shortcut and rectify."""
    if block.se is not None:
        residual = block.se(residual)
    kept = features if block.downsample is None else block.downsample(features)
    return block.relu(residual + kept)  # type: ignore[no-any-return]
