import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from autoadapt.data import priors
from autoadapt.data.cache import write_rows
from autoadapt.data.images import LabelledImages, UnlabelledImages
from autoadapt.data.priors import (
    class_ratio,
    pixels_per_class,
    rare_class_probabilities,
    ratio_of,
    spatial_prior,
)

Make = Callable[[list[NDArray[np.uint8]]], LabelledImages]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a function that makes labelled images of label maps; the pictures are black."""

    def made(maps: list[NDArray[np.uint8]]) -> LabelledImages:
        size = maps[0].shape
        black = [np.zeros((*size, 3), np.uint8)] * len(maps)
        pictures = write_rows(tmp_path / "images", black, key="i", shape=(*size, 3))
        labels = write_rows(tmp_path / "labels", maps, key="l", shape=size)
        names = tuple(f"n{number}" for number in range(len(maps)))
        positions = tuple(range(len(maps)))
        images = UnlabelledImages(names, names, pictures, positions)
        return LabelledImages(("a", "b", "c"), labels, positions, images)

    return made


def runs(*parts: tuple[int, int], size: tuple[int, int] = (4, 5)) -> NDArray[np.uint8]:
    """Return a label map of runs of (label, pixels)."""
    return np.repeat([i for i, _ in parts], [n for _, n in parts]).astype(np.uint8).reshape(size)


def test_pixels_are_counted_image_by_image(make: Make) -> None:
    labelled = make(
        [runs((0, 20)), runs((1, 3), (255, 17)), runs((0, 5), (1, 15)), runs((255, 20))]
    )
    pixels = pixels_per_class(labelled, 3)
    assert pixels.tolist() == [[20, 0, 0], [0, 3, 0], [5, 15, 0], [0, 0, 0]]
    assert pixels.dtype == np.int64


def test_the_ratio_counts_labelled_pixels_alone(make: Make) -> None:
    labelled = make([runs((0, 20)), runs((1, 3), (255, 17)), runs((0, 5), (1, 2), (255, 13))])
    ratio = class_ratio(labelled, 3)
    # 25 and 5 of 30 labelled pixels
    assert ratio.tolist() == [25 / 30, 5 / 30, 0.0]
    assert ratio.dtype == np.float64


def test_all_void_gives_zeros(make: Make) -> None:
    assert class_ratio(make([runs((255, 20))]), 3).tolist() == [0, 0, 0]


def test_the_ratio_does_not_depend_on_how_many_are_read_at_once(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    labelled = make([runs((number % 3, 20 - number), (255, number)) for number in range(7)])
    whole = pixels_per_class(labelled, 3), spatial_prior(labelled, 3, size=(6, 3))
    monkeypatch.setattr(priors, "_CHUNK", 2)
    assert np.array_equal(pixels_per_class(labelled, 3), whole[0])
    assert np.array_equal(spatial_prior(labelled, 3, size=(6, 3)), whole[1])


@pytest.mark.parametrize("count", [pixels_per_class, lambda x, c: spatial_prior(x, c, size=(4, 5))])
def test_fewer_classes_than_labels_are_refused(make: Make, count: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match=r"labels \[1, 2\] in a data set of 1 classes"):
        count(make([runs((0, 5), (1, 5), (2, 5), (255, 5))]), 1)


def test_rare_class_sampling_equals_daformer(vectors: Path) -> None:
    vector = np.load(vectors / "daformer_rcs_probabilities.npz")
    frequencies = ratio_of(vector["in_pixel_count"])
    got = rare_class_probabilities(frequencies, float(vector["in_temperature"]))
    order = vector["out_classes"]
    np.testing.assert_allclose(got[order], vector["out_prob"], rtol=1e-4, atol=1e-7)
    assert np.array_equal(np.argsort(-got, kind="stable"), order)


def test_rare_class_sampling_by_hand() -> None:
    got = rare_class_probabilities(np.array([0.75, 0.0, 0.25]), temperature=0.5)
    # exp(0.25 / 0.5) = 1.648721 and exp(0.75 / 0.5) = 4.481689; the class without pixels: never
    expected = [1.648721 / 6.130410, 0.0, 4.481689 / 6.130410]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_a_small_temperature_does_not_overflow() -> None:
    got = rare_class_probabilities(np.array([0.9, 0.1]), temperature=1e-6)
    assert got.tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("frequencies", "temperature", "text"),
    [([0.0, 0.0], 0.01, "no class occurs"), ([1.0, 0.0], 0.0, "temperature 0.0")],
)
def test_what_cannot_be_drawn_is_refused(
    frequencies: list[float], temperature: float, text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        rare_class_probabilities(np.array(frequencies), temperature)


def test_a_spatial_prior_without_smoothing_is_the_share_of_images(make: Make) -> None:
    first, second = np.zeros((2, 3), np.uint8), np.zeros((2, 3), np.uint8)
    first[0], second[0, 2], second[1, 0] = 1, 1, 255
    prior = spatial_prior(make([first, second]), 3, size=(2, 3), kernel=0, sigma=1.0)
    # class 0: rows (0 0 0; 1 1 1) + (1 1 0; 0 1 1) = (1 1 0; 1 2 2), 7 in all
    # class 1: (1 1 1; 0 0 0) + (0 0 1; 0 0 0) = (1 1 2; 0 0 0), 4 in all; class 2: none
    zero, one = np.array([[1, 1, 0], [1, 2, 2]]) / 7, np.array([[1, 1, 2], [0, 0, 0]]) / 4
    np.testing.assert_allclose(prior, [zero, one, np.zeros((2, 3))], rtol=1e-6)
    assert prior.dtype == np.float32


def test_a_spatial_prior_is_smoothed_with_a_gaussian_of_the_given_reach(make: Make) -> None:
    labels = np.full((31, 43), 255, np.uint8)
    labels[15, 21] = 1
    prior = spatial_prior(make([labels]), 2, size=(31, 43), kernel=8, sigma=2.0)[1]
    weights = [math.exp(-(offset**2) / (2 * 2.0**2)) for offset in range(-4, 5)]
    line = np.array(weights) / sum(weights)
    expected = np.zeros((31, 43))
    expected[11:20, 17:26] = np.outer(line, line)
    np.testing.assert_allclose(prior, expected, atol=1e-7)


def test_a_spatial_prior_sums_to_one_per_class_at_another_size(make: Make) -> None:
    top = np.repeat([0, 1], [8, 12]).astype(np.uint8)[:, None].repeat(26, axis=1)
    prior = spatial_prior(make([top]), 3, size=(30, 17))
    assert prior.shape == (3, 30, 17)
    np.testing.assert_allclose(prior.sum(axis=(1, 2)), [1, 1, 0], rtol=1e-5)
    above, below = prior[:, :12].sum(axis=(1, 2)), prior[:, 12:].sum(axis=(1, 2))
    assert above[0] > below[0]
    assert below[1] > above[1]
