"""What methods know about classes before they train: shares, rare classes, places.

Everything is computed from labelled images in one pass, a few images at a time, so memory does
not grow with their number. Only labels of the source, or labels that a method made, can get here:
nothing in this module takes a type that has none.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from autoadapt.data.batches import IGNORE
from autoadapt.data.batching import chunks
from autoadapt.data.counting import Count
from autoadapt.data.decode import Size
from autoadapt.data.images import LabelledImages

_CHUNK = 16

RARE_CLASS_TEMPERATURE = 0.01
"""Of DAFormer's published runs."""

PRIOR_KERNEL = 70
"""Side of the Gaussian that smooths a spatial prior, in pixels (CBST, section 4.3)."""


def class_ratio(labelled: LabelledImages, num_classes: int) -> NDArray[np.float64]:
    """Return the share of each class in the labelled pixels, (C,), summing to 1.

    Void pixels do not count; if all are void, every share is 0. This is the class-ratio prior of
    MinEnt and the class frequency of rare-class sampling.

    Raises:
        ValueError: A label is neither void nor below ``num_classes``.
    """
    return ratio_of(pixels_per_class(labelled, num_classes))


def ratio_of(pixels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of each class, (C,), of the pixels per image and class, (N, C)."""
    counted = pixels.sum(axis=0)
    shares: NDArray[np.float64] = counted / max(1, int(counted.sum()))
    return shares


def pixels_per_class(labelled: LabelledImages, num_classes: int) -> NDArray[np.int64]:
    """Return how many pixels of each class each image has, (N, C), in the order of the images.

    Raises:
        ValueError: A label is neither void nor below ``num_classes``.
    """
    pixels = np.zeros((len(labelled), num_classes), np.int64)
    for first, maps in _label_maps(labelled):
        for image, labels in enumerate(maps, start=first):
            pixels[image] = _counted(labels, num_classes)
    return pixels


def rare_class_probabilities(
    frequencies: NDArray[np.float64], temperature: float = RARE_CLASS_TEMPERATURE
) -> NDArray[np.float64]:
    """Return how likely rare-class sampling draws each class, (C,), summing to 1.

    ``P(c) = exp((1 - f_c) / T) / sum_k exp((1 - f_k) / T)`` over the classes that occur (DAFormer,
    equation 6); a class that never occurs has probability 0.

    Args:
        frequencies: Share of each class in the pixels, as ``class_ratio`` returns it.
        temperature: ``T``; the smaller, the more a rare class is preferred.

    Raises:
        ValueError: ``temperature`` is not positive, or no class occurs.
    """
    if temperature <= 0:
        raise ValueError(f"temperature {temperature}; expected a positive number")
    present = frequencies > 0
    if not present.any():
        raise ValueError("no class occurs, so none can be drawn")
    exponents = np.where(present, (1 - frequencies) / temperature, -np.inf)
    weights = np.exp(exponents - exponents.max())
    probabilities: NDArray[np.float64] = weights / weights.sum()
    return probabilities


def spatial_prior(
    labelled: LabelledImages,
    num_classes: int,
    *,
    size: Size,
    kernel: int = PRIOR_KERNEL,
    sigma: float | None = None,
) -> NDArray[np.float32]:
    """Return where in an image each class is to be expected, (C, H, W), summing to 1 per class.

    ``q(c, h, w)`` of CBST's spatial priors (section 4.3): how often a pixel has a class, resized
    to the size of the target, smoothed with a Gaussian, normalised class by class. Beyond the
    border the map goes on with its last value. A class that never occurs is 0 everywhere.

    Args:
        labelled: Source images; their labels are counted at their own size.
        num_classes: ``C``.
        size: Height and width of the result: those of the target images.
        kernel: Side of the Gaussian in pixels. A centred one is odd: 70 stands for 71.
        sigma: Its deviation in pixels; absent: a sixth of ``kernel``, which the paper leaves open,
            so that the kernel reaches three deviations to each side.

    Raises:
        ValueError: A label is neither void nor below ``num_classes``.
    """
    counts = count_classes(labelled, num_classes)
    return smoothed(counts.places, size=size, kernel=kernel, sigma=sigma)


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """All that priors are made of.

    Attributes:
        pixels: (N, C) int64, pixels of each class in each image.
        places: (C, H, W) int32, number of images that have a class at a pixel.
    """

    pixels: NDArray[np.int64]
    places: NDArray[np.int32]


def count_classes(
    labelled: LabelledImages, num_classes: int, on_image: Count | None = None
) -> ClassCounts:
    """Count classes by image and by place in one pass.

    Raises:
        ValueError: A label is neither void nor below ``num_classes``.
    """
    pixels = np.zeros((len(labelled), num_classes), np.int64)
    places = np.zeros((num_classes, *labelled.size), np.int32)
    for first, maps in _label_maps(labelled):
        for image, labels in enumerate(maps, start=first):
            pixels[image] = _counted(labels, num_classes)
        for label, plane in enumerate(places):
            plane += (maps == label).sum(axis=0, dtype=np.int32)
        if on_image is not None:
            on_image(first + len(maps), len(labelled))
    return ClassCounts(pixels, places)


def smoothed(
    places: NDArray[np.int32],
    *,
    size: Size,
    kernel: int = PRIOR_KERNEL,
    sigma: float | None = None,
) -> NDArray[np.float32]:
    """Return counts per place as a spatial prior; see ``spatial_prior``."""
    prior = np.stack([_resized(counts, size) for counts in places])
    for plane in prior:
        deviation = kernel / 6 if sigma is None else sigma
        gaussian_filter(plane, deviation, radius=kernel // 2, mode="nearest", output=plane)
        plane /= max(float(plane.sum(dtype=np.float64)), np.finfo(np.float32).tiny)
    return prior


def _resized(counts: NDArray[np.int32], size: Size) -> NDArray[np.float32]:
    height, width = size
    plane = Image.fromarray(counts.astype(np.float32))
    return np.array(plane.resize((width, height), Image.Resampling.BILINEAR))


def _label_maps(labelled: LabelledImages) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield the number of the first image and the label maps of a few images, in order."""
    for chunk in chunks(len(labelled), _CHUNK):
        yield chunk.start, labelled.labels(chunk)


def _counted(labels: NDArray[np.uint8], num_classes: int) -> NDArray[np.int64]:
    pixels = np.bincount(labels.reshape(-1), minlength=256)
    outside = [label for label in range(num_classes, IGNORE) if pixels[label]]
    if outside:
        raise ValueError(f"labels {outside} in a data set of {num_classes} classes")
    return pixels[:num_classes]
