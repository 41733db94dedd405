"""What full adaptation gave, as numbers: the IoU of each class, for each seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class AdaptationResult:
    """One model, trained once per seed and compared with target labels.

    Attributes:
        name: Short, for tables and plots, e.g. ``winner, AdvEnt``.
        description: One sentence on how it was trained.
        iou: (seeds, classes) intersection over union in [0, 1]; NaN where a class occurs neither
            in the labels nor in the predictions.
        classes: Names of the classes, in the order of ``iou``.
        seeds: Seed of each row; absent: rows are numbered from 0.

    Raises:
        ValueError: The shape of ``iou`` contradicts the other fields, or a value is outside
            [0, 1].
    """

    name: str
    iou: Float
    classes: tuple[str, ...]
    description: str = ""
    seeds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.iou.ndim != 2 or self.iou.shape[1] != len(self.classes) or not len(self.iou):
            raise ValueError(
                f"{self.name}: IoU of shape {self.iou.shape}, expected (seeds, {len(self.classes)})"
            )
        if self.seeds and len(self.seeds) != len(self.iou):
            raise ValueError(f"{self.name}: {len(self.seeds)} seeds, {len(self.iou)} rows of IoU")
        if np.any(self.iou < 0) or np.any(self.iou > 1):
            raise ValueError(f"{self.name}: IoU outside [0, 1]; percentages are made when printed")

    @cached_property
    def seed_names(self) -> tuple[int, ...]:
        """Seed of each row."""
        return self.seeds or tuple(range(len(self.iou)))

    @cached_property
    def class_mean(self) -> Float:
        """(classes,) mean over seeds; NaN for a class that no seed saw."""
        return mean_of_known(self.iou)

    @cached_property
    def class_spread(self) -> Float:
        """(classes,) standard deviation over seeds; NaN with fewer than two."""
        return spread_of_known(self.iou)

    @cached_property
    def miou(self) -> Float:
        """(seeds,) mean over the classes that occur."""
        return mean_of_known(self.iou.T)

    @cached_property
    def miou_mean(self) -> float:
        """Mean of ``miou`` over seeds."""
        return float(mean_of_known(self.miou[:, None])[0])

    @cached_property
    def miou_spread(self) -> float:
        """Standard deviation of ``miou`` over seeds; NaN with fewer than two."""
        return float(spread_of_known(self.miou[:, None])[0])


def same_classes(results: Sequence[AdaptationResult]) -> tuple[str, ...]:
    """Return the classes that all results share.

    Raises:
        ValueError: Two results have other classes: their numbers cannot share a table.
    """
    found = {result.classes for result in results}
    if len(found) > 1:
        raise ValueError(f"results over different classes cannot share a table: {sorted(found)}")
    return found.pop() if found else ()


def mean_of_known(values: Float) -> Float:
    """Return the mean down each column of (rows, columns), NaN left out; NaN if all are."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    mean: Float = np.divide(
        total, known.sum(axis=0), out=np.full(len(total), np.nan), where=known.any(axis=0)
    )
    return mean


def spread_of_known(values: Float) -> Float:
    """Return the standard deviation (n - 1) down each column; NaN with fewer than two values."""
    known = ~np.isnan(values)
    squares = np.where(known, (values - mean_of_known(values)) ** 2, 0.0).sum(axis=0)
    degrees = known.sum(axis=0) - 1
    variance = np.divide(squares, degrees, out=np.full(len(squares), np.nan), where=degrees > 0)
    spread: Float = np.sqrt(variance)
    return spread
