"""Clustering of the target features, negated."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from scipy.spatial import cKDTree

from autoadapt import seeding
from autoadapt.scores.base import Float, Score, Statistics


@dataclass(frozen=True)
class Hopkins(Score):
    """Minus the Hopkins statistic of the deep target features, in [-1, 0].

    It compares the distances of random places to the nearest feature with those of features to
    each other: 0.5 for uniform points, near 1 for clusters. Clusters are taken as better, so it is
    **negated**: smaller is better. In many dimensions it saturates at 1, whatever the network; a
    part of ``transfer_score``.

    Source: Hopkins and Skellam, 1954; in Yang et al., Transfer Score, ICLR 2024.

    Attributes:
        share: Of the target locations whose neighbours are looked at.
    """

    summary: ClassVar[str] = "minus how clustered the target features are"

    share: Annotated[float, Field(gt=0, le=1)] = 0.05

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: Fewer than two features, all equal, or one is not finite.
        """
        return 0.0 - hopkins(statistics.target_features.astype(np.float64), self.share)


def hopkins(features: Float, share: float) -> float:
    """Return the Hopkins statistic of (n, D) features: 0.5 for none, 1 for strong clustering.

    Raises:
        ValueError: Fewer than two features, all equal, or one is not finite.
    """
    number = len(features)
    if number < 2 or not np.isfinite(features).all():
        raise ValueError("expected at least 2 finite target features")
    chosen = max(1, round(share * number))
    random = seeding.generator(0, "hopkins", number, features.shape[1])
    low, high = features.min(0), features.max(0)
    tree = cKDTree(features)
    uniform = random.uniform(low, high, size=(chosen, features.shape[1]))
    rows = np.sort(random.permutation(number)[:chosen])
    from_uniform = tree.query(uniform)[0].sum()
    from_real = tree.query(features[rows], k=2)[0][:, 1].sum()
    if not from_uniform + from_real > 0:
        raise ValueError("all sampled features are equal")
    return float(from_uniform / (from_uniform + from_real))
