"""How well label-free scores rank models, compared with the true metric.

Smaller is better for a score and larger for the truth, so a good score has a *negative* rank
correlation. Statistics as in Spearman (1904), Kendall (1945, tau-b) and Efron (1979, percentile
bootstrap over models).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, rankdata

from autoadapt import seeding

Float = NDArray[np.float64]
SMALLEST = 4
"""Models below which a correlation is not computed: it would be noise."""
DRAWS = 2000
PERMUTATIONS = 10_000
BLOCK = 500
"""Resamples ranked at the same time: bounds the memory at BLOCK x models."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How one score ranks the models that have it. All but the counts are NaN where undefined.

    Attributes:
        name: Of the score.
        n: Models that have it.
        dropped: Models that do not (absent, NaN or infinite).
        rho: Spearman correlation of mid-ranks, in [-1, 1]; a good score is near -1.
        interval: 95 % percentile bootstrap interval of ``rho`` over models.
        tau: Kendall's tau-b, in [-1, 1], of the same sign.
        p_value: Two-sided, of ``rho``, from permutations of the truth; in (0, 1].
        p_holm: The same, corrected (Holm) for the number of scores looked at.
        pair_accuracy: Share of the pairs of models with different truths that the score puts in
            the right order; pairs with equal scores count half. 0.5 is chance.
        top_half: ``rho`` among the better half of the models alone, where a search operates.
        regret: Truth lost by picking the model with the best score, in the unit of the truth;
            the mean over models that share the best score.
        reason: Why something is undefined; empty otherwise.
    """

    name: str
    n: int
    dropped: int
    rho: float = math.nan
    interval: tuple[float, float] = (math.nan, math.nan)
    tau: float = math.nan
    p_value: float = math.nan
    p_holm: float = math.nan
    pair_accuracy: float = math.nan
    top_half: float = math.nan
    regret: float = math.nan
    reason: str = ""


def correlate(
    scores: Mapping[str, Sequence[float | None]], truth: Sequence[float], *, seed: int = 0
) -> list[Agreement]:
    """Compare every score with the truth, in the order given.

    Scores that the same models have share their resamples, so their intervals can be compared.

    Args:
        scores: One value per model, smaller is better; none where it is absent.
        truth: The true metric of each model, larger is better.
        seed: Of the resampling; equal seeds give equal intervals.

    Raises:
        ValueError: A score has another number of models than the truth, or the truth is not
            finite.
    """
    true = np.array(truth, dtype=np.float64)
    if not np.isfinite(true).all():
        raise ValueError("the true metric of a model is missing; leave such models out")
    found = [
        agreement(name, as_floats(name, values, len(true)), true, seed=seed)
        for name, values in scores.items()
    ]
    corrected = holm([one.p_value for one in found])
    return [replace(one, p_holm=value) for one, value in zip(found, corrected, strict=True)]


def as_floats(name: str, values: Sequence[float | None], expected: int) -> Float:
    """Return a score as floats, NaN where it is absent or infinite.

    Raises:
        ValueError: There are not as many values as models.
    """
    if len(values) != expected:
        raise ValueError(f"score {name!r} has {len(values)} values for {expected} models")
    floats = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    return np.where(np.isfinite(floats), floats, np.nan)


def agreement(name: str, score: Float, truth: Float, *, seed: int) -> Agreement:
    """Compare one score with the truth; both (n,), NaN where the score is missing."""
    known = ~np.isnan(score)
    score, truth = score[known], truth[known]
    n, dropped = len(score), int((~known).sum())
    if n < SMALLEST:
        reason = (
            f"{n} {'model has' if n == 1 else 'models have'} it, at least {SMALLEST} are needed"
        )
        return Agreement(name=name, n=n, dropped=dropped, reason=reason)
    if np.ptp(score) == 0 or np.ptp(truth) == 0:
        what = "score" if np.ptp(score) == 0 else "truth"
        return Agreement(name=name, n=n, dropped=dropped, reason=f"all models have the same {what}")
    best = np.argsort(-truth, kind="stable")[: (n + 1) // 2]
    return Agreement(
        name=name,
        n=n,
        dropped=dropped,
        rho=spearman(score, truth),
        interval=bootstrap_interval(score, truth, seed=seed),
        tau=float(kendalltau(score, truth).statistic),
        p_value=permutation_p(score, truth, seed=seed),
        pair_accuracy=pair_accuracy(score, truth),
        top_half=spearman(score[best], truth[best]) if len(best) >= SMALLEST else math.nan,
        regret=regret(score, truth),
    )


def spearman(score: Float, truth: Float) -> float:
    """Return the Pearson correlation of mid-ranks; NaN where one side is constant."""
    return float(rowwise_pearson(rankdata(score)[None], rankdata(truth)[None])[0])


def rowwise_pearson(x: Float, y: Float) -> Float:
    """Return the correlation of each row of two (rows, n) arrays; NaN for a constant row."""
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    size = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    product = (x * y).sum(axis=1)
    nothing = np.full(len(size), np.nan)
    correlation: Float = np.divide(product, size, out=nothing, where=size > 1e-12)
    return correlation


def bootstrap_interval(score: Float, truth: Float, *, seed: int) -> tuple[float, float]:
    """Return the 2.5 % and 97.5 % percentiles of ``rho`` over resampled models.

    A resample in which all models tie says nothing and is left out.
    """
    n = len(score)
    draws = seeding.generator(seed, "bootstrap", n).integers(n, size=(DRAWS, n))
    values = [
        rowwise_pearson(rankdata(score[block], axis=1), rankdata(truth[block], axis=1))
        for block in np.array_split(draws, math.ceil(DRAWS / BLOCK))
    ]
    low, high = np.nanquantile(np.concatenate(values), [0.025, 0.975])
    return float(low), float(high)


def permutation_p(score: Float, truth: Float, *, seed: int) -> float:
    """Return how often shuffled truths correlate as strongly, either way.

    The observed order counts as one of the permutations, so the value is never 0.
    """
    random = seeding.generator(seed, "permutation", len(score))
    ranks = rankdata(score)
    centred, true = ranks - ranks.mean(), rankdata(truth)
    # A shuffle changes neither mean nor spread of the ranks: the sum of products decides.
    observed = abs(centred @ true) * (1 - 1e-12)  # equal values count as reached
    reached = 0
    for _ in range(PERMUTATIONS // BLOCK):
        shuffled = random.permuted(np.repeat(true[None], BLOCK, axis=0), axis=1)
        reached += int((np.abs(shuffled @ centred) >= observed).sum())
    return (1 + reached) / (1 + PERMUTATIONS)


def pair_accuracy(score: Float, truth: Float) -> float:
    """Return the share of pairs in the right order: a smaller score for a larger truth."""
    first, second = np.triu_indices(len(score), k=1)
    order = np.sign(truth[first] - truth[second]) * np.sign(score[second] - score[first])
    decided = truth[first] != truth[second]
    return float((0.5 + 0.5 * order[decided]).mean())


def regret(score: Float, truth: Float) -> float:
    """Return how much truth is lost by picking the smallest score; ties are averaged."""
    return float(truth.max() - truth[score == score.min()].mean())


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's (1979) step-down correction; NaN is no hypothesis and stays NaN."""
    order = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    corrected, largest = [math.nan] * len(p_values), 0.0
    for rank, (p, i) in enumerate(order):
        largest = max(largest, min(1.0, p * (len(order) - rank)))
        corrected[i] = largest
    return corrected


def strongest_first(agreements: Sequence[Agreement]) -> list[Agreement]:
    """Return the scores by the size of ``rho``, undefined ones last."""
    return sorted(agreements, key=lambda one: (math.isnan(one.rho), -abs(one.rho)))
