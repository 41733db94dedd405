"""Random search: the baseline that every other strategy has to beat."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

from autoadapt.strategies.base import Observation, Proposal, Strategy


@dataclass
class Random(Strategy):
    """Draws architectures at random and never the same one twice."""

    summary: ClassVar[str] = "random search without repetition"

    def propose(
        self, history: Sequence[Observation], number: int, taken: Collection[str]
    ) -> Proposal:
        """Return a new random architecture; what became of the others does not matter."""
        return self.explore(self.rng(number), taken)
