"""How two columns of numbers order the same models: statistics of ranks, and of choosing by one.

A score is better when it is smaller, the truth when it is larger. Columns are (n,) without NaN.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import rankdata

Float = NDArray[np.float64]


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


def spearman_matrix(columns: Float) -> Float:
    """Return ρ of each pair of columns of an (n, m) array, over the models that have both.

    Returns:
        (m, m); NaN where fewer than 3 models have both, or one of them is constant.
    """
    known = ~np.isnan(columns)
    number = columns.shape[1]
    matrix = np.full((number, number), np.nan)
    for i, j in zip(*np.triu_indices(number), strict=True):
        both = known[:, i] & known[:, j]
        if both.sum() >= 3:
            matrix[i, j] = matrix[j, i] = spearman(columns[both, i], columns[both, j])
    return matrix


def weighted_spearman(score: Float, truth: Float) -> float:
    """Return the rank correlation in which the models count that either side holds to be good.

    Dense ranks over their maxima, best model 1; a weight is the square of the larger of both;
    then Pearson's correlation of weighted mid-ranks with these weights (the exact form of "Three
    New Validators", arXiv 2208.07360). Negative for a good score, NaN where one side is constant.
    """
    orders = [rankdata(side, method="dense").astype(np.float64) for side in (-score, truth)]
    weights: Float = np.maximum(*(order / order.max() for order in orders)) ** 2
    x, y = (weighted_midranks(order, weights) for order in orders)
    x, y = x - np.average(x, weights=weights), y - np.average(y, weights=weights)
    size = np.sqrt((weights * x * x).sum() * (weights * y * y).sum())
    return -float((weights * x * y).sum() / size) if size > 1e-12 else float("nan")


def weighted_midranks(values: Float, weights: Float) -> Float:
    """Return for each value the weight below it, and its share of the weight of its ties.

    A tied group of c values with weight a has the rank "below + (c + 1) / 2 * a / c".
    """
    _, group, size = np.unique(values, return_inverse=True, return_counts=True)
    weight = np.bincount(group, weights=weights)
    ranks: Float = (np.cumsum(weight) - weight + (size + 1) / 2 * weight / size)[group]
    return ranks


def partial_spearman(score: Float, truth: Float, given: Float) -> float:
    """Return ρ of score and truth once what the ranks of ``given`` explain is taken out of both.

    Ranks of both are regressed on those of ``given`` and the residuals correlated; NaN where
    nothing is left of one of them.
    """
    ranks = [rankdata(side) - (len(score) + 1) / 2 for side in (score, truth, given)]
    third = ranks[2]
    if not third.any():
        return spearman(score, truth)
    left = [side - third * (side @ third) / (third @ third) for side in ranks[:2]]
    if min(np.abs(side).max() for side in left) < 1e-9:
        return float("nan")
    return float(rowwise_pearson(left[0][None], left[1][None])[0])


def pair_accuracy(score: Float, truth: Float) -> float:
    """Return the share of pairs in the right order: a smaller score for a larger truth."""
    first, second = np.triu_indices(len(score), k=1)
    order = np.sign(truth[first] - truth[second]) * np.sign(score[second] - score[first])
    decided = truth[first] != truth[second]
    return float((0.5 + 0.5 * order[decided]).mean())


def chosen_share(values: Float, k: int) -> Float:
    """Return the probability of each model to be among the k smallest values; (n,), sum k.

    Ties at the border are drawn by lot, so the order of the models does not matter.
    """
    border = np.sort(values)[k - 1]
    tied, below = values == border, values < border
    share: Float = below + tied * (k - below.sum()) / tied.sum()
    return share


def precision_at(score: Float, truth: Float, k: int) -> float:
    """Return the share of the k best models among the k smallest scores; ties by lot."""
    return float(chosen_share(score, k) @ chosen_share(-truth, k)) / k


def regret_at(score: Float, truth: Float, k: int) -> float:
    """Return the truth lost by looking only at the k smallest scores, in the unit of the truth.

    The expected value, where ties at the border are drawn by lot.
    """
    border = np.sort(score)[k - 1]
    below, tied = truth[score < border], np.sort(truth[score == border])
    floor = below.max() if len(below) else -np.inf
    best = np.maximum(tied, floor)
    return float(truth.max() - best @ maximum_shares(len(tied), k - len(below)))


def random_regret(truth: Float, k: int) -> float:
    """Return the expected regret of k models that are drawn by lot."""
    return regret_at(np.zeros(len(truth)), truth, k)


def maximum_shares(size: int, drawn: int) -> Float:
    """Return the probability of each of ``size`` sorted values to be the largest of ``drawn``.

    With j values up to it, C(j - 1, drawn - 1) / C(size, drawn); drawn without replacement.
    """
    place = np.arange(drawn, size + 1, dtype=np.float64)
    shares = np.zeros(size)
    shares[drawn - 1 :] = np.exp(
        log_choose(place - 1, drawn - 1) - log_choose(np.array(float(size)), drawn)
    )
    return shares


def log_choose(n: Float, k: int) -> Float:
    """Return the logarithm of the binomial coefficient, element by element."""
    value: Float = gammaln(n + 1) - gammaln(k + 1.0) - gammaln(n - k + 1)
    return value


def worst_rank(score: Float, truth: Float) -> int:
    """Return the place among all models, from 1, of the worst one with the smallest score."""
    picked = truth[score == score.min()].min()
    return 1 + int((truth > picked).sum())
