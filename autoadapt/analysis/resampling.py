"""How sure a rank correlation is: bootstrap, permutations, correction for many tests, noise.

No resample is ever sorted. It is kept as how often each model is in it, from which the mid-ranks
of all resamples follow by one cumulative sum over the models in their order.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from autoadapt import seeding

Float = NDArray[np.float64]
Index = NDArray[np.int64]
DRAWS = 2000
PERMUTATIONS = 10_000
BLOCK = 500
"""Resamples held at the same time: bounds the memory at BLOCK x models."""
LEVEL = (0.025, 0.975)
"""The ends of a 95 % interval."""


def numbered(labels: Sequence[str] | None, size: int) -> Index:
    """Return labels as numbers from 0; without labels every model is a group of its own."""
    if labels is None:
        return np.arange(size)
    return np.unique(np.array(labels), return_inverse=True)[1].astype(np.int64)


def bootstrap_counts(clusters: Index, *, seed: int, draws: int = DRAWS) -> Iterator[Float]:
    """Yield blocks (b, n) of how often each model is in a resample of whole clusters.

    Equal numbers of clusters and equal seeds give equal resamples, so that what is computed of
    two scores of the same models can be compared draw by draw.

    Args:
        clusters: (n,) cluster of each model, numbered from 0 without gaps.
        seed: Of the resampling.
        draws: Number of resamples.
    """
    number = int(clusters.max()) + 1
    random = seeding.generator(seed, "bootstrap", number)
    for start in range(0, draws, BLOCK):
        rows = min(BLOCK, draws - start)
        drawn = random.integers(number, size=(rows, number))
        drawn += number * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * number).reshape(rows, number)
        yield counts[:, clusters].astype(np.float64)


def subset_counts(size: int, chosen: int, *, seed: int, draws: int) -> Float:
    """Return (draws, size) zeros and ones: ``chosen`` models each, without replacement."""
    random = seeding.generator(seed, "subsets", size, chosen)
    first = np.arange(size) < chosen
    return random.permuted(np.tile(first, (draws, 1)), axis=1).astype(np.float64)


def counted_ranks(values: Float, counts: Float) -> Float:
    """Return the mid-rank of each model in each resample; means nothing where the count is 0.

    Args:
        values: (n,) of the models.
        counts: (draws, n) how often a model is in a resample.

    Returns:
        (draws, n), from 1.
    """
    order = np.argsort(values, kind="stable")
    _, last = np.unique(values[order][::-1], return_index=True)
    upper = np.cumsum(counts[:, order], axis=1)[:, len(values) - 1 - last]
    lower = np.concatenate([np.zeros((len(counts), 1)), upper[:, :-1]], axis=1)
    group = np.unique(values, return_inverse=True)[1]
    ranks: Float = ((lower + upper + 1) / 2)[:, group]
    return ranks


def counted_spearman(score: Float, truth: Float, counts: Float) -> Float:
    """Return ρ in each resample, (draws,); NaN where all its models tie."""
    mean = (counts.sum(axis=1, keepdims=True) + 1) / 2
    x, y = counted_ranks(score, counts) - mean, counted_ranks(truth, counts) - mean
    weighted = counts * x
    product = (weighted * y).sum(axis=1)
    size = np.sqrt((weighted * x).sum(axis=1) * (counts * y * y).sum(axis=1))
    nothing = np.full(len(size), np.nan)
    rho: Float = np.divide(product, size, out=nothing, where=size > 1e-12)
    return rho


def bootstrap(
    statistic: Callable[[Float], Float], clusters: Index, *, seed: int, draws: int = DRAWS
) -> Float:
    """Return a statistic of counts (b, n) -> (b,) over all resamples, (draws,)."""
    blocks = bootstrap_counts(clusters, seed=seed, draws=draws)
    return np.concatenate([statistic(counts) for counts in blocks])


def interval_of(values: Float) -> tuple[float, float]:
    """Return the 2.5 % and 97.5 % percentiles (Efron, 1979); undefined resamples are left out."""
    if np.isnan(values).all():
        return math.nan, math.nan
    low, high = np.nanquantile(values, LEVEL)
    return float(low), float(high)


def bootstrap_interval(
    score: Float, truth: Float, *, seed: int, clusters: Index | None = None
) -> tuple[float, float]:
    """Return the 95 % percentile interval of ρ over resampled models, or clusters of them."""
    clusters = numbered(None, len(score)) if clusters is None else clusters
    return interval_of(
        bootstrap(lambda counts: counted_spearman(score, truth, counts), clusters, seed=seed)
    )


Strength = Callable[[Float], Float]
"""How strong a correlation is: by its size, or by how far it points the right way."""


def size(rho: Float) -> Float:
    """Return |ρ|: for what has no right way, such as costs."""
    return np.abs(rho)


def oriented(rho: Float) -> Float:
    """Return -ρ: larger is better, and negative for a score that points the wrong way."""
    return -rho


def difference_interval(
    first: tuple[Float, Strength],
    second: tuple[Float, Strength],
    truth: Float,
    *,
    seed: int,
    clusters: Index | None = None,
) -> tuple[float, float]:
    """Return the 95 % interval of the strength of the first score minus that of the second.

    Both have the same models and the same resamples, so what they share cancels.
    """
    clusters = numbered(None, len(truth)) if clusters is None else clusters

    def gain(counts: Float) -> Float:
        one, other = (
            strength(counted_spearman(score, truth, counts)) for score, strength in (first, second)
        )
        return one - other

    return interval_of(bootstrap(gain, clusters, seed=seed))


def permutation_p(score: Float, truth: Float, *, seed: int, groups: Index | None = None) -> float:
    """Return how often shuffled truths correlate as strongly, either way.

    The observed order counts as one of the permutations, so the value is never 0.

    Args:
        score: (n,).
        truth: (n,).
        seed: Of the permutations.
        groups: (n,) truths are shuffled only among the models of the same group.
    """
    random = seeding.generator(seed, "permutation", len(score))
    ranks = rankdata(score)
    centred, true = ranks - ranks.mean(), rankdata(truth)
    groups = np.zeros(len(score), dtype=np.int64) if groups is None else groups
    places = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    # Each group around its own mean: what lies between the groups stays as it is, whatever
    # is shuffled, and would hide the rest.
    for place in places:
        true[place] -= true[place].mean()
        centred[place] -= centred[place].mean()
    observed = abs(centred @ true) * (1 - 1e-12)  # equal values count as reached
    reached = 0
    for _ in range(PERMUTATIONS // BLOCK):
        shuffled = np.repeat(true[None], BLOCK, axis=0)
        for place in places:
            shuffled[:, place] = random.permuted(shuffled[:, place], axis=1)
        reached += int((np.abs(shuffled @ centred) >= observed).sum())
    return (1 + reached) / (1 + PERMUTATIONS)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's (1979) step-down correction; NaN is no hypothesis and stays NaN."""
    order = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    corrected, largest = [math.nan] * len(p_values), 0.0
    for rank, (p, i) in enumerate(order):
        largest = max(largest, min(1.0, p * (len(order) - rank)))
        corrected[i] = largest
    return corrected


def bonett_wright(rho: float, size: int) -> tuple[float, float]:
    """Return the 95 % interval of ρ by Fisher's z with the variance of Bonett and Wright (2000).

    tanh(atanh ρ ± 1.96 √((1 + ρ² / 2) / (n - 3))); NaN for 3 models or fewer, or a perfect ρ.
    """
    if size <= 3 or math.isnan(rho) or abs(rho) >= 1:
        return math.nan, math.nan
    half = 1.959964 * math.sqrt((1 + rho * rho / 2) / (size - 3))
    return math.tanh(math.atanh(rho) - half), math.tanh(math.atanh(rho) + half)


def cluster_means(values: Float, clusters: Index) -> Float:
    """Return the mean of each cluster, (clusters,)."""
    means: Float = np.bincount(clusters, weights=values) / np.maximum(np.bincount(clusters), 1)
    return means


def reliability(truth: Float, clusters: Index) -> float:
    """Return the share of the variance between clusters in that of single models, in [0, 1].

    The intraclass correlation of a one-way analysis of variance with clusters of different
    sizes: the variance between is (MSB - MSW) / n0, with n0 = (N - Σnᵢ² / N) / (k - 1). NaN where
    no cluster has two models, or there is one cluster only, or nothing varies.
    """
    sizes = np.bincount(clusters)
    number, total = len(sizes), len(truth)
    if number < 2 or number == total:
        return math.nan
    means = cluster_means(truth, clusters)
    within = float(((truth - means[clusters]) ** 2).sum()) / (total - number)
    among = float((sizes * (means - truth.mean()) ** 2).sum()) / (number - 1)
    effective = (total - float((sizes**2).sum()) / total) / (number - 1)
    between = max(0.0, (among - within) / effective)
    return between / (between + within) if between + within > 0 else math.nan


def noise_ceiling(truth: Float, clusters: Index, *, least: int = 1) -> float:
    """Return about the largest |ρ| that any score can reach: the root of the reliability.

    Retraining with another seed changes the truth too, and no score can foresee how.

    Args:
        truth: (n,) the true metric.
        clusters: (n,) equal for models that differ in the seed alone.
        least: Only clusters of at least so many models are used.
    """
    often = np.flatnonzero(np.bincount(clusters)[clusters] >= least)
    if not len(often):
        return math.nan
    left = np.unique(clusters[often], return_inverse=True)[1].astype(np.int64)
    return math.sqrt(found) if (found := reliability(truth[often], left)) >= 0 else math.nan
