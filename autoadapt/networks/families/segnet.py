"""SegNet (Badrinarayanan et al., TPAMI 2017): VGG-16 and its mirror, which puts maxima back.

The encoder is named as torchvision's VGG-16 with batch normalisation (``features.N``). Its one
choice is ``width``, the channels of the first block, 64 in the publication.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.functional import max_unpool2d, pad

from autoadapt.networks.blocks.layers import initialise, zero_bias
from autoadapt.networks.blocks.vgg import DEPTHS, conv_relu, vgg16_features, vgg16_widths
from autoadapt.networks.contract import Features, Output, SegmentationNetwork, Tap
from autoadapt.networks.values import ValueReader
from autoadapt.space.architecture import Value


class Segnet(SegmentationNetwork):
    """Five blocks of convolutions and pooling, and five of unpooling and convolutions.

    ``low``, ``mid`` and ``deep`` are the outputs of the second, fourth and fifth pooling layer;
    ``skips`` are the places of the maxima of all five. Of an image of odd height or width the
    logits have one row or column more. There is no auxiliary output.

    Args:
        values: The values of an architecture.
        num_classes: Channels of the logits.

    Raises:
        SpaceError: A value is missing, unknown or malformed; the message names the key.
    """

    smoke_values: ClassVar[Mapping[str, Any]] = {"width": 3}

    has_aux = False

    def __init__(self, values: Mapping[str, Value], num_classes: int) -> None:
        super().__init__()
        width = read(values)
        widths = vgg16_widths(width)
        self.num_classes = num_classes
        self.taps = {
            "low": Tap(widths[1], 4),
            "mid": Tap(widths[3], 16),
            "deep": Tap(widths[4], 32),
        }
        self.features = vgg16_features(width, batch_norm=True, pool=pool_with_places)
        mirrored = zip(widths[:0:-1], widths[-2::-1], DEPTHS[:0:-1], strict=True)
        # The classifier is the second convolution of the last block.
        self.decoder = nn.ModuleList(
            [
                *(decoder_block(*block) for block in mirrored),
                nn.Sequential(*conv_relu(width, width, batch_norm=True)),
            ]
        )
        initialise(self)
        self.classifier = nn.Conv2d(width, num_classes, 3, padding=1)
        nn.init.kaiming_normal_(self.classifier.weight, nonlinearity="linear")
        zero_bias(self.classifier)

    @staticmethod
    def describe(values: Mapping[str, Value]) -> str:
        """Return the architecture in a few sentences.

        Raises:
            SpaceError: A value is missing, unknown or malformed.
        """
        return (
            f"SegNet: the 13 convolutions of VGG-16 with batch normalisation, {read(values)} "
            "channels wide in the first block, and their mirror image, which puts each maximum "
            "back where it was found. There is no auxiliary head."
        )

    def encode(self, images: Tensor) -> Features:
        """Turn normalised images (N, 3, H, W) into pooled features and the places of maxima."""
        features, pooled, places = images, [], []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                features, place = layer(even(features))
                pooled.append(features)
                places.append(place)
            else:
                features = layer(features)
        return Features(low=pooled[1], mid=pooled[3], deep=pooled[4], skips=tuple(places))

    def decode(self, features: Features) -> Output:
        """Return logits at the size of the image, rounded up to even numbers."""
        refined = features.deep
        places = features.skips[::-1]
        for number, block in enumerate(self.decoder):
            refined = max_unpool2d(refined, places[number], [2, 2])
            if number + 1 < len(places):
                height, width = places[number + 1].shape[2:]
                refined = refined[:, :, :height, :width]
            refined = block(refined)
        return Output(self.classifier(refined), features, None)

    def head_modules(self) -> list[nn.Module]:
        """Return the decoder and the classifier."""
        return [self.decoder, self.classifier]


def read(values: Mapping[str, Value]) -> int:
    """Return the width.

    Raises:
        SpaceError: A value is missing, unknown or malformed.
    """
    reader = ValueReader("segnet", values)
    width = reader.positive("width")
    reader.finish()
    return width


def pool_with_places() -> nn.MaxPool2d:
    """Return a maximum over 2x2 pixels that also tells where it was."""
    return nn.MaxPool2d(2, return_indices=True)


def decoder_block(inputs: int, outputs: int, depth: int) -> nn.Sequential:
    """Return convolutions that keep ``inputs`` channels, the last one excepted."""
    layers: list[nn.Module] = []
    for number in range(depth):
        last = number == depth - 1
        layers += conv_relu(inputs, outputs if last else inputs, batch_norm=True)
    return nn.Sequential(*layers)


def even(features: Tensor) -> Tensor:
    """Add a row and a column of zeros where the height or the width is odd.

    Behind a rectifier zeros never are the only maximum, so this is pooling with the size rounded
    up; but places count along even widths, and so are right for the doubled map.
    """
    # While a trace is recorded, sizes are tensors.
    height, width = map(int, features.shape[2:])
    return pad(features, (0, width % 2, 0, height % 2)) if height % 2 or width % 2 else features
