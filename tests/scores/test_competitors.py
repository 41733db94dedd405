"""Scores of other projects against published formulas, hand-made numbers and their own code."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from autoadapt.scores._agreement import accuracy, kappa, miou, pair_counts
from autoadapt.scores._calibrated import temperature, threshold, weighted_risk
from autoadapt.scores._compute import make
from autoadapt.scores._density import density_ratio, regression
from autoadapt.scores._outputs import softened
from autoadapt.scores._sums import label_statistics
from autoadapt.scores.base import Float, HeldOut, RegionStatistics, Statistics, entropy
from autoadapt.scores.class_ami import adjusted_mutual_information, k_means
from autoadapt.scores.cot import apportioned
from autoadapt.scores.hopkins import hopkins
from autoadapt.scores.mmd import kernel_values
from autoadapt.scores.sliced_wasserstein import distances
from autoadapt.scores.snd import BLOCK, density
from autoadapt.scores.transfer_score import unevenness

LOGITS = np.array([[2, 0, -1], [0, 1.5, 0], [1, 1, -2], [-1, 0, 3]])
P = softened(np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True), 1.0)


def of_outputs(p: NDArray[np.float64] | list[list[float]], **more: Any) -> Statistics:
    """Return statistics with target outputs, which are the target features, too."""
    values, nothing = np.array(p, np.float32), np.zeros((2, 2), np.float32)
    return Statistics((), nothing, values, values, values, {}, **more)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("bnm", {}, -0.783243),
        ("rank_me", {}, -2.904689),
        ("mcc", {}, 0.334478),
        ("max_prob", {}, -0.739832),
        ("mano", {}, -0.606008),
        ("ac_miou", {}, -0.599898),
        ("snd", {}, -0.214258),
        ("snd", {"temperature": 0.1}, -0.382999),
        ("snd", {"temperature": 0.5}, -0.981410),
        ("snd", {"diagonal": "keep"}, -0.114277),
        ("snd", {"diagonal": "keep", "temperature": 0.1}, -0.384103),
        ("snd", {"diagonal": "keep", "temperature": 0.5}, -1.168288),
    ],
)
def test_four_pixels_of_three_classes(name: str, options: dict[str, Any], expected: float) -> None:
    assert make(name, options)(of_outputs(P)) == pytest.approx(expected, abs=2e-6)


def test_softmax_correlation_with_the_prior() -> None:
    statistics = of_outputs(P, source_prior=np.array([0.5, 0.3, 0.2]))

    found = make("softmax_corr", {"reference": "prior"})(statistics)
    assert found == pytest.approx(-0.866110, abs=1e-6)


@pytest.mark.parametrize(("counts", "expected"), [((1, 1, 2), 0.376060), ((2, 1, 1), 0.260168)])
def test_optimal_transport_to_source_labels(counts: tuple[int, ...], expected: float) -> None:
    statistics = of_outputs(P, source_prior=np.array(counts) / 4)

    assert make("cot", {})(statistics) == pytest.approx(expected, abs=1e-6)


def test_seats_by_largest_remainders() -> None:
    # 0.5, 0.3, 0.2 of 7 are 3.5, 2.1 and 1.4.
    assert np.bincount(apportioned(np.array([0.5, 0.3, 0.2]), 7)).tolist() == [4, 2, 1]


def test_density_is_that_of_the_released_code(vectors: Path) -> None:
    case = np.load(vectors / "snd_entropy.npz")
    rows = case["in_unit_rows"].astype(np.float64)

    found = density(rows, 0.05, keep_diagonal=True)

    # That code adds 1e-5 inside the logarithm: at most n * 1e-5 nats less.
    lower = case["out_per_row"] - found
    assert (-len(rows) * 1e-5 - 1e-6 <= lower).all()
    assert (lower <= 1e-6).all()
    similar = 20.0 * rows @ rows.T
    p = np.exp(similar) / np.exp(similar).sum(1, keepdims=True)
    as_released = -(p * np.log(p + 1e-5)).sum(1)
    np.testing.assert_allclose(as_released, case["out_per_row"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(entropy(p), found, rtol=1e-10)
    assert as_released.mean() == pytest.approx(float(case["out_density"]), rel=1e-5)


def test_density_does_not_depend_on_blocks() -> None:
    rows = np.random.default_rng(2).dirichlet(np.ones(3), size=BLOCK + 7)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)

    last = np.exp((rows @ rows[-1]) / 0.2)[:-1]
    assert density(rows, 0.2, keep_diagonal=False)[-1] == pytest.approx(
        float(entropy(last / last.sum()))
    )


@pytest.mark.parametrize("version", ["linear", "quadratic"])
def test_multi_kernel_discrepancy_of_another_library(vectors: Path, version: str) -> None:
    """Our kernels and pairs give its loss, its own bandwidths, cyclic pairs and offset put back."""
    case = np.load(vectors / f"tllib_mkmmd_{version}.npz")
    x, y = case["in_z_s"].astype(np.float64), case["in_z_t"].astype(np.float64)
    size, pooled = len(x), np.concatenate([x, y])
    squared = ((pooled[:, None] - pooled[None]) ** 2).sum(-1)
    widths = [2.0 * alpha * squared.mean() for alpha in case["in_alpha"]]
    kernel = np.sum([kernel_values(squared, width, 1) for width in widths], axis=0)
    np.testing.assert_allclose(kernel, case["out_kernel_matrix"], rtol=1e-5, atol=1e-6)

    offset = 2.0 / (size - 1)
    if version == "quadratic":
        options = {"estimator": "unbiased", "kernels": 1}
        both = replace(of_outputs(y), source_features=x.astype(np.float32))
        found = sum(make("mmd", options | {"bandwidth": width})(both) for width in widths)
    else:
        # Its pairs overlap: rows 0-1, 1-2, ..., 31-0; ours are the disjoint ones of two orders.
        rows = np.arange(size)
        found = 0.0
        for order in (rows, np.roll(rows, -1)):
            shifted = replace(of_outputs(y[order]), source_features=x[order].astype(np.float32))
            linear = {"estimator": "linear", "kernels": 1}
            found += sum(
                make("mmd", linear | {"bandwidth": width})(shifted) / 2 for width in widths
            )
    assert found + offset == pytest.approx(float(case["out_loss"]), rel=1e-5, abs=2e-6)


def held_out(p: Float, labels: list[int]) -> HeldOut:
    single = p.astype(np.float32)
    counts = pair_counts(np.array(labels), p.argmax(1), p.shape[1])
    return HeldOut(single, single, np.array(labels), counts)


def test_threshold_of_the_released_code() -> None:
    right = np.array([True, True, False, True, False])

    assert threshold(np.array([0.9, 0.8, 0.7, 0.6, 0.55]), right) == 0.6
    assert threshold(np.array([0.9, 0.8]), np.array([True, True])) == -np.inf


def test_average_thresholded_confidence() -> None:
    # Two classes: confidences 0.9, 0.8, 0.7, 0.6, 0.55, of which the third and the last are wrong.
    source = np.array([[c, 1 - c] for c in (0.9, 0.8, 0.7, 0.6, 0.55)])
    target = [[c, 1 - c] for c in (0.95, 0.75, 0.65, 0.58, 0.5, 0.51)]
    statistics = of_outputs(target, held_out=held_out(source, [0, 0, 1, 0, 1]))

    # 0.95, 0.75 and 0.65 of six are at least 0.6, in entropy as in probability.
    assert make("atc", {"confidence": "probability"})(statistics) == -0.5
    assert make("atc", {})(statistics) == -0.5
    # Accuracy 3/5, mean confidences 0.71 and 3.94 / 6.
    assert make("doc", {})(statistics) == pytest.approx(-(0.6 - (0.71 - 3.94 / 6)), abs=1e-6)


def test_importance_weighted_risks() -> None:
    weights, losses = np.array([0.5, 1, 2, 0.25, 0.75]), np.array([0.0, 1, 1, 0, 0])

    assert weighted_risk(weights, losses, control=False) == pytest.approx(0.6)
    assert weighted_risk(weights, losses, control=True) == pytest.approx(0.726027, abs=1e-6)
    assert weighted_risk(np.ones(5), losses, control=True) == pytest.approx(0.4)


def test_density_ratio_of_shifted_normals() -> None:
    random = np.random.default_rng(3)
    source, target = random.normal(size=(6000, 1)), random.normal(1.0, size=(3000, 1))
    statistics = replace(of_outputs(target), source_features=source.astype(np.float32))
    # N(1, 1) over N(0, 1) is exp(x - 1/2); the numbers of samples do not enter.
    at = np.array([[-1.0], [0.5], [1.5]], np.float32)
    np.testing.assert_allclose(density_ratio(statistics, at), np.exp(at[:, 0] - 0.5), rtol=0.15)


def test_regression_is_stationary() -> None:
    random = np.random.default_rng(4)
    features, positive = random.normal(size=(80, 3)), random.random(80) < 0.3

    weights, offset = regression(features, positive)

    predicted = 1 / (1 + np.exp(-(features @ weights + offset)))
    assert predicted.mean() == pytest.approx(positive.mean(), abs=1e-4)
    slope = features.T @ (predicted - positive) / 80 + 2e-3 * weights
    np.testing.assert_allclose(slope, 0, atol=1e-4)


def test_equal_weights_leave_the_error() -> None:
    random = np.random.default_rng(6)
    features = random.normal(size=(40, 3)).astype(np.float32)
    held = replace(held_out(P, [0, 1, 1, 0]), features=features[:4])
    same = replace(of_outputs(P, held_out=held), source_features=features, target_features=features)

    # Rows 0 and 1 are right, 2 is a tie that goes to class 0, 3 is wrong.
    assert make("iwcv", {})(same) == pytest.approx(0.5, abs=1e-3)


def test_temperature_undoes_overconfidence() -> None:
    random = np.random.default_rng(5)
    p = random.dirichlet(np.ones(4), size=20000)
    labels = (p.cumsum(1) > random.random((20000, 1))).argmax(1)
    sharp = softened(p, 0.5)

    assert temperature(held_out(sharp, labels.tolist())) == pytest.approx(2.0, rel=0.05)


def test_calibrated_expected_iou() -> None:
    labels = [0, 1, 0, 2]
    statistics = of_outputs(P, held_out=held_out(P, labels))

    degrees = temperature(held_out(P, labels))
    expected = make("ac_miou", {})(of_outputs(softened(P, degrees)))
    assert degrees < 0.9  # everything is right, so certainty pays
    assert make("ts_miou", {})(statistics) == pytest.approx(expected, abs=1e-5)


def test_source_miou_counts_the_classes_of_the_labels() -> None:
    # Class 0: 6 of 6 + 2; class 1: 3 of 3 + 1 + 2; class 2 has no label.
    counts = np.array([[6.0, 0, 0], [2, 3, 1], [0, 0, 0]])
    statistics = of_outputs(P, held_out=replace(held_out(P, [0, 1, 0, 2]), counts=counts))

    assert make("source_miou", {})(statistics) == pytest.approx(-(6 / 8 + 3 / 6) / 2)


A, B = np.array([0, 0, 0, 1, 1, 2, 2, 2]), np.array([0, 0, 1, 1, 1, 2, 2, 0])


def test_measures_of_agreement() -> None:
    counts = pair_counts(A, B, 3)

    assert accuracy(counts) == 0.75
    assert kappa(counts) == pytest.approx(0.627907, abs=1e-6)
    assert miou(counts) == pytest.approx(0.611111, abs=1e-6)
    # A collapsed network agrees with itself about one of four classes.
    collapsed = pair_counts(np.zeros(9, int), np.zeros(9, int), 4)
    assert (accuracy(collapsed), kappa(collapsed), miou(collapsed)) == (1.0, 0.0, 0.25)


def test_agreement_is_the_mean_over_opinions_and_negated() -> None:
    same = pair_counts(A, A, 3)
    statistics = of_outputs(P, agreements={"committee": (pair_counts(A, B, 3), same)})

    for measure, value in {"miou": 0.611111, "kappa": 0.627907, "accuracy": 0.75}.items():
        score = make("committee_agreement", {"measure": measure})
        assert score(statistics) == pytest.approx(-(value + 1) / 2, abs=1e-6)


def test_evenness_of_a_classifier() -> None:
    assert unevenness(np.array([[1.0, 0], [0, 1], [-1, -1]])) == pytest.approx(0.137078, abs=1e-6)
    triangle = np.array([[2.0, 0], [-1, np.sqrt(3)], [-0.5, -np.sqrt(3) / 2]])
    assert unevenness(triangle) == pytest.approx(0, abs=1e-12)


def test_hopkins_tells_clusters_from_uniform_points() -> None:
    random = np.random.default_rng(8)
    clusters = np.repeat([[0.0, 0], [9, 0], [0, 9]], 300, axis=0) + random.normal(
        scale=0.05, size=(900, 2)
    )

    assert hopkins(clusters, 0.2) > 0.97
    assert hopkins(random.random((900, 2)), 0.5) == pytest.approx(0.5, abs=0.06)


def test_transfer_score_is_its_three_parts() -> None:
    statistics = of_outputs(P, classifier=np.array([[1.0, 0], [0, 1], [-1, -1]]))

    clustered = hopkins(statistics.target_features.astype(np.float64), 0.05)
    expected = 0.137078 - 0.443927 - clustered
    assert make("transfer_score", {})(statistics) == pytest.approx(expected, abs=2e-6)


def information(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    joint = pair_counts(a, b, 3) / len(a)
    return float(entropy(joint.sum(1)) + entropy(joint.sum(0)) - entropy(joint.ravel()))


def test_mutual_information_is_adjusted_by_the_mean_of_all_permutations() -> None:
    a, b = np.array([0, 0, 0, 1, 1, 2, 2]), np.array([0, 0, 1, 1, 1, 2, 0])

    chance = np.mean([information(a, np.array(p)) for p in itertools.permutations(b)])
    mean = (information(a, a) + information(b, b)) / 2
    expected = (information(a, b) - chance) / (mean - chance)
    assert adjusted_mutual_information(a, b) == pytest.approx(expected, rel=1e-9)
    assert adjusted_mutual_information(a, (a + 1) % 3) == pytest.approx(1)
    assert adjusted_mutual_information(a, np.zeros(7, int)) == 0


def test_clusters_do_not_depend_on_the_order_of_the_points() -> None:
    random = np.random.default_rng(9)
    points = np.repeat([[0.0, 0], [5, 0], [0, 5]], 20, axis=0) + random.normal(size=(60, 2)) / 4
    order = random.permutation(60)

    found = k_means(points, 3)
    np.testing.assert_array_equal(k_means(points[order], 3), found[order])
    assert [len(set(part)) for part in np.split(found, 3)] == [1, 1, 1]
    assert len(set(found)) == 3


def test_wasserstein_distance_of_unequal_samples() -> None:
    random = np.random.default_rng(10)
    x, y = random.normal(size=(7, 2)), random.normal(1.0, size=(5, 2))

    expected = [wasserstein_distance(x[:, k], y[:, k]) for k in range(2)]
    np.testing.assert_allclose(distances(x, y), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["coral", "sliced_wasserstein"])
def test_domain_distances_forget_the_scale_of_features(name: str) -> None:
    random = np.random.default_rng(11)
    x, y = random.normal(size=(50, 4)), 1.0 + 2.0 * random.normal(size=(40, 4))

    def of(factor: float) -> float:
        scaled = replace(of_outputs(factor * y), source_features=(factor * x).astype(np.float32))
        return make(name, {})(scaled)

    assert of(30.0) == pytest.approx(of(1.0), rel=1e-5)
    assert of(1.0) > 0.01
    same = replace(of_outputs(x), source_features=x.astype(np.float32))
    assert make(name, {})(same) == 0


def test_sliced_distance_of_a_shift() -> None:
    # Along a direction w the shift s is |w s|; in one dimension |s| over the pooled deviation.
    x = np.arange(4.0)[:, None]
    shifted = replace(of_outputs(x + 3.0), source_features=x.astype(np.float32))
    deviation = np.concatenate([x, x + 3.0]).std()

    assert make("sliced_wasserstein", {})(shifted) == pytest.approx(3.0 / deviation)


def test_covariance_distance_by_hand() -> None:
    # Variances 2 and 0 against 0.5 and 8, no covariance: (1.5^2 + 8^2) / 16.
    x, y = np.array([[0.0, 0], [2, 0]]), np.array([[0.0, 0], [1, 4]])
    both = replace(of_outputs(y), source_features=x.astype(np.float32))

    # Covariance of y: 2, on both sides of the diagonal.
    expected = (1.5**2 + 8.0**2 + 2 * 2.0**2) / 16
    assert make("coral", {"scale": "plain"})(both) == pytest.approx(expected)


def test_dispersion_by_hand() -> None:
    # Classes 0 at 0 and 2, 1 at 9 and 11: mean 5.5, between 2 * 4.5^2 * 2, total 20.25 + 1.
    features = np.array([[0.0], [2], [9], [11]], np.float32)
    outputs = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
    statistics = replace(of_outputs(outputs), target_features=features)

    expected = -np.log(4 * 4.5**2 / (4.5**2 + 1))
    assert make("dispersion", {})(statistics) == pytest.approx(expected)


def region(hard: list[list[float]]) -> RegionStatistics:
    counts = np.array(hard)
    return RegionStatistics(counts.sum(1), counts, 0.0 * counts, counts)


def test_majority_of_regions_by_hand() -> None:
    # Majorities 0 and 1. Class 0: 20 of 20 + 4 + 6; class 1: 30 of 30 + 4 + 6; class 2 absent.
    image = region([[20, 4, 0], [6, 30, 0], [0, 0, 3]])
    statistics = replace(of_outputs(P), regions=(image,))

    expected = -(20 / 30 + 30 / 40) / 3
    assert make("region_miou", {})(statistics) == pytest.approx(expected)
    # Histogram 26, 34, 3.
    shares = np.array([26, 34, 3]) / 63
    assert make("hard_div", {})(statistics) == pytest.approx(
        (shares * np.log(shares)).sum() / np.log(3)
    )


@pytest.mark.parametrize(
    ("rule", "collapsed", "spread"),
    [
        # All mass on a class of share 0.5: KL ln 2; 1 of exp(H) effective classes; 1 of 3 covered.
        ("kl", np.log(2) - 0.5, 0.0),
        ("effective", 0.5 - 1 / np.exp(1.0296530), 0.0),
        ("coverage", 0.6 - 1 / 3, 0.0),
    ],
)
def test_guards_against_collapse(rule: str, collapsed: float, spread: float) -> None:
    prior = np.array([0.5, 0.3, 0.2])
    score = make("collapse", {"rule": rule})

    one = replace(of_outputs(P, source_prior=prior), regions=(region([[40, 0, 0]]),))
    all_three = replace(one, regions=(region([[20, 12, 8]]),))
    assert score(one) == pytest.approx(collapsed, abs=1e-6)
    assert score(all_three) == spread


CLASSES = 5


def one_hot(labels: NDArray[np.int64]) -> Float:
    return np.eye(CLASSES)[labels]


SKEWED = np.repeat(np.arange(CLASSES), (400, 300, 200, 60, 40))
NOISE = np.random.default_rng(12).integers(0, CLASSES, size=1000)
COLLAPSED = np.zeros(1000, np.int64)


@pytest.mark.parametrize(
    ("name", "perfect", "balanced", "uniform", "collapsed"),
    [
        # (20 + 17.3205 + 14.1421 + 7.7460 + 6.3246) / sqrt(5000); 1, 1/C, 1/sqrt(C).
        ("bnm", -0.926779, -1.0, -1 / 5, -1 / np.sqrt(5)),
        # 1 / (|shares| sqrt C) with |shares|^2 = 0.16 + 0.09 + 0.04 + 0.0036 + 0.0016.
        ("softmax_corr", -0.823108, -1.0, -1 / np.sqrt(5), -1 / np.sqrt(5)),
        ("mcc", 0.0, 0.0, 4 / 5, 0.0),
        ("max_prob", -1.0, -1.0, -1 / 5, -1.0),
        ("ac_miou", -1.0, -1.0, -1 / 25, -1 / 5),
        ("mano", -(5**-0.25), -(5**-0.25), -1 / 5, -(5**-0.25)),
    ],
)
def test_perfect_balanced_uniform_and_collapsed_predictions(
    name: str, perfect: float, balanced: float, uniform: float, collapsed: float
) -> None:
    score = make(name, {})

    assert score(of_outputs(one_hot(SKEWED))) == pytest.approx(perfect, abs=2e-6)
    assert score(of_outputs(one_hot(np.arange(1000) % 5))) == pytest.approx(balanced, abs=1e-6)
    assert score(of_outputs(np.full((1000, 5), 0.2))) == pytest.approx(uniform, abs=1e-6)
    assert score(of_outputs(one_hot(COLLAPSED))) == pytest.approx(collapsed, abs=1e-6)


def test_density_prefers_collapsed_and_uniform_predictions() -> None:
    score = make("snd", {})

    best = -np.log(999)
    assert score(of_outputs(one_hot(COLLAPSED))) == pytest.approx(best)
    assert score(of_outputs(np.full((1000, 5), 0.2))) == pytest.approx(best)
    assert score(of_outputs(one_hot(SKEWED))) > best + 0.5
    assert score(of_outputs(one_hot(NOISE))) > score(of_outputs(one_hot(SKEWED)))


def test_clusters_agree_with_good_predictions_and_not_with_noise() -> None:
    random = np.random.default_rng(13)
    centres = 9.0 * np.eye(CLASSES)
    features = (centres[SKEWED] + random.normal(size=(1000, CLASSES))).astype(np.float32)

    def of(labels: NDArray[np.int64]) -> float:
        return make("class_ami", {})(replace(of_outputs(one_hot(labels)), target_features=features))

    assert of(SKEWED) == pytest.approx(-1.0, abs=1e-6)
    assert of(NOISE) == pytest.approx(0.0, abs=0.02)
    assert of(COLLAPSED) == 0.0


def test_gap_to_the_disagreement_of_true_labels_by_hand() -> None:
    # Region 0 has labels 0, 0, 1, 1 and void, region 1 only 2: ln 2 of ln 3 for 4 of 7 pixels.
    labels = np.array([[0, 0, 1, 1, 255], [2, 2, 2, 255, 255]], np.uint8)
    regions = np.array([[0] * 5, [1] * 5], np.uint16)
    truth = label_statistics(labels, regions, 2, 3)
    statistics = replace(of_outputs(P), regions=(region([[40, 0, 0]]),), source_regions=(truth,))

    assert truth.areas.tolist() == [4, 3]
    assert make("jsd_gap", {"smallest": 2})(statistics) == pytest.approx(
        4 / 7 * np.log(2) / np.log(3)
    )
    same = replace(statistics, regions=(truth,))
    assert make("jsd_gap", {"smallest": 2})(same) == 0
