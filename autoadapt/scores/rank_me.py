"""Effective rank of the features, negated."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from autoadapt.scores.base import Float, Score, Statistics


@dataclass(frozen=True)
class RankMe(Score):
    """Minus the effective rank of the deep target features, in [-min(n, D), -1].

    The exponential of the entropy of the singular values; better when larger, so it is
    **negated**: smaller is better. It grows with the width of the features and with noise, so
    networks of different widths cannot be compared.

    Source: RankMe (arXiv 2210.02885), with its epsilon of 1e-7.
    """

    summary: ClassVar[str] = "minus the effective rank of target features"

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: The features are all zero, or not finite.
        """
        return 0.0 - effective_rank(statistics.target_features.astype(np.float64))


def effective_rank(features: Float) -> float:
    """Return exp of the entropy of the singular values of (n, D) features.

    Raises:
        ValueError: There are none, all are zero, or one is not finite.
    """
    if features.size == 0 or not np.isfinite(features).all():
        raise ValueError("a sampled feature is not finite, or there is none")
    values = np.linalg.svd(features, compute_uv=False)
    if values.sum() <= 0:
        raise ValueError("all sampled features are zero")
    shares = values / values.sum() + 1e-7
    return float(np.exp(-(shares * np.log(shares)).sum()))
