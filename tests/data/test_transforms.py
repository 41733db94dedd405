import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from autoadapt.config.settings import DatasetSettings, DataSettings, Normalisation
from autoadapt.data.transforms import (
    Transform,
    denormalise,
    normalise,
    without_augmentation,
)
from autoadapt.errors import ConfigError

ANY = DatasetSettings(kind="procedural")
PLAIN = DataSettings(source=ANY, target=ANY, size=(12, 17), flip=False)


def coordinates(n: int = 5, height: int = 12, width: int = 17) -> NDArray[np.uint8]:
    """Images whose red is the row, green the column and blue the number of the image."""
    images = np.zeros((n, height, width, 3), np.uint8)
    images[..., 0] = np.arange(height)[None, :, None]
    images[..., 1] = np.arange(width)[None, None, :]
    images[..., 2] = np.arange(n)[:, None, None]
    return images


def restored(tensor: torch.Tensor) -> NDArray[np.uint8]:
    return denormalise(tensor, "imagenet")


def test_imagenet_convention_by_hand() -> None:
    image = np.array([[[[255, 0, 51]]]], np.uint8)
    # (1 - 0.485) / 0.229 = 2.248908, (0 - 0.456) / 0.224 = -2.035714,
    # (0.2 - 0.406) / 0.225 = -0.915556
    expected = torch.tensor([2.248908, -2.035714, -0.915556]).view(1, 3, 1, 1)
    torch.testing.assert_close(normalise(image, "imagenet"), expected, rtol=0, atol=1e-6)


def test_caffe_convention_by_hand() -> None:
    image = np.array([[[[255, 0, 51]]]], np.uint8)
    # blue 51 - 104.00698793, green 0 - 116.66876762, red 255 - 122.67891434
    expected = torch.tensor([-53.006988, -116.668768, 132.321086]).view(1, 3, 1, 1)
    torch.testing.assert_close(normalise(image, "caffe_bgr"), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("convention", ["imagenet", "caffe_bgr"])
def test_normalised_images_are_contiguous_channels_first(convention: Normalisation) -> None:
    images = coordinates()
    tensor = normalise(images, convention)
    assert (tensor.shape, tensor.dtype) == ((5, 3, 12, 17), torch.float32)
    assert tensor.is_contiguous()
    assert np.array_equal(denormalise(tensor, convention), images)


def test_read_only_images_are_fine_and_stay_as_they_are() -> None:
    images = coordinates()
    images.setflags(write=False)
    before = images.copy()
    normalise(images, "imagenet")
    Transform(replace(PLAIN, flip=True, jitter=0.5), 0).images(images, "source", 0)
    assert np.array_equal(images, before)


@pytest.mark.skipif(
    "AUTOADAPT_VECTORS" not in os.environ, reason="AUTOADAPT_VECTORS names no golden vectors"
)
def test_caffe_convention_equals_the_one_of_advent() -> None:
    vector = np.load(Path(os.environ["AUTOADAPT_VECTORS"]) / "advent_preprocess.npz")
    image = vector["in_image"].astype(np.uint8)
    assert np.array_equal(image, vector["in_image"])
    got = normalise(image[None], "caffe_bgr")[0].numpy()
    np.testing.assert_allclose(got, vector["out_x"], rtol=1e-6, atol=1e-5)


@given(st.integers(0, 50), st.integers(0, 50))
def test_a_crop_is_a_window_of_its_image_and_labels_follow(seed: int, step: int) -> None:
    images = coordinates()
    labels = images[..., 0] * 17 + images[..., 1]
    transform = Transform(replace(PLAIN, crop=(5, 8)), seed)
    x, y = transform.pairs(images, labels, "source", step)
    assert (x.shape, y.shape, y.dtype) == ((5, 3, 5, 8), (5, 5, 8), torch.int64)
    pixels = restored(x).astype(int)
    assert np.array_equal(pixels[..., 0] * 17 + pixels[..., 1], y.numpy())
    assert np.array_equal(pixels[..., 2], np.broadcast_to(np.arange(5)[:, None, None], (5, 5, 8)))
    assert np.all(np.diff(pixels[..., 0], axis=1) == 1)
    assert np.all(np.diff(pixels[..., 1], axis=2) == 1)


def test_crops_reach_all_corners() -> None:
    transform = Transform(replace(PLAIN, crop=(11, 15)), 0)
    corners = set()
    for step in range(40):
        pixels = restored(transform.images(coordinates(), "source", step))
        corners |= {(int(image[0, 0, 0]), int(image[0, 0, 1])) for image in pixels}
    assert corners == {(top, left) for top in range(2) for left in range(3)}


def test_a_crop_larger_than_the_images_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"crop \[12, 18\] is larger than the source .* \[12, 17\]"
    ):
        Transform(replace(PLAIN, crop=(12, 18)), 0)


def test_mirroring_is_left_to_right_for_half_the_images_and_labels_follow() -> None:
    images = coordinates()
    labels = images[..., 1]
    transform = Transform(replace(PLAIN, flip=True), 0)
    mirrored = 0
    for step in range(80):
        x, y = transform.pairs(images, labels, "source", step)
        pixels = restored(x)
        assert np.array_equal(pixels[..., 1], y.numpy())
        assert np.array_equal(pixels[..., 0], images[..., 0])
        mirrored += int((pixels[:, 0, 0, 1] == 16).sum())
    # 400 images, 200 expected, standard deviation 10
    assert 150 < mirrored < 250


def test_no_augmentation_is_normalisation_alone() -> None:
    settings = replace(PLAIN, flip=True, jitter=0.5, crop=(5, 8), normalisation="caffe_bgr")
    x = without_augmentation(settings).images(coordinates(), "target", 3)
    assert torch.equal(x, normalise(coordinates(), "caffe_bgr"))


@pytest.mark.parametrize("change", [{"flip": True}, {"jitter": 0.4}, {"crop": (5, 8)}])
def test_a_step_is_repeatable_and_seed_purpose_and_step_matter(change: dict[str, Any]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 12, 17, 3), np.uint8)
    settings = replace(PLAIN, **change)
    first = Transform(settings, 1).images(images, "source", 7)
    assert torch.equal(first, Transform(settings, 1).images(images, "source", 7))
    for seed, purpose, step in [(2, "source", 7), (1, "target", 7), (1, "source", 8)]:
        assert not torch.equal(first, Transform(settings, seed).images(images, purpose, step))


def test_crop_and_mirror_do_not_depend_on_the_strength_of_jitter() -> None:
    labels = coordinates()[..., 1]
    settings = replace(PLAIN, flip=True, crop=(5, 8))
    _, plain = Transform(settings, 1).pairs(coordinates(), labels, "source", 7)
    _, coloured = Transform(replace(settings, jitter=0.3), 1).pairs(
        coordinates(), labels, "source", 7
    )
    assert torch.equal(plain, coloured)


def test_each_image_has_factors_of_its_own_within_the_strength() -> None:
    images = np.full((6, 12, 17, 3), 100, np.uint8)
    x = Transform(replace(PLAIN, jitter=0.2), 0).images(images, "source", 0)
    values = denormalise(x, "imagenet")[:, 0, 0, 0].astype(int)
    # Contrast and saturation leave a uniform grey image: only brightness is seen.
    assert len(set(values)) > 3
    assert values.min() >= 80
    assert values.max() <= 120
