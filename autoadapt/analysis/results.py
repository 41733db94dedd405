"""What trained models reached, as numbers: the IoU of each class, for each seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
        values: (seeds, classes) IoU, or another ``measure``, in [0, 1]; NaN where a class occurs
            neither in the labels nor in the predictions.
        classes: Names of the classes, in the order of ``values``.
        seeds: Seed of each row; absent: rows are numbered from 0.
        measure: What ``values`` are.
        means: Rows below the classes by title, one value per seed, the headline first; absent:
            the mean over the classes that occur.
        digits: Decimals of percentages.
        confusion: (classes, classes) pixel counts added up over seeds, rows are labels.

    Raises:
        ValueError: The shape of ``values`` contradicts the other fields, or a value is outside
            [0, 1].
    """

    name: str
    values: Float
    classes: tuple[str, ...]
    description: str = ""
    seeds: tuple[int, ...] = ()
    measure: str = "IoU"
    means: Mapping[str, Float] = field(default_factory=dict)
    digits: int = 1
    confusion: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if (
            self.values.ndim != 2
            or self.values.shape[1] != len(self.classes)
            or not len(self.values)
        ):
            raise ValueError(
                f"{self.name}: values of shape {self.values.shape}, expected "
                f"(seeds, {len(self.classes)})"
            )
        if self.seeds and len(self.seeds) != len(self.values):
            raise ValueError(
                f"{self.name}: {len(self.seeds)} seeds, {len(self.values)} rows of values"
            )
        if np.any(self.values < 0) or np.any(self.values > 1):
            raise ValueError(
                f"{self.name}: a value is outside [0, 1]; percentages are made when printed"
            )

    @cached_property
    def seed_names(self) -> tuple[int, ...]:
        """Seed of each row."""
        return self.seeds or tuple(range(len(self.values)))

    @cached_property
    def class_mean(self) -> Float:
        """(classes,) mean over seeds; NaN for a class that no seed saw."""
        return mean_of_known(self.values)

    @cached_property
    def class_spread(self) -> Float:
        """(classes,) standard deviation over seeds; NaN with fewer than two."""
        return spread_of_known(self.values)

    @cached_property
    def rows(self) -> Mapping[str, Float]:
        """The means below the classes, each (seeds,), the headline first."""
        return self.means or {f"m{self.measure}": mean_of_known(self.values.T)}

    @property
    def headline(self) -> str:
        """Title of the number that tables and sentences put first, such as ``mIoU``."""
        return next(iter(self.rows))

    @property
    def headline_mean(self) -> float:
        """Mean of the headline over seeds."""
        return self.row_mean(self.headline)

    @property
    def headline_spread(self) -> float:
        """Standard deviation of the headline over seeds; NaN with fewer than two."""
        return self.row_spread(self.headline)

    def row_mean(self, title: str) -> float:
        """Return the mean over seeds of one of the means; NaN where there is none."""
        return float(mean_of_known(self._row(title))[0])

    def row_spread(self, title: str) -> float:
        """Return the standard deviation over seeds of one of the means."""
        return float(spread_of_known(self._row(title))[0])

    def _row(self, title: str) -> Float:
        return self.rows.get(title, np.full(len(self.values), np.nan))[:, None]


def same_classes(results: Sequence[AdaptationResult]) -> tuple[str, ...]:
    """Return the classes that all results share.

    Raises:
        ValueError: Two results have other classes: their numbers cannot share a table.
    """
    found = {result.classes for result in results}
    if len(found) > 1:
        raise ValueError(f"results over different classes cannot share a table: {sorted(found)}")
    return found.pop() if found else ()


def row_titles(results: Sequence[AdaptationResult]) -> tuple[str, ...]:
    """Return the means that any of the results has, in their order."""
    return tuple(dict.fromkeys(title for result in results for title in result.rows))


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
