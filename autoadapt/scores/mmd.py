"""Maximum mean discrepancy between the domains."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from autoadapt import seeding
from autoadapt.scores.base import Float, Score, Statistics, by_image

Estimator = Literal["unbiased", "biased", "linear", "paired"]
Single = NDArray[np.float32]

BLOCK = 512
"""Rows and columns of a block of distances; memory does not grow with the number of samples."""
MEDIAN_OF = 1000
"""Points whose distances give the bandwidth."""


@dataclass(frozen=True)
class Mmd(Score):
    """Squared maximum mean discrepancy between source and target samples.

    Smaller is better: the domains look alike. Unbiased estimates scatter around 0 for equal
    domains and may be negative; they are neither clamped nor rooted, which would hide the order.

    The kernel is the mean of Gaussians exp(-d^2 / w) with w = b times powers of two around 1. The
    bandwidth b is the median squared distance of the pooled sample, so the value does not depend
    on the scale of the features and networks of different widths can be compared.

    Source: Gretton et al., "A Kernel Two-Sample Test", 2012, for the estimators. AutoAdapt
    (arXiv 2106.13227) fixes neither kernel nor layer; ``scores.md`` 2.5 derives these.

    Attributes:
        space: ``features`` compares deep features, ``outputs`` class probabilities.
        estimator: ``unbiased`` (no pair of a sample with itself, all cross pairs), ``biased``
            (all pairs; never negative), ``paired`` (as unbiased, and without the cross pairs of
            equal number), ``linear`` (disjoint pairs only: cheap and noisy). The last two need
            samples of equal size.
        kernels: Number of Gaussians, odd.
        bandwidth: b, in squared units of the features; absent: the median.
        normalise: Scale each sample to length 1 first.
        per: ``location``, or ``image``: the mean over the locations of each image.
    """

    summary: ClassVar[str] = "distance of source and target features; alike is small"

    space: Literal["features", "outputs"] = "features"
    estimator: Estimator = "unbiased"
    kernels: Annotated[int, Field(ge=1, le=15)] = 5
    bandwidth: Annotated[float, Field(gt=0)] | None = None
    normalise: bool = False
    per: Literal["location", "image"] = "location"

    def __post_init__(self) -> None:
        """Refuse an even number of kernels, which has no middle."""
        if self.kernels % 2 == 0:
            raise ValueError(f"kernels: expected an odd number, found {self.kernels}")

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: There are too few samples, or more than half of them are equal.
        """
        if self.space == "features":
            x, y = statistics.source_features, statistics.target_features
        else:
            x, y = statistics.source_outputs, statistics.target_outputs
        if self.per == "image":
            x, y = (by_image(values, statistics.per_image).mean(1) for values in (x, y))
        x, y = prepared(x, y, normalise=self.normalise)
        bandwidth = self.bandwidth or median_distance(x, y)
        if self.estimator == "linear":
            return linear(x, y, bandwidth, self.kernels)
        return quadratic(x, y, bandwidth, self.kernels, self.estimator)


def prepared(x: Single, y: Single, *, normalise: bool) -> tuple[Single, Single]:
    """Return both samples, (m, D) and (n, D), less their common mean.

    Distances do not change, but the products they are computed from lose fewer digits.

    Raises:
        ValueError: Fewer than two samples of a domain, or values that are not finite.
    """
    if min(len(x), len(y)) < 2:
        raise ValueError(f"expected at least 2 samples per domain, found {len(x)} and {len(y)}")
    pooled = np.concatenate([x, y]).astype(np.float64)
    if not np.isfinite(pooled).all():
        raise ValueError("a sampled feature is not finite")
    if normalise:
        pooled /= np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
    pooled -= pooled.mean(0)
    single = pooled.astype(np.float32)
    return single[: len(x)], single[len(x) :]


def median_distance(x: Single, y: Single) -> float:
    """Return the median squared distance of two different points of the pooled sample.

    At most ``MEDIAN_OF`` points are looked at, the same for all samples of equal size.

    Raises:
        ValueError: It is zero: more than half of the pairs are equal.
    """
    pooled = np.concatenate([x, y])
    if len(pooled) > MEDIAN_OF:
        chosen = seeding.generator(0, "mmd", len(pooled)).permutation(len(pooled))[:MEDIAN_OF]
        pooled = pooled[np.sort(chosen)]
    # In double precision, or rounding would make a small number of what is exactly zero.
    points = pooled.astype(np.float64)
    squares = (points**2).sum(1)
    distances = squares[:, None] + squares[None, :] - 2.0 * points @ points.T
    median = float(np.median(distances[np.triu_indices(len(points), 1)]))
    if median <= 1e-12 * float(squares.mean()):
        raise ValueError("the median distance of the samples is zero: most of them are equal")
    return median


def kernel_values(squared: Float | Single, bandwidth: float, kernels: int) -> Float | Single:
    """Return the mean of Gaussians of squared distances, from one exponential.

    The widest is taken once, the others by squaring: exp(-2 z) = exp(-z)^2.
    """
    value = np.exp(squared * (-1.0 / (bandwidth * 2.0 ** (kernels // 2))), dtype=squared.dtype)
    total = value.copy()
    for _ in range(kernels - 1):
        value *= value
        total += value
    return total / kernels


def block_sum(x: Single, y: Single, bandwidth: float, kernels: int) -> float:
    """Return the sum of the kernel over all pairs of two blocks of samples."""
    squared = (x**2).sum(1)[:, None] + (y**2).sum(1)[None, :] - 2.0 * (x @ y.T)
    np.maximum(squared, 0.0, out=squared)
    if x is y:
        # So that the kernel is exactly 1 there, and the diagonal can be taken away by its count.
        np.fill_diagonal(squared, 0.0)
    return float(kernel_values(squared, bandwidth, kernels).sum(dtype=np.float64))


def cross_sum(x: Single, y: Single, bandwidth: float, kernels: int) -> float:
    """Return the sum of the kernel over all pairs of a sample of x and one of y."""
    return sum(
        block_sum(x[i : i + BLOCK], y[j : j + BLOCK], bandwidth, kernels)
        for i in range(0, len(x), BLOCK)
        for j in range(0, len(y), BLOCK)
    )


def own_sum(x: Single, bandwidth: float, kernels: int) -> float:
    """Return the sum of the kernel over all ordered pairs of different samples of x."""
    total = 0.0
    for i in range(0, len(x), BLOCK):
        block = x[i : i + BLOCK]
        total += block_sum(block, block, bandwidth, kernels) - len(block)
        for j in range(i + BLOCK, len(x), BLOCK):
            total += 2.0 * block_sum(block, x[j : j + BLOCK], bandwidth, kernels)
    return total


def quadratic(x: Single, y: Single, bandwidth: float, kernels: int, estimator: Estimator) -> float:
    """Return an estimate from all pairs: ``unbiased``, ``biased`` or ``paired``.

    Raises:
        ValueError: ``paired`` with samples of different sizes.
    """
    m, n = len(x), len(y)
    own_x, own_y = own_sum(x, bandwidth, kernels), own_sum(y, bandwidth, kernels)
    cross = cross_sum(x, y, bandwidth, kernels)
    if estimator == "biased":
        return (own_x + m) / m**2 + (own_y + n) / n**2 - 2.0 * cross / (m * n)
    if estimator == "unbiased":
        return own_x / (m * (m - 1)) + own_y / (n * (n - 1)) - 2.0 * cross / (m * n)
    check_equal_sizes(x, y, estimator)
    paired = ((x - y).astype(np.float64) ** 2).sum(1)
    cross -= float(kernel_values(paired, bandwidth, kernels).sum())
    return (own_x + own_y - 2.0 * cross) / (m * (m - 1))


def linear(x: Single, y: Single, bandwidth: float, kernels: int) -> float:
    """Return an estimate from disjoint pairs of neighbours.

    Raises:
        ValueError: The samples have different sizes.
    """
    check_equal_sizes(x, y, "linear")
    even = len(x) // 2 * 2
    x1, x2, y1, y2 = x[0:even:2], x[1:even:2], y[0:even:2], y[1:even:2]

    def mean(a: Single, b: Single) -> float:
        squared = ((a - b).astype(np.float64) ** 2).sum(1)
        return float(kernel_values(squared, bandwidth, kernels).mean())

    return mean(x1, x2) + mean(y1, y2) - mean(x1, y2) - mean(x2, y1)


def check_equal_sizes(x: Single, y: Single, estimator: str) -> None:
    """Raise ``ValueError`` unless both samples have the same size."""
    if len(x) != len(y):
        raise ValueError(
            f"the {estimator} estimator needs equally many source and target samples, "
            f"found {len(x)} and {len(y)}"
        )
