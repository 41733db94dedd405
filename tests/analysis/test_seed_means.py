"""Correlations of architectures averaged over their training seeds."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import spearmanr

from autoadapt.analysis.correlation_report import CorrelationReport
from autoadapt.analysis.seed_means import seed_means, seed_part, seed_values


def report_of(
    truth: Sequence[float | None],
    score: Sequence[float | None],
    clusters: Sequence[str],
    groups: Sequence[str] = (),
) -> CorrelationReport:
    return CorrelationReport(
        title="bank",
        models=[f"model {place}" for place in range(len(truth))],
        truth=truth,
        scores={"score": score},
        clusters=clusters,
        groups=groups,
    )


ARCHITECTURES = 6
QUALITY = np.array([0.10, 0.12, 0.15, 0.17, 0.20, 0.26])


def noisy(seeds: int = 3) -> tuple[list[float], list[float], list[str]]:
    """Architectures in perfect order, hidden by noise that sums to zero over the seeds."""
    rng = np.random.default_rng(1)
    noise = rng.normal(scale=0.1, size=(2, ARCHITECTURES, seeds))
    noise -= noise.mean(axis=2, keepdims=True)
    truth = QUALITY[:, None] + noise[0]
    score = -QUALITY[:, None] + noise[1]
    clusters = np.repeat([f"a{number}" for number in range(ARCHITECTURES)], seeds)
    return truth.ravel().tolist(), score.ravel().tolist(), clusters.tolist()


def test_means_are_in_the_order_that_noise_hides() -> None:
    truth, score, clusters = noisy()
    once = ([0.5, 0.1], [0.9, 0.8], ["b", "c"])  # trained with one seed: left out
    found = seed_means(report_of([*once[0], *truth], [*once[1], *score], [*once[2], *clusters]))
    assert found is not None
    assert (found.architectures, found.seeds) == (ARCHITECTURES, 3)
    row = next(one for one in found.rows if one.name == "score")
    assert row.rho == pytest.approx(-1)
    assert row.interval == pytest.approx((-1, -1))
    assert row.single == pytest.approx(spearmanr(score, truth).statistic)
    assert abs(row.single) < 0.6


def test_a_mean_that_lacks_a_seed_is_missing() -> None:
    truth, score, clusters = noisy()
    holes: list[float | None] = list(score)
    holes[4] = None  # of the second architecture
    found = seed_means(report_of(truth, holes, clusters))
    assert found is not None
    row = next(one for one in found.rows if one.name == "score")
    kept = [place for place in range(len(truth)) if clusters[place] != "a1"]
    expected = spearmanr([score[i] for i in kept], [truth[i] for i in kept]).statistic
    assert row.single == pytest.approx(expected)
    assert row.rho == pytest.approx(-1)


def test_methods_are_not_averaged_together() -> None:
    """Two methods with one seed each are no repetition."""
    truth, score, clusters = noisy(seeds=2)
    groups = ["advent", "dacs"] * ARCHITECTURES
    assert seed_means(report_of(truth, score, clusters, groups)) is None
    assert seed_means(report_of(truth, score, clusters)) is not None


@pytest.mark.parametrize("truth", [[0.1, 0.2, 0.3, 0.4], [None] * 4])
def test_nothing_is_said_of_few_repetitions(truth: list[float | None]) -> None:
    report = report_of(truth, [4.0, 3.0, 2.0, 1.0], ["a", "a", "b", "b"])
    assert seed_means(report) is None
    assert seed_part(report) == []
    assert seed_values(report) is None


def test_part_and_values_say_what_was_found() -> None:
    truth, score, clusters = noisy()
    report = report_of(truth, score, clusters)
    text = "".join(map(str, seed_part(report)))
    assert "6 architectures were trained with 3 seeds each" in text
    assert "−1.00" in text
    values = seed_values(report)
    assert values is not None
    assert values["scores"][0] == {
        "score": "score",
        "rho_single": pytest.approx(spearmanr(score, truth).statistic),
        "rho": pytest.approx(-1),
        "low": pytest.approx(-1),
        "high": pytest.approx(-1),
    }
