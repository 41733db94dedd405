"""Ridge regression with a penalty that is chosen by cross-validation over whole clusters.

Hoerl and Kennard (1970). Columns are expected to be of about the same spread.
"""

from dataclasses import dataclass

import numpy as np

from autoadapt import seeding
from autoadapt.analysis.ranks import Float
from autoadapt.analysis.resampling import Index

PENALTIES: Float = np.logspace(-4, 2, 25)
"""Penalties that are tried; per model, so that they mean the same for banks of any size."""
FOLDS = 10


@dataclass(frozen=True)
class Ridge:
    """A fit.

    Attributes:
        weights: (m,) one per column.
        penalty: The one of ``PENALTIES`` with the smallest held-out error.
        held_out: (n,) predictions of each model by a fit to the other folds, around 0.
    """

    weights: Float
    penalty: float
    held_out: Float


def fit_ridge(columns: Float, target: Float, clusters: Index, *, seed: int) -> Ridge:
    """Fit a target by a weighted sum of columns; an intercept is taken out of all of them.

    Args:
        columns: (n, m) without NaN.
        target: (n,).
        clusters: (n,) from 0 without gaps; models of one are in the same fold.
        seed: Of the folds.

    Raises:
        ValueError: There are fewer than 2 clusters.
    """
    folds = folds_of(clusters, seed=seed)
    predicted = np.empty((len(PENALTIES), len(target)))
    for fold in range(int(folds.max()) + 1):
        inside, outside = folds == fold, folds != fold
        centre = columns[outside].mean(axis=0)
        found = weights(columns[outside], target[outside], PENALTIES)
        level = target[outside].mean()
        predicted[:, inside] = found @ (columns[inside] - centre).T + level
    errors = ((predicted - target) ** 2).mean(axis=1)
    best = len(errors) - 1 - int(np.argmin(errors[::-1]))  # the larger one of equals
    chosen = weights(columns, target, PENALTIES[best : best + 1])[0]
    return Ridge(chosen, float(PENALTIES[best]), predicted[best] - target.mean())


def folds_of(clusters: Index, *, seed: int) -> Index:
    """Return the fold of each model: clusters in random order, dealt out in turn."""
    number = int(clusters.max()) + 1
    if number < 2:
        raise ValueError("a penalty cannot be chosen with one cluster of models")
    order = seeding.generator(seed, "folds", number).permutation(number)
    fold = np.empty(number, dtype=np.int64)
    fold[order] = np.arange(number) % min(FOLDS, number)
    return fold[clusters]


def weights(columns: Float, target: Float, penalties: Float) -> Float:
    """Return (penalties, m) minimisers of |y - Xw|² / n + penalty |w|², both sides centred.

    By one singular value decomposition: w = V s / (s² + n penalty) Uᵀ y.
    """
    x, y = columns - columns.mean(axis=0), target - target.mean()
    u, s, v = np.linalg.svd(x, full_matrices=False)
    shrunk = s / (s**2 + len(y) * penalties[:, None])
    found: Float = (shrunk * (u.T @ y)) @ v
    return found
