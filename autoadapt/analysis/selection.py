"""What was chosen among full models without labels, and what the choice cost."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from autoadapt.analysis.results import mean_of_known
from autoadapt.analysis.tables import ABSENT, csv_table, decimal, markdown_table, percent

LABELLED = "best by labels"
MEAN = "mean"
ANALYSIS = "uses target labels: for analysis only"
"""Stands wherever something was found with labels that nothing may be chosen by."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A training after some of its steps.

    Attributes:
        objective: Without labels, smaller is better; nothing where a score is missing.
        metric: Headline metric on target labels in [0, 1]; NaN where it was not evaluated.
    """

    step: int
    objective: float | None
    metric: float = math.nan


@dataclass(frozen=True, kw_only=True)
class SelectedTraining:
    """The snapshots of one training and which of them is used.

    Attributes:
        contender: Short name of what was trained.
        snapshots: In order, the last step last.
        selected: Step of the one that is used.
        whole: Whether every snapshot was evaluated, so that the best by labels is known.
        note: Why there is no objective, where there is none.
    """

    contender: str
    seed: int
    snapshots: tuple[Snapshot, ...]
    selected: int
    whole: bool = False
    note: str = ""

    @property
    def last(self) -> Snapshot:
        """The last step."""
        return self.snapshots[-1]

    @cached_property
    def chosen(self) -> Snapshot:
        """The snapshot that is used."""
        return next(one for one in self.snapshots if one.step == self.selected)

    @cached_property
    def best(self) -> Snapshot | None:
        """The snapshot with the largest metric, the later one on a tie; uses target labels."""
        known = [one for one in self.snapshots if not math.isnan(one.metric)]
        return max(known, key=lambda one: (one.metric, one.step)) if known and self.whole else None

    def regret(self, snapshot: Snapshot) -> float:
        """Return how far a snapshot is below the best by labels, from 0 on; NaN if unknown."""
        return self.best.metric - snapshot.metric if self.best else math.nan

    def to_json(self) -> dict[str, Any]:
        """Return plain values; what is unknown is null."""
        snapshots = [
            {"step": one.step, "objective": one.objective, "metric": known(one.metric)}
            for one in self.snapshots
        ]
        return {
            "contender": self.contender,
            "seed": self.seed,
            "last": self.last.step,
            "selected": self.selected,
            "note": self.note,
            "snapshots": snapshots,
            "best_by_labels": self.best.step if self.best else None,
            "regret_of_selected": known(self.regret(self.chosen)),
            "regret_of_last": known(self.regret(self.last)),
        }


@dataclass(frozen=True, kw_only=True)
class ComparedFinalist:
    """One of the best candidates of a search as a full model.

    Attributes:
        name: What tables call it.
        search_objective: As a candidate.
        objective: As a full model, mean over seeds; nothing where a score is missing.
        metric: Headline metric on target labels, mean over seeds; NaN where not evaluated.
        won: Whether it is the winner.
        note: Why it cannot win, if it cannot.
    """

    name: str
    trial: int
    id: str
    search_objective: float
    objective: float | None
    metric: float = math.nan
    won: bool = False
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain values; what is unknown is null."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return fields | {"metric": known(self.metric)}


def known(value: float) -> float | None:
    """Return a number, or None for NaN, which JSON does not have."""
    return None if math.isnan(value) else value


def selection_cells(
    trainings: Sequence[SelectedTraining],
) -> tuple[list[str], list[list[str]]]:
    """Return header and rows: one per training, then the mean of all where there are several.

    A snapshot is shown as its metric in percent and its step: ``41.2 at 4000``.
    """
    header = ["training", "seed", "last", "selected", "objective", f"{LABELLED}*"]
    header += ["regret*", "regret of last*"]
    rows = [training_row(one) for one in trainings]
    if len(rows) > 1:
        means = mean_of_known(np.array([numbers(one) for one in trainings]))
        last, chosen, best, *regrets = (percent(value) for value in means)
        rows.append([MEAN, "", last, chosen, "", best, *regrets])
    return header, rows


def training_row(one: SelectedTraining) -> list[str]:
    """Return the cells of one training."""
    return [
        one.contender,
        str(one.seed),
        at_step(one.last),
        at_step(one.chosen),
        decimal(one.chosen.objective),
        at_step(one.best),
        percent(one.regret(one.chosen)),
        percent(one.regret(one.last)),
    ]


def at_step(snapshot: Snapshot | None) -> str:
    """Return a snapshot as a cell; its step alone where it was not evaluated."""
    if snapshot is None:
        return ABSENT
    if math.isnan(snapshot.metric):
        return f"step {snapshot.step}"
    return f"{percent(snapshot.metric)} at {snapshot.step}"


def numbers(one: SelectedTraining) -> list[float]:
    """Return metrics of the last, the selected and the best snapshot, and both regrets."""
    best = one.best.metric if one.best else math.nan
    regrets = [one.regret(one.chosen), one.regret(one.last)]
    return [one.last.metric, one.chosen.metric, best, *regrets]


def finalist_cells(
    finalists: Sequence[ComparedFinalist], metric: str = "mIoU"
) -> tuple[list[str], list[list[str]]]:
    """Return header and rows: one per finalist, in the order of the search.

    The columns ``candidate`` and ``full model`` hold the objective.
    """
    header = ["finalist", "trial", "architecture", "candidate", "full model", metric]
    header += ["regret*", "remarks"]
    rows = [
        [
            one.name,
            str(one.trial),
            one.id,
            decimal(one.search_objective),
            decimal(one.objective),
            percent(one.metric),
            percent(best_metric(finalists) - one.metric),
            "winner" if one.won else one.note,
        ]
        for one in finalists
    ]
    return header, rows


def best_metric(finalists: Sequence[ComparedFinalist]) -> float:
    """Return the largest metric of the finalists; NaN where one that was trained has none."""
    metrics = [one.metric for one in finalists if not one.note]
    return max(metrics) if metrics and not any(map(math.isnan, metrics)) else math.nan


def selection_note(metric: str = "mIoU") -> str:
    """Return what stands below the tables."""
    return (
        f"Snapshots: {metric} in % at a step. Finalists: the objective, which uses no label and is "
        "better the smaller it is, as a candidate and as a full model (mean over seeds). Regret: "
        f"points of {metric} below the best by labels. * {ANALYSIS}; nothing is chosen by it."
    )


def selection_sentence(trainings: Sequence[SelectedTraining], metric: str = "mIoU") -> str:
    """Say how often another snapshot than the last was selected, and what that gave."""
    if not trainings:
        return ""
    moved = sum(one.selected != one.last.step for one in trainings)
    count = len(trainings)
    text = (
        f"Without labels, an earlier snapshot than the last step was selected in {moved} of "
        f"{count} full training{'s' * (count != 1)}"
    )
    _, _, _, chosen, last = mean_of_known(np.array([numbers(one) for one in trainings]))
    if math.isnan(chosen):
        return f"{text}."
    return (
        f"{text}; what was selected is on average {percent(chosen)} points of {metric} below the "
        f"best snapshot by labels, the last step {percent(last)} ({ANALYSIS})."
    )


def finalists_sentence(finalists: Sequence[ComparedFinalist], metric: str = "mIoU") -> str:
    """Say who won among the finalists, and how far from the best of them it is."""
    winner = next((one for one in finalists if one.won), None)
    if winner is None:
        return ""
    reason = "has the smallest objective as a full model"
    if winner.objective is None:
        reason = "is kept, since no full model has an objective"
    text = f"Of {len(finalists)} finalists, {winner.name} ({winner.id}, trial {winner.trial})"
    text = f"{text} {reason}"
    regret = best_metric(finalists) - winner.metric
    if math.isnan(regret):
        return f"{text}."
    return (
        f"{text}; it is {percent(regret)} points of {metric} below the best of them ({ANALYSIS})."
    )


def selection_markdown(
    trainings: Sequence[SelectedTraining],
    finalists: Sequence[ComparedFinalist],
    metric: str = "mIoU",
) -> str:
    """Return the tables there are as Markdown, with what the star means."""
    tables = []
    if finalists:
        tables.append(markdown_table(*finalist_cells(finalists, metric)))
    if trainings:
        tables.append(markdown_table(*selection_cells(trainings)))
    note = selection_note(metric).replace("*", "\\*", 1)
    return "\n\n".join([*tables, note]) + "\n"


def selection_csv(trainings: Sequence[SelectedTraining]) -> str:
    """Return one line per snapshot, full precision, the metric as a fraction."""
    header = ["contender", "seed", "step", "objective", "metric"]
    header += ["is_last", "is_selected", "is_best_by_labels"]
    rows = (
        [
            one.contender,
            one.seed,
            snapshot.step,
            snapshot.objective,
            snapshot.metric,
            int(snapshot is one.last),
            int(snapshot.step == one.selected),
            int(snapshot is one.best) if one.best else None,
        ]
        for one in trainings
        for snapshot in one.snapshots
    )
    return csv_table(header, rows)


def selection_json(
    trainings: Sequence[SelectedTraining],
    finalists: Sequence[ComparedFinalist],
    metric: str = "mIoU",
) -> str:
    """Return everything as JSON."""
    values: Mapping[str, Any] = {
        "metric": metric,
        "best_by_labels": ANALYSIS,
        "finalists": [one.to_json() for one in finalists],
        "trainings": [one.to_json() for one in trainings],
    }
    return json.dumps(values, indent=2, allow_nan=False) + "\n"
