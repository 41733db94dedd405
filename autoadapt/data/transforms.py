"""From decoded images to network input: crop, mirror, change colours, normalise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoadapt.config.settings import DataSettings, Normalisation
from autoadapt.data.decode import RESAMPLING
from autoadapt.data.photometric import BLUR_SIGMAS, blur, jitter, shift_hue
from autoadapt.data.windows import WindowDraw, Windows
from autoadapt.errors import ConfigError
from autoadapt.seeding import generator

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Convention:
    """What a network expects of an image: ``(channels / scale - mean) / deviation``.

    Attributes:
        bgr: Whether blue comes first; ``mean`` and ``deviation`` are in that order.
    """

    bgr: bool
    scale: float
    mean: Triple = (0.0, 0.0, 0.0)
    deviation: Triple = (1.0, 1.0, 1.0)

    @property
    def colour(self) -> tuple[int, int, int]:
        """The RGB colour that comes nearest to zero: what padding is filled with."""
        red, green, blue = reversed(self.mean) if self.bgr else self.mean
        return (round(red * self.scale), round(green * self.scale), round(blue * self.scale))


CONVENTIONS: Mapping[Normalisation, Convention] = {
    # torchvision's models, CRST (which says it in a roundabout way), DAFormer.
    "imagenet": Convention(False, 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    # AdaptSegNet, AdvEnt and their relatives, and the Caffe weights they start from.
    "caffe_bgr": Convention(True, 1, (104.00698793, 116.66876762, 122.67891434)),
    # The AdaBN work, which reads images with OpenCV and divides by 255.
    "unit_bgr": Convention(True, 255),
}


def normalise(images: NDArray[np.uint8], convention: Normalisation) -> Tensor:
    """Return the network input of RGB images.

    Args:
        images: (N, H, W, 3) uint8.
        convention: Name of one of ``CONVENTIONS``.

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
    expected = CONVENTIONS[convention]
    deviation, mean = _channels(expected.deviation, images), _channels(expected.mean, images)
    planes = (images * deviation + mean) * expected.scale
    return planes.flip(1) if expected.bgr else planes


def from_pixels(planes: Tensor, convention: Normalisation) -> Tensor:
    """Undo ``to_pixels``."""
    return _normalised(planes.clone(), convention)


@dataclass(frozen=True)
class Transform:
    """Random window, mirroring and colours of training images, then normalisation.

    What happens to a batch is a pure function of (seed, purpose, step): a resumed run sees the
    same images as the undisturbed one. Each kind of augmentation has random numbers of its own,
    so that switching one on leaves the others as they are.

    Attributes:
        settings: Crop, scales, mirroring, colours and normalisation count.
        seed: Seed of the training.
        centres: (N, 2) row and column of a pixel of each image of one batch that the middle of
            its crop should show, chosen by somebody who looks for something; -1 for none.

    Raises:
        ConfigError: The crop is larger than the images, or scales come without a crop.
    """

    settings: DataSettings
    seed: int
    centres: NDArray[np.int64] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for text in self.settings.misfits():
            raise ConfigError(text)

    def images(self, images: NDArray[np.uint8], purpose: str, step: int) -> Tensor:
        """Return network input.

        Args:
            images: (N, H, W, 3) uint8 RGB.
            purpose: Name of the stream of images, such as ``source``.
            step: Number of the batch in that stream.

        Returns:
            (N, 3, h, w) float32 of crop or image size.
        """
        height, width = images.shape[1:3]
        windows = self._draw(purpose, step).of_images(len(images), (height, width))
        planes = self._seen(images, windows, purpose, step)
        return self._augmented(planes, purpose, step)

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
        planes, classes, _ = self.with_maps((), images, labels, purpose=purpose, step=step)
        return planes, classes

    def with_maps(
        self,
        maps: Sequence[NDArray[np.uint8] | None],
        images: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        *,
        purpose: str,
        step: int,
    ) -> tuple[Tensor, Tensor, list[Tensor | None]]:
        """Return what ``pairs`` does, and whatever else belongs to the pixels, treated alike.

        Args:
            maps: (N, H, W) or (N, H, W, K) uint8, padded with 0; None stays None.
            images: (N, H, W, 3) uint8 RGB.
            labels: (N, H, W) uint8 class indices, ``IGNORE`` for void.
            purpose: Name of the stream of images, such as ``source``.
            step: Number of the batch in that stream.

        Returns:
            Images, labels, and maps (N, h, w) or (N, K, h, w) uint8.
        """
        windows = self._draw(purpose, step).of_pairs(labels)
        classes = self._labels(labels, windows, purpose, step)
        planes = self._seen(images, windows, purpose, step)
        further = [self._map(one, windows, purpose, step) for one in maps]
        return self._augmented(planes, purpose, step), classes, further

    def clear_and_augmented(
        self, images: NDArray[np.uint8], labels: NDArray[np.uint8], purpose: str, step: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the same view of images twice, without and with changed colours, and its labels.

        Arguments as for ``pairs``, which the second and the third are equal to.
        """
        windows = self._draw(purpose, step).of_pairs(labels)
        planes = self._seen(images, windows, purpose, step)
        clear = _normalised(planes.clone(), self.settings.normalisation)
        classes = self._labels(labels, windows, purpose, step)
        return clear, self._augmented(planes, purpose, step), classes

    def _draw(self, purpose: str, step: int) -> WindowDraw:
        return WindowDraw(self.settings, self.seed, purpose, step, self.centres)

    def _seen(
        self, images: NDArray[np.uint8], windows: Windows | None, purpose: str, step: int
    ) -> Tensor:
        """Return windows, mirrored: (N, 3, h, w) RGB of 0 to 255."""
        if windows is not None:
            colour = CONVENTIONS[self.settings.normalisation].colour
            images = windows.images(images, RESAMPLING[self.settings.resampling], colour)
        planes = _planes(images)
        self._mirror(planes, purpose, step)
        return planes

    def _labels(
        self, labels: NDArray[np.uint8], windows: Windows | None, purpose: str, step: int
    ) -> Tensor:
        seen = labels if windows is None else windows.labels(labels)
        classes = torch.from_numpy(np.require(seen, requirements=["C", "W"])).long()
        self._mirror(classes, purpose, step)
        return classes

    def _map(
        self, maps: NDArray[np.uint8] | None, windows: Windows | None, purpose: str, step: int
    ) -> Tensor | None:
        if maps is None:
            return None
        seen = maps if windows is None else windows.maps(maps)
        planes = torch.from_numpy(np.require(seen, requirements=["C", "W"]))
        if planes.dim() == 4:
            planes = planes.permute(0, 3, 1, 2).contiguous()
        self._mirror(planes, purpose, step)
        return planes

    def _augmented(self, planes: Tensor, purpose: str, step: int) -> Tensor:
        """Change colours and sharpness, then normalise."""
        settings, count = self.settings, len(planes)
        if settings.jitter > 0:
            rng = generator(self.seed, purpose, "jitter", step)
            factors = rng.uniform(1 - settings.jitter, 1 + settings.jitter, size=(3, count))
            planes = jitter(planes, torch.from_numpy(factors).float())
        if settings.hue > 0:
            turns = generator(self.seed, purpose, "hue", step).uniform(-1, 1, count) * settings.hue
            planes = shift_hue(planes, torch.from_numpy(turns).float())
        if settings.blur > 0:
            rng = generator(self.seed, purpose, "blur", step)
            chosen = torch.from_numpy(rng.random(count) < settings.blur)
            sigmas = torch.from_numpy(rng.uniform(*BLUR_SIGMAS, size=count))
            if chosen.any():
                planes[chosen] = blur(planes[chosen], sigmas[chosen])
        return _normalised(planes, settings.normalisation)

    def _mirror(self, batch: Tensor, purpose: str, step: int) -> None:
        """Mirror about half of a batch (N, ..., W) in place, images and labels alike."""
        if self.settings.flip:
            chosen = generator(self.seed, purpose, "flip", step).random(len(batch)) < 0.5
            for index in np.flatnonzero(chosen).tolist():
                batch[index] = batch[index].flip(-1)


def without_augmentation(settings: DataSettings) -> Transform:
    """Return the transform that only normalises, for scoring and evaluation."""
    plain = replace(settings, crop=None, scales=(), flip=False, jitter=0.0, hue=0.0, blur=0.0)
    return Transform(plain, seed=0)


def _planes(images: NDArray[np.uint8]) -> Tensor:
    """(N, H, W, 3) uint8 to (N, 3, H, W) float32, contiguous."""
    channels_first = torch.from_numpy(np.require(images, requirements=["C", "W"])).permute(
        0, 3, 1, 2
    )
    return channels_first.to(torch.float32, memory_format=torch.contiguous_format)


def _normalised(planes: Tensor, convention: Normalisation) -> Tensor:
    """Normalise RGB of 0 to 255, in place where possible."""
    expected = CONVENTIONS[convention]
    planes = planes.flip(1) if expected.bgr else planes
    if expected.scale != 1:
        planes = planes.div_(expected.scale)
    planes = planes.sub_(_channels(expected.mean, planes))
    plain = expected.deviation == (1, 1, 1)
    return planes if plain else planes.div_(_channels(expected.deviation, planes))


def _channels(values: Triple, like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(1, 3, 1, 1)
