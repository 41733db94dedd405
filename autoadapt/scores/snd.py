"""Soft neighbourhood density."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from autoadapt.scores.base import Float, Score, Statistics, entropy, sampled

BLOCK = 512
"""Rows of similarities at a time."""


@dataclass(frozen=True)
class Snd(Score):
    """Minus the mean entropy of the similarities of a location to all others, in [-log n, 0].

    Rows P of the target are scaled to length 1; the softmax of their products over the temperature
    says which others are neighbours. The paper takes a dense neighbourhood as better when larger,
    so it is **negated**: smaller is better. For segmentation that orientation was wrong on both
    pilot banks, and collapsed and uniform networks reach the best value, -log(n - 1): use it with
    a weight below 0, or to compare with others only.

    Source: Saito et al., "Tune it the Right Way: Unsupervised Validation of Domain Adaptation via
    Soft Neighborhood Density", ICCV 2021. The released code keeps the diagonal for segmentation.

    Attributes:
        temperature: Of the softmax.
        diagonal: ``drop`` or ``keep`` the similarity of a location to itself.
        locations: At most that many are used, spread evenly over the sample.
    """

    summary: ClassVar[str] = "minus the density of soft neighbourhoods"

    temperature: Annotated[float, Field(gt=0)] = 0.05
    diagonal: Literal["drop", "keep"] = "drop"
    locations: Annotated[int, Field(ge=2)] = 2000

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: Fewer than two locations, or three where the diagonal is dropped.
        """
        p = sampled(statistics.target_outputs)
        chosen = np.linspace(0, len(p) - 1, min(len(p), self.locations)).round().astype(int)
        rows = p[chosen] / np.linalg.norm(p[chosen], axis=1, keepdims=True)
        fewest = 2 if self.diagonal == "keep" else 3
        if len(rows) < fewest:
            raise ValueError(f"expected at least {fewest} target locations, found {len(rows)}")
        keep = self.diagonal == "keep"
        return 0.0 - float(density(rows, self.temperature, keep_diagonal=keep).mean())


def density(rows: Float, temperature: float, *, keep_diagonal: bool) -> Float:
    """Return the entropy of each row's similarities in nats, (n,).

    Blocks of rows keep memory at ``BLOCK`` times n.

    Args:
        rows: (n, C) of length 1.
        temperature: Of the softmax over similarities.
        keep_diagonal: Whether a row counts among its own neighbours.
    """
    parts = []
    for start in range(0, len(rows), BLOCK):
        similar = rows[start : start + BLOCK] @ rows.T / temperature
        if not keep_diagonal:
            own = np.arange(len(similar))
            similar[own, start + own] = -np.inf
        powers = np.exp(similar - similar.max(1, keepdims=True))
        parts.append(entropy(powers / powers.sum(1, keepdims=True)))
    return np.concatenate(parts)
