"""Correlation of the class probabilities, negated."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from autoadapt.scores.base import Score, Statistics


@dataclass(frozen=True)
class SoftmaxCorr(Score):
    """Minus the cosine between G = P^T P / N and the identity, in [-1, -1/sqrt(C)].

    P (N, C) are the class probabilities at the sampled target locations. The cosine,
    tr(G) / (|G| sqrt(C)), is 1 for confident predictions of all classes equally often and
    1/sqrt(C) for collapsed and for uniform ones; it is better when larger, so it is **negated**:
    smaller is better.

    Source: SoftmaxCorr, the unweighted form, which takes the identity as reference.
    """

    summary: ClassVar[str] = "minus the correlation of class probabilities with the identity"

    def __call__(self, statistics: Statistics) -> float:
        """Return the value."""
        p = statistics.target_outputs.astype(np.float64)
        if p.size == 0:
            raise ValueError("no target location was sampled")
        gram = p.T @ p / len(p)
        return -float(np.trace(gram) / (np.linalg.norm(gram) * np.sqrt(p.shape[1])))
