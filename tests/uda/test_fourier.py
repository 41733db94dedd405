"""Swapping low frequencies, against the official code and NumPy."""

from pathlib import Path

import numpy as np
import pytest
import torch

from autoadapt.uda._fourier import with_low_frequencies


def test_the_official_numpy_code(vectors: Path) -> None:
    with np.load(vectors / "fda_spectrum_swap.npz") as case:
        source, target = torch.from_numpy(case["in_source"]), torch.from_numpy(case["in_target"])
        for beta, wanted in zip(case["in_L"], case["out_mixed"], strict=True):
            found = with_low_frequencies(source[None], target[None], float(beta))[0]
            np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-7)


def test_single_precision_is_enough_for_colours(vectors: Path) -> None:
    with np.load(vectors / "fda_spectrum_swap.npz") as case:
        source = torch.from_numpy(case["in_source"]).float()
        target = torch.from_numpy(case["in_target"]).float()
        found = with_low_frequencies(source[None], target[None], float(case["in_L"][-1]))[0]
        np.testing.assert_allclose(found, case["out_mixed"][-1], atol=1e-3)


def test_beta_0_takes_over_the_mean_colour_alone() -> None:
    rng = torch.Generator().manual_seed(3)
    source = torch.rand(2, 3, 6, 10, generator=rng, dtype=torch.float64)
    target = torch.rand(2, 3, 6, 10, generator=rng, dtype=torch.float64) + 1
    found = with_low_frequencies(source, target, 0.0)
    shift = (target - source).mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(found, source + shift)


def test_an_image_given_to_itself_stays() -> None:
    image = torch.rand(1, 3, 9, 8, dtype=torch.float64)
    torch.testing.assert_close(with_low_frequencies(image, image, 0.3), image)


def test_corners_are_one_frequency_short() -> None:
    """Written out with NumPy as the text of FDA's training code reads; 8 x 10 pixels, b = 2."""
    rng = np.random.default_rng(1)
    source, target = rng.random((2, 3, 8, 10))
    spectrum, other = np.fft.fft2(source), np.fft.fft2(target)
    amplitude = np.abs(spectrum)
    for rows in (slice(0, 2), slice(-2, None)):
        for columns in (slice(0, 2), slice(-2, None)):
            amplitude[:, rows, columns] = np.abs(other)[:, rows, columns]
    wanted = np.fft.ifft2(amplitude * np.exp(1j * np.angle(spectrum))).real
    pair = torch.from_numpy(source)[None], torch.from_numpy(target)[None]
    found = with_low_frequencies(*pair, 0.25, "corners")[0]
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    assert not np.allclose(with_low_frequencies(*pair, 0.25)[0], wanted)


def test_corners_of_width_0_change_nothing() -> None:
    source, target = torch.rand(2, 1, 3, 8, 10, dtype=torch.float64)
    torch.testing.assert_close(with_low_frequencies(source, target, 0.01, "corners"), source)


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"source images are \(1, 3, 4, 5\)"):
        with_low_frequencies(torch.zeros(1, 3, 4, 5), torch.zeros(1, 3, 4, 6), 0.1)
