"""How well label-free scores rank models, compared with the true metric.

Smaller is better for a score and larger for the truth, so a good score has a *negative* rank
correlation. Statistics as in Spearman (1904), Kendall (1945, tau-b) and Efron (1979, percentile
bootstrap over models).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import kendalltau, rankdata

from autoadapt.analysis.ranks import (
    Float,
    pair_accuracy,
    partial_spearman,
    precision_at,
    random_regret,
    regret_at,
    spearman,
    weighted_spearman,
    worst_rank,
)
from autoadapt.analysis.resampling import (
    Index,
    Strength,
    bonett_wright,
    bootstrap_interval,
    cluster_means,
    counted_spearman,
    difference_interval,
    holm,
    interval_of,
    numbered,
    oriented,
    permutation_p,
    subset_counts,
)

SMALLEST = 3
"""Models below which a correlation is not computed: two always are in perfect order."""
TOP = (1, 5, 10)
"""How many models are looked at for regret; the last also for precision."""
CURVE = 30
"""Up to how many models a curve of regrets goes."""
SUBSETS = 200
"""Subsets of models per point of a learning curve, and halvings to choose a score by."""


@dataclass(frozen=True, kw_only=True)
class GroupAgreement:
    """How one score ranks the models of one group, e.g. those of one method.

    Attributes:
        n: Models of the group that have the score.
        rho: Spearman correlation; NaN for fewer than 3 models or constant values.
        interval: Its 95 % bootstrap interval.
    """

    name: str
    n: int
    rho: float
    interval: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How one score ranks the models that have it. All but the counts are NaN where undefined.

    Attributes:
        name: Of the score.
        n: Models that have it.
        dropped: Models that do not (absent, NaN or infinite).
        rho: Spearman correlation of mid-ranks, in [-1, 1]; a good score is near -1.
        interval: 95 % percentile bootstrap interval of ``rho`` over models (or clusters).
        closed_interval: The same by the formula of Bonett and Wright, which knows no clusters.
        tau: Kendall's tau-b, in [-1, 1], of the same sign.
        weighted_rho: Rank correlation in which good models weigh more, of the same sign.
        partial_rho: ``rho`` once what the control explains is taken out.
        p_value: Two-sided, of ``rho``, from permutations of clusters, what lies between groups
            taken out; in (0, 1].
        p_holm: The same, corrected (Holm) for the number of scores looked at.
        pair_accuracy: Share of the pairs of models with different truths that the score puts in
            the right order; pairs with equal scores count half. 0.5 is chance.
        top_half: ``rho`` among the better half of the models alone, where a search operates.
        top_interval: Its 95 % interval.
        regrets: Truth lost by looking at the 1, 5 and 10 models with the best scores, in the unit
            of the truth; NaN where there are fewer models.
        random_regrets: The same for models drawn by lot.
        precision: Share of the 10 best models among the 10 best scores.
        worst_rank: Place, from 1, of the worst model that the score could pick; 0 if undefined.
        within: The correlation inside each group, where there are several.
        within_rho: Their mean, weighted by models.
        reason: Why something is undefined; empty otherwise.
    """

    name: str
    n: int
    dropped: int
    rho: float = math.nan
    interval: tuple[float, float] = (math.nan, math.nan)
    closed_interval: tuple[float, float] = (math.nan, math.nan)
    tau: float = math.nan
    weighted_rho: float = math.nan
    partial_rho: float = math.nan
    p_value: float = math.nan
    p_holm: float = math.nan
    pair_accuracy: float = math.nan
    top_half: float = math.nan
    top_interval: tuple[float, float] = (math.nan, math.nan)
    regrets: tuple[float, ...] = (math.nan,) * len(TOP)
    random_regrets: tuple[float, ...] = (math.nan,) * len(TOP)
    precision: float = math.nan
    worst_rank: int = 0
    within: tuple[GroupAgreement, ...] = ()
    within_rho: float = math.nan
    reason: str = ""

    @property
    def regret(self) -> float:
        """Truth lost by picking the model with the best score."""
        return self.regrets[0]


@dataclass(frozen=True)
class Ranking:
    """What is the same for all scores of a set of models; every array is (n,).

    Attributes:
        truth: The true metric, larger is better.
        groups: Number of the group of each model, e.g. of its method.
        clusters: Number of the cluster of each model: those of one cluster are one architecture
            trained several times, with other seeds or methods, and are resampled together.
        given: A control to be taken out, e.g. multiply-adds; NaN where it is missing.
        group_names: By number.
        seed: Of the resampling.
    """

    truth: Float
    groups: Index
    clusters: Index
    given: Float
    group_names: tuple[str, ...]
    seed: int

    @property
    def repetitions(self) -> Index:
        """Equal for models of one architecture and one group, which differ in the seed alone."""
        pairs = self.clusters * len(self.group_names) + self.groups
        numbers: Index = np.unique(pairs, return_inverse=True)[1].astype(np.int64)
        return numbers

    def of(self, models: Index) -> "Ranking":
        """Return the same for some of the models."""
        clusters = np.unique(self.clusters[models], return_inverse=True)[1].astype(np.int64)
        return replace(
            self,
            truth=self.truth[models],
            groups=self.groups[models],
            clusters=clusters,
            given=self.given[models],
        )


def ranking_of(
    truth: Sequence[float],
    *,
    groups: Sequence[str] | None = None,
    clusters: Sequence[str] | None = None,
    given: Sequence[float | None] | None = None,
    seed: int = 0,
) -> Ranking:
    """Check and return what all scores are compared with.

    Args:
        truth: The true metric of each model, larger is better.
        groups: Name of the group of each model; absent: all are of one.
        clusters: Equal for models of the same architecture; absent: each is another one.
        given: A control; absent: none.
        seed: Of the resampling; equal seeds give equal intervals.

    Raises:
        ValueError: The truth is not finite, or something has another number of models.
    """
    true = np.array(truth, dtype=np.float64)
    if not np.isfinite(true).all():
        raise ValueError("the true metric of a model is missing; leave such models out")
    for name, labels in (("groups", groups), ("clusters", clusters)):
        if labels is not None and len(labels) != len(true):
            raise ValueError(f"{len(labels)} {name} for {len(true)} models")
    names = tuple(sorted(set(groups))) if groups is not None else ("",)
    return Ranking(
        truth=true,
        groups=numbered(groups if groups is not None else [""] * len(true), len(true)),
        clusters=numbered(clusters, len(true)),
        given=as_floats("control", given or [None] * len(true), len(true)),
        group_names=names,
        seed=seed,
    )


def correlate(scores: Mapping[str, Sequence[float | None]], ranking: Ranking) -> list[Agreement]:
    """Compare every score with the truth, in the order given.

    Scores that the same models have share their resamples, so their intervals can be compared.

    Args:
        scores: One value per model, smaller is better; none where it is absent.
        ranking: What they are compared with.

    Raises:
        ValueError: A score has another number of models than the truth.
    """
    found = [
        agreement(name, as_floats(name, values, len(ranking.truth)), ranking)
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


def agreement(name: str, score: Float, ranking: Ranking) -> Agreement:
    """Compare one score with the truth; (n,), NaN where the score is missing."""
    known = np.flatnonzero(~np.isnan(score))
    dropped = len(score) - len(known)
    score, ranking = score[known], ranking.of(known)
    reason = unfit(score, ranking.truth)
    if reason:
        return Agreement(name=name, n=len(known), dropped=dropped, reason=reason)
    truth, seed = ranking.truth, ranking.seed
    rho, within = spearman(score, truth), within_groups(score, ranking)
    top, top_interval = top_half(score, ranking)
    return Agreement(
        name=name,
        n=len(known),
        dropped=dropped,
        rho=rho,
        interval=bootstrap_interval(score, truth, seed=seed, clusters=ranking.clusters),
        closed_interval=bonett_wright(rho, len(known)),
        tau=float(kendalltau(score, truth).statistic),
        weighted_rho=weighted_spearman(score, truth),
        partial_rho=partial(score, ranking),
        p_value=p_value(score, ranking),
        pair_accuracy=pair_accuracy(score, truth),
        top_half=top,
        top_interval=top_interval,
        regrets=tuple(regret_at(score, truth, k) if k <= len(score) else math.nan for k in TOP),
        random_regrets=tuple(random_regret(truth, k) if k <= len(score) else math.nan for k in TOP),
        precision=precision_at(score, truth, TOP[-1]) if TOP[-1] <= len(score) else math.nan,
        worst_rank=worst_rank(score, truth),
        within=within,
        within_rho=mean_within(within),
    )


def unfit(score: Float, truth: Float) -> str:
    """Return why models cannot be ranked by a score; empty if they can."""
    n = len(score)
    if n < SMALLEST:
        return f"{n} {'model has' if n == 1 else 'models have'} it, at least {SMALLEST} are needed"
    if np.ptp(score) == 0:
        return "all models have the same score"
    return "all models have the same truth" if np.ptp(truth) == 0 else ""


def top_half(score: Float, ranking: Ranking) -> tuple[float, tuple[float, float]]:
    """Return ρ and its interval among the better half of the models (by truth)."""
    best = np.argsort(-ranking.truth, kind="stable")[: (len(score) + 1) // 2]
    return judged(score[best], ranking.of(best))


def judged(score: Float, ranking: Ranking) -> tuple[float, tuple[float, float]]:
    """Return ρ and its interval, NaN where they are undefined."""
    if unfit(score, ranking.truth):
        return math.nan, (math.nan, math.nan)
    ends = bootstrap_interval(score, ranking.truth, seed=ranking.seed, clusters=ranking.clusters)
    return spearman(score, ranking.truth), ends


def within_groups(score: Float, ranking: Ranking) -> tuple[GroupAgreement, ...]:
    """Return the correlation inside each group; nothing where there is one group only."""
    if len(ranking.group_names) < 2:
        return ()
    found = []
    for number, name in enumerate(ranking.group_names):
        inside = np.flatnonzero(ranking.groups == number)
        rho, ends = judged(score[inside], ranking.of(inside))
        found.append(GroupAgreement(name=name, n=len(inside), rho=rho, interval=ends))
    return tuple(found)


def mean_within(within: Sequence[GroupAgreement]) -> float:
    """Return the mean correlation of groups that have one, weighted by models."""
    known = [one for one in within if not math.isnan(one.rho)]
    total = sum(one.n for one in known)
    return sum(one.n * one.rho for one in known) / total if total else math.nan


def partial(score: Float, ranking: Ranking) -> float:
    """Return ρ given the control, over the models that have it; NaN where there is none."""
    known = ~np.isnan(ranking.given)
    if known.sum() <= SMALLEST:
        return math.nan
    return partial_spearman(score[known], ranking.truth[known], ranking.given[known])


def p_value(score: Float, ranking: Ranking) -> float:
    """Return the p of permutations of architectures, with what lies between groups taken out.

    All models of one architecture are one piece of evidence: the mean of their ranks, each
    counted from the mean of its group. Only architectures that occur in the same groups are
    exchanged.
    """
    groups, clusters = ranking.groups, ranking.clusters
    sides = []
    for side in (score, ranking.truth):
        ranks = rankdata(side)
        sides.append(cluster_means(ranks - cluster_means(ranks, groups)[groups], clusters))
    met = np.zeros((int(clusters.max()) + 1, int(groups.max()) + 1), dtype=bool)
    met[clusters, groups] = True
    strata = np.unique(met, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return permutation_p(sides[0], sides[1], seed=ranking.seed, groups=strata)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much stronger one column ranks than another, over the models that have both.

    Attributes:
        value: Strength of the first minus that of the second; the strength of a score is -ρ,
            that of a control, which has no right way, |ρ|.
        interval: Its 95 % interval, both scores in the same resamples.
    """

    first: str
    second: str
    n: int
    value: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Side:
    """One of two columns that are compared.

    Attributes:
        name: Of the score or control.
        values: (n,) NaN where it is missing.
        strength: What its correlation counts as.
    """

    name: str
    values: Float
    strength: Strength = oriented


def compare(first: Side, second: Side, ranking: Ranking) -> Difference:
    """Compare two columns over the models that have both."""
    both = np.flatnonzero(~np.isnan(first.values) & ~np.isnan(second.values))
    part = ranking.of(both)
    one, other = ((side.values[both], side.strength) for side in (first, second))
    value, ends = math.nan, (math.nan, math.nan)
    if not unfit(one[0], part.truth) and not unfit(other[0], part.truth):
        strengths = [
            strength(np.array(spearman(values, part.truth))) for values, strength in (one, other)
        ]
        value = float(strengths[0] - strengths[1])
        ends = difference_interval(one, other, part.truth, seed=part.seed, clusters=part.clusters)
    return Difference(first=first.name, second=second.name, n=len(both), value=value, interval=ends)


def regret_curve(score: Float, truth: Float) -> Float:
    """Return regret@k for k from 1 to 30, or as many models as there are; NaN scores left out.

    The best is the best of the models that have the score.
    """
    known = ~np.isnan(score)
    last = min(CURVE, int(known.sum()))
    return np.array([regret_at(score[known], truth[known], k) for k in range(1, last + 1)])


def learning_curve(score: Float, ranking: Ranking) -> tuple[Index, Float]:
    """Return how ρ varies with the number of models that one happens to have.

    Returns:
        Numbers of models (k,) and the 2.5 %, 50 % and 97.5 % quantiles (k, 3) of ρ over random
        subsets of the models that have the score.
    """
    known = ~np.isnan(score)
    score, truth = score[known], ranking.truth[known]
    steps = [5, 8, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500, 750, 1000]
    sizes = np.array([size for size in steps if size < len(score)], dtype=np.int64)
    rows = []
    for size in sizes:
        counts = subset_counts(len(score), int(size), seed=ranking.seed, draws=SUBSETS)
        rho = counted_spearman(score, truth, counts)
        ends = interval_of(rho)
        rows.append((ends[0], middle_of(rho), ends[1]))
    return sizes, np.array(rows).reshape(-1, 3)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the best of several scores is worth on architectures that did not choose it.

    Attributes:
        picked: How often each score was the best of a half; those that never were are left out.
        rho: Median over the halvings of its ρ on the other half.
        interval: Its 2.5 % and 97.5 % quantiles over the halvings.
        seen: Median of its ρ on the half that chose it, which flatters it.
    """

    picked: Mapping[str, float]
    rho: float
    interval: tuple[float, float]
    seen: float


def choose_by_half(scores: Mapping[str, Float], ranking: Ranking) -> Choice | None:
    """Choose the score with the smallest ρ on one half of the architectures, judge it on the other.

    Over random halvings in which all models of an architecture stay together; none with fewer
    than two scores or six architectures.

    Args:
        scores: (n,) each, NaN where a score is missing.
        ranking: What they are compared with.
    """
    number = int(ranking.clusters.max()) + 1 if len(ranking.clusters) else 0
    if len(scores) < 2 or number < 2 * SMALLEST:
        return None
    drawn = subset_counts(number, number // 2, seed=ranking.seed, draws=SUBSETS)
    halves = [side[:, ranking.clusters] for side in (drawn, 1 - drawn)]
    names, columns = list(scores), list(scores.values())
    seen, unseen = (
        np.array([known_spearman(score, ranking.truth, half) for score in columns])
        for half in halves
    )
    best = np.argmin(np.nan_to_num(seen, nan=np.inf), axis=0)
    places = np.arange(SUBSETS)
    share = np.bincount(best, minlength=len(names)) / SUBSETS
    order = np.argsort(-share, kind="stable")
    return Choice(
        picked={names[i]: float(share[i]) for i in order if share[i] > 0},
        rho=middle_of(unseen[best, places]),
        interval=interval_of(unseen[best, places]),
        seen=middle_of(seen[best, places]),
    )


def middle_of(values: Float) -> float:
    """Return the median; undefined values are left out, NaN if all are."""
    return math.nan if np.isnan(values).all() else float(np.nanmedian(values))


def known_spearman(score: Float, truth: Float, counts: Float) -> Float:
    """Return ρ in each resample, (draws,), over the models that have the score."""
    known = ~np.isnan(score)
    return counted_spearman(score[known], truth[known], counts[:, known])


def strongest_first(agreements: Sequence[Agreement]) -> list[Agreement]:
    """Return the scores by the size of ``rho``, undefined ones last."""
    return sorted(agreements, key=lambda one: (math.isnan(one.rho), -abs(one.rho)))
