"""What became of every tensor of a file and every weight of a network."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Report:
    """What was loaded from where.

    Attributes:
        file: Its path.
        layout: How it names weights.
        projects: Who may have written it.
        matched: Number of weights of the network that were copied as they are.
        sliced: Weights that were cut, and from which shape.
        initial: Weights that kept their initial values, or got neutral ones, and why.
        skipped: Tensors of the file that were not used, and why.
        notes: What the settings should say with these weights.
    """

    file: str
    layout: str
    projects: tuple[str, ...]
    matched: int
    sliced: Mapping[str, str]
    initial: Mapping[str, str]
    skipped: Mapping[str, str]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "file": self.file,
            "layout": self.layout,
            "projects": list(self.projects),
            "matched": self.matched,
            "sliced": dict(self.sliced),
            "initial": dict(self.initial),
            "skipped": dict(self.skipped),
            "notes": list(self.notes),
        }

    @property
    def summary(self) -> str:
        """What was loaded, in one line."""
        counts = {"cut": self.sliced, "new": self.initial, "unused": self.skipped}
        parts = [f"{len(found)} {what}" for what, found in counts.items() if found]
        written = f", {'/'.join(self.projects)}" if self.projects else ""
        loaded = ", ".join([f"{self.matched} weights", *parts])
        return f"{self.file} ({self.layout}{written}): {loaded}"

    def text(self) -> str:
        """Return a few lines for a person."""
        written = f" ({' or '.join(self.projects)})" if self.projects else ""
        lines = [f"{self.file}: {self.layout}{written}", f"  {self.matched} weights copied"]
        lines += [f"  {line} were cut: {what}" for what, line in by_reason(self.sliced)]
        lines += [f"  {line} start anew: {why}" for why, line in by_reason(self.initial)]
        lines += [
            f"  {line} of the file are not used: {why}" for why, line in by_reason(self.skipped)
        ]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def by_reason(reasons: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return each reason with ``12 weights (layer5.0.conv1.weight, …)``."""
    names: dict[str, list[str]] = defaultdict(list)
    for name, reason in reasons.items():
        names[re.sub(r" from \(.*", "", reason)].append(name)
    return [
        (reason, f"{len(found)} ({found[0]}{', …' if len(found) > 1 else ''})")
        for reason, found in names.items()
    ]
