"""How the rank correlation of scores depends on the target images they were measured on.

A second level of uncertainty: the models are given, and the images could have been others.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoadapt.analysis.correlation import SMALLEST, middle_of
from autoadapt.analysis.ranks import Float, spearman
from autoadapt.analysis.resampling import Index, interval_of
from autoadapt.analysis.tables import decimal

TYPICAL_SIZE = 10
"""Number of images that sentences speak of, or the nearest there is."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageColumns:
    """Scores of the models of a report on choices of the target images.

    Attributes:
        sizes: (k,) images of each choice; the first choice has all of them, once. Later ones with
            as many are resamples (with repetition), those with fewer are subsets (without).
        columns: By name, (models, k); NaN where a model lacks a score on a choice.
    """

    sizes: Index
    columns: Mapping[str, Float]

    @property
    def images(self) -> int:
        """Number of images that are scored."""
        return int(self.sizes[0])

    @property
    def resampled(self) -> NDArray[np.bool_]:
        """(k,) which choices are resamples."""
        found: NDArray[np.bool_] = self.sizes == self.images
        found[0] = False
        return found

    @cached_property
    def varying(self) -> list[str]:
        """Names of the columns that depend on the images at all."""
        return [
            name
            for name, values in self.columns.items()
            if (np.nan_to_num(values) != np.nan_to_num(values[:, :1])).any()
        ]

    def only(self, places: Sequence[int]) -> "ImageColumns":
        """Return the same for some of the models."""
        chosen = np.array(places, dtype=np.int64)
        return replace(self, columns={name: v[chosen] for name, v in self.columns.items()})


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageFinding:
    """How ρ of one column depends on the target images. NaN where undefined.

    Attributes:
        rho: With all images, once each, from the same stored samples as all other choices; it may
            differ a little from that of the recorded values.
        sizes: (s,) numbers of images, ascending; the last is all.
        quantiles: (s, 3) 2.5 %, 50 % and 97.5 % quantiles of ρ over the subsets of each size.
        resamples: Number of resamples of all images.
        deviation: Standard deviation of ρ over them.
        interval: Its 2.5 % and 97.5 % quantiles.
        noise: Standard error of the score of a model relative to the standard deviation of the
            score among models. What moves all models alike on a resample is taken out, since it
            changes no order.
        rhos: (k,) of each choice.
    """

    name: str
    rho: float
    sizes: Index
    quantiles: Float
    resamples: int
    deviation: float
    interval: tuple[float, float]
    noise: float
    rhos: Float

    def at(self, size: int) -> tuple[float, float, float]:
        """Return the quantiles of ρ for a number of images that was asked for."""
        low, middle, high = self.quantiles[self.sizes.tolist().index(size)]
        return float(low), float(middle), float(high)

    @property
    def small(self) -> int:
        """The number of images nearest to ``TYPICAL_SIZE``, all but all; 0 if there is none."""
        fewer = self.sizes[:-1].tolist()
        return min(fewer, key=lambda size: abs(size - TYPICAL_SIZE)) if fewer else 0


def image_finding(name: str, given: ImageColumns, truth: Float) -> ImageFinding:
    """Return how ρ of a column depends on the images.

    Args:
        name: Of the column.
        given: Of the models whose truth is known.
        truth: (models,) their true metric.
    """
    values = given.columns[name]
    rhos = np.array([known_rho(column, truth) for column in values.T])
    sizes, subsets = np.unique(given.sizes), ~given.resampled
    rows = []
    for size in sizes:
        found = rhos[subsets & (given.sizes == size)]
        low, high = interval_of(found)
        rows.append((low, middle_of(found), high))
    again = rhos[given.resampled]
    return ImageFinding(
        name=name,
        rho=float(rhos[0]),
        sizes=sizes,
        quantiles=np.array(rows).reshape(-1, 3),
        resamples=len(again),
        deviation=deviation_of(again),
        interval=interval_of(again) if len(again) else (math.nan, math.nan),
        noise=noise_of(values[:, given.resampled], values[:, 0]),
        rhos=rhos,
    )


def known_rho(score: Float, truth: Float) -> float:
    """Return ρ over the models that have a score; NaN for fewer than 3 of them."""
    known = ~np.isnan(score)
    return spearman(score[known], truth[known]) if known.sum() >= SMALLEST else math.nan


def deviation_of(values: Float) -> float:
    """Return the standard deviation of what is defined; NaN for fewer than two values."""
    known = values[~np.isnan(values)]
    return float(known.std(ddof=1)) if len(known) > 1 else math.nan


def noise_of(resampled: Float, values: Float) -> float:
    """Return the ``noise`` of an ``ImageFinding``.

    Args:
        resampled: (models, b) on resamples; models that lack one of them are left out.
        values: (models,) with all images.
    """
    known = ~(np.isnan(resampled).any(axis=1) | np.isnan(values))
    if known.sum() < SMALLEST or resampled.shape[1] < 2:
        return math.nan
    kept = resampled[known]
    own = kept - kept.mean(axis=0)
    spread = float(values[known].std(ddof=1))
    return math.sqrt(float(own.var(axis=1, ddof=1).mean())) / spread if spread > 0 else math.nan


def distinct(found: Sequence[ImageFinding], number: int) -> list[ImageFinding]:
    """Return the first columns that order the models differently on some choice of images."""
    kept: list[ImageFinding] = []
    for one in found:
        if not any(np.allclose(one.rhos, other.rhos, equal_nan=True) for other in kept):
            kept.append(one)
    return kept[:number]


def image_sentences(one: ImageFinding) -> list[str]:
    """Say what fewer, and other, target images would have changed."""
    sentences = []
    images, now = int(one.sizes[-1]), decimal(one.rho, 2)
    if one.small and not math.isnan(one.at(one.small)[1]):
        low, middle, high = (decimal(value, 2) for value in one.at(one.small))
        sentences.append(
            f"With {one.small} target images instead of {images}, ρ of “{one.name}” is {middle} "
            f"in the median instead of {now} (95 % of the choices: {low} to {high})."
        )
    if not math.isnan(one.deviation):
        low, high = (decimal(value, 2) for value in one.interval)
        sentences.append(
            f"Other {images} target images would change it by about {decimal(one.deviation, 2)} "
            f"(standard deviation over {one.resamples} resamples of the images, 95 % of them {low} "
            f"to {high})."
        )
    return sentences


def image_values(one: ImageFinding) -> dict[str, Any]:
    """Return a finding as plain values, NaN where undefined."""
    curve = zip(one.sizes.tolist(), one.quantiles.tolist(), strict=True)
    return {
        "score": one.name,
        "rho": one.rho,
        "resamples": one.resamples,
        "rho_deviation": one.deviation,
        "rho_low": one.interval[0],
        "rho_high": one.interval[1],
        "noise": one.noise,
        "by_images": [
            {"images": size, "rho_low": low, "rho_median": middle, "rho_high": high}
            for size, (low, middle, high) in curve
        ],
    }
