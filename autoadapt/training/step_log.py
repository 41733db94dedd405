"""The losses of a run: JSON lines, one per report, each step at most once."""

import contextlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autoadapt.errors import TrainingDivergedError
from autoadapt.files import write_text

STEPS = "steps.jsonl"
"""Name of the file in the folder of a training."""


@dataclass
class Losses:
    """The losses since the last look at them; a look waits for the device."""

    pending: list[tuple[int, str, Tensor]] = field(default_factory=list)

    def add(self, step: int, losses: Mapping[str, Tensor]) -> None:
        """Keep the losses of a step, or of one micro-batch of it, where they are."""
        self.pending += [(step, name, loss) for name, loss in losses.items()]

    def read(self, phase: str) -> dict[str, float]:
        """Return the mean of each loss since the last look.

        Raises:
            TrainingDivergedError: One was NaN or infinite; names the first.
        """
        if not self.pending:
            return {}
        values = torch.stack([loss.detach().float() for *_, loss in self.pending]).tolist()
        found: dict[str, list[float]] = {}
        for (step, name, _), value in zip(self.pending, values, strict=True):
            if not math.isfinite(value):
                raise TrainingDivergedError(
                    f"the loss {name!r} became {value} at step {step} in phase {phase!r}; "
                    "a smaller learning rate usually helps"
                )
            found.setdefault(name, []).append(value)
        self.pending = []
        return {name: sum(values) / len(values) for name, values in found.items()}


@dataclass(frozen=True)
class StepLog:
    """The file ``steps.jsonl`` of a run."""

    path: Path

    def append(self, step: int, phase: str, losses: Mapping[str, float]) -> None:
        """Add a line: ``step``, ``phase`` and the losses by name."""
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, "phase": phase, **losses}) + "\n")

    def append_round(self, step: int, phase: str, number: int, notes: Mapping[str, Any]) -> None:
        """Add a line: ``step``, ``phase``, ``stretch``, and what a method noted of a round."""
        line = {"step": step, "phase": phase, "stretch": number, **notes}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def rounds(self) -> list[dict[str, Any]]:
        """Return what ``append_round`` added, in order; nothing where there is no file."""
        if not self.path.exists():
            return []
        lines = map(json.loads, self.path.read_text().splitlines())
        return [line for line in lines if "stretch" in line]

    def cut(self, step: int, stretch: int) -> None:
        """Remove lines of later steps and rounds, which are about to come again, and a torn one.

        Args:
            step: Number of steps taken.
            stretch: Number of the last round that has begun.
        """
        if not self.path.exists():
            return
        kept = []
        for line in self.path.read_text().splitlines():
            with contextlib.suppress(ValueError):
                found = json.loads(line)
                if found["step"] <= step and found.get("stretch", stretch) <= stretch:
                    kept.append(line)
        write_text(self.path, "".join(f"{line}\n" for line in kept))
