"""One trial as one immutable value and one JSON line: the only truth that is shared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from autoadapt.errors import RunError
from autoadapt.space.architecture import Architecture

Status = Literal["finished", "failed"]
TIMES = ("seconds", "score_seconds")
"""Fields that differ between two runs of the same search."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is known of one trial once it is over.

    Attributes:
        number: Position in the search, from 0.
        scores: Label-free numbers by name, smaller is better. A score that failed is absent and
            ``score_errors`` says why.
        costs: ``macs`` (multiply-adds at the search resolution) and ``params``.
        reason: Why a failed trial failed: ``nan``, ``out_of_memory``, ``lost_worker`` or
            ``error``, and one line of detail.
        rounds: What the method noted of each of its rounds, such as the number of pixels that got
            a pseudo-label.
        parents: Ids of the architectures it was made from; empty for a random one.
        seconds: Wall time; differs between two runs of the same search.
        score_seconds: Processor time of the computation of each score, by name, without the
            passes over images that it takes; differs as well.
    """

    number: int
    architecture: Architecture
    status: Status
    seed: int
    steps: int
    scores: Mapping[str, float] = field(default_factory=dict)
    score_errors: Mapping[str, str] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    losses: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    detail: str = ""
    rounds: Sequence[Mapping[str, Any]] = ()
    origin: str = "random"
    parents: tuple[str, ...] = ()
    seconds: float = 0.0
    score_seconds: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain values; ``from_json`` undoes it."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return fields | {
            "id": self.architecture.id,
            "architecture": self.architecture.to_json(),
            "rounds": list(self.rounds),
            "parents": list(self.parents),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Record":
        """Undo ``to_json``; keys of a newer version are ignored.

        Raises:
            RunError: A needed key is missing.
        """
        known = {key: raw[key] for key in cls.__dataclass_fields__ if key in raw}
        try:
            known["architecture"] = Architecture.from_json(raw["architecture"])
            known["parents"] = tuple(raw.get("parents", ()))
            known["rounds"] = tuple(raw.get("rounds", ()))
            return cls(**known)
        except (KeyError, TypeError) as error:
            raise RunError(f"not a trial record: {str(raw)[:80]}: {error}") from error

    def comparable(self) -> dict[str, Any]:
        """Return everything but the times: equal for equal searches."""
        return {key: value for key, value in self.to_json().items() if key not in TIMES}


def finished(records: list[Record]) -> list[Record]:
    """Return the trials that have scores, in their order."""
    return [record for record in records if record.status == "finished"]
