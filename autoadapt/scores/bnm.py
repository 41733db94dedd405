"""Batch nuclear norm, negated."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from autoadapt.scores.base import Score, Statistics, sampled


@dataclass(frozen=True)
class Bnm(Score):
    """Minus the nuclear norm of the class probabilities over sqrt(N C), in [-1, -1/C].

    P (N, C) are the class probabilities at the sampled target locations. The norm is largest for
    confident predictions of all classes equally often, confident noise included; it is better
    when larger, so it is **negated**: smaller is better. Its singular values are the roots of the
    eigenvalues of P^T P, so no matrix of N rows is decomposed.

    Source: Cui et al., "Towards Discriminability and Diversity: Batch Nuclear-norm
    Maximization", 2020; as a score of models: Deng et al., arXiv 2302.01094.
    """

    summary: ClassVar[str] = "minus the nuclear norm of class probabilities"

    def __call__(self, statistics: Statistics) -> float:
        """Return the value."""
        p = sampled(statistics.target_outputs)
        eigenvalues = np.linalg.eigvalsh(p.T @ p)
        norm = np.sqrt(np.maximum(eigenvalues, 0.0)).sum()
        return -float(norm / np.sqrt(p.size))
