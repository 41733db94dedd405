"""FCN-8s on VGG-16 (Long et al., CVPR 2015), the baseline of the first works on adaptation.

Two differences from the Caffe original, both without weights: convolutions keep the size of
their input instead of a border of 100 pixels that is cropped later, and the last enlargement, a
fixed bilinear one by 8, is left to whoever needs logits at the size of the image.

Parameters are named as torchvision's (``features.N``) and as in the published PyTorch versions
(``vgg_head.0``, ``vgg_head.3``, ``vgg_head.6``, ``score_pool4``, ``upscore2``, ...).

Choices (flat keys):

============ =================================================
``width``    channels of the first block, 64 in VGG-16
``hidden``   channels of the two layers before the classifier, 4096
``dropout``  chance of dropping a channel behind each, 0.5
============ =================================================
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from autoadapt.networks.blocks.layers import initialise, zero_bias
from autoadapt.networks.blocks.vgg import vgg16_features, vgg16_widths
from autoadapt.networks.contract import Features, Output, SegmentationNetwork, Tap
from autoadapt.networks.values import ValueReader
from autoadapt.space.architecture import Value


class Fcn8s(SegmentationNetwork):
    """VGG-16, its first linear layer as a 7x7 convolution, and scores of three pooling layers.

    ``low``, ``mid`` and ``deep`` are the outputs of the third, fourth and fifth pooling layer.
    There is no auxiliary output. The scores start at zero, as published.

    Args:
        values: The values of an architecture.
        num_classes: Channels of the logits.

    Raises:
        SpaceError: A value is missing, unknown or malformed; the message names the key.
    """

    smoke_values: ClassVar[Mapping[str, Any]] = {"width": 4, "hidden": 10, "dropout": 0.5}

    has_aux = False

    def __init__(self, values: Mapping[str, Value], num_classes: int) -> None:
        super().__init__()
        width, hidden, dropout = read(values)
        *_, low, mid, deep = vgg16_widths(width)
        self.num_classes = num_classes
        self.taps = {"low": Tap(low, 8), "mid": Tap(mid, 16), "deep": Tap(deep, 32)}
        self.features = vgg16_features(width, batch_norm=False, pool=caffe_pool)
        initialise(self.features)
        self.vgg_head = nn.Sequential(
            hidden_layer(deep, hidden, 7),
            nn.ReLU(inplace=True),
            nn.Dropout2d(dropout),
            hidden_layer(hidden, hidden, 1),
            nn.ReLU(inplace=True),
            nn.Dropout2d(dropout),
            score(hidden, num_classes),
        )
        self.score_pool4 = score(mid, num_classes)
        self.score_pool3 = score(low, num_classes)
        self.upscore2 = bilinear_doubling(num_classes)
        self.upscore_pool4 = bilinear_doubling(num_classes)

    @staticmethod
    def describe(values: Mapping[str, Value]) -> str:
        """Return the architecture in a few sentences.

        Raises:
            SpaceError: A value is missing, unknown or malformed.
        """
        width, hidden, dropout = read(values)
        return (
            f"FCN-8s: VGG-16 with {width} channels in its first block, two convolutions of "
            f"{hidden} channels with dropout {dropout:g} instead of its linear layers, and "
            "scores of three pooling layers added up to stride 8. There is no auxiliary head."
        )

    def encode(self, images: Tensor) -> Features:
        """Turn normalised images (N, 3, H, W) into the outputs of the last three pooling layers."""
        pooled = []
        features = images
        for layer in self.features:
            features = layer(features)
            if isinstance(layer, nn.MaxPool2d):
                pooled.append(features)
        *_, low, mid, deep = pooled
        return Features(low=low, mid=mid, deep=deep)

    def decode(self, features: Features) -> Output:
        """Return logits at the size of ``low``, stride 8."""
        scores = self.vgg_head(features.deep)
        scores = cropped(self.upscore2(scores), features.mid) + self.score_pool4(features.mid)
        scores = cropped(self.upscore_pool4(scores), features.low) + self.score_pool3(features.low)
        return Output(scores, features, None)

    def head_modules(self) -> list[nn.Module]:
        """Return everything but the convolutions of VGG-16."""
        return [
            self.vgg_head,
            self.score_pool4,
            self.score_pool3,
            self.upscore2,
            self.upscore_pool4,
        ]


def read(values: Mapping[str, Value]) -> tuple[int, int, float]:
    """Return width, hidden channels and dropout.

    Raises:
        SpaceError: A value is missing, unknown or malformed.
    """
    reader = ValueReader("fcn8s", values)
    found = reader.positive("width"), reader.positive("hidden"), reader.share("dropout")
    reader.finish()
    return found


def caffe_pool() -> nn.MaxPool2d:
    """Return a maximum over 2x2 pixels, the size rounded up."""
    return nn.MaxPool2d(2, ceil_mode=True)


def hidden_layer(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    """Return a convolution with bias that keeps the size."""
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    zero_bias(layer)
    return layer


def score(inputs: int, num_classes: int) -> nn.Conv2d:
    """Return a classifier of pixels that starts at zero."""
    layer = nn.Conv2d(inputs, num_classes, 1)
    nn.init.zeros_(layer.weight)
    zero_bias(layer)
    return layer


def bilinear_doubling(channels: int) -> nn.ConvTranspose2d:
    """Return a transposed convolution that learns, and starts as bilinear enlargement by two."""
    layer = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1, bias=False)
    # A kernel of 4 and a stride of 2: weights 1/4, 3/4, 3/4, 1/4 along each axis.
    edge = torch.tensor([0.25, 0.75, 0.75, 0.25], device=layer.weight.device)
    with torch.no_grad():
        nn.init.zeros_(layer.weight)
        for channel in range(channels):
            layer.weight[channel, channel] = edge[:, None] * edge
    return layer


def cropped(scores: Tensor, like: Tensor) -> Tensor:
    """Cut off the rows and columns that an odd size lets a doubled map have too many."""
    height, width = like.shape[2:]
    return scores[:, :, :height, :width]
