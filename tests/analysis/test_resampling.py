import math

import numpy as np
import pytest
import scipy.stats

from autoadapt.analysis.ranks import Float, spearman
from autoadapt.analysis.resampling import (
    bonett_wright,
    bootstrap_counts,
    bootstrap_interval,
    counted_spearman,
    difference_interval,
    noise_ceiling,
    numbered,
    oriented,
    permutation_p,
    reliability,
    size,
    subset_counts,
)


def numbers(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def correlated(size: int, *, strength: float, seed: int) -> tuple[Float, Float]:
    """Return a normal sample whose Pearson correlation is the strength in the long run."""
    random = numbers(seed)
    first = random.normal(size=size)
    noise = random.normal(size=size) * math.sqrt(1 - strength**2)
    return first, strength * first + noise


def test_counted_resamples_equal_sorted_ones() -> None:
    random = numbers(0)
    score, truth = (random.integers(0, 5, 11).astype(float) for _ in range(2))
    (counts,) = bootstrap_counts(np.arange(11), seed=1, draws=40)
    for row, found in zip(counts, counted_spearman(score, truth, counts), strict=True):
        places = np.repeat(np.arange(11), row.astype(int))
        assert len(places) == 11
        assert found == pytest.approx(spearman(score[places], truth[places]), nan_ok=True)
        assert found == pytest.approx(
            scipy.stats.spearmanr(score[places], truth[places]).statistic, nan_ok=True
        )


def test_clusters_are_drawn_as_a_whole() -> None:
    clusters = numbered(["a", "b", "a", "c", "b"], 5)
    (counts,) = bootstrap_counts(clusters, seed=0, draws=50)
    assert (counts[:, 0] == counts[:, 2]).all()
    assert (counts[:, 1] == counts[:, 4]).all()
    np.testing.assert_array_equal(counts[:, [0, 1, 3]].sum(axis=1), 3)


def test_blocks_do_not_matter_to_their_number() -> None:
    sizes = [len(block) for block in bootstrap_counts(np.arange(4), seed=0, draws=1203)]
    assert sizes == [500, 500, 203]


def test_copies_of_models_are_no_evidence() -> None:
    score, truth = correlated(30, strength=-0.7, seed=4)
    copied = [np.repeat(side, 4) for side in (score, truth)]
    clusters = np.repeat(np.arange(30), 4)
    alone = bootstrap_interval(score, truth, seed=0)
    assert bootstrap_interval(*copied, seed=0, clusters=clusters) == pytest.approx(alone)
    low, high = bootstrap_interval(*copied, seed=0)
    assert high - low < 0.6 * (alone[1] - alone[0]), "as if there were four times as many"


def test_difference_of_scores_that_share_their_noise() -> None:
    random = numbers(2)
    truth = random.normal(size=200)
    shared = random.normal(size=200)
    strong, weak = -truth + shared, -truth + 1.6 * shared
    low, high = difference_interval((strong, size), (weak, size), truth, seed=0)
    assert 0 < low < abs(spearman(strong, truth)) - abs(spearman(weak, truth)) < high
    assert difference_interval((strong, size), (strong, size), truth, seed=0) == (0, 0)
    turned = difference_interval((strong, size), (-strong, size), truth, seed=0)
    assert turned == (0, 0), "size knows no direction"
    low, high = difference_interval((strong, oriented), (-strong, oriented), truth, seed=0)
    assert abs(low) > 1 < abs(high), "the way a score points does count"


def test_permutations_within_groups_ignore_what_lies_between_them() -> None:
    """Two groups far apart, without any order inside: pooled significant, within it is not."""
    random = numbers(5)
    groups = np.repeat([0, 1], 20)
    score, truth = (10.0 * groups + random.normal(size=40) for _ in range(2))
    assert permutation_p(score, truth, seed=0) < 0.01
    assert permutation_p(score, truth, seed=0, groups=groups) > 0.1
    # Simpson: falling inside both groups, rising between them
    inner = np.tile(np.arange(20.0), 2)
    assert permutation_p(inner + 15 * groups, 15 * groups - inner, seed=0, groups=groups) < 0.001


def test_p_values_against_scipy() -> None:
    score, truth = correlated(12, strength=-0.5, seed=8)
    expected = scipy.stats.permutation_test(
        (score,),
        lambda x: scipy.stats.spearmanr(x, truth).statistic,
        permutation_type="pairings",
        n_resamples=3000,
        rng=numbers(0),
    ).pvalue
    assert permutation_p(score, truth, seed=0) == pytest.approx(expected, abs=0.025)


def test_bonett_wright_by_hand() -> None:
    # atanh(.86) = 1.29334; sqrt((1 + .3698) / 47) = .17072; 1.29334 +- .33461
    low, high = bonett_wright(0.86, 50)
    assert low == pytest.approx(math.tanh(1.29334 - 0.33461), abs=1e-4)
    assert high == pytest.approx(math.tanh(1.29334 + 0.33461), abs=1e-4)
    assert all(map(math.isnan, (*bonett_wright(0.5, 3), *bonett_wright(1.0, 9))))


def test_reliability_by_hand() -> None:
    # clusters (1, 3), (6, 8), (9): means 2, 7, 9, over all 5.4; MSW = (2 + 2) / 2 = 2
    # MSB = (2 * 11.56 + 2 * 2.56 + 12.96) / 2 = 20.6; n0 = (5 - 9 / 5) / 2 = 1.6
    # between = 18.6 / 1.6 = 11.625
    truth, clusters = np.array([1.0, 3.0, 6.0, 8.0, 9.0]), np.array([0, 0, 1, 1, 2])
    assert reliability(truth, clusters) == pytest.approx(11.625 / 13.625)
    assert noise_ceiling(truth, clusters) == pytest.approx(math.sqrt(11.625 / 13.625))
    assert math.isnan(noise_ceiling(truth, np.arange(5))), "nothing was repeated"
    assert noise_ceiling(np.array([1.0, 2.0, 1.0, 2.0]), np.array([0, 0, 1, 1])) == 0


@pytest.mark.parametrize(("noise", "ceiling"), [(0.3, 0.99), (1.0, 0.89), (1.5, 0.80)])
def test_ceiling_as_tabulated(noise: float, ceiling: float) -> None:
    """Between-model deviation 2, seed deviation as given; 2,000 models instead of 20."""
    random = numbers(1)
    clusters = np.repeat(np.arange(2000), 3)
    truth = 2 * random.normal(size=2000)[clusters] + noise * random.normal(size=6000)
    assert noise_ceiling(truth, clusters) == pytest.approx(ceiling, abs=0.01)


def test_subsets_have_their_size_and_differ() -> None:
    counts = subset_counts(9, 4, seed=0, draws=30)
    assert set(counts.sum(axis=1)) == {4}
    assert len({tuple(row) for row in counts.tolist()}) > 15


@pytest.mark.slow
@pytest.mark.parametrize(("size", "least", "most"), [(20, 0.91, 0.995), (50, 0.91, 0.985)])
def test_coverage_of_the_bootstrap(size: int, least: float, most: float) -> None:
    """95 % intervals hold the true ρ of .86 in about 95 % of 400 banks of independent models.

    Pearson's correlation of a normal sample is 2 sin(π ρ / 6); one deviation of a share of 400
    is .011. Published for 2,000 banks: .97 and .96.
    """
    rho = 0.86
    strength = 2 * math.sin(math.pi * rho / 6)
    hits = 0
    for bank in range(400):
        score, truth = correlated(size, strength=strength, seed=bank)
        low, high = bootstrap_interval(score, truth, seed=bank)
        hits += low <= rho <= high
    assert least <= hits / 400 <= most


@pytest.mark.slow
def test_coverage_with_repeated_architectures() -> None:
    """Resampling architectures keeps the promise; resampling models would not."""
    rho, clusters = 0.86, np.repeat(np.arange(30), 3)
    strength = 2 * math.sin(math.pi * rho / 6)
    hits = np.zeros(2)
    for bank in range(200):
        sides = correlated(30, strength=strength, seed=bank)
        score, truth = (side[clusters] for side in sides)
        for place, chosen in enumerate((clusters, None)):
            low, high = bootstrap_interval(score, truth, seed=bank, clusters=chosen)
            hits[place] += low <= rho <= high
    assert hits[0] / 200 > 0.9
    assert hits[1] / 200 < 0.85
