"""The snapshot of a full training that is used, chosen without target labels.

How terms are standardised decides how much each of them counts. Snapshots are standardised like
the trials of the search, by its frozen calibration: an objective is then one fixed function, the
one that chose the architecture, and it says the same of a snapshot whatever else is trained beside
it, now or later. Standardised by all snapshots of a run instead, what is selected would change
with every contender that joins, and the terms in which methods differ most would count least
among the snapshots of one method. Where there was no search, or it lacks a score, the snapshots of
the one training stand in for the trials.

Terms are not clipped here. The clip keeps one wild trial from steering a search; full models may
well lie beyond what short trials reached, and clipped terms would make ties of them.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from autoadapt.config.load import expand
from autoadapt.config.settings import AdaptSettings, ExperimentSettings, ObjectiveSettings
from autoadapt.errors import CheckpointError, ConfigError, RunError
from autoadapt.experiment.controller import read_calibration
from autoadapt.experiment.run_folder import snapshot_folder
from autoadapt.experiment.trial import needs_of, score_model, scores_of
from autoadapt.files import link, sweep, write_json
from autoadapt.objective import CALIBRATED, Calibration, Objective, calibrate
from autoadapt.records import Record
from autoadapt.scores.base import HOW, Need
from autoadapt.space.architecture import Architecture
from autoadapt.training.model import MODEL, SELECTED, card_path, find_model, used_model

CHOICE = "selection.json"
SCORES = "scores.json"
BEST_BY_LABELS = "best_by_labels"
"""Folder of the snapshot with the best target metric: for analysis, never used by itself."""

LAST = "last"
SNAPSHOTS = (LAST, SELECTED)
"""Snapshots that commands may be asked to use."""

Standard = Literal["search", "snapshots"]


@dataclass(frozen=True)
class Choice:
    """Which snapshot of one training is used.

    Attributes:
        selected: The step it was taken after; ``last`` if no snapshot has an objective.
        last: The last step of the training.
        objectives: By step; nothing where a score is missing.
        standard: What the terms are standardised by: trials of the search, or these snapshots.
        note: Why there is no objective, where there is none.
    """

    selected: int
    last: int
    objectives: Mapping[int, float | None]
    standard: Standard
    note: str = ""

    @property
    def objective(self) -> float | None:
        """The objective of the snapshot that is used."""
        return self.objectives[self.selected]

    def to_json(self) -> dict[str, Any]:
        """Return plain values; ``from_json`` undoes it."""
        snapshots = [{"step": step, "objective": one} for step, one in self.objectives.items()]
        known = {"selected": self.selected, "last": self.last, "standard": self.standard}
        return known | {"note": self.note, "snapshots": snapshots}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Choice":
        """Undo ``to_json``."""
        objectives = {one["step"]: one["objective"] for one in raw["snapshots"]}
        return cls(raw["selected"], raw["last"], objectives, raw["standard"], raw["note"])


@dataclass(frozen=True)
class Selector:
    """Chooses among the snapshots of a training by their scores.

    Attributes:
        settings: Of the experiment as a trial sees it, with the objective that chooses.
        frozen: The calibration of the search, if there is one.
        reference_costs: Of the reference of the space.
    """

    settings: ExperimentSettings
    frozen: Calibration | None
    reference_costs: Mapping[str, float]

    def choose(self, records: Sequence[Record]) -> Choice:
        """Return the choice among the snapshots of one training, the last step last.

        The smallest objective wins, on a tie the later step.
        """
        last = records[-1].steps
        try:
            objective, standard = self.objective_for(records)
        except (ConfigError, RunError) as error:
            unknown = dict.fromkeys((record.steps for record in records), None)
            return Choice(last, last, unknown, "snapshots", str(error))
        values = {record.steps: objective(record) for record in records}
        known = [(value, -step) for step, value in values.items() if value is not None]
        if known:
            return Choice(-min(known)[1], last, values, standard)
        lacking = objective.missing(records[-1])
        reasons = [f"{name}: {records[-1].score_errors.get(name, 'missing')}" for name in lacking]
        return Choice(last, last, values, standard, "; ".join(reasons))

    def objective_for(self, records: Sequence[Record]) -> tuple[Objective, Standard]:
        """Return the objective for the snapshots of one training, and what standardises it.

        Raises:
            RunError: No snapshot has a score that is to be standardised.
            ConfigError: A budget is missing.
        """
        terms = unclipped(self.settings.objective)
        if self.frozen is not None and self.covers(self.frozen):
            return Objective(terms, self.frozen, self.reference_costs), "search"
        return Objective(terms, calibrate(records, terms), self.reference_costs), "snapshots"

    def check_comparable(self) -> None:
        """Make sure that models of different trainings are measured by one standard.

        Raises:
            ConfigError: The search did not calibrate a score that the objective standardises.
        """
        if self.frozen is None or not self.covers(self.frozen):
            names = [one.score for one in self.settings.objective.terms if one.form in CALIBRATED]
            known = self.frozen.terms if self.frozen else {}
            missing = ", ".join(sorted(set(names) - set(known)))
            raise ConfigError(
                f"finalists cannot be compared: no trial of the search says how {missing} is to "
                "be standardised; choose by an objective whose scores the search has"
            )

    def covers(self, frozen: Calibration) -> bool:
        """Whether a calibration has all that the objective standardises."""
        terms = self.settings.objective.terms
        return all(term.score in frozen.terms for term in terms if term.form in CALIBRATED)


def unclipped(objective: ObjectiveSettings) -> ObjectiveSettings:
    """Return an objective for a closed set, all of which it is standardised by."""
    return replace(objective, clip=math.inf, calibration=None)


def selector(
    settings: ExperimentSettings,
    adapt: AdaptSettings,
    calibration: Path,
    reference_costs: Mapping[str, float],
) -> Selector:
    """Return what chooses in a run.

    Args:
        settings: Of the experiment.
        adapt: How it trains fully.
        calibration: That of the search; need not exist.
        reference_costs: Of the reference of the space.

    Raises:
        RunError: A calibration is damaged, or the one that is named is not there.
    """
    own = adapt.selection.objective if adapt.selection else None
    if own is not None and own.calibration_from is not None:
        key = "adapt.selection.objective.calibration_from"
        calibration = Path(expand(own.calibration_from, key))
        frozen: Calibration | None = read_calibration(calibration)
    else:
        frozen = read_calibration(calibration) if calibration.exists() else None
    return Selector(as_seen(settings, adapt), frozen, reference_costs)


def as_seen(settings: ExperimentSettings, adapt: AdaptSettings) -> ExperimentSettings:
    """Return the settings with the objective that chooses, and no scores besides its own."""
    own = adapt.selection.objective if adapt.selection else None
    scoring = replace(settings.scoring, scores=())
    data = replace(settings.data, evaluation=None)
    return replace(
        settings, objective=own or settings.objective, scoring=scoring, data=data, adapt=None
    )


def is_chosen(adapt: AdaptSettings) -> bool:
    """Whether full models are scored at all."""
    return adapt.selection is not None or adapt.finalists > 1


def check_selection(settings: ExperimentSettings, adapt: AdaptSettings | None) -> None:
    """Refuse, before anything is trained, an objective with a score that can never be had.

    Raises:
        ConfigError: A score needs what the settings do not have; says which and what.
    """
    if adapt is None or not is_chosen(adapt):
        return
    seen = as_seen(settings, adapt)
    terms = {term.score for term in seen.objective.terms}
    absent = absent_needs(settings)
    lacking = [
        f"{name!r} needs {HOW[need]}"
        for name, score in scores_of(seen).items()
        for need in sorted(needs_of({name: score}) & absent)
        if name in terms
    ]
    if lacking:
        own = adapt.selection is not None and adapt.selection.objective is not None
        key = "adapt.selection.objective" if own else "objective"
        raise ConfigError(
            f"full models are to be chosen by {key}, but {'; '.join(lacking)}; or give another "
            "objective under adapt.selection.objective"
        )


def absent_needs(settings: ExperimentSettings) -> frozenset[Need]:
    """Return what no score can have with these settings, whatever is trained."""
    there: dict[Need, bool] = {
        "held_out": bool(settings.data.source.hold_out),
        "committee": bool(settings.scoring.committee),
        "pool": False,
    }
    return frozenset(need for need, has in there.items() if not has)


def snapshot_steps(adapt: AdaptSettings) -> tuple[int, ...]:
    """Return the steps that are looked at, the last one last; nothing if none is."""
    last = adapt.training.steps
    if adapt.selection is not None:
        return adapt.selection.steps(last)
    return (last,) if is_chosen(adapt) else ()


@dataclass(frozen=True)
class Snapshots:
    """What a full training left behind after some of its steps.

    Attributes:
        folder: Of the training; holds the model after the last step.
        steps: In order, the last one of the training last.
    """

    folder: Path
    steps: tuple[int, ...]

    @property
    def last(self) -> int:
        """The last step of the training."""
        return self.steps[-1]

    @property
    def choice(self) -> Choice | None:
        """What was chosen, if anything was."""
        path = self.folder / CHOICE
        return Choice.from_json(json.loads(path.read_text())) if path.exists() else None

    def model(self, step: int) -> Path:
        """Return the model file of a snapshot; its weights may have been removed."""
        folder = self.folder if step == self.last else snapshot_folder(self.folder, step)
        return folder / MODEL

    def record(
        self,
        step: int,
        settings: ExperimentSettings,
        *,
        architecture: Architecture,
        costs: Mapping[str, float],
        seed: int,
    ) -> Record:
        """Return the scores of a snapshot; measured once, then read from its folder.

        Raises:
            CheckpointError: It is not scored yet and its weights are missing or damaged.
        """
        path = snapshot_folder(self.folder, step) / SCORES
        if not path.exists():
            found = score_model(self.model(step), settings, costs=costs, seed=seed)
            record = Record(
                number=step,
                architecture=architecture,
                status="finished",
                seed=seed,
                steps=step,
                scores=found.values,
                score_errors=found.errors,
                costs=dict(costs),
                origin="snapshot",
            )
            write_json(path, record.to_json())
        return Record.from_json(json.loads(path.read_text()))

    def choose(self, selector: Selector, record: Callable[[int], Record]) -> Choice:
        """Choose once; the next call returns what was chosen. ``record`` scores a snapshot."""
        choice = self.choice
        if choice is None:
            for place in (self.folder, *self.folder.glob("snapshots/*")):
                sweep(place)
            choice = selector.choose([record(step) for step in self.steps])
            write_json(self.folder / CHOICE, choice.to_json())
        return choice

    def keep_as(self, name: str, step: int) -> None:
        """Give the model of a snapshot a folder of its own, where there is none yet."""
        kept = self.folder / name / MODEL
        if find_model(kept.parent) is None:
            sweep(kept.parent)
            link(self.model(step), kept)
            link(card_path(self.model(step)), card_path(kept))

    def remove_weights(self) -> None:
        """Remove all weights but those of the last step and those kept under a name."""
        for step in self.steps[:-1]:
            card_path(self.model(step)).unlink(missing_ok=True)
            self.model(step).unlink(missing_ok=True)


def snapshots_of(training: Path) -> Snapshots | None:
    """Return the snapshots of a full training that a choice was made among, if one was."""
    choice = Snapshots(training, ()).choice
    return Snapshots(training, tuple(choice.objectives)) if choice else None


def models_in(folder: Path, snapshot: str | None = None) -> list[Path]:
    """Return the models of a training, or of any other folder, that are meant.

    Args:
        folder: Of the models.
        snapshot: ``last``, ``selected``, or ``all`` for these and the best by labels, as far as
            they are there; absent: the one that is used, nothing where there is none.

    Raises:
        CheckpointError: There is no such snapshot in the folder.
    """
    if snapshot is None:
        used = used_model(folder)
        return [used] if used else []
    names = [snapshot] if snapshot != "all" else [LAST, SELECTED, BEST_BY_LABELS]
    places = [folder if name == LAST else folder / name for name in names]
    found = [model for place in places if (model := find_model(place)) is not None]
    if not found:
        raise CheckpointError(
            f"{folder} has no {snapshot} snapshot: it is no folder of a full training, or nothing "
            "was selected in it; train with adapt.selection, or leave --snapshot out"
        )
    return found


def model_at(path: Path, snapshot: str | None) -> Path:
    """Return the model file that a path stands for, with ``last`` or ``selected`` in a folder.

    Raises:
        CheckpointError: There is no such snapshot, or a file was given, which is one already.
        ConfigError: It is neither of them.
    """
    if snapshot is None:
        return path
    if snapshot not in SNAPSHOTS:
        known = " or ".join(SNAPSHOTS)
        raise ConfigError(f"no snapshot named {snapshot!r}; expected {known}")
    if not path.is_dir():
        raise CheckpointError(f"{path} is no folder; --snapshot chooses in that of a training")
    return models_in(path, snapshot)[0]


def best_step(metrics: Mapping[int, float]) -> int:
    """Return the step with the largest metric; the later one on a tie or where all are NaN."""
    return max(
        metrics, key=lambda step: (-math.inf if math.isnan(metrics[step]) else metrics[step], step)
    )
