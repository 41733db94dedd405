"""A search space: what may be chosen, and how to walk through it."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from autoadapt.errors import SpaceError
from autoadapt.space.architecture import Architecture, Value, freeze
from autoadapt.space.counting import count
from autoadapt.space.rules import Choice, Rule, hint, ordered, spell

Limits = Mapping[str, tuple[float, float]]
"""Smallest and largest allowed cost, both included, by name of the cost."""

TRIES = 1000
"""Rejections by ``forbid`` before drawing gives up."""


class SpaceExhausted(SpaceError):  # noqa: N818 - an end, not a mistake
    """Everything that may be tried has been."""


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """A set of architectures of one family, described by choices, conditions and rules.

    Attributes:
        input_size: Height and width in pixels at which costs are counted.
        choices: In the order they are shown in.
        forbid: Combinations that may not occur.
        limits: Cost ranges; not part of what makes an architecture valid, because costs are not
            known here (see ``feasibility``).
        reference: The hand-crafted architecture of the space.
    """

    name: str
    summary: str
    family: str
    input_size: tuple[int, int]
    choices: tuple[Choice, ...]
    reference: Architecture
    forbid: tuple[Rule, ...] = ()
    limits: Limits

    @cached_property
    def order(self) -> tuple[Choice, ...]:
        """The choices, each after those its condition names.

        Raises:
            SpaceError: The conditions form a cycle.
        """
        return ordered(self.choices)

    @cached_property
    def by_name(self) -> dict[str, Choice]:
        """The choices by name."""
        return {choice.name: choice for choice in self.choices}

    def sample(self, rng: random.Random) -> Architecture:
        """Draw each active choice uniformly; forbidden combinations are drawn again as a whole.

        Raises:
            SpaceError: Practically everything is forbidden.
        """
        for _ in range(TRIES):
            architecture = self._draw(rng, {})
            if architecture is not None:
                return architecture
        raise SpaceError(
            f"space {self.name}: {TRIES} random architectures were all forbidden; "
            "loosen 'forbid', or express it with conditions ('when')"
        )

    def mutate(
        self, architecture: Architecture, rng: random.Random, changes: int = 1
    ) -> Architecture:
        """Change some active choices; the result always differs.

        Choices that become active are drawn, those that become inactive are dropped. Where
        ``forbid`` leaves no neighbour at this distance, more choices are changed at once.

        Args:
            architecture: One of this space.
            rng: Decides what is changed, and to what.
            changes: Number of choices given another value, uniformly chosen; at least 1, and at
                most as many as have another value.

        Raises:
            SpaceError: The architecture is not of this space.
            SpaceExhausted: It is the only one, or practically all others are forbidden.
            ValueError: ``changes`` is below 1.
        """
        if changes < 1:
            raise ValueError(f"a mutation changes at least 1 choice, not {changes}")
        self.check(architecture)
        old = architecture.values
        movable = [c for c in self.order if c.name in old and len(c.values) > 1]
        for attempt in range(TRIES if movable else 0):
            number = min(changes + attempt * len(movable) // TRIES, len(movable))
            pools: dict[str, Sequence[Value]] = {name: (value,) for name, value in old.items()}
            for choice in rng.sample(movable, number):
                pools[choice.name] = [v for v in choice.values if v != old[choice.name]]
            child = self._draw(rng, pools)
            if child is not None:
                return child
        raise SpaceExhausted(
            f"space {self.name}: no architecture other than {architecture.id} was found by "
            "changing it; give its choices more values or loosen 'forbid'"
        )

    def crossover(
        self, first: Architecture, second: Architecture, rng: random.Random
    ) -> Architecture:
        """Take each active choice from one of two parents, with equal chance.

        A choice active in only one parent is taken from that one; one active in neither (its
        condition was met by mixing) is drawn.

        Raises:
            SpaceError: A parent is not of this space.
        """
        self.check(first)
        self.check(second)
        pools: dict[str, list[Value]] = {}
        for parent in (first, second):
            for name, value in parent.items:
                pools.setdefault(name, []).append(value)
        for _ in range(TRIES):
            child = self._draw(rng, pools)
            if child is not None:
                return child
        return rng.choice((first, second))

    def _draw(
        self, rng: random.Random, pools: Mapping[str, Sequence[Value]]
    ) -> Architecture | None:
        """Draw active choices from their pool, or from all their values; None if forbidden."""
        values: dict[str, Value] = {}
        for choice in self.order:
            if choice.when.holds(values):
                values[choice.name] = rng.choice(pools.get(choice.name, choice.values))
        if any(rule.holds(values) for rule in self.forbid):
            return None
        return Architecture.of(self.family, values)

    def count(self) -> int:
        """Return the exact number of valid architectures; limits are not taken into account."""
        return self._count

    @cached_property
    def _count(self) -> int:
        return count(self.order, self.forbid)

    def architectures(self) -> Iterator[Architecture]:
        """Yield every valid architecture once, in a fixed order; look at ``count`` first."""
        return self._completions(0, {})

    def _completions(self, position: int, values: dict[str, Value]) -> Iterator[Architecture]:
        if position == len(self.order):
            yield Architecture.of(self.family, values)
            return
        choice = self.order[position]
        if not choice.when.holds(values):
            yield from self._completions(position + 1, values)
            return
        for value in choice.values:
            longer = values | {choice.name: value}
            if not any(rule.holds(longer) for rule in self.forbid):
                yield from self._completions(position + 1, longer)

    def problems(self, values: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return what keeps values from being an architecture of this space, with the choice.

        A choice whose condition hangs on a choice that is itself in doubt is not judged, so that
        one mistake is reported once.
        """
        found = [
            (name, f"unknown choice{hint(name, self.by_name)}")
            for name in values
            if name not in self.by_name
        ]
        settled: dict[str, Value] = {}
        doubtful: set[str] = set()
        for choice in self.order:
            unsure = not doubtful.isdisjoint(choice.when.names)
            problem = "" if unsure else activity_problem(choice, values, settled)
            problem = problem or value_problem(choice, values)
            if problem:
                found.append((choice.name, problem))
            if problem or unsure:
                doubtful.add(choice.name)
            elif choice.name in values:
                settled[choice.name] = freeze(values[choice.name])
        broken = (rule for rule in self.forbid if rule.holds(settled))
        return found + [(rule.names[-1], f"forbidden: {rule}") for rule in broken]

    def check(self, values: Mapping[str, Any] | Architecture) -> None:
        """Make sure that something is an architecture of this space, its limits aside.

        Raises:
            SpaceError: It is not; every problem is listed, one per line.
        """
        problems = []
        if isinstance(values, Architecture):
            if values.family != self.family:
                problems.append(f"family: found {values.family}, expected {self.family}")
            values = values.values
        problems += [f"{name}: {problem}" for name, problem in self.problems(values)]
        if problems:
            raise SpaceError(
                "\n".join(f"space {self.name}: {problem}" for problem in problems)
                + f"\nsee 'autoadapt space show {self.name}' for what may be chosen"
            )

    def holds(self, architecture: Architecture) -> bool:
        """Whether something is an architecture of this space, its limits aside."""
        return architecture.family == self.family and not self.problems(architecture.values)

    def canonical(self, values: Mapping[str, Any]) -> Architecture:
        """Turn values into the architecture they describe: inactive choices are left out.

        Lists may stand for tuples and ``1.0`` for ``1``; every description of the same network
        has one id.

        Raises:
            SpaceError: An active choice is missing or set to what it has not, a name is unknown,
                or the combination is forbidden.
        """
        kept = {name: value for name, value in values.items() if name not in self.by_name}
        for choice in self.order:
            if choice.name in values and choice.when.holds(kept):
                own = choice.own(values[choice.name])
                kept[choice.name] = values[choice.name] if own is None else own
        self.check(kept)
        return Architecture.of(self.family, kept)

    def describe(self, architecture: Architecture) -> list[tuple[str, Value]]:
        """Return the active choices and their values in the order of the space file."""
        values = architecture.values
        return [(name, values[name]) for name in self.by_name if name in values]


def activity_problem(
    choice: Choice, values: Mapping[str, Any], settled: Mapping[str, Value]
) -> str:
    """Say what is wrong about a choice being set or not, given those before it, or nothing."""
    active = choice.when.holds(settled)
    if active and choice.name not in values:
        because = f" (it is active because {choice.when})" if choice.when.allowed else ""
        return f"missing{because}; expected {expected(choice)}"
    if not active and choice.name in values:
        return f"set, but inactive unless {choice.when}; leave it out"
    return ""


def value_problem(choice: Choice, values: Mapping[str, Any]) -> str:
    """Say what is wrong with the value of a choice, or nothing."""
    if choice.name not in values:
        return ""
    value = values[choice.name]
    own = choice.own(value)
    if own is None:
        return f"found {spell(value)}, expected {expected(choice)}"
    if repr(own) != repr(freeze(value)):  # 1.0 builds what 1 does, but has another id
        return f"found {spell(value)}, which the space writes {spell(own)}"
    return ""


def expected(choice: Choice) -> str:
    """Say what a choice may be set to: ``16``, or ``one of 16, 24, 32``."""
    values = ", ".join(map(spell, choice.values))
    return values if len(choice.values) == 1 else f"one of {values}"
