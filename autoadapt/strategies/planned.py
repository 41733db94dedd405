"""A list made beforehand, one architecture after the other."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from autoadapt.errors import ConfigError, SpaceError
from autoadapt.space import Architecture
from autoadapt.strategies.base import Observation, Proposal, Strategy


@dataclass
class Planned(Strategy):
    """Proposes what is listed, in that order, and random architectures once that is used up.

    Attributes:
        architectures: As ``Architecture.to_json`` writes them.
    """

    summary: ClassVar[str] = "a given list, then random architectures"

    architectures: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        try:
            self.listed = [Architecture.from_json(raw) for raw in self.architectures]
        except SpaceError as error:
            raise ConfigError(f"planned: {error}") from error

    def propose(
        self, history: Sequence[Observation], number: int, taken: Collection[str]
    ) -> Proposal:
        """Return the first of the list that is new and may be tried."""
        left = (one for one in self.listed if self.allows(one, taken))
        found = next(left, None)
        return (
            self.explore(self.rng(number), taken) if found is None else Proposal(found, "planned")
        )
