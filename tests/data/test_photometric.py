import colorsys
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from torch import Tensor

from autoadapt.data.photometric import blur, jitter, shift_hue


def one_pixel(*rgb: float) -> Tensor:
    return torch.tensor(rgb, dtype=torch.float32).view(1, 3, 1, 1)


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * 255


def test_factors_of_one_change_nothing() -> None:
    images = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)) * 255
    torch.testing.assert_close(jitter(images.clone(), torch.ones(3, 2)), images)


def test_jitter_by_hand() -> None:
    # brightness 0.5: (100, 40, 10); its grey: 29.9 + 23.48 + 1.14 = 54.52
    # contrast 0.5, mean of one pixel: (50, 20, 5) + 27.26 = (77.26, 47.26, 32.26)
    # saturation 2: grey stays 54.52: 2 * (77.26, 47.26, 32.26) - 54.52 = (100, 40, 10)
    got = jitter(one_pixel(200, 80, 20), torch.tensor([[0.5], [0.5], [2.0]]))
    torch.testing.assert_close(got, one_pixel(100, 40, 10))


def test_contrast_moves_towards_the_mean_of_each_image() -> None:
    images = torch.tensor([[10.0, 30.0], [100.0, 200.0]]).view(2, 1, 1, 2).repeat(1, 3, 1, 1)
    got = jitter(images, torch.tensor([[1.0, 1.0], [0.0, 0.5], [1.0, 1.0]]))
    expected = torch.tensor([[20.0, 20.0], [125.0, 175.0]]).view(2, 1, 1, 2).repeat(1, 3, 1, 1)
    torch.testing.assert_close(got, expected)


def test_jitter_is_clipped_to_the_valid_range() -> None:
    got = jitter(one_pixel(200, 0, 0), torch.tensor([[2.0], [1.0], [3.0]]))
    # brightness: 255; grey 0.299 * 255 = 76.245; 3 * (255, 0, 0) - 2 * 76.245 is outside
    torch.testing.assert_close(got, one_pixel(255, 0, 0))


def test_a_third_of_a_turn_makes_red_green() -> None:
    turned = shift_hue(one_pixel(200, 50, 50), torch.tensor([1 / 3]))
    torch.testing.assert_close(turned, one_pixel(50, 200, 50))


@given(st.tuples(*[st.integers(0, 255)] * 3), st.floats(-1, 1))
def test_hue_turns_as_in_the_standard_library(rgb: tuple[int, int, int], turn: float) -> None:
    hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in rgb))
    expected = colorsys.hsv_to_rgb((hue + turn) % 1.0, saturation, value)
    got = shift_hue(one_pixel(*rgb).double(), torch.tensor([turn], dtype=torch.float64))
    np.testing.assert_allclose(got[0, :, 0, 0] / 255, expected, atol=1e-9)


def test_each_image_is_turned_by_its_own_hue() -> None:
    images = noise(3, 3, 4, 5)
    turned = shift_hue(images, torch.tensor([0.0, 0.25, 1.0]))
    torch.testing.assert_close(turned[[0, 2]], images[[0, 2]], rtol=0, atol=1e-3)
    assert not torch.allclose(turned[1], images[1], atol=1)


@pytest.mark.parametrize("sigma", [0.15, 0.6, 1.15])
def test_blur_equals_scipys(sigma: float) -> None:
    images = noise(2, 3, 16, 23).double()
    got = blur(images, torch.tensor([sigma, 1.0]))[0]
    reach = math.ceil(4 * max(sigma, 1.0))  # that of the largest deviation of the batch
    for channel in range(3):
        image = images[0, channel].numpy()
        expected = gaussian_filter(image, sigma, radius=reach, mode="mirror")
        np.testing.assert_allclose(got[channel], expected, atol=1e-5)


def test_no_deviation_leaves_an_image_as_it_is() -> None:
    images = noise(2, 3, 16, 18)
    blurred = blur(images, torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(blurred[0], images[0])
    assert not torch.allclose(blurred[1], images[1], atol=1)
    torch.testing.assert_close(blur(images, torch.zeros(2)), images)


def test_blur_keeps_the_brightness() -> None:
    flat = torch.full((1, 3, 16, 17), 80.0)
    torch.testing.assert_close(blur(flat, torch.tensor([1.15])), flat)
