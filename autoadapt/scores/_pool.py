"""How far the candidates of a closed pool agree with each other, and what follows from it."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from autoadapt.scores._agreement import MEASURES
from autoadapt.scores._kernel import compiled
from autoadapt.scores.base import Float, Pool

ClassMap = NDArray[np.uint8]

VOID = 255
"""In the class maps of held-out source images: a pixel without a label."""
ROUNDS, TOLERANCE = 10_000, 1e-12
"""Of the iteration that finds what a candidate would agree with itself."""
FEWEST = 3
"""Candidates from which on agreements of pairs say something about each of them."""


def pool_of(
    maps: Sequence[ClassMap],
    classes: int,
    *,
    ensemble: ClassMap | None = None,
    held_out: Sequence[ClassMap] = (),
    held_out_accuracy: Sequence[float] = (),
) -> Pool:
    """Return what pool scores look at.

    Args:
        maps: Per candidate, (N, H, W) predicted classes of the same target images.
        classes: Number of classes, C.
        ensemble: (N, H, W) what all candidates predict together.
        held_out: Per candidate, (M, h, w) predicted classes of labelled source images that no
            training saw, ``VOID`` where there is no label.
        held_out_accuracy: Per candidate, the share of labelled pixels that is right.

    Raises:
        ValueError: There is a single candidate, or maps differ in shape.
    """
    if len(maps) < 2:
        raise ValueError(f"a pool has at least 2 candidates, found {len(maps)}")
    rows = _rows(maps)
    together = None
    if ensemble is not None:
        counts = [pair_counts_of(row, ensemble.ravel(), classes) for row in rows]
        together = {name: np.array([of(c) for c in counts]) for name, of in MEASURES.items()}
    known = _rows(held_out) if held_out else None
    if known is not None:
        known = np.ascontiguousarray(known[:, known[0] != VOID])
    return Pool(
        agreement=agreements(rows, classes),
        ensemble=together,
        held_out_agreement=None if known is None else agreements(known, classes)["accuracy"],
        held_out_accuracy=np.asarray(held_out_accuracy, np.float64) if held_out else None,
    )


def _rows(maps: Sequence[ClassMap]) -> ClassMap:
    """Return class maps as one row of pixels per candidate, (K, P)."""
    shapes = {one.shape for one in maps}
    if len(shapes) > 1:
        raise ValueError(f"class maps of one pool have one shape, found {sorted(shapes)}")
    return np.stack([one.ravel() for one in maps])


def agreements(rows: ClassMap, classes: int) -> dict[str, Float]:
    """Return how far each pair of candidates agrees, (K, K) by measure; 1 with oneself.

    Args:
        rows: (K, P) predicted classes.
        classes: Number of classes.
    """
    number = len(rows)
    found = {name: np.eye(number) for name in MEASURES}
    for first in range(number):
        for second in range(first + 1, number):
            counts = pair_counts_of(rows[first], rows[second], classes)
            for name, measure in MEASURES.items():
                found[name][first, second] = found[name][second, first] = measure(counts)
    return found


def pair_counts_of(a: ClassMap, b: ClassMap, classes: int) -> Float:
    """Return how many places have each pair of classes, (C, C), as ``pair_counts`` does.

    Three times as fast: a pool of 140 candidates has ten thousand pairs.
    """
    counts = np.zeros((classes, classes), np.int64)
    _count_pairs(a, b, counts)
    return counts.astype(np.float64)


@compiled
def _count_pairs(a: Any, b: Any, counts: Any) -> None:
    for place in range(a.shape[0]):
        counts[a[place], b[place]] += 1


def mean_agreement(pool: Pool, measure: str) -> Float:
    """Return the mean agreement of each candidate with the others, (K,)."""
    matrix = pool.agreement[measure]
    mean: Float = (matrix.sum(1) - np.diag(matrix)) / (len(matrix) - 1)
    return mean


@functools.lru_cache(maxsize=16)
def reliability(pool: Pool, measure: str) -> Float:
    """Return a, (K,), such that a_i a_j is near the agreement of each pair i != j.

    That is the leading eigenvector of the matrix of agreements, scaled by the root of its
    eigenvalue, whose diagonal is put at a_i^2 again and again until nothing changes: what a
    candidate agrees with itself says nothing of it.

    Raises:
        ValueError: Fewer than three candidates, or no such vector.
    """
    matrix = pool.agreement[measure].copy()
    _enough(len(matrix))
    np.fill_diagonal(matrix, mean_agreement(pool, measure))
    before = np.zeros(len(matrix))
    for _ in range(ROUNDS):
        values, vectors = np.linalg.eigh(matrix)
        if values[-1] <= 0:
            break
        leading = vectors[:, -1] * np.sign(vectors[:, -1].sum() or 1.0)
        found: Float = leading * np.sqrt(values[-1])
        if np.abs(found - before).max() < TOLERANCE:
            return found
        before = found
        np.fill_diagonal(matrix, found**2)
    raise ValueError("the agreements of the pool have no leading eigenvector that is stable")


@functools.lru_cache(maxsize=16)
def accuracy_on_the_line(pool: Pool) -> Float:
    """Return the target accuracy of each candidate that ALine-D estimates, (K,), in (0, 1).

    Raises:
        ValueError: Fewer than three candidates, or no labelled source images were held out.
    """
    source, known = pool.held_out_agreement, pool.held_out_accuracy
    assert source is not None
    assert known is not None
    number = len(source)
    _enough(number)
    first, second = np.triu_indices(number, 1)
    x, y = probit(source[first, second]), probit(pool.agreement["accuracy"][first, second])
    spread = x - x.mean()
    slope = float(spread @ (y - y.mean()) / max(float(spread @ spread), 1e-12))
    own = probit(known)
    wanted = y + slope * ((own[first] + own[second]) / 2.0 - x)
    # Least squares of (w_i + w_j) / 2 = wanted: the normal equations have one row per candidate.
    sums = np.bincount(first, wanted, number) + np.bincount(second, wanted, number)
    normal = ((number - 2) * np.eye(number) + 1.0) / 4.0
    estimate: Float = ndtr(np.linalg.solve(normal, sums / 2.0))
    return estimate


def probit(shares: Float) -> Float:
    """Return the inverse of the normal distribution; 0 and 1 count as a millionth off."""
    found: Float = ndtri(np.clip(shares, 1e-6, 1.0 - 1e-6))
    return found


def _enough(number: int) -> None:
    if number < FEWEST:
        raise ValueError(f"it takes {FEWEST} candidates to tell them apart, found {number}")
