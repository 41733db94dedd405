"""Scores of confidence, distance, structure and agreement against hand-made numbers."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from autoadapt.scores._agreement import pair_counts, vote_counts
from autoadapt.scores._calibrated import (
    class_temperatures,
    class_thresholds,
    normalised,
    weighted_risk,
)
from autoadapt.scores._compute import compute, make
from autoadapt.scores._outputs import softened
from autoadapt.scores.base import Float, HeldOut, RegionStatistics, Statistics, by_image
from autoadapt.scores.domain_auc import area
from autoadapt.scores.silhouette import silhouettes

P = softmax(np.array([[2, 0, -1], [0, 1.5, 0], [1, 1, -2], [-1, 0, 3]]), axis=1)


def of_outputs(p: NDArray[np.float64] | list[list[float]], **more: Any) -> Statistics:
    """Return statistics with target outputs, which are the target features, too."""
    values, nothing = np.array(p, np.float32), np.zeros((2, 2), np.float32)
    return Statistics((), nothing, values, values, values, {}, **more)


def of_features(source: list[list[float]], target: list[list[float]], **more: Any) -> Statistics:
    x, y = np.array(source, np.float32), np.array(target, np.float32)
    even = np.full((len(y), 2), 0.5, np.float32)
    return Statistics((), x, y, even, even, {}, **more)


def held_out(
    p: Float, labels: list[int], features: NDArray[np.floating[Any]] | None = None
) -> HeldOut:
    single = p.astype(np.float32)
    counts = pair_counts(np.array(labels), p.argmax(1), p.shape[1])
    deep = single if features is None else features.astype(np.float32)
    return HeldOut(deep, single, np.array(labels), counts)


def one_hot(labels: list[int] | NDArray[np.int64], classes: int) -> Float:
    return np.eye(classes)[labels]


def value(name: str, statistics: Statistics, **options: Any) -> float:
    return make(name, options)(statistics)


def test_lead_of_the_most_probable_class() -> None:
    assert value("margin", of_outputs(P)) == pytest.approx(-0.539096, abs=2e-6)


def test_class_balanced_entropy_by_hand() -> None:
    # Classes 0, 1, 0, 2 with entropies 0.524267, 0.831823, 0.790603, 0.274313 nats.
    expected = ((0.524267 + 0.790603) / 2 + 0.831823 + 0.274313) / 3 / np.log(3)
    assert value("cbent", of_outputs(P)) == pytest.approx(expected, abs=2e-6)
    # Without the last row class 2 is absent: 1.
    expected = ((0.524267 + 0.790603) / 2 + 0.831823) / 3 / np.log(3) + 1 / 3
    assert value("cbent", of_outputs(P[:3])) == pytest.approx(expected, abs=2e-6)


SKEWED = np.repeat(np.arange(5), (400, 300, 200, 60, 40))
NOISE = np.random.default_rng(12).integers(0, 5, size=1000)


@pytest.mark.parametrize(
    ("name", "perfect", "uniform", "collapsed", "noise"),
    [("cbent", 0.0, 1.0, 0.8, 0.0), ("margin", -1.0, 0.0, -1.0, -1.0)],
)
def test_perfect_uniform_collapsed_and_noisy_predictions(
    name: str, perfect: float, uniform: float, collapsed: float, noise: float
) -> None:
    assert value(name, of_outputs(one_hot(SKEWED, 5))) == pytest.approx(perfect)
    assert value(name, of_outputs(np.full((1000, 5), 0.2))) == pytest.approx(uniform)
    assert value(name, of_outputs(one_hot(np.zeros(1000, int), 5))) == pytest.approx(collapsed)
    assert value(name, of_outputs(one_hot(NOISE, 5))) == pytest.approx(noise)


def test_distance_from_the_shares_of_the_source_by_hand() -> None:
    prior = np.array([0.5, 0.25, 0.25])

    def of(mass: list[float]) -> float:
        sums = np.array([mass])
        region = RegionStatistics(sums.sum(1), sums, 0 * sums, sums)
        return value("prior_kl", replace(of_outputs(P, source_prior=prior), regions=(region,)))

    assert of([8, 4, 4]) == pytest.approx(0)
    assert of([0, 9, 0]) == pytest.approx(np.log(4))
    assert of([4, 4, 0]) == pytest.approx(0.5 * np.log(2))


WEIGHTS, ERRORS = np.array([0.5, 1, 2, 0.25, 0.75]), np.array([0.0, 1, 1, 0, 0])


@pytest.mark.parametrize(
    ("how", "weights", "risk"),
    [
        ("max", [0.8, 1.05, 1.55, 0.675, 0.925], 0.52),
        ("standardise", [0.337915, 1.165521, 2.820733, -0.075888, 0.751718], 0.797251),
    ],
)
def test_normalised_importance_weights(how: Any, weights: list[float], risk: float) -> None:
    found = normalised(WEIGHTS, how)

    np.testing.assert_allclose(found, weights, atol=1e-6)
    assert weighted_risk(found, ERRORS, control=True) == pytest.approx(risk, abs=1e-6)
    np.testing.assert_array_equal(normalised(np.full(3, 2.5), how), 1)


def test_normalised_validation_of_equal_domains_is_the_error() -> None:
    features = np.random.default_rng(6).normal(size=(40, 3)).astype(np.float32)
    held = held_out(P, [0, 1, 1, 0], features[:4])
    same = replace(of_outputs(P, held_out=held), source_features=features, target_features=features)

    # Rows 0 and 1 are right, 2 is a tie that goes to class 0, 3 is wrong; weights are almost 1.
    assert value("devn", same) == pytest.approx(0.5, abs=0.02)


# Class 0 with confidence 0.9, 0.8, 0.6, of which the last is wrong; class 1 with 0.7, wrong, 0.95.
SOURCE = np.array([[0.9, 0.1, 0], [0.8, 0, 0.2], [0.6, 0.4, 0], [0.3, 0.7, 0], [0, 0.95, 0.05]])
LABELS = [0, 0, 1, 2, 1]


def test_thresholds_of_classes_by_hand() -> None:
    # No prediction of class 2: two of all five are wrong, the second lowest confidence is 0.7.
    found = class_thresholds(held_out(SOURCE, LABELS))

    np.testing.assert_allclose(found, [0.6, 0.7, 0.7], rtol=1e-6)


def test_expected_iou_under_thresholds_of_classes_by_hand() -> None:
    # Accepted: 0; rejected 0, of which 0.3 / 0.5 go to class 1 and 0.4 to 2; accepted 1.
    target = [[0.8, 0.2, 0], [0.5, 0.3, 0.2], [0.1, 0.75, 0.15]]
    statistics = of_outputs(target, held_out=held_out(SOURCE, LABELS))

    # Class 0: 1 of 2; class 1: 1 of 1 + 0.6; class 2: never predicted.
    expected = -(1 / 2 + 1 / 1.6) / 3
    assert value("cs_atc_miou", statistics) == pytest.approx(expected, abs=1e-6)


def test_all_right_on_the_source_means_all_right_on_the_target() -> None:
    p = one_hot([0, 1, 2, 0, 1], 3) * 0.7 + 0.1
    statistics = of_outputs(P, held_out=held_out(p, [0, 1, 2, 0, 1]))

    assert value("cs_atc_miou", statistics) == pytest.approx(-1.0)


def test_temperatures_of_classes_make_confidence_equal_accuracy() -> None:
    p = np.array([[0.9, 0.1, 0], [0.8, 0.2, 0], [0.7, 0.3, 0], [0.2, 0.6, 0.2], [0.1, 0.8, 0.1]])
    degrees = class_temperatures(held_out(p, [0, 0, 1, 1, 1]))

    # Two of three predictions of class 0 are right, all of class 1: as cold as allowed.
    softer = softened(np.maximum(p[:3], 1e-30), degrees[0])
    assert softer.max(1).mean() == pytest.approx(2 / 3, abs=1e-6)
    assert degrees[1] == pytest.approx(1 / 20)
    overall = softened(np.maximum(p, 1e-30), degrees[2])
    assert overall.max(1).mean() == pytest.approx(4 / 5, abs=1e-6)


def test_expected_iou_under_temperatures_of_classes() -> None:
    held = held_out(SOURCE, LABELS)
    degrees = class_temperatures(held)
    target = np.array([[0.8, 0.15, 0.05], [0.5, 0.3, 0.2], [0.1, 0.75, 0.15]])
    q = np.concatenate([softened(target[:2], degrees[0]), softened(target[2:], degrees[1])])

    # Classes 0, 0, 1; class 2 is never predicted.
    first = q[:2, 0].sum() / (2 + q[2, 0])
    second = q[2, 1] / (1 + q[:2, 1].sum())
    found = value("cs_ts_miou", of_outputs(target, held_out=held))
    assert found == pytest.approx(-(first + second) / 3, abs=1e-6)


def test_expected_iou_corrected_by_the_source_by_hand() -> None:
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]])
    statistics = of_outputs([[0.7, 0.3], [0.2, 0.8]], held_out=held_out(p, [0, 1, 1]))

    # Source: expected 1.7 of 2 + 0.4 and 0.6 of 1 + 0.3, true 1 of 2 and 1 of 2.
    excess = (1.7 / 2.4 + 0.6 / 1.3 - 1 / 2 - 1 / 2) / 2
    expected = (0.7 / 1.2 + 0.8 / 1.3) / 2
    assert value("cs_doc_miou", statistics) == pytest.approx(excess - expected, abs=1e-6)


def test_correctness_of_the_nearest_source_by_hand() -> None:
    source = np.array([[2.0, 0], [0, 3], [-1, 0]])
    held = held_out(one_hot([0, 1, 0], 2), [0, 0, 0], source)
    # Directions (1, 0), right; (0, 1), wrong; the third is nearest to (-1, 0) by cosine 0.6 / 1.
    target = of_features([[0, 0]] * 2, [[5, 0], [0.6, 0.8], [-0.8, 0.6]], held_out=held)

    assert value("nearest_source", target) == pytest.approx(-(1 + 0 + 0.8) / 3, abs=1e-6)


def test_source_accuracy_by_hand() -> None:
    counts = np.array([[6.0, 0, 0], [2, 3, 1], [0, 0, 0]])
    statistics = of_outputs(P, held_out=replace(held_out(P, [0, 1, 0, 2]), counts=counts))

    assert value("source_accuracy", statistics) == pytest.approx(-9 / 12)
    nothing = replace(of_outputs(P), held_out=replace(held_out(P, [0, 1, 0, 2]), counts=0 * counts))
    with pytest.raises(ValueError, match="no pixel of the held-out source"):
        value("source_accuracy", nothing)


def test_confidence_after_calibration() -> None:
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.9, 0.1], [0.3, 0.7]])
    wrong = of_outputs(p, held_out=held_out(p, [1, 1, 0, 0]))

    # More often wrong than right: as hot as allowed, and nearly uniform.
    assert value("max_prob", wrong, calibrated=True) == pytest.approx(-0.5, abs=0.03)
    assert value("max_prob", wrong) == pytest.approx(-0.825, abs=1e-6)
    assert make("max_prob", {"calibrated": True}).needs == {"held_out"}


def test_saturated_correlation() -> None:
    prior = np.array([0.5, 0.3, 0.2])
    truth = one_hot(np.repeat([0, 1, 2], [5, 3, 2]), 3)
    even = one_hot([0, 1, 2], 3)
    best = -1 / (np.sqrt(0.25 + 0.09 + 0.04) * np.sqrt(3))

    assert value("softmax_corr", of_outputs(truth)) == pytest.approx(best, abs=1e-6)
    for p, expected in ((truth, best), (even, best), (P, -0.906391)):
        found = value("softmax_corr", of_outputs(p, source_prior=prior), saturate=True)
        assert found == pytest.approx(max(expected, best), abs=1e-6)
    assert value("softmax_corr", of_outputs(even)) == pytest.approx(-1)


def test_area_under_the_curve_counts_pairs() -> None:
    low, high = np.array([0.1, 0.4, 0.4, 0.9]), np.array([0.4, 0.8, 1.0])
    pairs = [0.5 * (a == b) + (a < b) for a, b in itertools.product(low, high)]

    assert area(low, high) == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize(("measure", "apart", "alike"), [("auc", 1.0, 0.5), ("distance", 2.0, 0.0)])
def test_domains_are_told_apart_on_unseen_images(measure: str, apart: float, alike: float) -> None:
    random = np.random.default_rng(3)
    x, y = random.normal(size=(300, 4)), random.normal(size=(210, 4))

    def of(source: Float, target: Float) -> float:
        statistics = of_features(source.tolist(), target.tolist(), per_image=3)
        return value("domain_auc", statistics, measure=measure)

    assert of(x, y + 9.0) == pytest.approx(apart)
    assert of(x, y) == pytest.approx(alike, abs=0.2 if measure == "distance" else 0.06)
    # Each image has a value of its own: on the images of the fit the domains would be apart.
    own = np.repeat(random.normal(size=(4, 40)), 3, axis=0)
    other = np.repeat(random.normal(size=(4, 40)), 3, axis=0)
    assert of(own, other) < (0.9 if measure == "auc" else 1.5)
    with pytest.raises(ValueError, match="at least 2 images per domain"):
        value("domain_auc", of_features([[0], [1]], [[0], [2]], per_image=2))


def test_purity_of_neighbours_by_hand() -> None:
    # Images of one location: 0, 1 | 1.5, 9, 20. Neighbours: 1; 1.5; 1; 1.5 and 9 of the target.
    statistics = of_features([[0.0], [1]], [[1.5], [9], [20]])

    # Own: source 1, 0; target 0, 1, 1; weights do not matter where one share is 0.
    found = value("domain_purity", statistics, neighbours=1)
    assert found == pytest.approx((1 / 2 + 2 / 3) / 2)
    # Two neighbours: of 0: 1, 1.5; of 1: 1.5, 0; own 1/2 each: (1/2)/2 over (1/2)/2 + (1/2)/3.
    # Of 1.5: 1, 0: none; of 9: 1.5, 1 (8): 1/2 own; of 20: both own.
    half_source, half_target = (1 / 4) / (1 / 4 + 1 / 6), (1 / 6) / (1 / 6 + 1 / 4)
    expected = (half_source + (0 + half_target + 1) / 3) / 2
    assert value("domain_purity", statistics, neighbours=2) == pytest.approx(expected)


def test_neighbours_in_the_same_image_do_not_count() -> None:
    x = np.repeat(np.arange(6.0), 2)[:, None]  # twins share an image
    statistics = of_features(x.tolist(), (x + 0.01).tolist(), per_image=2)

    assert value("domain_purity", statistics, neighbours=2) == pytest.approx(0.0)
    with pytest.raises(ValueError, match="at least 23 locations of other images, found 22"):
        value("domain_purity", statistics, neighbours=23)


def brute_silhouette(features: Float, labels: NDArray[np.int64]) -> list[float]:
    found = []
    for i, label in enumerate(labels):
        distance = np.linalg.norm(features - features[i], axis=1)
        others = [j for j in range(len(labels)) if labels[j] == label and j != i]
        if not others:
            found.append(0.0)
            continue
        a = distance[others].mean()
        b = min(distance[labels == c].mean() for c in set(labels) - {label})
        found.append((b - a) / max(a, b))
    return found


def test_silhouette_by_its_definition() -> None:
    random = np.random.default_rng(8)
    features, labels = random.normal(size=(23, 4)), random.integers(0, 3, size=23) * 2
    labels[7] = 5

    np.testing.assert_allclose(
        silhouettes(features, labels), brute_silhouette(features, labels), rtol=1e-6
    )
    # 0, 1 | 4: a = 1, b = 4 and 3; the third is alone.
    statistics = replace(
        of_outputs([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]),
        target_features=np.array([[0.0], [1], [4]], np.float32),
    )
    assert value("silhouette", statistics) == pytest.approx(-(3 / 4 + 2 / 3 + 0) / 3, abs=1e-6)


def test_variance_ratio_by_hand() -> None:
    # Classes 0, 2 and 9, 11, 13: means 1 and 11, of all 7; between 2 * 36 + 3 * 16, within 2 + 8.
    statistics = replace(
        of_outputs([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6], [0, 1]]),
        target_features=np.array([[0.0], [2], [9], [11], [13]], np.float32),
    )

    expected = -np.log((120 / 1) / (10 / 3))
    assert value("calinski_harabasz", statistics) == pytest.approx(expected)
    scaled = replace(statistics, target_features=7 * statistics.target_features)
    assert value("calinski_harabasz", scaled) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["silhouette", "calinski_harabasz"])
def test_separate_classes_are_better_than_noise_and_one_class_has_none(name: str) -> None:
    random = np.random.default_rng(13)
    features = (9.0 * np.eye(5)[SKEWED] + random.normal(size=(1000, 5))).astype(np.float32)

    def of(labels: NDArray[np.int64]) -> Statistics:
        return replace(of_outputs(one_hot(labels, 5)), target_features=features)

    assert value(name, of(SKEWED)) < value(name, of(NOISE)) - 0.5
    _, errors = compute({name: make(name, {})}, of(np.zeros(1000, int)))
    assert "a single class is predicted" in errors[name]


def test_groups_of_locations() -> None:
    rows = np.arange(24.0).reshape(12, 2)

    np.testing.assert_array_equal(by_image(rows, 4)[1], rows[4:8])
    with pytest.raises(ValueError, match="12 locations are no multiple of 5"):
        by_image(rows, 5)


def test_scores_per_image_are_means_over_images() -> None:
    random = np.random.default_rng(5)
    p = random.dirichlet(np.ones(3), size=15)
    whole = of_outputs(p, per_image=5)
    parts = [of_outputs(p[start : start + 5]) for start in (0, 5, 10)]

    for name, options in (("bnm", {}), ("snd", {"diagonal": "keep"})):
        expected = np.mean([value(name, part, **options) for part in parts])
        assert value(name, whole, per="image", **options) == pytest.approx(expected)
        assert value(name, whole, **options) != pytest.approx(expected, rel=1e-3)


def test_discrepancy_of_the_means_of_images() -> None:
    random = np.random.default_rng(4)
    x, y = random.normal(size=(12, 2)), random.normal(1.0, size=(8, 2))
    whole = of_features(x.tolist(), y.tolist(), per_image=4)
    means = of_features(x.reshape(3, 4, 2).mean(1).tolist(), y.reshape(2, 4, 2).mean(1).tolist())

    assert value("mmd", whole, per="image") == pytest.approx(value("mmd", means), rel=1e-5)


def test_discrepancy_within_classes_forgets_their_shares() -> None:
    random = np.random.default_rng(2)
    centres = np.array([[0.0, 0], [9, 0]])

    def domain(numbers: list[int]) -> tuple[Float, Float]:
        labels = np.repeat([0, 1], numbers)
        return centres[labels] + random.normal(size=(len(labels), 2)), one_hot(labels, 2)

    (x, p), (y, q) = domain([180, 20]), domain([20, 180])
    features = (x.astype(np.float32), y.astype(np.float32))
    both = Statistics((), *features, p.astype(np.float32), q.astype(np.float32), costs={})

    assert value("mmd", both) > 0.2
    assert value("class_mmd", both) == pytest.approx(0.0, abs=0.01)
    moved = replace(both, target_features=both.target_features + np.float32(5))
    assert value("class_mmd", moved) > 0.2
    with pytest.raises(ValueError, match="no class is predicted at 300 locations"):
        value("class_mmd", both, fewest=300)


def test_votes_of_a_committee_by_hand() -> None:
    own = np.array([0, 1, 2, 2])
    members = [np.array(each) for each in ([0, 1, 1, 0], [0, 0, 1, 1], [1, 0, 2, 2])]
    # Elected: 0; 0; 1; all three in equal parts.
    expected = [[1.0, 0, 0], [1, 0, 0], [1 / 3, 4 / 3, 1 / 3]]
    np.testing.assert_allclose(vote_counts(own, members, 3), np.array(expected))

    statistics = of_outputs(P, agreements={"ensemble": (np.array(expected),)})
    # Class 0: 1 of 1 + 7/3 - 1; class 1: none; class 2: 1/3 of 2.
    miou = (1 / (7 / 3) + 0 + (1 / 3) / 2) / 3
    assert value("ensemble_agreement", statistics) == pytest.approx(-miou)
    accuracy = value("ensemble_agreement", statistics, measure="accuracy")
    assert accuracy == pytest.approx(-(1 + 1 / 3) / 4)


def test_agreement_with_the_committee_over_classes_of_the_source_by_hand() -> None:
    one = np.array([[6.0, 2, 0], [0, 4, 0], [0, 0, 0]])
    other = np.array([[8.0, 0, 0], [4, 0, 0], [0, 0, 0]])
    statistics = of_outputs(
        P, agreements={"committee": (one, other)}, source_prior=np.array([0.8, 0.1995, 0.0005])
    )

    # Class 0: 6 of 8, 8 of 12; class 1: 4 of 6, 0 of 4; class 2 is rarer than a thousandth.
    first, second = (6 / 8 + 8 / 12) / 2, (4 / 6) / 2
    found = value("class_committee_agreement", statistics)
    assert found == pytest.approx(-(first + second) / 2)
    found = value("class_committee_agreement", statistics, rarest=0.0001)
    assert found == pytest.approx(-(first + second) / 3)
    with pytest.raises(ValueError, match=r"no class has a share above 0\.9"):
        value("class_committee_agreement", statistics, rarest=0.9)


def test_consistency_of_mixed_pairs_by_hand() -> None:
    inter, intra = np.array([[3.0, 1], [2, 4]]), np.array([[5.0, 0], [0, 0]])
    statistics = of_outputs(P, agreements={"mixed_inter": (inter,), "mixed_intra": (intra,)})

    assert value("mixval", statistics) == pytest.approx(-0.7)
    assert value("mixval", statistics, pairs="intra") == pytest.approx(-1.0)
    assert value("mixval", statistics, measure="miou") == pytest.approx(-(3 / 6 + 4 / 7) / 2)
    collapsed = replace(statistics, agreements={"mixed_inter": (0 * inter,)})
    with pytest.raises(ValueError, match="no pixel of two neighbouring"):
        value("mixval", collapsed)


def test_costs_are_read_as_they_were_measured() -> None:
    assert value("latency", replace(of_outputs(P), costs={"latency": 0.25})) == 0.25
