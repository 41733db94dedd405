"""Filters of the lens and the noise tables, against arithmetic done by hand."""

import numpy as np
import pytest

from autoadapt.data.street import lens, noise
from autoadapt.data.street.dice import Dice
from autoadapt.seeding import generator


@pytest.mark.parametrize("step", [1, 2])
def test_blur_of_a_point_by_hand(step: int) -> None:
    image = np.zeros((1, 9, 11), dtype=np.float32)
    image[0, 4, 6] = 16
    soft = lens._binomial(image, step)
    # (1, 2, 1) / 4 in both directions: 16 times 1/16, 2/16, 4/16.
    expected = np.zeros((9, 11))
    expected[4 - step : 5 + step : step, 6 - step : 7 + step : step] = [
        [1, 2, 1],
        [2, 4, 2],
        [1, 2, 1],
    ]
    np.testing.assert_array_equal(soft[0], expected)


def test_blur_keeps_a_flat_image_up_to_the_border() -> None:
    flat = np.full((3, 5, 7), 0.25, dtype=np.float32)
    np.testing.assert_array_equal(lens._blur(flat, 2.5), flat)


def test_half_a_pass_is_half_way() -> None:
    image = np.zeros((1, 3, 5), dtype=np.float32)
    image[0, 1, 2] = 16
    # The middle keeps 4 of 16 after a pass, hence 16 + (4 - 16) / 2 after half of one.
    assert lens._blur(image, 0.5)[0, 1, 2] == 10


def test_tone_curve_by_hand() -> None:
    values = np.array([[[0.0, 0.25, 0.5, 1.0]]], dtype=np.float32)
    # 3 v^2 - 2 v^3 at 0.25 is 0.15625; half of it: (0.25 + 0.15625) / 2.
    expected = [[[0.0, 0.203125, 0.5, 1.0]]]
    np.testing.assert_allclose(lens._tone(values, 0.5), expected, rtol=0, atol=1e-7)
    np.testing.assert_array_equal(lens._tone(values, 0.0), values)


def test_saturation_leaves_grey_alone_and_keeps_luma() -> None:
    grey = np.full((3, 4, 5), 0.5, dtype=np.float32)
    np.testing.assert_allclose(lens._colour(grey, 0.3, 0.7), grey, atol=1e-6)
    red = grey.copy()
    red[0] = 0.8
    pale = lens._colour(red, 0.5, 0.0)
    # Luma is 0.5 + 0.299 * 0.3 = 0.5897; red keeps half of its distance to it.
    np.testing.assert_allclose(pale[0], 0.5897 + (0.8 - 0.5897) / 2, atol=1e-6)


def test_quantising_rounds_and_clips() -> None:
    values = np.array([-0.2, 0.0, 0.4999 / 255, 0.5001 / 255, 1.0, 1.3], dtype=np.float32)
    image = lens._quantise(np.repeat(values[None, None], 3, axis=0))
    assert image.shape == (1, 6, 3)
    assert image[0, :, 1].tolist() == [0, 0, 0, 1, 255, 255]


@pytest.mark.parametrize("size", [(12, 20), (120, 160), (256, 30), (300, 520)], ids=str)
def test_grain_has_the_promised_mean_and_variance(size: tuple[int, int]) -> None:
    grain = lens._grain((3, *size), Dice(generator(0, "test")))
    assert grain.shape == (3, *size)
    assert grain.dtype == np.float32
    slack = 6 / np.sqrt(grain.size)
    assert abs(float(grain.mean())) < slack
    assert abs(float(grain.var()) - 1) < slack * 1.5


def test_noise_tables_are_in_range_and_wrap() -> None:
    for table in (noise.white(), noise.smooth(4), noise.smooth(32), noise.cloudy()):
        assert table.shape == (noise.SIDE, noise.SIDE)
        assert table.min() >= 0
        assert table.max() < 1
        assert not table.flags.writeable
    # Smooth noise has no seam: the step across the border is as small as inside.
    table = noise.smooth(16)
    seam = np.abs(table[0] - table[-1]).max()
    assert seam <= np.abs(np.diff(table, axis=0)).max()


def test_sample_rounds_down_and_wraps() -> None:
    table = np.arange(noise.SIDE**2, dtype=np.float64).reshape(noise.SIDE, noise.SIDE)
    rows, columns = np.array([[0.9], [-0.1], [130.0]]), np.array([[5.0, -128.0]])
    # Rows 0, 127, 2; columns 5 and 0.
    expected = [[5, 0], [127 * 128 + 5, 127 * 128], [2 * 128 + 5, 2 * 128]]
    np.testing.assert_array_equal(noise.sample(table, rows, columns), expected)


def test_dice_stay_in_range_and_follow_the_seed() -> None:
    one, two = (Dice(generator(3, "dice")) for _ in range(2))
    draws = [one.between((2.0, 5.0)) for _ in range(600)]
    assert draws == [two.between((2.0, 5.0)) for _ in range(600)]
    assert min(draws) >= 2
    assert max(draws) < 5
    # A count rounds at random, so that its mean is that of the range: 1.3.
    assert np.mean([one.count((1.0, 1.6)) for _ in range(4000)]) == pytest.approx(1.3, abs=0.04)
    # A square of a uniform has mean 1/3.
    assert np.mean([one.near((0.0, 3.0)) for _ in range(4000)]) == pytest.approx(1, abs=0.05)
