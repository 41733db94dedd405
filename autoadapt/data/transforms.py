"""From decoded images to network input: crop, mirror, change colours, normalise."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoadapt.config.settings import DataSettings
from autoadapt.errors import ConfigError
from autoadapt.seeding import generator

Normalisation = Literal["imagenet", "caffe_bgr"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
"""Of the three RGB channels on the scale 0 to 1, as torchvision's models expect."""

CAFFE_BGR_MEAN = (104.00698793, 116.66876762, 122.67891434)
"""Of the channels blue, green, red on the scale 0 to 255, as AdaptSegNet's and AdvEnt's expect."""

GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the brightness of a pixel (ITU-R BT.601)."""


def normalise(images: NDArray[np.uint8], convention: Normalisation) -> Tensor:
    """Return the network input of RGB images.

    Args:
        images: (N, H, W, 3) uint8.
        convention: ``imagenet``: RGB on the scale 0 to 1, minus mean, divided by deviation.
            ``caffe_bgr``: BGR on the scale 0 to 255, minus mean.

    Returns:
        (N, 3, H, W) float32, contiguous.
    """
    return _normalised(_planes(images), convention)


def denormalise(images: Tensor, convention: Normalisation) -> NDArray[np.uint8]:
    """Undo ``normalise``: (N, 3, H, W) float32 to (N, H, W, 3) uint8 RGB, rounded and clipped."""
    planes = to_pixels(images.detach().cpu().float(), convention)
    result: NDArray[np.uint8] = (
        planes.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    )
    return result


def to_pixels(images: Tensor, convention: Normalisation) -> Tensor:
    """Return network input (N, 3, H, W) as RGB on the scale 0 to 255, where it is."""
    if convention == "caffe_bgr":
        return (images + _channels(CAFFE_BGR_MEAN, images)).flip(1)
    deviation, mean = _channels(IMAGENET_DEVIATION, images), _channels(IMAGENET_MEAN, images)
    return (images * deviation + mean) * 255


def from_pixels(planes: Tensor, convention: Normalisation) -> Tensor:
    """Undo ``to_pixels``."""
    return _normalised(planes.clone(), convention)


@dataclass(frozen=True)
class Transform:
    """Random crop, mirroring and colours of training images, then normalisation.

    What happens to a batch is a pure function of (seed, purpose, step): a resumed run sees the
    same images as the undisturbed one.

    Attributes:
        settings: ``size``, ``crop``, ``flip``, ``jitter`` and ``normalisation`` count.
        seed: Seed of the training.

    Raises:
        ConfigError: The crop is larger than the images.
    """

    settings: DataSettings
    seed: int

    def __post_init__(self) -> None:
        crop, size = self.settings.crop, self.settings.size
        if crop is not None and (crop[0] > size[0] or crop[1] > size[1]):
            raise ConfigError(
                f"data.crop {list(crop)} is larger than data.size {list(size)} (height, width); "
                "make the crop smaller or the images larger"
            )

    def images(self, images: NDArray[np.uint8], purpose: str, step: int) -> Tensor:
        """Return network input.

        Args:
            images: (N, H, W, 3) uint8 RGB.
            purpose: Name of the stream of images, such as ``source``.
            step: Number of the batch in that stream.

        Returns:
            (N, 3, h, w) float32 of crop or image size.
        """
        planes = _planes(self._cropped(images, purpose, step))
        self._mirror(planes, purpose, step)
        strength = self.settings.jitter
        if strength > 0:
            rng = generator(self.seed, purpose, "jitter", step)
            factors = rng.uniform(1 - strength, 1 + strength, size=(3, len(images)))
            planes = jitter(planes, torch.from_numpy(factors).float())
        return _normalised(planes, self.settings.normalisation)

    def pairs(
        self, images: NDArray[np.uint8], labels: NDArray[np.uint8], purpose: str, step: int
    ) -> tuple[Tensor, Tensor]:
        """Return network input and class indices, cropped and mirrored alike.

        Args:
            images: (N, H, W, 3) uint8 RGB.
            labels: (N, H, W) uint8 class indices, ``IGNORE`` for void.
            purpose: Name of the stream of images, such as ``source``.
            step: Number of the batch in that stream.

        Returns:
            (N, 3, h, w) float32 and (N, h, w) int64.
        """
        classes = torch.from_numpy(self._cropped(labels, purpose, step)).long()
        self._mirror(classes, purpose, step)
        return self.images(images, purpose, step), classes

    def _cropped(self, arrays: NDArray[np.uint8], purpose: str, step: int) -> NDArray[np.uint8]:
        if self.settings.crop is None:
            return np.require(arrays, requirements=["C", "W"])
        height, width = self.settings.crop
        room = np.subtract(arrays.shape[1:3], self.settings.crop)
        shape = (len(arrays), 2)
        corners = generator(self.seed, purpose, "crop", step).integers(0, room + 1, size=shape)
        windows = [
            array[top : top + height, left : left + width]
            for array, (top, left) in zip(arrays, corners, strict=True)
        ]
        return np.stack(windows)

    def _mirror(self, batch: Tensor, purpose: str, step: int) -> None:
        """Mirror about half of a batch (N, ..., W) in place, images and labels alike."""
        if self.settings.flip:
            chosen = generator(self.seed, purpose, "flip", step).random(len(batch)) < 0.5
            for index in np.flatnonzero(chosen).tolist():
                batch[index] = batch[index].flip(-1)


def without_augmentation(settings: DataSettings) -> Transform:
    """Return the transform that only normalises, for scoring and evaluation."""
    return Transform(replace(settings, crop=None, flip=False, jitter=0.0), seed=0)


def jitter(images: Tensor, factors: Tensor) -> Tensor:
    """Change brightness, contrast and saturation, in this order, as torchvision defines them.

    Brightness mixes an image with black, contrast with its mean grey, saturation with its grey
    version; a factor of 1 leaves it, 0 leaves only the other, above 1 goes beyond. Values are
    clipped to the valid range after each.

    Args:
        images: (N, 3, H, W) RGB of 0 to 255; overwritten.
        factors: (3, N), not negative.

    Returns:
        ``images``, changed in place.
    """
    brightness, contrast, saturation = factors[:, :, None, None, None]
    images.mul_(brightness).clamp_(0, 255)
    mean = _grey(images).mean(dim=(2, 3), keepdim=True)
    images.mul_(contrast).add_((1 - contrast) * mean).clamp_(0, 255)
    grey = _grey(images)
    return images.mul_(saturation).add_(grey.mul_(1 - saturation)).clamp_(0, 255)


def _grey(images: Tensor) -> Tensor:
    red, green, blue = GREY
    grey = images[:, 0:1] * red
    return grey.add_(images[:, 1:2], alpha=green).add_(images[:, 2:3], alpha=blue)


def _planes(images: NDArray[np.uint8]) -> Tensor:
    """(N, H, W, 3) uint8 to (N, 3, H, W) float32, contiguous."""
    channels_first = torch.from_numpy(np.require(images, requirements=["C", "W"])).permute(
        0, 3, 1, 2
    )
    return channels_first.to(torch.float32, memory_format=torch.contiguous_format)


def _normalised(planes: Tensor, convention: Normalisation) -> Tensor:
    """Normalise RGB of 0 to 255, in place where possible."""
    if convention == "caffe_bgr":
        return planes.flip(1).sub_(_channels(CAFFE_BGR_MEAN, planes))
    mean, deviation = _channels(IMAGENET_MEAN, planes), _channels(IMAGENET_DEVIATION, planes)
    return planes.div_(255).sub_(mean).div_(deviation)


def _channels(values: tuple[float, float, float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(1, 3, 1, 1)
