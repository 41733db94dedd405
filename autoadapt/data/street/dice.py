"""Random draws made only of raw uniforms, so that a scene never changes with NumPy's version."""

from collections.abc import Callable, Sequence
from itertools import chain, count
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")
Range = tuple[float, float]


class Dice:
    """Draws from one generator, one uniform each.

    Attributes:
        unit: Returns a uniform number of ``[0, 1)``.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        # Blocks are the same stream as single draws, at a tenth of their cost.
        blocks = (rng.random(256).tolist() for _ in count())
        self.unit: Callable[[], float] = chain.from_iterable(blocks).__next__

    def between(self, span: Range) -> float:
        """Return a uniform number of ``[low, high)``."""
        low, high = span
        return low + (high - low) * self.unit()

    def near(self, span: Range) -> float:
        """Return a number of ``[low, high)`` that is more often low: density falls as a root."""
        low, high = span
        draw = self.unit()
        return low + (high - low) * draw * draw

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self.unit() < probability

    def sign(self) -> int:
        """Return -1 or 1."""
        return 1 if self.unit() < 0.5 else -1

    def count(self, span: Range) -> int:
        """Return an integer whose expectation is uniform in the span."""
        return int(self.between(span) + self.unit())

    def pick(self, options: Sequence[Item]) -> Item:
        """Return one of the options."""
        return options[int(self.unit() * len(options))]
