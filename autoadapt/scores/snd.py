"""Soft neighbourhood density."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from autoadapt.scores._clusters import spread_evenly
from autoadapt.scores.base import Float, Score, Statistics, by_image, entropy, sampled

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
    Soft Neighborhood Density", ICCV 2021. Its released protocol for segmentation is
    ``per: image`` and ``diagonal: keep`` with ``scoring.pixels_per_image: 100``, but for 1e-5 in
    its logarithm and a division by one image less, which change no order.

    Attributes:
        temperature: Of the softmax.
        diagonal: ``drop`` or ``keep`` the similarity of a location to itself.
        locations: At most that many are used, spread evenly over the sample.
        per: ``sample`` takes all locations together; ``image`` those of each image, and the mean.
    """

    summary: ClassVar[str] = "minus the density of soft neighbourhoods"

    temperature: Annotated[float, Field(gt=0)] = 0.05
    diagonal: Literal["drop", "keep"] = "drop"
    locations: Annotated[int, Field(ge=2)] = 2000
    per: Literal["sample", "image"] = "sample"

    def __call__(self, statistics: Statistics) -> float:
        """Return the value.

        Raises:
            ValueError: Fewer than two locations, or three where the diagonal is dropped.
        """
        p = sampled(statistics.target_outputs)
        if self.per == "image":
            return 0.0 - float(np.mean([self._mean(g) for g in by_image(p, statistics.per_image)]))
        return 0.0 - self._mean(p[spread_evenly(len(p), self.locations)])

    def _mean(self, p: Float) -> float:
        keep = self.diagonal == "keep"
        fewest = 2 if keep else 3
        if len(p) < fewest:
            raise ValueError(f"expected at least {fewest} target locations, found {len(p)}")
        rows = p / np.linalg.norm(p, axis=1, keepdims=True)
        return float(density(rows, self.temperature, keep_diagonal=keep).mean())


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
