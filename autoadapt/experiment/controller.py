"""The owner of the search: it alone writes records and decides what is tried next.

Everything is derived from the event log. Which architecture trial 17 gets is a pure function of
the trials that were over and of those that had started when it was proposed, so a search that
was killed and started again continues as if nothing had happened.

The log, ``records.jsonl``, has three kinds of lines: ``started`` keeps what was proposed, ``lost``
that a worker died over it, ``over`` holds the record. Only the last is waited for to reach the
disk itself: after a power cut a lost proposal is made again, and comes out the same.
"""

import json
from bisect import insort
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoadapt.config.load import expand, make
from autoadapt.config.settings import ExperimentSettings
from autoadapt.errors import RunError
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.trial import Task, record_of
from autoadapt.files import write_json
from autoadapt.objective import Calibration, Objective, calibrate
from autoadapt.records import Record, finished
from autoadapt.space import (
    Costs,
    Limits,
    SearchSpace,
    SpaceExhausted,
    WithinLimits,
    load,
    narrowed,
)
from autoadapt.space.architecture import Architecture
from autoadapt.space.named import labelled
from autoadapt.strategies.base import Observation, Proposal, Strategy

OnRecord = Callable[[Record, float | None], None]


@dataclass
class Controller:
    """Hands out trials and takes their records; executors differ only in where trials run.

    Making one reads the log of the folder and writes nothing but a missing ``calibration.json``.

    Attributes:
        costs: Multiply-adds and parameters of an architecture; asked often.
        on_record: Called with each record and its objective once the record is on disk.
        records: Trials that are over, in the order in which they ended.
        waiting: Trials to be handed out again, by number: they had started when the search was
            stopped, or their worker was lost.
        running: Trials handed out, by number.
        lost: How often the worker of a trial was lost, by number.
        taken: Ids of all architectures of the space that are over, running or waiting.
        named: Networks that are tried first, by name.
        objective: What the search minimises; known once enough trials have finished.
        history: What the strategy sees: trials of the space, in the order of ``records``.
        exhausted: Whether the strategy has nothing new to propose.
    """

    folder: RunFolder
    settings: ExperimentSettings
    costs: Costs
    on_record: OnRecord | None = None
    records: list[Record] = field(default_factory=list, init=False)
    waiting: list[Task] = field(default_factory=list, init=False)
    running: dict[int, Task] = field(default_factory=dict, init=False)
    lost: Counter[int] = field(default_factory=Counter, init=False)
    taken: set[str] = field(default_factory=set, init=False)
    objective: Objective | None = field(default=None, init=False)
    history: list[Observation] = field(default_factory=list, init=False)
    exhausted: bool = field(default=False, init=False)
    next_number: int = field(default=0, init=False)
    finished_count: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.space: SearchSpace = load(self.settings.search.space)
        self.named = labelled(self.settings.search.include)
        strangers = [one for one in self.named.values() if not self.space.holds(one)]
        self.strangers = {architecture.id for architecture in strangers}
        own_limits: Limits = {**self.settings.search.limits}
        self.limits = narrowed(self.space.limits, own_limits)
        self.strategy: Strategy = make("strategies", self.settings.search.strategy)
        admissible = WithinLimits(self.costs, self.limits)
        self.strategy.setup(self.space, seed=self.settings.seed, admissible=admissible)
        self.reference_costs = self.costs(self.space.reference)
        self.events = self.folder.events
        self.replay()

    @property
    def total(self) -> int:
        """Number of trials of the whole search."""
        return len(self.named) + self.settings.search.trials

    @property
    def calibration_path(self) -> Path:
        """The file that keeps the frozen statistics of the objective."""
        return self.folder.path / "calibration.json"

    def replay(self) -> None:
        """Rebuild the state of the search from the event log.

        A trial that had started and is not over waits to run again as it was proposed.

        Raises:
            RunError: The log is damaged.
        """
        unfinished: dict[int, Mapping[str, Any]] = {}
        for event in self.events.read():
            try:
                self.replay_event(event, unfinished)
            except (KeyError, TypeError) as error:
                raise self.damaged(event, error) from error
        for number in sorted(unfinished):
            try:
                task = self.task_from(unfinished[number])
            except (KeyError, TypeError) as error:
                raise self.damaged(unfinished[number], error) from error
            self.waiting.append(task)
            self.note_taken(task.architecture)
        if self.objective is None and self.calibration_path.exists():
            self.calibrate()  # by ``finish``, with fewer trials than asked for

    def damaged(self, event: Mapping[str, Any], error: Exception) -> RunError:
        """Return the error for a line of the log that no search has written."""
        return RunError(
            f"{self.events.path}: not an event of a search: {str(event)[:80]}: {error!r}; "
            "restore the file from a backup, or search into a new folder"
        )

    def replay_event(
        self, event: Mapping[str, Any], unfinished: dict[int, Mapping[str, Any]]
    ) -> None:
        """Let one line of the log count; kinds of a newer version are ignored."""
        if event["event"] == "started":
            unfinished[event["number"]] = event
            self.next_number = max(self.next_number, event["number"] + 1)
        elif event["event"] == "lost":
            self.lost[event["number"]] += 1
        elif event["event"] == "over":
            record = Record.from_json(event["record"])
            unfinished.pop(record.number, None)
            self.next_number = max(self.next_number, record.number + 1)
            self.take(record)

    def task_from(self, event: Mapping[str, Any]) -> Task:
        """Return the task of a ``started`` event."""
        number, architecture = event["number"], Architecture.from_json(event["architecture"])
        return Task(
            number=number,
            architecture=architecture,
            origin=event["origin"],
            parents=tuple(event["parents"]),
            costs=self.costs(architecture),
            folder=self.folder.trial(number, architecture),
        )

    def next_task(self) -> Task | None:
        """Return the next trial to run; nothing when none is left to be handed out.

        Trials that are running may come back (``give_back``): the search is over when there is
        neither a next one nor a running one.

        Raises:
            RunError: The disk is full.
            SpaceError: No architecture at all is within the limits.
        """
        while (task := self.waiting.pop(0) if self.waiting else self.propose()) is not None:
            self.running[task.number] = task
            left = result_of(task)
            if left is None:
                return task
            self.commit(left)
        return None

    def propose(self) -> Task | None:
        """Take a named network or ask the strategy, and write down that the trial starts."""
        number = self.next_number
        if self.exhausted or number >= self.total:
            return None
        proposal = self.named_proposal(number) or self.strategy_proposal(number)
        if proposal is None:
            return None
        architecture = proposal.architecture
        task = Task(
            number=number,
            architecture=architecture,
            origin=proposal.origin,
            parents=proposal.parents,
            costs=self.costs(architecture),
            folder=self.folder.trial(number, architecture),
        )
        self.events.append({"event": "started", **task.to_json()}, durable=False)
        self.note_taken(architecture)
        self.next_number += 1
        return task

    def named_proposal(self, number: int) -> Proposal | None:
        """Return the named network that a trial is for; nothing for the trials after them.

        Raises:
            SpaceError: A named network cannot be built, or nothing in the space is within the
                limits: both are found out before the first trial, not after the named ones.
        """
        if number >= len(self.named):
            return None
        architectures = list(self.named.values())
        if number == 0:
            for architecture in architectures:
                self.costs(architecture)
            self.strategy.propose((), 0, frozenset())
        return Proposal(architectures[number], "named")

    def strategy_proposal(self, number: int) -> Proposal | None:
        """Return what the strategy says; nothing once everything has been tried.

        Named networks that are not of the space do not exist for the strategy: it proposes what
        it would propose without them.
        """
        try:
            return self.strategy.propose(self.history, number - len(self.strangers), self.taken)
        except SpaceExhausted:
            self.exhausted = True
            if number == len(self.named):
                raise
            return None

    def of_space(self, architecture: Architecture) -> bool:
        """Whether a trial is of the space; the others are named networks."""
        return architecture.id not in self.strangers

    def note_taken(self, architecture: Architecture) -> None:
        """Let the strategy know that it cannot propose an architecture any more."""
        if self.of_space(architecture):
            self.taken.add(architecture.id)

    def give_back(self, number: int, why: str) -> None:
        """Take back a running trial whose worker was lost; it is handed out again first.

        After ``executor.retries`` more attempts it becomes a failed record instead.

        Raises:
            ValueError: No such trial is running.
        """
        task = self.handed_out(number)
        self.events.append({"event": "lost", "number": number, "why": why}, durable=False)
        self.lost[number] += 1
        if self.lost[number] > self.settings.executor.retries:
            detail = f"the worker died {self.lost[number]} times, the last time: {why}"
            self.commit(
                record_of(task, self.settings, status="failed", reason="lost_worker", detail=detail)
            )
            return
        del self.running[number]
        insort(self.waiting, task, key=lambda waiting: waiting.number)

    def commit(self, record: Record) -> None:
        """Write the record of a running trial durably, then let it count.

        Raises:
            RunError: The disk is full; the record does not count then.
            ValueError: No such trial is running, or it has another architecture.
        """
        task = self.handed_out(record.number)
        if task.architecture != record.architecture:
            raise ValueError(
                f"trial {record.number} is {task.architecture.id}, "
                f"the record is of {record.architecture.id}"
            )
        self.events.append({"event": "over", "record": record.to_json()})
        del self.running[record.number]
        self.take(record)
        if self.on_record:
            self.on_record(record, self.value(record))

    def handed_out(self, number: int) -> Task:
        """Return the task of a running trial."""
        if number not in self.running:
            raise ValueError(f"trial {number} is not running; running: {sorted(self.running)}")
        return self.running[number]

    def take(self, record: Record) -> None:
        """Add a record to the history and calibrate the objective once enough are in."""
        self.records.append(record)
        self.note_taken(record.architecture)
        if self.of_space(record.architecture):
            self.finished_count += record.status == "finished"
            self.history.append(Observation(record.architecture, self.value(record)))
        enough = self.finished_count >= self.settings.calibration_trials
        if self.objective is None and (enough or self.settings.objective.calibration_from):
            self.calibrate()

    def value(self, record: Record) -> float | None:
        """Return the objective of a record; nothing before calibration or for a failed trial."""
        if self.objective is None or record.status != "finished":
            return None
        return self.objective(record)

    def calibrate(self) -> None:
        """Freeze the objective, from the trials so far or from another run."""
        path = self.calibration_path
        other = self.settings.objective.calibration_from
        if path.exists():
            calibration = read_calibration(path)
        else:
            if other:
                calibration = read_calibration(Path(expand(other, "objective.calibration_from")))
            else:
                first = self.calibrating()[: self.settings.calibration_trials]
                calibration = calibrate(first, self.settings.objective)
            write_json(path, calibration.to_json())
        self.objective = Objective(self.settings.objective, calibration, self.reference_costs)
        self.history = [
            Observation(record.architecture, self.value(record))
            for record in self.records
            if self.of_space(record.architecture)
        ]

    def calibrating(self) -> list[Record]:
        """Return the finished trials of the space; of named networks only if there is no other.

        What is standardised with them does not depend on which networks are compared.
        """
        known = finished(self.records)
        return [record for record in known if self.of_space(record.architecture)] or known

    def finish(self) -> None:
        """Close the search: with too few finished trials to calibrate, use those there are."""
        if self.objective is None and finished(self.records):
            self.calibrate()

    def winner(self) -> Record | None:
        """Return the finished trial with the smallest objective; the earlier one on a tie."""
        return next(iter(self.best(1)), None)

    def best(self, number: int) -> list[Record]:
        """Return the best trials of so many different architectures, best first."""
        scored = [(self.value(record), record) for record in self.records]
        known = [(value, record.number, record) for value, record in scored if value is not None]
        ranked = [record for *_, record in sorted(known, key=lambda entry: entry[:2])]
        first: dict[str, Record] = {}
        for record in ranked:
            first.setdefault(record.architecture.id, record)
        return list(first.values())[:number]


def result_of(task: Task) -> Record | None:
    """Return the result that a trial left in its folder before it could be recorded."""
    path = task.folder / "result.json"
    return Record.from_json(json.loads(path.read_bytes())) if path.exists() else None


def read_calibration(path: Path) -> Calibration:
    """Read a ``calibration.json``.

    Raises:
        RunError: It is not there or damaged.
    """
    try:
        return Calibration.from_json(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is not the calibration of a run: {error}") from error
