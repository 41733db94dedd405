"""How scores rank architectures once the noise of the training seed is averaged out.

A search judges an architecture by one training of it. Averaged over several, score and truth
alike, it shows whether a score falls short because trainings differ, which more seeds would mend,
or because it does not see what makes an architecture good.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from autoadapt.analysis.correlation import Ranking, judged, unfit
from autoadapt.analysis.correlation_report import CorrelationReport, finite, interval_words
from autoadapt.analysis.page import Markup, cell, prose, table, tag
from autoadapt.analysis.ranks import Float, spearman
from autoadapt.analysis.resampling import Index, cluster_means
from autoadapt.analysis.tables import decimal

FEWEST = 5
"""Architectures with several seeds below which nothing is said."""
LISTED = 12
"""Scores in the table, strongest first; ``correlation.json`` has all."""
HEADER = ("score", "ρ, single trainings", "ρ, means over seeds", "95 % interval")


@dataclass(frozen=True, kw_only=True)
class SeedMean:
    """One column, with and without the noise of the seed.

    Attributes:
        name: Of the score, combination or control.
        single: Spearman correlation over the trainings one by one; NaN where it is undefined.
        rho: The same over architectures, each the mean of its trainings.
        interval: 95 % interval of ``rho``, over architectures.
    """

    name: str
    single: float
    rho: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class SeedMeans:
    """The architectures that were trained with most seeds.

    Attributes:
        architectures: Number of pairs of an architecture and a group.
        seeds: Number of trainings of each.
        rows: One per column, strongest mean first, undefined ones last.
    """

    architectures: int
    seeds: int
    rows: tuple[SeedMean, ...]


@lru_cache(maxsize=8)  # page and files both ask for it
def seed_means(report: CorrelationReport) -> SeedMeans | None:
    """Return how each column ranks architectures, averaged over their seeds.

    None where fewer than 5 architectures were trained with more than one.
    """
    if not report.judged:
        return None
    repetitions = report.ranking.repetitions
    counts = np.bincount(repetitions)
    seeds = int(counts.max())
    chosen = np.flatnonzero(counts[repetitions] == seeds)
    if seeds < 2 or len(chosen) < FEWEST * seeds:
        return None
    _, first, cells = np.unique(repetitions[chosen], return_index=True, return_inverse=True)
    single = report.ranking.of(chosen)
    mean = averaged(single, first, cells)
    rows = [
        seed_mean(name, report.values(name)[chosen], single, mean, cells) for name in report.columns
    ]
    rows.sort(key=lambda one: (math.isnan(one.rho), one.rho))
    return SeedMeans(len(first), seeds, tuple(rows))


def averaged(single: Ranking, first: Index, cells: Index) -> Ranking:
    """Return one entry per cell: its mean truth, and what its first model is otherwise."""
    found = single.of(first)
    return Ranking(
        cluster_means(single.truth, cells),
        found.groups,
        found.clusters,
        found.given,
        found.group_names,
        found.seed,
    )


def seed_mean(name: str, values: Float, single: Ranking, mean: Ranking, cells: Index) -> SeedMean:
    """Judge one column, (n,), NaN where it is missing; a mean of which one is missing is too."""
    means = cluster_means(values, cells)
    known = np.flatnonzero(~np.isnan(means))
    there = np.flatnonzero(np.isin(cells, known))
    alone = math.nan
    if not unfit(values[there], single.truth[there]):
        alone = spearman(values[there], single.truth[there])
    rho, ends = judged(means[known], mean.of(known))
    return SeedMean(name=name, single=alone, rho=rho, interval=ends)


def seed_part(report: CorrelationReport) -> list[Markup]:
    """Return the table of what averaging changes; nothing where little was repeated."""
    found = seed_means(report)
    if found is None:
        return []
    first = {*report.named, *report.all_controls}
    best = [one.name for one in found.rows if one.name not in first][:LISTED]
    rows = [one for names in (first, best) for one in found.rows if one.name in names]
    note = (
        f"{found.architectures} architectures were trained with {found.seeds} seeds each. Single "
        f"trainings are these {found.architectures * found.seeds} models; in the means, score and "
        "mIoU are averaged over the seeds of an architecture. Where ρ gets stronger, the noise of "
        "training was in the way; where it does not, the score itself falls short."
    )
    return [prose(note), table(HEADER, map(seed_row, rows), numeric=HEADER[1:])]


def seed_row(one: SeedMean) -> Markup:
    """Return one row of the table."""
    return tag(
        "tr",
        cell(one.name, class_="first"),
        cell(decimal(one.single, 2), value=one.single),
        cell(decimal(one.rho, 2), value=one.rho),
        cell(interval_words(one.interval), value=one.interval[0]),
    )


def seed_values(report: CorrelationReport) -> dict[str, Any] | None:
    """Return the same as plain values; none where little was repeated."""
    found = seed_means(report)
    if found is None:
        return None
    rows = [
        {
            "score": one.name,
            "rho_single": finite(one.single),
            "rho": finite(one.rho),
            "low": finite(one.interval[0]),
            "high": finite(one.interval[1]),
        }
        for one in found.rows
    ]
    return {"architectures": found.architectures, "seeds": found.seeds, "scores": rows}
