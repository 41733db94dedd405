"""Scores from sampled locations and from costs, against hand-made numbers."""

import numpy as np
import pytest
from numpy.typing import NDArray

from autoadapt.scores._compute import compute, make
from autoadapt.scores.base import Statistics
from autoadapt.scores.mmd import BLOCK, MEDIAN_OF, Estimator, median_distance, prepared


def statistics(
    source: NDArray[np.float64] | list[list[float]],
    target: NDArray[np.float64] | list[list[float]],
    costs: dict[str, float] | None = None,
) -> Statistics:
    x, y = np.array(source, np.float32), np.array(target, np.float32)
    return Statistics((), x, y, x[:, ::-1].copy(), y[:, ::-1].copy(), costs or {})


def column(*values: float) -> list[list[float]]:
    return [[value] for value in values]


# Squared distances of the pooled points have the median 4.
LINE = statistics(column(0, 1, 2, 3), column(1, 2, 3, 5))
PLANE = statistics([[0, 0], [1, 0], [0, 1]], [[2, 2], [2, 1]])
EQUAL = statistics(column(0, 1, 2, 3), column(0, 1, 2, 3))


@pytest.mark.parametrize(
    ("bandwidth", "kernels", "expected"),
    [
        # exp(-d^2 / b): b = 2 is sigma^2 = 1; 8 is sigma^2 = 4, the median.
        (
            2.0,
            1,
            {"biased": 0.125, "unbiased": -0.225144, "paired": -0.174179, "linear": -0.095759},
        ),
        (
            None,
            1,
            {"biased": 0.124759, "unbiased": -0.142131, "paired": -0.049608, "linear": 0.115502},
        ),
        (
            8.0,
            1,
            {"biased": 0.119508, "unbiased": -0.062857, "paired": 0.035014, "linear": 0.161419},
        ),
        (
            8.0,
            5,
            {"biased": 0.107167, "unbiased": -0.087612, "paired": -0.013762, "linear": 0.076364},
        ),
    ],
)
def test_points_on_a_line(
    bandwidth: float | None, kernels: int, expected: dict[Estimator, float]
) -> None:
    found = {
        estimator: make(
            "mmd", {"estimator": estimator, "bandwidth": bandwidth, "kernels": kernels}
        )(LINE)
        for estimator in expected
    }

    assert found == pytest.approx(expected, abs=1.5e-6)


def test_points_in_a_plane_of_unequal_number() -> None:
    options = {"bandwidth": 2.0, "kernels": 1}

    assert make("mmd", options | {"estimator": "biased"})(PLANE) == pytest.approx(
        1.231990, abs=1.5e-6
    )
    assert make("mmd", options)(PLANE) == pytest.approx(0.877582, abs=1.5e-6)


def test_equal_samples() -> None:
    options = {"bandwidth": 2.0, "kernels": 1}

    assert make("mmd", options | {"estimator": "biased"})(EQUAL) == pytest.approx(0, abs=1e-7)
    assert make("mmd", options | {"estimator": "paired"})(EQUAL) == pytest.approx(0, abs=1e-7)
    assert make("mmd", options)(EQUAL) == pytest.approx(-0.324886, abs=1.5e-6)


def test_default_is_five_dyadic_bandwidths_around_the_median() -> None:
    single = [make("mmd", {"bandwidth": 4.0 * 2.0**k, "kernels": 1})(LINE) for k in range(-2, 3)]

    assert make("mmd", {})(LINE) == pytest.approx(np.mean(single), abs=1e-6)


def clouds(
    m: int, n: int, width: int, shift: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    random = np.random.default_rng(5)
    return random.normal(size=(m, width)), shift + random.normal(size=(n, width))


def test_blocks_agree_with_full_matrices_in_double_precision() -> None:
    x, y = clouds(BLOCK + 37, BLOCK - 11, 7, 0.3)
    bandwidth = 9.0

    def kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        squared = ((a[:, None, :] - b[None, :, :]) ** 2).sum(-1)
        total: NDArray[np.float64] = sum(
            (np.exp(-squared / (bandwidth * s)) for s in (0.25, 0.5, 1, 2, 4)),
            start=np.zeros_like(squared),
        )
        return total / 5

    m, n = len(x), len(y)
    expected = (
        (kernel(x, x).sum() - m) / (m * (m - 1))
        + (kernel(y, y).sum() - n) / (n * (n - 1))
        - 2 * kernel(x, y).mean()
    )

    assert expected > 0.01
    found = make("mmd", {"bandwidth": bandwidth})(statistics(x, y))
    assert found == pytest.approx(expected, abs=2e-8)


@pytest.mark.parametrize("estimator", ["unbiased", "biased", "paired", "linear"])
def test_scale_and_offset_of_features_do_not_matter(estimator: str) -> None:
    x, y = clouds(60, 60, 4, 0.7)
    score = make("mmd", {"estimator": estimator})

    moved = score(statistics(30.0 * x + 500.0, 30.0 * y + 500.0))
    assert moved == pytest.approx(score(statistics(x, y)), abs=1e-5)


def test_normalised_features_forget_their_length() -> None:
    x, y = clouds(30, 40, 4, 0.7)
    lengths = np.random.default_rng(1).uniform(0.1, 9, size=(30, 1))
    score = make("mmd", {"normalise": True})

    assert score(statistics(lengths * x, y)) == pytest.approx(score(statistics(x, y)), abs=1e-6)


def single(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return x.astype(np.float32), y.astype(np.float32)


def test_space_chooses_what_is_compared() -> None:
    x, y = clouds(30, 40, 3, 0.0)
    nothing = np.zeros((2, 1), np.float32)
    swapped = Statistics((), nothing, nothing, *single(x, y), {})

    assert make("mmd", {"space": "outputs"})(swapped) == make("mmd", {})(statistics(x, y))


def test_closer_domains_score_lower() -> None:
    scores = [make("mmd", {})(statistics(*clouds(200, 210, 6, s))) for s in (0.0, 0.4, 0.8)]

    assert scores == sorted(scores)
    # Sampling error at 200 samples is below 1e-3 here, and zero is inside it.
    assert abs(scores[0]) < 3e-3 < scores[1]


def test_bandwidth_of_many_points_is_that_of_a_fixed_part_of_them() -> None:
    x, y = clouds(MEDIAN_OF, MEDIAN_OF, 8, 0.0)
    pair = prepared(*single(x, y), normalise=False)

    # Two standard normal points in 8 dimensions: twice a chi-square of 8 degrees, median 7.344.
    assert median_distance(*pair) == pytest.approx(14.69, abs=0.6)
    assert median_distance(*pair) == median_distance(*pair)


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        (np.full((30, 3), 0.7), np.full((20, 3), 0.7), "most of them are equal"),
        (np.eye(60)[:, :1], np.zeros((60, 1)), "most of them are equal"),
        (np.zeros((1, 3)), np.ones((9, 3)), "at least 2 samples per domain, found 1 and 9"),
        (np.full((5, 3), np.nan), np.ones((9, 3)), "not finite"),
    ],
)
def test_samples_without_a_distance_are_a_reason(
    source: NDArray[np.float64], target: NDArray[np.float64], reason: str
) -> None:
    _, errors = compute({"mmd": make("mmd", {})}, statistics(source, target))

    assert reason in errors["mmd"]


@pytest.mark.parametrize("estimator", ["paired", "linear"])
def test_estimators_that_need_equal_numbers_say_so(estimator: str) -> None:
    with pytest.raises(ValueError, match="found 3 and 2"):
        make("mmd", {"estimator": estimator, "bandwidth": 1.0})(PLANE)


# Softmax of the logits (2, 0, -1), (0, 1.5, 0), (1, 1, -2), (-1, 0, 3).
OUTPUTS = [
    [0.843795, 0.114195, 0.042010],
    [0.154281, 0.691438, 0.154281],
    [0.487856, 0.487856, 0.024289],
    [0.017148, 0.046613, 0.936240],
]


def of_outputs(outputs: NDArray[np.float64] | list[list[float]]) -> Statistics:
    return statistics(np.array(outputs)[:, ::-1], np.array(outputs)[:, ::-1])


def test_softmax_correlation() -> None:
    score = make("softmax_corr", {})

    assert score(of_outputs(OUTPUTS)) == pytest.approx(-0.906391, abs=2e-6)
    assert score(of_outputs(np.eye(3))) == pytest.approx(-1)
    # Collapsed and uniform: 1 / sqrt(3).
    assert score(of_outputs([[1, 0, 0], [1, 0, 0]])) == pytest.approx(-0.577350, abs=1e-6)
    assert score(of_outputs(np.full((5, 3), 1 / 3))) == pytest.approx(-0.577350, abs=1e-6)


def test_softmax_correlation_of_nothing_is_a_reason() -> None:
    _, errors = compute(
        {"softmax_corr": make("softmax_corr", {})}, statistics(np.zeros((0, 3)), np.zeros((0, 3)))
    )

    assert errors == {"softmax_corr": "no target location was sampled"}


@pytest.mark.parametrize("name", ["macs", "params"])
def test_costs_are_scores(name: str) -> None:
    costs = {"macs": 380.5e9, "params": 44.6e6}

    assert make(name, {})(statistics([[0.0]], [[1.0]], costs)) == costs[name]
    _, errors = compute({name: make(name, {})}, LINE)
    assert errors == {name: f"the costs of this candidate lack '{name}'"}
