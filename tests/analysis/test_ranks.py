import math
from itertools import combinations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from autoadapt.analysis.ranks import (
    Float,
    chosen_share,
    pair_accuracy,
    partial_spearman,
    precision_at,
    random_regret,
    regret_at,
    spearman,
    spearman_matrix,
    weighted_midranks,
    weighted_spearman,
    worst_rank,
)

# Published vector with a tie, there "higher is better"; our scores are its negatives.
SCORE = -np.array([0.10, 0.30, 0.20, 0.50, 0.50, 0.40, 0.90, 0.70])
MIOU = np.array([20.0, 31.0, 28.0, 30.0, 35.0, 36.0, 44.0, 41.0])
columns = st.lists(st.integers(0, 5), min_size=4, max_size=12)


def test_published_vector() -> None:
    assert spearman(SCORE, MIOU) == pytest.approx(-0.862291, abs=5e-7)
    assert weighted_spearman(SCORE, MIOU) == pytest.approx(-0.871714, abs=5e-7)
    assert [regret_at(SCORE, MIOU, k) for k in (1, 2, 3)] == [0, 0, 0]
    assert precision_at(SCORE, MIOU, 3) == pytest.approx(2 / 3)
    # scores .9 and .7 are taken; of the two at .5 (30 and 35) one is drawn by lot
    assert chosen_share(SCORE, 3).tolist() == [0, 0, 0, 0.5, 0.5, 0, 1, 1]
    assert chosen_share(SCORE, 3) @ MIOU / 3 == pytest.approx((44 + 41 + 32.5) / 3)


@given(columns, st.integers(0, 10**6))
def test_ties_as_scipy_has_them(values: list[int], seed: int) -> None:
    score = np.array(values, dtype=np.float64)
    truth = np.random.Generator(np.random.PCG64(seed)).integers(0, 4, len(values)).astype(float)
    if np.ptp(score) == 0 or np.ptp(truth) == 0:
        assert math.isnan(spearman(score, truth))
        assert math.isnan(weighted_spearman(score, truth))
        return
    expected = scipy.stats.spearmanr(score, truth).statistic
    assert spearman(score, truth) == pytest.approx(expected)


def test_weighted_midranks_by_hand() -> None:
    # 5 and 5 tie with weights 1 and 2: below them 4, then (2 + 1) / 2 * 3 / 2 = 2.25
    found = weighted_midranks(np.array([5.0, 1.0, 5.0, 9.0]), np.array([1.0, 4.0, 2.0, 3.0]))
    # 1: 0 + 1 * 4; 9: 7 + 1 * 3
    assert found.tolist() == [6.25, 4.0, 6.25, 10.0]


def test_equal_weights_would_give_the_usual_ranks() -> None:
    values = np.array([3.0, 1.0, 3.0, 3.0, 0.0])
    expected = scipy.stats.rankdata(values)
    np.testing.assert_allclose(weighted_midranks(values, np.ones(5)), expected)


def test_partial_correlation_against_the_textbook_formula() -> None:
    random = np.random.Generator(np.random.PCG64(3))
    given_, noise = random.normal(size=30), random.normal(size=(2, 30))
    score, truth = given_ + noise[0], -given_ + noise[1]
    xy, xz, yz = spearman(score, truth), spearman(score, given_), spearman(truth, given_)
    expected = (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))
    assert partial_spearman(score, truth, given_) == pytest.approx(expected)
    assert partial_spearman(score, truth, np.ones(30)) == pytest.approx(xy)
    assert math.isnan(partial_spearman(np.exp(given_), truth, given_)), "nothing is left"


def expected_regret(score: Float, truth: Float, k: int) -> float:
    """Enumerate every way to break the ties."""
    sets = [set(chosen) for chosen in combinations(range(len(score)), k)]
    # k models are a valid choice when no other one has a smaller score than any of them
    valid = [
        chosen
        for chosen in sets
        if all(score[i] <= score[j] for i in chosen for j in set(range(len(score))) - chosen)
    ]
    return float(np.mean([truth.max() - max(truth[i] for i in chosen) for chosen in valid]))


@given(columns, st.integers(1, 4), st.integers(0, 10**6))
def test_regret_and_precision_by_enumeration(values: list[int], k: int, seed: int) -> None:
    score = np.array(values, dtype=np.float64)
    truth = np.random.Generator(np.random.PCG64(seed)).integers(0, 6, len(values)).astype(float)
    assert regret_at(score, truth, k) == pytest.approx(expected_regret(score, truth, k))
    assert chosen_share(score, k).sum() == pytest.approx(k)
    assert 0 <= precision_at(score, truth, k) <= 1 + 1e-12
    mirrored = slice(None, None, -1)
    assert precision_at(score[mirrored], truth[mirrored], k) == pytest.approx(
        precision_at(score, truth, k)
    )


def test_regret_by_lot() -> None:
    # the best of 2 of (1, 2, 4): 2, 4, 4 -> 4 - 10 / 3
    assert random_regret(np.array([1.0, 4.0, 2.0]), 2) == pytest.approx(2 / 3)
    assert random_regret(np.array([1.0, 4.0, 2.0]), 3) == pytest.approx(0)
    assert random_regret(np.arange(1000.0), 1) == pytest.approx(999 - 499.5)


def test_worst_pick_of_a_tie() -> None:
    assert worst_rank(np.array([1.0, 1.0, 2.0, 3.0]), np.array([9.0, 7.0, 8.0, 6.0])) == 3
    assert worst_rank(np.array([1.0, 2.0]), np.array([9.0, 7.0])) == 1


@given(st.permutations(list(range(7))))
def test_only_the_order_matters(order: list[int]) -> None:
    score, truth = np.array(order, dtype=np.float64), np.linspace(0.1, 0.7, 7)
    bent = np.exp(score) - 3
    for statistic in (spearman, weighted_spearman, pair_accuracy):
        assert statistic(bent, truth**3) == pytest.approx(statistic(score, truth))
    for k in (1, 3):
        assert regret_at(bent, truth, k) == regret_at(score, truth, k)
        assert precision_at(bent, truth**3, k) == precision_at(score, truth, k)


def test_signs() -> None:
    best_first, truth = np.arange(6.0), np.arange(6.0)[::-1]
    assert spearman(best_first, truth) == pytest.approx(-1)
    assert weighted_spearman(best_first, truth) == pytest.approx(-1)
    assert weighted_spearman(-best_first, truth) > 0.9
    assert pair_accuracy(best_first, truth) == 1
    assert regret_at(best_first, truth, 1) == 0
    assert regret_at(-best_first, truth, 1) == 5


def test_matrix_uses_what_two_columns_share() -> None:
    nan = math.nan
    found = spearman_matrix(
        np.array([[1, 2, nan, 5], [2, 1, nan, 5], [3, 3, 1, 5], [4, nan, 2, 5.0]])
    )
    assert found[0, 1] == pytest.approx(0.5)
    assert math.isnan(found[0, 2])
    assert math.isnan(found[3, 3])
    assert found[1, 0] == found[0, 1]
