"""Architectures within cost limits, and a clear word when there are none."""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from autoadapt.errors import SpaceError
from autoadapt.space.architecture import Architecture
from autoadapt.space.search_space import Limits, SearchSpace

Feasible = Callable[[Architecture], bool]
"""Whether an architecture may be tried at all; asked before anything is built or trained."""
Costs = Callable[[Architecture], Mapping[str, float]]
"""Costs by name; asked often, so it should remember what it counted by id."""


@dataclass(frozen=True)
class WithinLimits:
    """The usual ``Feasible``: every limited cost lies in its range, both ends included."""

    costs: Costs
    limits: Limits

    def __call__(self, architecture: Architecture) -> bool:
        """Whether all limits hold.

        Raises:
            SpaceError: A limit names a cost that is not counted.
        """
        if not self.limits:
            return True
        costs = self.costs(architecture)
        unknown = sorted(set(self.limits) - set(costs))
        if unknown:
            raise SpaceError(
                f"limits on {', '.join(unknown)}, but the costs counted are {', '.join(costs)}"
            )
        return all(low <= costs[name] <= high for name, (low, high) in self.limits.items())

    def found(self, architectures: Iterable[Architecture]) -> str:
        """Say which costs were met, next to what is allowed."""
        counted = [self.costs(architecture) for architecture in architectures]
        parts = []
        for name, (low, high) in self.limits.items():
            values = [costs[name] for costs in counted]
            met = f"{min(values):.4g} to {max(values):.4g}" if values else "nothing"
            parts.append(f"{name}: found {met}, allowed {low:.4g} to {high:.4g}")
        return "; ".join(parts)


def sample_feasible(
    space: SearchSpace, rng: random.Random, feasible: Feasible, *, tries: int = 1000
) -> Architecture:
    """Draw architectures until one is feasible: uniform over the feasible part.

    Raises:
        SpaceError: None was in ``tries``; with a ``WithinLimits`` the message gives the range of
            costs that was met next to the limits.
    """
    rejected: dict[str, Architecture] = {}
    for _ in range(tries):
        architecture = space.sample(rng)
        if architecture.id not in rejected:
            if feasible(architecture):
                return architecture
            rejected[architecture.id] = architecture
    raise SpaceError(nothing_feasible(space, feasible, rejected.values(), tries=tries))


def nothing_feasible(
    space: SearchSpace, feasible: Feasible, rejected: Iterable[Architecture], *, tries: int
) -> str:
    """Say that nothing within limits was found, and which costs were."""
    text = f"no architecture of {space.name} within its limits was found in {tries} tries"
    if isinstance(feasible, WithinLimits):
        text += f" ({feasible.found(rejected)})"
    return text + "; widen the limits, or give the space choices whose costs lie within them"


def narrowed(limits: Limits, by: Limits) -> dict[str, tuple[float, float]]:
    """Return limits that hold where both do, such as those of a space and of an experiment.

    Raises:
        SpaceError: The ranges of a cost do not meet.
    """
    both = dict(limits)
    for name, (low, high) in by.items():
        wide_low, wide_high = limits.get(name, (low, high))
        both[name] = (max(low, wide_low), min(high, wide_high))
        if both[name][0] > both[name][1]:
            raise SpaceError(
                f"limits on {name}: {low:.4g} to {high:.4g} lies outside "
                f"{wide_low:.4g} to {wide_high:.4g}, the limits of the space"
            )
    return both
