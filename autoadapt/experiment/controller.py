"""The owner of the search: it alone writes records and decides what is tried next.

Everything is derived from the event log. Which architecture trial 17 gets is a pure function of
the trials that were over when it was proposed, so a search that was killed and started again
continues as if nothing had happened; a trial that had started keeps its architecture.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoadapt.config.load import expand, make
from autoadapt.config.settings import ExperimentSettings
from autoadapt.errors import RunError
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.trial import Task
from autoadapt.files import write_json
from autoadapt.objective import Calibration, Objective, calibrate
from autoadapt.records import Record, finished
from autoadapt.space import Costs, SearchSpace, WithinLimits, load, narrowed
from autoadapt.space.architecture import Architecture
from autoadapt.strategies.base import Observation, Proposal, SpaceExhausted, Strategy


@dataclass
class Controller:
    """Hands out trials and takes their records; executors differ only in where trials run.

    Attributes:
        costs: Multiply-adds and parameters of an architecture; asked often.
        on_record: Called after each record is on disk.
    """

    folder: RunFolder
    settings: ExperimentSettings
    costs: Costs
    on_record: Callable[[Record, float | None], None] | None = None
    records: list[Record] = field(default_factory=list)
    waiting: list[Task] = field(default_factory=list)
    running: dict[int, Task] = field(default_factory=dict)
    objective: Objective | None = None
    history: list[Observation] = field(default_factory=list)
    exhausted: bool = False

    def __post_init__(self) -> None:
        self.space: SearchSpace = load(self.settings.search.space)
        self.limits = narrowed(self.space.limits, self.settings.search.limits)
        self.strategy: Strategy = make("strategies", self.settings.search.strategy)
        admissible = WithinLimits(self.costs, self.limits)
        self.strategy.setup(self.space, seed=self.settings.seed, admissible=admissible)
        self.reference_costs = self.costs(self.space.reference)
        self.replay()

    def replay(self) -> None:
        """Rebuild the state of the search from the event log.

        A trial that had started and is not over runs again as it was proposed. One that had
        finished while its record was not yet written left its result in its folder.
        """
        unfinished: dict[int, Task] = {}
        for event in self.folder.events.read():
            if event["event"] == "started":
                unfinished[event["number"]] = self.task_from(event)
            elif event["event"] == "over":
                record = Record.from_json(event["record"])
                unfinished.pop(record.number, None)
                self.take(record)
        seen = [record.number for record in self.records] + list(unfinished)
        self.next_number = max(seen, default=-1) + 1
        self.waiting = sorted(unfinished.values(), key=lambda task: task.number)

    def task_from(self, event: Mapping[str, Any]) -> Task:
        """Return the task of a ``started`` event."""
        architecture = Architecture.from_json(event["architecture"])
        folder = self.folder.trial(event["number"], architecture)
        return Task(
            event["number"],
            architecture,
            event["origin"],
            tuple(event["parents"]),
            self.costs(architecture),
            folder,
        )

    def next_task(self) -> Task | None:
        """Return the next trial to run, or nothing when all have been handed out."""
        if self.waiting:
            task = self.waiting.pop(0)
        else:
            proposed = self.propose()
            if proposed is None:
                return None
            task = proposed
        self.running[task.number] = task
        return task

    def propose(self) -> Task | None:
        """Ask the strategy for a new architecture and write down that its trial starts."""
        if self.exhausted or self.next_number >= self.settings.search.trials:
            return None
        taken = {record.architecture.id for record in self.records}
        taken |= {task.architecture.id for task in self.running.values()}
        try:
            proposal: Proposal = self.strategy.propose(self.history, self.next_number, taken)
        except SpaceExhausted:
            self.exhausted = True
            if not taken:
                raise
            return None
        number = self.next_number
        architecture = proposal.architecture
        task = Task(
            number,
            architecture,
            proposal.origin,
            proposal.parents,
            self.costs(architecture),
            self.folder.trial(number, architecture),
        )
        self.folder.events.append({"event": "started", **task.to_json()}, durable=False)
        self.next_number += 1
        return task

    def give_back(self, task: Task) -> None:
        """Take back a trial whose worker was lost; it is handed out again first."""
        self.running.pop(task.number)
        self.waiting.insert(0, task)

    def commit(self, record: Record) -> None:
        """Write a record durably, then let it count."""
        self.folder.events.append({"event": "over", "record": record.to_json()})
        self.running.pop(record.number, None)
        self.take(record)
        if self.on_record:
            self.on_record(record, self.value(record))

    def take(self, record: Record) -> None:
        """Add a record to the history and calibrate the objective once enough are in."""
        self.records.append(record)
        self.history.append(Observation(record.architecture, self.value(record)))
        enough = len(finished(self.records)) >= self.settings.calibration_trials
        if self.objective is None and (enough or self.settings.objective.calibration_from):
            self.calibrate()

    def value(self, record: Record) -> float | None:
        """Return the objective of a record; nothing before calibration or for a failed trial."""
        if self.objective is None or record.status != "finished":
            return None
        return self.objective(record)

    def calibrate(self) -> None:
        """Freeze the objective, from the trials so far or from another run."""
        path = self.folder.path / "calibration.json"
        other = self.settings.objective.calibration_from
        if path.exists():
            calibration = read_calibration(path)
        elif other:
            calibration = read_calibration(Path(expand(other, "objective.calibration_from")))
        else:
            calibration = calibrate(finished(self.records), self.settings.objective)
        if not path.exists():
            write_json(path, calibration.to_json())
        self.objective = Objective(self.settings.objective, calibration, self.reference_costs)
        self.history = [Observation(r.architecture, self.value(r)) for r in self.records]

    def finish(self) -> None:
        """Close the search: with too few finished trials to calibrate, use those there are."""
        if self.objective is None and finished(self.records):
            self.calibrate()

    def winner(self) -> Record | None:
        """Return the finished trial with the smallest objective; the earlier one on a tie."""
        scored = [(self.value(record), record) for record in self.records]
        known = [(value, record.number, record) for value, record in scored if value is not None]
        return min(known, key=lambda entry: entry[:2])[2] if known else None


def read_calibration(path: Path) -> Calibration:
    """Read a ``calibration.json``.

    Raises:
        RunError: It is not there or damaged.
    """
    try:
        return Calibration.from_json(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is not the calibration of a run: {error}") from error
