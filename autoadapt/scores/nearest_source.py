"""Correctness of the nearest source location, negated."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from autoadapt.scores._calibrated import correct, labelled_locations
from autoadapt.scores.base import Float, Need, Score, Statistics


@dataclass(frozen=True)
class NearestSource(Score):
    """Minus the mean of cosine similarity times correctness of the nearest source location.

    In [-1, 1]. For each target location, the held-out source location with the most similar deep
    feature counts if it is classified correctly, weighted by the similarity: it estimates the
    pixel accuracy, discounted where the target looks like nothing in the source. It is better when
    larger, so it is **negated**: smaller is better. Collapsed features are all alike and reach the
    correctness of one location.

    Source: a baseline of the validator study arXiv 2208.07360.
    """

    summary: ClassVar[str] = "minus the correctness of the most similar source locations"

    @property
    def needs(self) -> frozenset[Need]:
        """Labelled source images that training does not see."""
        return frozenset({"held_out"})

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: No source image is held out, none has a labelled location, or a feature is
                not finite.
        """
        held_out = labelled_locations(statistics)
        source, target = directions(held_out.features), directions(statistics.target_features)
        similarity = target @ source.T
        nearest = similarity.argmax(1)
        rows = np.arange(len(target))
        return 0.0 - float((similarity[rows, nearest] * correct(held_out)[nearest]).mean())


def directions(features: NDArray[np.float32]) -> Float:
    """Return features (n, D) scaled to length 1 in double precision; zeros stay zeros.

    Raises:
        ValueError: There is none, or one is not finite.
    """
    if features.size == 0 or not np.isfinite(features).all():
        raise ValueError("a sampled feature is not finite, or there is none")
    double = features.astype(np.float64)
    result: Float = double / np.maximum(np.linalg.norm(double, axis=1, keepdims=True), 1e-12)
    return result
