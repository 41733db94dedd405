"""Correlation of the class probabilities, negated."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from autoadapt.scores.base import Float, Need, Score, Statistics, needed, sampled


@dataclass(frozen=True)
class SoftmaxCorr(Score):
    """Minus the cosine between G = P^T P / N and a diagonal reference, in [-1, 0].

    P (N, C) are the class probabilities at the sampled target locations. With the identity the
    cosine, tr(G) / (|G| sqrt(C)), is 1 for confident predictions of all classes equally often and
    1/sqrt(C) for collapsed and for uniform ones; it is better when larger, so it is **negated**:
    smaller is better.

    Source: SoftmaxCorr (arXiv 2406.09908).

    Attributes:
        reference: ``identity``, or ``prior``: the shares of the classes in the source labels.
        saturate: No value better than that of certain predictions in the shares of the source:
            beyond it the identity rewards classes that are predicted too evenly.
    """

    summary: ClassVar[str] = "minus the correlation of class probabilities with the identity"

    reference: Literal["identity", "prior"] = "identity"
    saturate: bool = False

    @property
    def needs(self) -> frozenset[Need]:
        """Class shares of the source, for ``prior`` and ``saturate``."""
        wanted = self.reference == "prior" or self.saturate
        return frozenset({"source_prior"}) if wanted else frozenset()

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: No location was sampled, or the shares were not measured.
        """
        p = sampled(statistics.target_outputs)
        reference = np.ones(p.shape[1])
        if self.reference == "prior":
            reference = needed(statistics.source_prior, "source_prior")
        value = cosine(p.T @ p / len(p), reference)
        if self.saturate:
            shares = needed(statistics.source_prior, "source_prior")
            value = min(value, cosine(np.diag(shares), reference))
        return -value


def cosine(gram: Float, reference: Float) -> float:
    """Return the cosine between a matrix (C, C) and a diagonal one, (C,)."""
    length = np.linalg.norm(gram) * np.linalg.norm(reference)
    return float(np.diag(gram) @ reference / length)
