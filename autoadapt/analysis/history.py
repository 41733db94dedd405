"""How a search went, as numbers: what the plots draw and the tests check."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoadapt.records import Record, Status

Float = NDArray[np.float64]
ObjectiveOf = Callable[[Record], float | None]
"""The number a search minimises; none for a trial that has no scores (yet)."""
PartsOf = Callable[[Record], Mapping[str, float]]
"""The weighted terms that sum up to it."""


@dataclass(frozen=True, kw_only=True)
class History:
    """One entry per trial, in the order in which they were proposed.

    Attributes:
        numbers: (n,) trial numbers, ascending.
        objective: (n,) NaN for a trial without one.
        best: (n,) smallest objective up to and including this trial; NaN before the first.
        macs: (n,) multiply-adds; NaN where unknown.
        status: Finished or failed.
    """

    numbers: NDArray[np.int64]
    objective: Float
    best: Float
    macs: Float
    status: tuple[Status, ...]


def search_history(records: Sequence[Record], objective: ObjectiveOf) -> History:
    """Return the search as columns of numbers; records may come in any order."""
    ordered = sorted(records, key=lambda record: record.number)
    values = np.array([value_or_nan(record, objective) for record in ordered], dtype=np.float64)
    return History(
        numbers=np.array([record.number for record in ordered], dtype=np.int64),
        objective=values,
        best=np.fmin.accumulate(values) if len(values) else values,
        macs=np.array([record.costs.get("macs", math.nan) for record in ordered], dtype=np.float64),
        status=tuple(record.status for record in ordered),
    )


def value_or_nan(record: Record, objective: ObjectiveOf) -> float:
    """Return the objective of a finished trial; NaN when it failed or has no finite one."""
    value = objective(record) if record.status == "finished" else None
    return value if value is not None and math.isfinite(value) else math.nan


def ranked(records: Sequence[Record], objective: ObjectiveOf) -> list[Record]:
    """Return the trials that have an objective, best first; the earlier one of equals first."""
    valued = [(value_or_nan(record, objective), record.number, record) for record in records]
    known = [entry for entry in valued if not math.isnan(entry[0])]
    return [record for *_, record in sorted(known, key=lambda entry: entry[:2])]


def pareto_front(points: Float) -> NDArray[np.int64]:
    """Return which points no other one beats, ordered by their first coordinate.

    A point is beaten by one that is nowhere larger and somewhere smaller, so of equal points
    either all or none are on the front. A point with a NaN is never on it and beats none.

    Args:
        points: (n, k), every coordinate to be minimised.

    Returns:
        (m,) indices.
    """
    known = np.flatnonzero(~np.isnan(points).any(axis=1))
    candidates = points[known]
    front = [
        index
        for index, point in zip(known, candidates, strict=True)
        if not ((candidates <= point).all(axis=1) & (candidates < point).any(axis=1)).any()
    ]
    return np.array(sorted(front, key=lambda index: tuple(points[index])), dtype=np.int64)


def score_pair(records: Sequence[Record], x: str, y: str) -> Float:
    """Return two scores of the trials that have both, shape (trials, 2)."""
    pairs = [
        (record.scores[x], record.scores[y]) for record in records if {x, y} <= record.scores.keys()
    ]
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)


def score_columns(records: Sequence[Record]) -> dict[str, list[float | None]]:
    """Return every score that some trial has: one value per trial, none where it is absent."""
    names = sorted({name for record in records for name in record.scores})
    return {name: [record.scores.get(name) for record in records] for name in names}


def cost_columns(records: Sequence[Record]) -> dict[str, list[float | None]]:
    """Return every cost that some trial has, as ``score_columns`` does."""
    names = sorted({name for record in records for name in record.costs})
    return {name: [record.costs.get(name) for record in records] for name in names}
