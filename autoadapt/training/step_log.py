"""The losses of a run: JSON lines, one per report, each step at most once."""

import contextlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from autoadapt.errors import TrainingDivergedError
from autoadapt.files import write_text


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

    def cut(self, step: int) -> None:
        """Remove lines of later steps, which are about to be taken again, and a torn one."""
        if not self.path.exists():
            return
        kept = []
        for line in self.path.read_text().splitlines():
            with contextlib.suppress(ValueError):
                if json.loads(line)["step"] <= step:
                    kept.append(line)
        write_text(self.path, "".join(f"{line}\n" for line in kept))
