"""How many architectures a space has, without listing them."""

import math
from collections import Counter
from collections.abc import Sequence

from autoadapt.space.architecture import Value
from autoadapt.space.rules import Choice, Rule

State = tuple[tuple[str, Value], ...]
"""Values of the choices that a later condition or rule still asks for."""


def count(choices: Sequence[Choice], forbid: Sequence[Rule]) -> int:
    """Return the exact number of valid assignments.

    Choices are placed one after the other. All partial assignments that agree in what later
    conditions and rules still ask for have equally many completions, so only their number is
    kept. Time grows with the number of such states: choices that nothing links multiply, and a
    chain of linked choices costs as much as its widest link.

    Args:
        choices: Each after those its condition names.
        forbid: Combinations that are left out.
    """
    links = [{choice.name, *choice.when.names} for choice in choices]
    links += [set(rule.names) for rule in forbid]
    states: Counter[State] = Counter({(): 1})
    placed: set[str] = set()
    for choice in narrow_order(choices, links):
        placed.add(choice.name)
        asked_for = still_open(placed, links)
        due = [
            rule for rule in forbid if choice.name in rule.names and placed.issuperset(rule.names)
        ]
        following: Counter[State] = Counter()
        for state, number in states.items():
            for values in extensions(choice, dict(state)):
                if not any(rule.holds(values) for rule in due):
                    kept = tuple(
                        (name, value) for name, value in values.items() if name in asked_for
                    )
                    following[kept] += number
        states = following
    return sum(states.values())


def extensions(choice: Choice, values: dict[str, Value]) -> list[dict[str, Value]]:
    """Return the assignments with one more choice decided; an inactive one changes nothing."""
    if not choice.when.holds(values):
        return [values]
    return [{**values, choice.name: value} for value in choice.values]


def still_open(placed: set[str], links: Sequence[set[str]]) -> set[str]:
    """Return the placed choices that share a link with one that is not placed yet."""
    return {name for link in links if not link <= placed for name in link & placed}


def narrow_order(choices: Sequence[Choice], links: Sequence[set[str]]) -> list[Choice]:
    """Order choices so that few states are open at any time: greedily, ties as they came."""
    sizes = {choice.name: len(choice.values) + bool(choice.when.allowed) for choice in choices}
    waiting, placed, order = list(choices), set[str](), []

    def width(choice: Choice) -> int:
        return math.prod(sizes[name] for name in still_open(placed | {choice.name}, links))

    while waiting:
        best = min((c for c in waiting if placed.issuperset(c.when.names)), key=width)
        waiting.remove(best)
        placed.add(best.name)
        order.append(best)
    return order
