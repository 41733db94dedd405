"""Agreement of predicted classes with clusters of the features, negated."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import gammaln

from autoadapt import seeding
from autoadapt.scores._agreement import pair_counts
from autoadapt.scores._clusters import spread_evenly
from autoadapt.scores.base import Float, Score, Statistics, entropy, sampled

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class ClassAmi(Score):
    """Minus the adjusted mutual information of predicted classes and k-means clusters, in [-1, 1].

    As many clusters of the deep target features as there are classes. Agreement is better when
    larger, 0 by chance and 1 at most, so it is **negated**: smaller is better. 0 for a collapsed
    network.

    Source: Musgrave et al., "Three New Validators and a Large-Scale Benchmark Ranking for
    Unsupervised Domain Adaptation" (arXiv 2208.07360).

    Attributes:
        locations: At most that many are used, spread evenly over the sample.
    """

    summary: ClassVar[str] = "minus the agreement of predicted classes with feature clusters"

    locations: Annotated[int, Field(ge=2)] = 2000

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: No location was sampled, or a feature is not finite.
        """
        p = sampled(statistics.target_outputs)
        chosen = spread_evenly(len(p), self.locations)
        features = statistics.target_features[chosen].astype(np.float64)
        if not np.isfinite(features).all():
            raise ValueError("a sampled feature is not finite")
        clusters = k_means(features, min(p.shape[1], len(chosen)))
        return 0.0 - adjusted_mutual_information(p[chosen].argmax(1), clusters)


def k_means(features: Float, clusters: int, rounds: int = 50) -> Labels:
    """Return the cluster of each feature, (n,), by Lloyd's algorithm from a k-means++ start.

    Features are put in the order of their values first, so the order they come in is irrelevant.
    """
    order = np.lexsort(features.T)
    points = features[order]
    centres = _spread_start(points, clusters)
    labels = np.full(len(points), -1, np.int64)
    for _ in range(rounds):
        nearest = _squared(points, centres).argmin(1)
        if (nearest == labels).all():
            break
        labels = nearest
        centres = np.stack(
            [
                points[labels == k].mean(0) if (labels == k).any() else centres[k]
                for k in range(clusters)
            ]
        )
    result = np.empty_like(labels)
    result[order] = labels
    return result


def _spread_start(points: Float, clusters: int) -> Float:
    """Return centres (K, D): each is drawn with the squared distance from those before it."""
    random = seeding.generator(0, "k_means", len(points), clusters)
    centres = [points[random.integers(len(points))]]
    while len(centres) < clusters:
        distances = _squared(points, np.stack(centres)).min(1)
        total = distances.sum()
        chances = distances / total if total > 0 else None
        centres.append(points[random.choice(len(points), p=chances)])
    return np.stack(centres)


def _squared(points: Float, centres: Float) -> Float:
    squares = (points**2).sum(1)[:, None] + (centres**2).sum(1) - 2.0 * points @ centres.T
    result: Float = np.maximum(squares, 0.0)
    return result


def adjusted_mutual_information(a: Labels, b: Labels) -> float:
    """Return the mutual information above chance over the mean entropy above chance, at most 1.

    0 where one of the partitions has a single part.

    Source: Vinh et al., "Information Theoretic Measures for Clusterings Comparison", 2010.
    """
    counts = pair_counts(a, b, int(max(a.max(), b.max())) + 1)
    counts = counts[counts.sum(1) > 0][:, counts.sum(0) > 0]
    if min(counts.shape) < 2:
        return 0.0
    total = counts.sum()
    rows, columns = entropy(counts.sum(1) / total), entropy(counts.sum(0) / total)
    information = float(rows + columns - entropy((counts / total).ravel()))
    chance = _expected(counts.sum(1), counts.sum(0))
    scale = float(rows + columns) / 2.0 - chance
    return (information - chance) / scale if abs(scale) > 1e-12 else 0.0


def _expected(rows: Float, columns: Float) -> float:
    """Return the mutual information in nats expected of random partitions with these sizes."""
    total = rows.sum()
    result = 0.0
    for a in rows:
        for b in columns:
            n = np.arange(max(1.0, a + b - total), min(a, b) + 1.0)
            log_chance = (
                gammaln(a + 1) + gammaln(b + 1) + gammaln(total - a + 1) + gammaln(total - b + 1)
                - gammaln(total + 1) - gammaln(n + 1) - gammaln(a - n + 1) - gammaln(b - n + 1)
                - gammaln(total - a - b + n + 1)
            )  # fmt: skip
            result += float((n / total * np.log(total * n / (a * b)) * np.exp(log_chance)).sum())
    return result
