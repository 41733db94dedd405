"""Which part of an image a training step sees, and at which scale."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from autoadapt.config.settings import DataSettings, Size
from autoadapt.data.batches import IGNORE
from autoadapt.seeding import generator

ATTEMPTS = 10
"""How often a crop that one class fills is drawn again (DAFormer, as mmsegmentation does)."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """One window per image of a batch.

    Attributes:
        crop: Height and width of every window.
        sizes: (N, 2) height and width that each image is resized to first.
        corners: (N, 2) top and left of the window in the resized image. Where that is smaller
            than the window, it is padded below and to the right.
    """

    crop: Size
    sizes: Ints
    corners: Ints

    @property
    def padded(self) -> bool:
        """Whether a resized image is smaller than its window."""
        return bool((self.sizes < self.crop).any())

    def images(
        self, images: NDArray[np.uint8], resampling: Image.Resampling, colour: tuple[int, int, int]
    ) -> NDArray[np.uint8]:
        """Return what is seen of images (N, H, W, 3): (N, h, w, 3), padded with a colour."""
        result = np.empty((len(images), *self.crop, 3), np.uint8)
        if self.padded:  # Colouring it all for nothing takes longer than everything else.
            result[...] = colour
        return self._filled(result, images, resampling)

    def labels(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what is seen of label maps (N, H, W): (N, h, w), padded with void."""
        result = np.full((len(labels), *self.crop), IGNORE, np.uint8)
        return self._filled(result, labels, Image.Resampling.NEAREST)

    def maps(self, maps: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what is seen of maps (N, H, W) or (N, H, W, K) beside labels, padded with 0."""
        result = np.zeros((len(maps), *self.crop, *maps.shape[3:]), np.uint8)
        if maps.ndim == 3:
            return self._filled(result, maps, Image.Resampling.NEAREST)
        for plane in range(maps.shape[3]):
            result[..., plane] = self.maps(maps[..., plane])
        return result

    def _filled(
        self, result: NDArray[np.uint8], arrays: NDArray[np.uint8], resampling: Image.Resampling
    ) -> NDArray[np.uint8]:
        height, width = self.crop
        for place, (array, size, (top, left)) in enumerate(
            zip(arrays, self.sizes, self.corners, strict=True)
        ):
            seen = _resized(array, size, resampling)[top : top + height, left : left + width]
            result[place, : seen.shape[0], : seen.shape[1]] = seen
        return result


@dataclass(frozen=True)
class WindowDraw:
    """Random windows: a pure function of (seed, purpose, step).

    Attributes:
        settings: ``crop``, ``scales`` and ``crop_max_share`` count.
        seed: Seed of the training.
        purpose: Name of the stream of images, such as ``source``.
        step: Number of the batch in that stream.
        centres: (N, 2) pixels that windows are centred on as far as the image reaches; -1 for
            none. Such a window is never drawn again.
    """

    settings: DataSettings
    seed: int
    purpose: str
    step: int
    centres: Ints | None = None

    def of_images(self, count: int, size: Size) -> Windows | None:
        """Return windows into ``count`` images of one size; None where all of each is seen."""
        crop = self.settings.crop
        if crop is None:
            return None
        sizes = np.round(self._factors(count)[:, None] * size).astype(np.int64)
        corners = self._corners(sizes, crop, "crop", self.step)
        if self.centres is not None:
            scaled = (self.centres * sizes) // size - np.array(crop) // 2
            inside = scaled.clip(0, np.maximum(sizes - crop, 0))
            corners = np.where(self.centres[:, :1] >= 0, inside, corners)
        return Windows(crop, sizes, corners)

    def of_pairs(self, labels: NDArray[np.uint8]) -> Windows | None:
        """Return windows into images with labels (N, H, W).

        A window is drawn again while one class has ``crop_max_share`` of its labelled pixels or
        more, at most ``ATTEMPTS`` times.
        """
        height, width = labels.shape[1:]
        windows = self.of_images(len(labels), (height, width))
        if windows is None or self.settings.crop_max_share == 1:
            return windows
        for again in range(ATTEMPTS):
            dull = self._free(len(labels)) & [not self._varied(m) for m in windows.labels(labels)]
            if not dull.any():
                break
            purpose = ("crop", self.step, "again", again)
            fresh = self._corners(windows.sizes, windows.crop, *purpose)
            windows = replace(windows, corners=np.where(np.c_[dull], fresh, windows.corners))
        return windows

    def _free(self, count: int) -> NDArray[np.bool_]:
        """Return for which images nobody has chosen a centre."""
        if self.centres is None:
            return np.ones(count, np.bool_)
        return self.centres[:, 0] < 0

    def _factors(self, count: int) -> NDArray[np.float64]:
        scales = self.settings.scales
        if not scales:
            return np.ones(count)
        rng = generator(self.seed, self.purpose, "scale", self.step)
        return rng.choice(np.array(scales), size=count)

    def _corners(self, sizes: Ints, crop: Size, *purpose: int | str) -> Ints:
        room = np.maximum(sizes - crop, 0)
        corners: Ints = generator(self.seed, self.purpose, *purpose).integers(0, room + 1)
        return corners

    def _varied(self, labels: NDArray[np.uint8]) -> bool:
        pixels = np.bincount(labels.reshape(-1), minlength=256)[:IGNORE]
        share = pixels.max() / max(1, int(pixels.sum()))
        return bool(np.count_nonzero(pixels) > 1 and share < self.settings.crop_max_share)


def _resized(
    array: NDArray[np.uint8], size: Ints, resampling: Image.Resampling
) -> NDArray[np.uint8]:
    height, width = int(size[0]), int(size[1])
    if array.shape[:2] == (height, width):
        return array
    return np.asarray(Image.fromarray(array).resize((width, height), resampling))
