"""The fused kernel and the PyTorch path against double precision, region by region."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from autoadapt.scores._kernel import STRIP, compiled, reference_statistics, region_statistics
from autoadapt.scores.base import RegionStatistics

Logits = NDArray[np.float32]
Labels = NDArray[np.int64]


def naive(logits: Logits, regions: Labels, count: int) -> RegionStatistics:
    """Loop over regions in double precision."""
    z = logits.astype(np.float64)
    log_p = z - z.max(0)
    log_p -= np.log(np.exp(log_p).sum(0))
    p, best = np.exp(log_p), logits.argmax(0)
    masks = [regions == region for region in range(count)]
    classes = range(len(logits))
    return RegionStatistics(
        np.array([mask.sum() for mask in masks], float),
        np.array([p[:, mask].sum(1) for mask in masks]),
        np.array([(p * log_p)[:, mask].sum(1) for mask in masks]),
        np.array([[(best[mask] == c).sum() for c in classes] for mask in masks], float),
    )


def assert_equal(found: RegionStatistics, expected: RegionStatistics) -> None:
    """1e-5 relative; absolute for what a float32 probability cannot hold (below 1e-30)."""
    np.testing.assert_array_equal(found.areas, expected.areas)
    np.testing.assert_array_equal(found.hard, expected.hard)
    np.testing.assert_allclose(found.p_sum, expected.p_sum, rtol=1e-5, atol=1e-30)
    # p log p of a pixel that is all but certain is a difference of rounding errors.
    np.testing.assert_allclose(found.plogp_sum, expected.plogp_sum, rtol=1e-5, atol=1e-6)


def scene(classes: int, height: int, width: int, count: int) -> tuple[Logits, Labels]:
    """Random logits; blocks of 3 x 5 pixels fall into regions at random, so most are scattered."""
    random = np.random.default_rng(classes * height * width)
    logits = 3.0 * random.normal(size=(classes, height, width)).astype(np.float32)
    blocks = random.integers(0, count, size=(height // 3 + 1, width // 5 + 1))
    return logits, np.kron(blocks, np.ones((3, 5), int))[:height, :width]


SHAPES = [
    (2, 1, 1, 1),
    (2, 7, 13, 4),
    (3, 61, 5, 40),
    (6, 9, 7, 5),
    (11, 24, STRIP, 9),
    (19, 13, STRIP + 1, 30),
    (19, 66, 2 * STRIP + 31, 200),
    (19, 40, 33, 1),
]


@pytest.mark.parametrize(("classes", "height", "width", "count"), SHAPES)
def test_kernel_and_reference_agree_with_a_loop_over_regions(
    classes: int, height: int, width: int, count: int
) -> None:
    logits, regions = scene(classes, height, width, count)
    expected = naive(logits, regions, count)

    assert_equal(region_statistics(logits, regions.astype(np.uint16), count), expected)
    assert_equal(
        reference_statistics(torch.from_numpy(logits), torch.from_numpy(regions), count), expected
    )


@pytest.mark.parametrize(
    "logits",
    [
        pytest.param(np.zeros((3, 4, 6)), id="equal"),
        pytest.param(np.full((3, 4, 6), -80.0), id="equal and low"),
        pytest.param(80.0 * np.eye(3)[np.arange(24).reshape(4, 6) % 3].transpose(2, 0, 1), id="80"),
        pytest.param(
            160.0 * np.eye(3)[np.arange(24).reshape(4, 6) % 3].transpose(2, 0, 1) - 80.0, id="160"
        ),
        pytest.param(1e4 * np.random.default_rng(0).normal(size=(3, 4, 6)), id="huge"),
        pytest.param(1e-4 * np.random.default_rng(1).normal(size=(3, 4, 6)), id="tiny"),
        pytest.param(np.round(np.random.default_rng(2).normal(size=(3, 4, 6))), id="ties"),
    ],
)
def test_extreme_logits(logits: NDArray[np.float64]) -> None:
    single = logits.astype(np.float32)
    regions = np.array([[0, 0, 0, 2, 2, 2]] * 4)
    expected = naive(single, regions, 3)

    found = region_statistics(single, regions, 3)

    assert_equal(found, expected)
    assert (found.plogp_sum <= 0).all()
    assert_equal(
        reference_statistics(torch.from_numpy(single), torch.from_numpy(regions), 3), expected
    )


def test_certain_pixels_have_no_entropy_at_all() -> None:
    logits = np.zeros((4, 3, 5), np.float32)
    logits[2] = 200.0

    found = region_statistics(logits, np.zeros((3, 5), int), 1)

    np.testing.assert_allclose(found.plogp_sum, 0.0, atol=1e-30)
    np.testing.assert_allclose(found.p_sum, [[0, 0, 15, 0]], atol=1e-30)


def test_adding_a_constant_to_the_logits_changes_nothing() -> None:
    logits, regions = scene(5, 20, 30, 6)

    moved = region_statistics(logits + np.float32(64), regions, 6)

    np.testing.assert_allclose(moved.p_sum, region_statistics(logits, regions, 6).p_sum, rtol=2e-5)


def test_probabilities_of_a_region_sum_to_its_area() -> None:
    logits, regions = scene(19, 50, 70, 20)

    found = region_statistics(logits, regions, 20)

    np.testing.assert_allclose(found.p_sum.sum(1), found.areas, rtol=1e-6)
    np.testing.assert_array_equal(found.hard.sum(1), found.areas)


def test_the_number_of_threads_does_not_matter() -> None:
    logits, regions = scene(7, 200, 300, 50)
    before = torch.get_num_threads()
    results = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        results.append(region_statistics(logits, regions, 50))
    torch.set_num_threads(before)

    np.testing.assert_array_equal(results[0].hard, results[1].hard)
    np.testing.assert_allclose(results[0].plogp_sum, results[1].plogp_sum, rtol=1e-6)


def test_layout_and_type_of_the_inputs_do_not_matter() -> None:
    logits, regions = scene(4, 30, 40, 8)
    expected = region_statistics(logits, regions, 8)
    turned = np.ascontiguousarray(logits.transpose(1, 2, 0)).transpose(2, 0, 1)

    for found in (
        region_statistics(turned, regions.astype(np.int32), 8),
        region_statistics(torch.from_numpy(logits), torch.from_numpy(regions), 8),
        region_statistics(torch.from_numpy(turned).double(), regions.astype(np.uint16), 8),
    ):
        np.testing.assert_array_equal(found.p_sum, expected.p_sum)


def test_not_a_number_shows() -> None:
    logits, regions = scene(4, 6, 8, 2)
    logits[2, 1, 1] = np.nan

    found = region_statistics(logits, np.zeros_like(regions), 1)

    assert np.isnan(found.p_sum).all()


@pytest.mark.parametrize(
    ("shape", "labels", "count", "message"),
    [
        ((3, 4, 5), np.full((4, 5), 2), 2, r"regions in \[0, 2\), found 2 to 2"),
        ((3, 4, 5), np.full((4, 5), -1), 2, "found -1 to -1"),
        ((3, 4, 5), np.zeros((5, 4), int), 1, r"found \(3, 4, 5\) and \(5, 4\)"),
        ((4, 5), np.zeros((4, 5), int), 1, r"expected logits \(C, H, W\)"),
    ],
)
def test_regions_that_do_not_fit(
    shape: tuple[int, ...], labels: Labels, count: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        region_statistics(np.zeros(shape, np.float32), labels, count)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees() -> None:
    logits, regions = scene(19, 64, 96, 30)

    found = region_statistics(torch.from_numpy(logits).cuda(), regions, 30)

    assert_equal(found, naive(logits, regions, 30))


def test_runs_where_machine_code_cannot_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(**options: Any) -> Callable[[Any], Any]:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr("numba.njit", read_only)

    assert compiled(len)([1, 2]) == 2
