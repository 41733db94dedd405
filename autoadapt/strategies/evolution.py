"""Regularised (aging) evolution."""

import contextlib
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

from autoadapt.config.settings import Fraction, Positive
from autoadapt.errors import ConfigError
from autoadapt.space import Architecture, SpaceExhausted
from autoadapt.strategies.base import Observation, Proposal, Strategy

TRIES = 100
"""Children looked at before a random architecture is proposed instead."""
WIDEN_AFTER = 20
"""Refused children before one more choice is mutated at once."""


@dataclass
class Evolution(Strategy):
    """Regularised evolution: the best of a few random survivors has a mutated child.

    Only the youngest trials are alive, good or not: an architecture that scored well by luck
    dies out unless its children are good too. After Real, Aggarwal, Huang, Le: Regularized
    Evolution for Image Classifier Architecture Search, AAAI 2019, algorithm 1; as there, the
    survivors of a tournament are drawn with replacement. Crossover is not part of the paper.

    The population is refilled in the order in which trials end, so that parallel trials need not
    wait for each other. Failed trials never enter it.

    Attributes:
        population: Number of youngest trials alive, and of random trials at the start.
        sample: Survivors drawn per tournament: 1 is a random walk, many is greedy.
        crossover: Probability that a child has two parents; it is mutated all the same.
        mutations: Choices changed in a child.
    """

    summary: ClassVar[str] = "regularised (aging) evolution (Real et al. 2019)"

    population: Positive = 20
    sample: Positive = 5
    crossover: Fraction = 0.0
    mutations: Positive = 1

    def __post_init__(self) -> None:
        if self.sample > self.population:
            raise ConfigError(
                f"evolution: sample is {self.sample}, but only population={self.population} "
                "trials are alive; choose sample <= population"
            )

    def propose(
        self, history: Sequence[Observation], number: int, taken: Collection[str]
    ) -> Proposal:
        """Return a new child of the living, or a random architecture while they are too few."""
        rng = self.rng(number)
        alive = self.alive(history) if number >= self.population else []
        if len(alive) >= self.sample:
            with contextlib.suppress(SpaceExhausted):  # no way on from a parent, perhaps elsewhere
                for attempt in range(TRIES):
                    child = self.child(alive, rng, changes=self.mutations + attempt // WIDEN_AFTER)
                    if self.allows(child.architecture, taken):
                        return child
        return self.explore(rng, taken)

    def alive(self, history: Sequence[Observation]) -> list[Observation]:
        """Return the youngest ``population`` trials with an objective, youngest first."""
        usable = (observation for observation in reversed(history) if observation.usable)
        return list(islice(usable, self.population))

    def child(self, alive: Sequence[Observation], rng: random.Random, *, changes: int) -> Proposal:
        """Make a child of the winner of a tournament, or of the winners of two."""
        parent = self.winner(alive, rng)
        partner = self.winner(alive, rng) if rng.random() < self.crossover else parent
        if partner.id == parent.id:
            return Proposal(self.space.mutate(parent, rng, changes), "mutation", (parent.id,))
        mixed = self.space.crossover(parent, partner, rng)
        child = self.space.mutate(mixed, rng, changes)
        return Proposal(child, "crossover", (parent.id, partner.id))

    def winner(self, alive: Sequence[Observation], rng: random.Random) -> Architecture:
        """Return the best of ``sample`` trials drawn with replacement; ties go to the first."""
        return min(rng.choices(alive, k=self.sample), key=objective).architecture


def objective(observation: Observation) -> float:
    """Return the objective of a usable observation."""
    assert observation.objective is not None
    return observation.objective
