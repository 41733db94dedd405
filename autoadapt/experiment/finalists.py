"""The winner among the best candidates of a search, found by their full models without labels."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from autoadapt.files import write_json

FINALISTS = "finalists.json"
FINALIST = re.compile(r"finalist(\d+)")
"""Role of a finalist: its place in the search."""


@dataclass(frozen=True, kw_only=True)
class Finalist:
    """One of the best candidates of the search, trained fully.

    Attributes:
        place: In the search, from 1.
        trial: Number of its trial.
        id: Of its architecture.
        search_objective: As a candidate.
        objectives: As a full model, by seed; absent where a score is missing.
        note: Why it cannot win, if it cannot.
    """

    place: int
    trial: int
    id: str
    search_objective: float
    objectives: Mapping[int, float | None] = field(default_factory=dict)
    note: str = ""

    @property
    def role(self) -> str:
        """What names its folder."""
        return f"finalist{self.place}"

    @property
    def objective(self) -> float | None:
        """Mean over the seeds; nothing if one of them has none."""
        known = [value for value in self.objectives.values() if value is not None]
        return fmean(known) if known and len(known) == len(self.objectives) else None


@dataclass(frozen=True)
class Finalists:
    """Who was compared, with which method, and who won.

    Attributes:
        method: Name of the method they were trained with.
        entries: In the order of the search.
        winner: Role of the one with the smallest objective; of the first of the search if none
            has one.
    """

    method: str
    entries: tuple[Finalist, ...]
    winner: str

    @property
    def chosen(self) -> Finalist:
        """The winner."""
        return next(one for one in self.entries if one.role == self.winner)

    @property
    def losers(self) -> list[Finalist]:
        """The others that could be trained."""
        return [one for one in self.entries if one.role != self.winner and not one.note]

    def to_json(self) -> dict[str, Any]:
        """Return plain values; ``from_json`` undoes it."""
        entries = [asdict(one) | {"objective": one.objective} for one in self.entries]
        return {"method": self.method, "winner": self.winner, "finalists": entries}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Finalists":
        """Undo ``to_json``."""
        entries = []
        for one in raw["finalists"]:
            objectives = {int(seed): value for seed, value in one["objectives"].items()}
            known = {key: one[key] for key in ("place", "trial", "id", "search_objective", "note")}
            entries.append(Finalist(**known, objectives=objectives))
        return cls(raw["method"], tuple(entries), raw["winner"])

    def write(self, run: Path) -> None:
        """Write the choice into a run folder; it stands from then on."""
        write_json(run / FINALISTS, self.to_json())


def choose_winner(method: str, entries: Sequence[Finalist]) -> Finalists:
    """Return the finalists with the winner: the smallest objective, on a tie the first one."""
    known = [(one.objective, one.place, one) for one in entries if one.objective is not None]
    able = [one for one in entries if not one.note]
    winner = min(known, key=lambda one: one[:2])[2] if known else (able or entries)[0]
    return Finalists(method, tuple(entries), winner.role)


def read_finalists(run: Path) -> Finalists | None:
    """Return the finalists of a run folder, if a winner was chosen among several."""
    path = run / FINALISTS
    return Finalists.from_json(json.loads(path.read_text())) if path.exists() else None
