"""Scores that compare all candidates of a closed pool, against numbers by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from autoadapt.scores._agreement import pair_counts
from autoadapt.scores._compute import compute, make
from autoadapt.scores._pool import pair_counts_of, pool_of
from autoadapt.scores.base import HOW, Float, Pool, Statistics

NOTHING = np.empty((0, 0), np.float32)


def class_map(*labels: int) -> NDArray[np.uint8]:
    return np.array(labels, np.uint8).reshape(2, 1, -1)


A, B, C = class_map(0, 0, 1, 1), class_map(0, 1, 1, 1), class_map(0, 0, 0, 1)


def values(pool: Pool, name: str, **options: object) -> list[float]:
    score, number = make(name, options), len(next(iter(pool.agreement.values())))
    of_place = [
        Statistics((), NOTHING, NOTHING, NOTHING, NOTHING, costs={}, pool=pool, place=place)
        for place in range(number)
    ]
    return [score(each) for each in of_place]


def with_agreement(matrix: Float) -> Pool:
    return Pool(agreement={"miou": matrix})


def test_agreement_with_all_others() -> None:
    # A and B share 3 of 4 pixels, A and C too, B and C two.
    # IoU of A and B: 1/2 and 2/3; of A and C: 2/3 and 1/2; of B and C: 1/3 and 1/3.
    # Chance of A and B: (2*1 + 2*3)/16 = 1/2, kappa 1/2; A and C the same; B and C:
    # (1*3 + 3*1)/16 = 3/8, kappa (1/2 - 3/8) / (5/8) = 1/5.
    pool = pool_of([A, B, C], 2)
    found = {m: values(pool, "pool_agreement", measure=m) for m in ("accuracy", "miou", "kappa")}
    assert found["accuracy"] == pytest.approx([-0.75, -0.625, -0.625])
    assert found["miou"] == pytest.approx([-7 / 12, -11 / 24, -11 / 24])
    assert found["kappa"] == pytest.approx([-0.5, -0.35, -0.35])


def test_an_absent_class_counts_as_no_overlap() -> None:
    pool = pool_of([A, B, C], 3)
    two_thirds = [2 / 3 * value for value in (-7 / 12, -11 / 24, -11 / 24)]
    assert values(pool, "pool_agreement") == pytest.approx(two_thirds)


def test_agreement_with_the_ensemble() -> None:
    pool = pool_of([A, B, C], 2, ensemble=B)
    assert values(pool, "ensv") == pytest.approx([-0.75, -1.0, -0.5])
    assert values(pool, "ensv", measure="miou") == pytest.approx([-7 / 12, -1.0, -1 / 3])


def test_three_candidates_are_solved_exactly() -> None:
    # a_A a_B = a_A a_C = 3/4 and a_B a_C = 1/2, so a_A^2 = (3/4)^2 / (1/2).
    found = values(pool_of([A, B, C], 2), "spectral_agreement", measure="accuracy")
    assert found == pytest.approx([-0.75 / 0.5**0.5, -(0.5**0.5), -(0.5**0.5)], abs=1e-6)


def test_the_rank_one_model_is_found_whatever_is_on_the_diagonal() -> None:
    true = np.array([0.9, 0.7, 0.2, 0.5, 0.4])
    matrix = np.outer(true, true)
    np.fill_diagonal(matrix, 1.0)
    found = values(with_agreement(matrix), "spectral_agreement")
    assert found == pytest.approx(-true, abs=1e-6)
    np.fill_diagonal(matrix, [5.0, -3.0, 0.0, 1.0, 2.0])
    assert values(with_agreement(matrix), "spectral_agreement") == pytest.approx(found, abs=1e-9)


def test_the_eigenvector_reproduces_itself() -> None:
    random = np.random.default_rng(2)
    maps = [random.integers(0, 3, size=(2, 5, 7)).astype(np.uint8) for _ in range(6)]
    maps = [np.where(random.random((2, 5, 7)) < 0.6, maps[0], one).astype(np.uint8) for one in maps]
    pool = pool_of(maps, 3)
    found = -np.array(values(pool, "spectral_agreement"))
    matrix = pool.agreement["miou"].copy()
    np.fill_diagonal(matrix, found**2)
    assert matrix @ found == pytest.approx(found * (found @ found), abs=1e-9)


def test_accuracy_on_an_exact_line() -> None:
    """Where every pair lies on the line, so does every candidate."""
    source = np.array([0.9, 0.8, 0.6, 0.7])
    x = np.array([[0.0, 1.2, 0.7, 0.9], [1.2, 0, 0.5, 0.8], [0.7, 0.5, 0, 0.3], [0.9, 0.8, 0.3, 0]])
    slope, shift = 0.8, -0.3
    pool = Pool(
        agreement={"accuracy": norm.cdf(slope * x + shift)},
        held_out_agreement=norm.cdf(x),
        held_out_accuracy=source,
    )
    found = [-value for value in values(pool, "aline_d")]
    assert found == pytest.approx(norm.cdf(slope * norm.ppf(source) + shift), abs=1e-9)


def test_accuracy_by_least_squares_over_all_pairs() -> None:
    random = np.random.default_rng(5)
    number = 5
    pairs = [(i, j) for i in range(number) for j in range(i + 1, number)]
    agree = {name: np.eye(number) for name in ("source", "target")}
    for matrix in agree.values():
        for i, j in pairs:
            matrix[i, j] = matrix[j, i] = random.uniform(0.4, 0.9)
    known = random.uniform(0.5, 0.95, number)
    x = np.array([norm.ppf(agree["source"][pair]) for pair in pairs])
    y = np.array([norm.ppf(agree["target"][pair]) for pair in pairs])
    slope = np.polyfit(x, y, 1)[0]
    left = np.zeros((len(pairs), number))
    right = np.zeros(len(pairs))
    for row, (i, j) in enumerate(pairs):
        left[row, [i, j]] = 0.5
        right[row] = y[row] + slope * ((norm.ppf(known[i]) + norm.ppf(known[j])) / 2 - x[row])
    solved = norm.cdf(np.linalg.lstsq(left, right, rcond=None)[0])

    pool = Pool(
        agreement={"accuracy": agree["target"]},
        held_out_agreement=agree["source"],
        held_out_accuracy=known,
    )
    assert values(pool, "aline_d") == pytest.approx(-solved, abs=1e-9)


def test_pixels_without_a_label_are_left_out_of_the_source() -> None:
    held_out = [class_map(0, 1, 255, 1), class_map(0, 0, 255, 1), class_map(1, 1, 255, 1)]
    pool = pool_of([A, B, C], 2, held_out=held_out, held_out_accuracy=[1.0, 0.6, 0.6])
    assert pool.held_out_agreement is not None
    assert pool.held_out_agreement == pytest.approx(
        np.array([[1, 2 / 3, 2 / 3], [2 / 3, 1, 1 / 3], [2 / 3, 1 / 3, 1]])
    )


def test_counts_of_pairs_are_those_of_the_plain_way() -> None:
    random = np.random.default_rng(3)
    a, b = random.integers(0, 7, size=(2, 501)).astype(np.uint8)
    np.testing.assert_array_equal(pair_counts_of(a, b, 7), pair_counts(a, b, 7))


def test_pools_that_are_too_small() -> None:
    with pytest.raises(ValueError, match="at least 2 candidates, found 1"):
        pool_of([A], 2)
    with pytest.raises(ValueError, match="one shape"):
        pool_of([A, B[:1]], 2)
    pool = pool_of([A, B], 2, held_out=[A, B], held_out_accuracy=[0.5, 0.6])
    assert values(pool, "pool_agreement", measure="accuracy") == [-0.75, -0.75]
    for name in ("spectral_agreement", "aline_d"):
        with pytest.raises(ValueError, match="takes 3 candidates to tell them apart, found 2"):
            values(pool, name)


def test_what_is_not_known_is_the_reason() -> None:
    pool = pool_of([A, B, C], 2)
    scores = {name: make(name, {}) for name in ("aline_d", "ensv", "pool_agreement")}
    bare = Statistics((), NOTHING, NOTHING, NOTHING, NOTHING, costs={}, pool=pool, place=1)
    found, errors = compute(scores, bare)
    assert list(found) == ["pool_agreement"]
    assert errors == {
        "aline_d": f"it needs {HOW['held_out']}",
        "ensv": f"it needs {HOW['pool']}",
    }
