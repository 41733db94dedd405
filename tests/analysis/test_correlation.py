import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoadapt.analysis.correlation import (
    Agreement,
    choose_by_half,
    ranking_of,
    strongest_first,
)
from autoadapt.analysis.correlation import correlate as correlate_with
from autoadapt.analysis.ranks import pair_accuracy, regret_at, spearman
from autoadapt.analysis.resampling import holm, permutation_p

# Published vector with a tie: rho .862291, tau-b .763763 (here with the truth's sign as it is).
SCORE = [0.10, 0.30, 0.20, 0.50, 0.50, 0.40, 0.90, 0.70]
MIOU = [20.0, 31.0, 28.0, 30.0, 35.0, 36.0, 44.0, 41.0]


def correlate(
    scores: Mapping[str, Sequence[float | None]], truth: Sequence[float], *, seed: int = 0
) -> list[Agreement]:
    return correlate_with(scores, ranking_of(truth, seed=seed))


def test_five_models_by_hand() -> None:
    # score ranks 1 2 3 4 5, truth ranks 5 4 2 3 1: d = -4 -2 1 1 4, sum of squares 38
    # rho = 1 - 6 * 38 / (5 * 24) = -.9
    # of 10 pairs only (3, 4) is concordant: tau = (1 - 9) / 10 = -.8, and 9 pairs are right
    # the smallest score belongs to the best model: no regret
    (found,) = correlate({"mmd": [1, 2, 3, 4, 5]}, [0.5, 0.4, 0.2, 0.3, 0.1])
    assert (found.name, found.n, found.dropped, found.reason) == ("mmd", 5, 0, "")
    assert found.rho == pytest.approx(-0.9)
    assert found.tau == pytest.approx(-0.8)
    assert found.pair_accuracy == pytest.approx(0.9)
    assert found.regret == 0
    # the three best have scores 1 2 4 and truths .5 .4 .3: all in order
    assert found.top_half == pytest.approx(-1)


def test_ties_use_mid_ranks() -> None:
    (found,) = correlate({"a": SCORE}, MIOU)
    assert found.rho == pytest.approx(0.862291, abs=5e-7)
    assert found.tau == pytest.approx(0.763763, abs=5e-7)
    # models by truth: 44 41 36 35 with scores .9 .7 .4 .5: ranks 4 3 1 2 against 4 3 2 1 -> .8
    assert found.top_half == pytest.approx(0.8)
    assert found.regret == 24, "the smallest score is the worst model, 20 instead of 44"


def test_pairs_by_hand() -> None:
    score, truth = np.array([1.0, 1.0, 2.0, 3.0]), np.array([0.4, 0.3, 0.3, 0.1])
    # pairs: (0,1) equal scores: half; (0,2), (0,3), (1,3), (2,3) right; (1,2) equal truths: out
    assert pair_accuracy(score, truth) == pytest.approx(4.5 / 5)
    # models 0 and 1 share the best score: .4 - (.4 + .3) / 2
    assert regret_at(score, truth, 1) == pytest.approx(0.05)


def test_missing_scores_are_counted_and_left_out() -> None:
    scores = {"mmd": [1, None, 2, 3, math.nan, 4, math.inf]}
    (found,) = correlate(scores, [0.7, 0.9, 0.6, 0.5, 0.1, 0.4, 0.2])
    assert (found.n, found.dropped) == (4, 3)
    assert found.rho == pytest.approx(-1)
    assert found.interval == pytest.approx((-1, -1)), "every resample is in perfect order"


def test_too_few_models_say_so() -> None:
    two, one, constant = correlate(
        {"two": [1, 2, None, None], "one": [None, 2, None, None], "constant": [1, 1, 1, 1]},
        [0.1, 0.2, 0.3, 0.4],
    )
    assert two.reason == "2 models have it, at least 3 are needed"
    assert one.reason == "1 model has it, at least 3 are needed"
    assert constant.reason == "all models have the same score"
    for found in (two, one, constant):
        numbers = [found.rho, *found.interval, found.tau, found.p_value, found.p_holm]
        assert all(map(math.isnan, [*numbers, found.pair_accuracy, found.regret]))


def test_a_constant_truth_says_nothing() -> None:
    (found,) = correlate({"a": [1, 2, 3, 4]}, [0.5] * 4)
    assert found.reason == "all models have the same truth"


def test_wrong_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match="'a' has 2 values for 3 models"):
        correlate({"a": [1, 2]}, [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="true metric of a model is missing"):
        correlate({"a": [1, 2]}, [0.1, math.nan])
    assert correlate({}, []) == []


def test_exact_permutations_of_four() -> None:
    # of 24 orders, the sorted and the reversed one are as strong: 2 / 24 = .0833
    score, truth = np.array([1.0, 2.0, 3.0, 4.0]), np.array([4.0, 3.0, 2.0, 1.0])
    assert permutation_p(score, truth, seed=0) == pytest.approx(2 / 24, abs=0.01)


def test_critical_value_of_twenty() -> None:
    """Two-sided, 5 % and n = 20: |rho| .447 (tables of Spearman's rho)."""
    for swaps, low, high in ((0, 0.0, 0.001), (1, 0.0, 0.01)):
        truth = np.arange(20.0)
        truth[: swaps + 1] = truth[: swaps + 1][::-1]
        assert low <= permutation_p(np.arange(20.0), truth, seed=1) <= high
    noise = np.random.Generator(np.random.PCG64(0))
    values = [(noise.permutation(20.0 * np.arange(20)), np.arange(20.0)) for _ in range(40)]
    for score, truth in values:
        strong = abs(spearman(score, truth)) > 0.447
        p = permutation_p(score, truth, seed=2)
        assert (p < 0.05) == strong or abs(p - 0.05) < 0.01


def test_intervals_narrow_with_models_and_hold_the_value() -> None:
    widths = []
    for count in (12, 60, 300):
        steps = np.arange(count, dtype=np.float64)
        score = -steps / count + np.sin(7 * steps)  # an even mixture of order and disorder
        (found,) = correlate({"a": score.tolist()}, steps.tolist())
        assert found.interval[0] < found.rho < found.interval[1]
        widths.append(found.interval[1] - found.interval[0])
    assert widths[0] > 1.5 * widths[1] > 1.5 * 1.5 * widths[2]


def test_equal_seeds_give_equal_numbers_and_names_do_not_matter() -> None:
    first = correlate({"a": SCORE, "b": SCORE}, MIOU, seed=5)
    assert first == correlate({"a": SCORE, "b": SCORE}, MIOU, seed=5)
    assert first[0].interval == first[1].interval, "the same resamples for every score"
    (other,) = correlate({"a": SCORE}, MIOU, seed=6)
    assert other.interval != first[0].interval


@given(st.permutations(list(range(7))))
def test_laws(order: list[int]) -> None:
    score, truth = np.array(order, dtype=np.float64), np.linspace(0.1, 0.7, 7)
    rho = spearman(score, truth)
    assert -1 <= round(rho, 12) <= 1
    assert spearman(np.exp(score), truth**3) == pytest.approx(rho), "only the order matters"
    assert spearman(-score, truth) == pytest.approx(-rho)
    assert pair_accuracy(score, truth) + pair_accuracy(-score, truth) == pytest.approx(1)


def test_accuracy_and_tau_agree_without_ties() -> None:
    score = [3.0, 1.0, 2.0, 5.0, 4.0, 0.0]
    (found,) = correlate({"a": score}, [0.2, 0.6, 0.3, 0.1, 0.4, 0.5])
    assert found.pair_accuracy == pytest.approx((1 - found.tau) / 2)


def test_holm_by_hand() -> None:
    # sorted: .01 * 3 = .03, .03 * 2 = .06, then .04 * 1 = .04 but never below the one before
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, math.nan]), [0.03, 0.06, 0.06, math.nan])
    assert holm([0.7, 0.8]) == [1.0, 1.0]


def test_strongest_first_puts_undefined_last() -> None:
    found = correlate(
        {"none": [None] * 4, "weak": [1, 4, 2, 3], "good": [4, 3, 2, 1]}, [0.1, 0.2, 0.3, 0.4]
    )
    assert [one.name for one in strongest_first(found)] == ["good", "weak", "none"]


def test_copies_with_other_seeds_add_no_significance() -> None:
    """Six architectures, then the same four times: as sure as before, not more."""
    truth = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    score: list[float | None] = [5.0, 6.0, 3.0, 4.0, 1.0, 2.0]
    (alone,) = correlate({"a": score}, truth)
    names = [f"a{place % 6}" for place in range(24)]
    (copied,) = correlate_with({"a": score * 4}, ranking_of(truth * 4, clusters=names))
    assert copied.p_value == pytest.approx(alone.p_value, abs=0.01)
    assert copied.interval == pytest.approx(alone.interval)
    (naive,) = correlate({"a": score * 4}, truth * 4)
    assert naive.p_value < 0.1 * alone.p_value


def test_what_lies_between_methods_is_no_evidence() -> None:
    """The same eight architectures with two methods; the score tells the methods apart alone."""
    random = np.random.Generator(np.random.PCG64(11))
    truth = np.concatenate([random.normal(size=8), 9 + random.normal(size=8)])
    score = np.concatenate([9 + random.normal(size=8), random.normal(size=8)])
    groups, clusters = ["a"] * 8 + ["b"] * 8, [f"n{place % 8}" for place in range(16)]
    ranking = ranking_of(truth.tolist(), groups=groups, clusters=clusters)
    (found,) = correlate_with({"a": score.tolist()}, ranking)
    assert found.rho < -0.7
    assert found.p_value > 0.05
    assert len(set(ranking.repetitions.tolist())) == 16, "no method was repeated"


def test_how_often_a_method_was_used_is_no_evidence() -> None:
    """Score and truth know the method alone; some architectures were trained more with one."""
    random = np.random.Generator(np.random.PCG64(2))
    methods, names = [], []
    for place in range(15):
        first = 1 + place % 3
        methods += ["a"] * first + ["b"] * (4 - first)
        names += [f"n{place}"] * 4
    level = np.array([10.0 * (method == "b") for method in methods])
    truth, score = level + random.normal(size=60), -level + random.normal(size=60)
    ranking = ranking_of(truth.tolist(), groups=methods, clusters=names)
    (found,) = correlate_with({"a": score.tolist()}, ranking)
    assert found.rho < -0.5
    assert found.p_value > 0.05


def test_the_best_of_many_useless_scores_is_worth_nothing_elsewhere() -> None:
    random = np.random.Generator(np.random.PCG64(0))
    truth = random.normal(size=60)
    noise = {f"noise {number}": random.normal(size=60) for number in range(30)}
    found = choose_by_half(noise, ranking_of(truth.tolist()))
    assert found is not None
    assert found.seen < -0.3, "the best of thirty looks good where it was chosen"
    assert abs(found.rho) < 0.15
    assert sum(found.picked.values()) == pytest.approx(1)
    assert len(found.picked) > 5


def test_a_good_score_is_chosen_and_holds() -> None:
    """Two of three models have it, in pairs of one architecture; halves are of architectures."""
    random = np.random.Generator(np.random.PCG64(1))
    truth = random.normal(size=48)
    good = np.where(np.arange(48) % 3 == 0, np.nan, -truth + 0.1 * random.normal(size=48))
    scores = {"noise": random.normal(size=48), "good": good}
    clusters = [str(number // 2) for number in range(48)]
    found = choose_by_half(scores, ranking_of(truth.tolist(), clusters=clusters))
    assert found is not None
    assert found.picked == {"good": 1.0}
    assert found.rho < -0.95
    low, high = found.interval
    assert low <= found.rho <= high


def test_nothing_to_choose() -> None:
    truth = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    column = np.array(truth)
    assert choose_by_half({"one": column}, ranking_of(truth)) is None
    both = {"one": column, "two": -column}
    assert choose_by_half(both, ranking_of(truth, clusters=list("aabbcc"))) is None
    assert choose_by_half(both, ranking_of(truth)) is not None
