"""Class confusion."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from autoadapt.scores._outputs import softened
from autoadapt.scores.base import Score, Statistics, entropy, sampled


@dataclass(frozen=True)
class Mcc(Score):
    """Mean off-diagonal confusion of a class with the others, in [0, 1 - 1 / C].

    Smaller is better: no class is predicted together with another one. G = P^T W P with the rows
    P (N, C) of the sampled target locations and weights 1 + exp(-H) that favour certain ones
    (mean 1); each row of G is divided by its sum; the value is the sum of what is off the diagonal
    over C. A class without any mass confuses nothing. A collapsed network reaches about 0.

    Source: Jin et al., "Minimum Class Confusion for Versatile Domain Adaptation", 2020.

    Attributes:
        temperature: The probabilities are sharpened (below 1) or softened (above 1) by it.
    """

    summary: ClassVar[str] = "confusion between classes; none is small"

    temperature: Annotated[float, Field(gt=0)] = 1.0

    def __call__(self, statistics: Statistics) -> float:
        """Return the value."""
        p = softened(sampled(statistics.target_outputs), self.temperature)
        weights = 1.0 + np.exp(-entropy(p))
        confusion = p.T @ (p * (weights / weights.mean())[:, None])
        rows = confusion / np.maximum(confusion.sum(1, keepdims=True), np.finfo(float).tiny)
        return float((rows.sum() - np.trace(rows)) / p.shape[1])
