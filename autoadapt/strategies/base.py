"""What a search strategy sees and answers."""

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

from autoadapt import seeding
from autoadapt.errors import SpaceError
from autoadapt.space import Architecture, Feasible, SearchSpace, SpaceExhausted, nothing_feasible

TRIES = 1000
"""Random architectures looked at before the space counts as exhausted."""
REJECTED = 200
"""Different architectures outside the limits before the search for one inside gives up: counting
the costs of each takes a fraction of a second, and somebody is waiting for an answer."""
LISTED = 10_000
"""Spaces up to this size are then listed, so that the last untried architecture is found."""


@dataclass(frozen=True)
class Observation:
    """What a strategy may know of one trial that is over.

    Attributes:
        objective: Smaller is better; None if the trial failed or its objective is not known
            yet, because the terms of the first trials are standardised together.
    """

    architecture: Architecture
    objective: float | None

    @property
    def usable(self) -> bool:
        """Whether the trial can be compared with others."""
        return self.objective is not None and not math.isnan(self.objective)


@dataclass(frozen=True)
class Proposal:
    """What to try next.

    Attributes:
        origin: How it was made, such as ``random``, ``mutation`` or ``crossover``.
        parents: Ids of the architectures it was made from.
    """

    architecture: Architecture
    origin: str
    parents: tuple[str, ...] = ()


class Strategy(ABC):
    """Proposes architectures from what became of earlier ones.

    A strategy is a dataclass: its fields are its options. It remembers nothing: a proposal
    follows from the seed, the history and the number of the trial, so a resumed search continues
    as the undisturbed one would have.

    Attributes:
        summary: One line for listings.
    """

    summary: ClassVar[str]
    space: SearchSpace
    seed: int
    admissible: Feasible

    def setup(self, space: SearchSpace, *, seed: int, admissible: Feasible) -> None:
        """Say where to search; called once, before the first proposal.

        Args:
            space: Proposals are valid architectures of it.
            seed: Seed of the run.
            admissible: Whether an architecture may be tried, such as ``space.WithinLimits``.
                Proposals never violate it; it is asked often and should remember its answers.
        """
        self.space = space
        self.seed = seed
        self.admissible = admissible

    @abstractmethod
    def propose(
        self, history: Sequence[Observation], number: int, taken: Collection[str]
    ) -> Proposal:
        """Return an architecture that was not tried before; a pure function.

        Args:
            history: All trials that are over, in the order in which they ended.
            number: Number of the trial to be proposed, from 0.
            taken: Ids of all architectures tried or running; a set, or look-ups take long.

        Raises:
            SpaceExhausted: Everything that may be tried is taken.
            SpaceError: Nothing within limits was found at all.
        """

    def rng(self, number: int) -> random.Random:
        """Return the generator of one proposal: the only source of randomness."""
        return seeding.python_random(self.seed, "propose", number)

    def allows(self, architecture: Architecture, taken: Collection[str]) -> bool:
        """Whether an architecture is new and may be tried."""
        return architecture.id not in taken and self.admissible(architecture)

    def explore(self, rng: random.Random, taken: Collection[str]) -> Proposal:
        """Propose a new random architecture.

        In a space that can be listed, an untried architecture is found whenever there is one.

        Raises:
            SpaceExhausted: Everything that may be tried is taken.
            SpaceError: Nothing within limits was found at all.
        """
        rejected: dict[str, Architecture] = {}
        for _ in range(TRIES):
            architecture = self.space.sample(rng)
            if architecture.id not in taken and architecture.id not in rejected:
                if self.admissible(architecture):
                    return Proposal(architecture, "random")
                rejected[architecture.id] = architecture
            if len(rejected) >= REJECTED:
                break
        if self.space.count() <= LISTED:
            rest = [a for a in self.space.architectures() if a.id not in {*taken, *rejected}]
            rng.shuffle(rest)
            found = next(filter(self.admissible, rest), None)
            if found is not None:
                return Proposal(found, "random")
        if not taken:
            raise SpaceError(
                nothing_feasible(
                    self.space, self.admissible, rejected.values(), tries=len(rejected)
                )
            )
        raise SpaceExhausted(
            f"nothing new to try in {self.space.name}: {len(taken)} architectures have been "
            f"tried and {len(rejected)} others drawn at random are outside the limits; "
            "ask for fewer trials, or widen the space or its limits"
        )
