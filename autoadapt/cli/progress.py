"""Progress on a terminal; on anything else a plain line per stage and per trial, on stderr."""

import contextlib
import sys
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as Remaining

from autoadapt.data.counting import Count, Counting, silent
from autoadapt.experiment.watching import Watcher
from autoadapt.interrupts import heeding
from autoadapt.records import Record
from autoadapt.training.fit import Progress as Training


def trial_line(record: Record, objective: float | None, total: int) -> str:
    """Return what is worth saying about a trial that is over."""
    head = f"trial {record.number + 1}/{total} {record.architecture.id}"
    if record.status == "failed":
        return f"{head}: failed ({record.reason}): {record.detail}"
    scores = ", ".join(f"{name} {value:.4g}" for name, value in record.scores.items())
    macs = record.costs.get("macs", 0) / 1e9
    tail = "" if objective is None else f", objective {objective:.3f}"
    return f"{head}: {scores}, {macs:.3f} GMACs{tail} ({record.seconds:.0f} s)"


class Lines(Watcher):
    """For logs: one line per stage and trial."""

    def stage(self, text: str) -> None:
        """Print the stage with the time of day."""
        print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)

    def trial(self, record: Record, objective: float | None, total: int) -> None:
        """Print the trial."""
        self.stage(trial_line(record, objective, total))


class Bars(Watcher):
    """For terminals: a bar per training run that is going on, lines above it."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} steps"),
            TimeElapsedColumn(),
            Remaining(),
            console=console,
            transient=True,
        )
        self.tasks: dict[str, TaskID] = {}

    def stage(self, text: str) -> None:
        """Print the stage above the bars."""
        self.bars.console.print(f"[bold]{text}[/bold]", highlight=False)

    def trial(self, record: Record, objective: float | None, total: int) -> None:
        """Print the trial above the bars and remove its own."""
        name = f"trial {record.number}"
        if name in self.tasks:
            self.bars.remove_task(self.tasks.pop(name))
        self.bars.console.print(trial_line(record, objective, total), highlight=False)

    def progress(self, name: str, progress: Training) -> None:
        """Move a bar; remove it at the end."""
        if name not in self.tasks:
            self.tasks[name] = self.bars.add_task(name, total=progress.steps)
        shown = f"{name}, {progress.doing}" if progress.doing else name
        self.bars.update(self.tasks[name], completed=progress.step, description=shown)
        if progress.step >= progress.steps:
            self.bars.remove_task(self.tasks.pop(name))


@contextlib.contextmanager
def counting() -> Iterator[Counting]:
    """Show a bar per counted piece of work while the block runs, on a terminal alone."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield silent
        return
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        Remaining(),
        console=console,
        transient=True,
    )

    def begun(what: str) -> Count:
        task = bars.add_task(what, total=None)
        return lambda done, total: bars.update(task, completed=done, total=total)

    try:
        with bars:
            yield begun
    except KeyboardInterrupt:
        console.print("interrupted; the same command continues where it stopped")
        raise


@contextlib.contextmanager
def watching() -> Iterator[Watcher]:
    """Show progress while the block runs; say what Ctrl-C leaves behind."""
    console = Console(stderr=True)
    bars = Bars(console) if console.is_terminal else None
    try:
        with heeding(), bars.bars if bars else contextlib.nullcontext():
            yield bars or Lines()
    except KeyboardInterrupt:
        console.print("interrupted; the same command continues where it stopped")
        raise
