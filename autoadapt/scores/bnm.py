"""Batch nuclear norm, negated."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from autoadapt.scores.base import Float, Score, Statistics, by_image, sampled


@dataclass(frozen=True)
class Bnm(Score):
    """Minus the nuclear norm of the class probabilities over sqrt(N C), in [-1, -1/C].

    P (N, C) are the class probabilities at the sampled target locations. The norm is largest for
    confident predictions of all classes equally often, confident noise included; it is better
    when larger, so it is **negated**: smaller is better. Its singular values are the roots of the
    eigenvalues of P^T P, so no matrix of N rows is decomposed.

    Source: Cui et al., "Towards Discriminability and Diversity: Batch Nuclear-norm
    Maximization", 2020; as a score of models: Deng et al., arXiv 2302.01094.

    Attributes:
        per: ``sample`` takes all locations together; ``image`` those of each image, and the mean.
    """

    summary: ClassVar[str] = "minus the nuclear norm of class probabilities"

    per: Literal["sample", "image"] = "sample"

    def __call__(self, statistics: Statistics) -> float:
        """Return the value."""
        p = sampled(statistics.target_outputs)
        groups = p[None] if self.per == "sample" else by_image(p, statistics.per_image)
        return -float(np.mean(nuclear_norms(groups)))


def nuclear_norms(groups: Float) -> Float:
    """Return the nuclear norm of each matrix (G, n, C) over sqrt(n C), (G,)."""
    eigenvalues = np.linalg.eigvalsh(groups.transpose(0, 2, 1) @ groups)
    norms: Float = np.sqrt(np.maximum(eigenvalues, 0.0)).sum(1) / np.sqrt(groups[0].size)
    return norms
