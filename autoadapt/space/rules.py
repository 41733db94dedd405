"""One decision of a search space, and combinations of decisions."""

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from autoadapt.errors import SpaceError
from autoadapt.space.architecture import Value, freeze, thaw


@dataclass(frozen=True)
class Rule:
    """A partial assignment: for each choice named, the values that are meant.

    Attributes:
        allowed: Pairs of a choice and its values; all of them must hold. An empty rule always
            holds.
    """

    allowed: tuple[tuple[str, tuple[Value, ...]], ...] = ()

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether every choice named is active and has one of the values meant."""
        for name, meant in self.allowed:  # asked often: a loop takes half as long as all()
            if name not in values or values[name] not in meant:
                return False
        return True

    @property
    def names(self) -> tuple[str, ...]:
        """The choices named."""
        return tuple(name for name, _ in self.allowed)

    def __str__(self) -> str:
        """For messages: ``head.kind is aspp or pyramid and output_stride is 8``."""
        parts = (f"{name} is {' or '.join(map(spell, meant))}" for name, meant in self.allowed)
        return " and ".join(parts)


@dataclass(frozen=True)
class Choice:
    """One decision.

    Attributes:
        name: A flat name such as ``stage3.dilation``.
        values: What it may be set to, no two of them equal; a single value is fixed.
        when: The choice is active, hence part of an architecture, only where this holds.
    """

    name: str
    values: tuple[Value, ...]
    when: Rule = Rule()

    def own(self, value: Any) -> Value | None:
        """Return the choice's own spelling of a value (``1`` for ``1.0``), or None.

        Lists count as tuples; a boolean never counts as a number, nor the other way round.
        """
        try:
            frozen = freeze(value)
        except SpaceError:
            return None
        return next((own for own in self.values if alike(own, frozen)), None)


def alike(first: Value, second: Value) -> bool:
    """Whether two values mean the same: ``1`` and ``1.0`` do, ``1`` and ``true`` do not."""
    if isinstance(first, tuple) and isinstance(second, tuple):
        return len(first) == len(second) and all(map(alike, first, second))
    return isinstance(first, bool) is isinstance(second, bool) and first == second


def spell(value: Any) -> str:
    """Write a value as in a space file: text plain, lists in brackets, ``true`` for True."""
    if isinstance(value, str):
        return value or "''"
    try:
        return json.dumps(thaw(value))
    except TypeError:
        return repr(value)


def hint(name: str, known: Iterable[str]) -> str:
    """Return ``, did you mean 'x'?`` or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def cycles(choices: Iterable[Choice]) -> list[tuple[str, ...]]:
    """Return the rings of conditions that wait for each other, each from and to one choice.

    Names that are no choice are passed over; choices that only depend on a ring are not listed.
    """
    parents = {choice.name: set(choice.when.names) for choice in choices}
    rings: list[tuple[str, ...]] = []
    while True:
        try:
            TopologicalSorter(parents).prepare()
        except CycleError as error:
            ring = tuple(error.args[1])
            rings.append(ring)
            parents = {name: above for name, above in parents.items() if name not in ring}
        else:
            return rings


def ordered(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    """Sort choices so that each stands after those its condition names, else as they came.

    Raises:
        SpaceError: Conditions wait for each other, or name no choice.
    """
    waiting = list(choices)
    placed: dict[str, Choice] = {}
    while waiting:
        ready = next((c for c in waiting if all(name in placed for name in c.when.names)), None)
        if ready is None:
            rings = " and ".join(" -> ".join(ring) for ring in cycles(waiting))
            names = ", ".join(choice.name for choice in waiting)
            raise SpaceError(
                f"the conditions (when) of {names} can never be decided: "
                + (f"they form a cycle, {rings}" if rings else "they name no choice of the space")
            )
        waiting.remove(ready)
        placed[ready.name] = ready
    return tuple(placed.values())
