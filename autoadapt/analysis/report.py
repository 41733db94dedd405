"""The search report: one HTML file that needs nothing else, with plots and tables beside it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from autoadapt.analysis.confusion import draw_confusion
from autoadapt.analysis.drawing import Drawing, draw
from autoadapt.analysis.history import score_pair, value_or_nan
from autoadapt.analysis.plots import (
    plot_class_iou,
    plot_history,
    plot_pareto,
    plot_parts,
    plot_score_pair,
    plot_snapshots,
)
from autoadapt.analysis.report_content import Sample, SearchReport, summarise
from autoadapt.analysis.report_page import report_page
from autoadapt.analysis.selection import (
    ANALYSIS,
    selection_csv,
    selection_json,
    selection_markdown,
)
from autoadapt.analysis.tables import csv_table, results_csv
from autoadapt.files import write_text
from autoadapt.records import Record
from autoadapt.space.architecture import thaw

__all__ = [
    "Sample",
    "SearchReport",
    "draw_all",
    "draw_pair",
    "draw_parts",
    "summarise",
    "trials_csv",
    "write_report",
]

SHOWN_PARTS = 10
"""Best trials whose objective is shown in parts."""
SQUARE = (6.2, 4.6)
"""Inches of the plots that stand side by side."""


def write_report(report: SearchReport, folder: Path) -> Path:
    """Write ``index.html``, ``plots/``, ``trials.csv`` and ``adaptation.csv``; return the page.

    Where something was chosen among full models, also ``selection.csv``, ``.md`` and ``.json``.
    Each file is replaced as a whole, so a page that is open in a browser can be reloaded at any
    time while the search goes on.

    Raises:
        ValueError: A sample is not a PNG, or the adaptation results are over different classes.
        RunError: The disk is full.
    """
    drawings = draw_all(report)
    for drawing in drawings.values():
        drawing.save(folder / "plots")
    write_text(folder / "trials.csv", trials_csv(report))
    write_text(folder / "adaptation.csv", results_csv(report.adaptation))
    if report.trainings or report.finalists:
        chosen = report.trainings, report.finalists, report.metric
        write_text(folder / "selection.csv", selection_csv(report.trainings))
        write_text(folder / "selection.md", selection_markdown(*chosen))
        write_text(folder / "selection.json", selection_json(*chosen))
    page = folder / "index.html"
    write_text(page, report_page(report, drawings))
    return page


def draw_all(report: SearchReport) -> dict[str, Drawing]:
    """Return the plots of the page by name; those without any numbers are left out."""
    drawings = [
        draw(
            lambda ax: plot_history(report.history, ax=ax),
            name="history",
            description="Objective of each trial in the order proposed, with the best so far",
            size=(9.6, 3.7),
        ),
        draw_parts(report) if report.best_first else None,
        draw_pareto(report) if report.best_first else None,
        draw_pair(report),
        draw_classes(report),
        *draw_snapshots(report),
        *(draw_confusion(one) for one in report.adaptation if one.confusion is not None),
    ]
    return {drawing.name: drawing for drawing in drawings if drawing}


def draw_parts(report: SearchReport) -> Drawing:
    """Draw the terms of the objective of the best trials."""
    best = {
        f"{record.architecture.id[:8]} #{record.number}": report.parts(record)
        for record in report.best_first[:SHOWN_PARTS]
    }
    return draw(
        lambda ax: plot_parts(best, ax=ax),
        name="parts",
        description=f"Terms of the objective of the best {len(best)} trials",
        size=(9.6, 1.2 + 0.28 * max(len(best), 3)),
    )


def draw_pareto(report: SearchReport) -> Drawing:
    """Draw the objective against the costs."""
    numbers = list(report.history.numbers)
    macs = report.reference_costs.get("macs")
    return draw(
        lambda ax: plot_pareto(
            report.history.objective,
            report.history.macs,
            ax=ax,
            winner=numbers.index(report.winner.number) if report.winner else None,
            reference=None if macs is None else (macs, report.reference_objective),
        ),
        name="pareto",
        description="Objective of each trial against its multiply-adds, with the Pareto front",
        size=SQUARE,
    )


def draw_pair(report: SearchReport) -> Drawing | None:
    """Draw the first two scores of the objective against each other, where it has two."""
    scores = [
        term for term in report.terms if any(term in record.scores for record in report.records)
    ]
    if len(scores) < 2:
        return None
    x, y = scores[:2]
    return draw(
        lambda ax: plot_score_pair(score_pair(report.ordered, x, y), ax=ax, names=(x, y)),
        name="scores",
        description=f"{x} against {y} of each trial",
        size=SQUARE,
    )


def draw_classes(report: SearchReport) -> Drawing | None:
    """Draw the per-class results of full adaptation, once there are any."""
    if not report.adaptation:
        return None
    rows = (len(report.adaptation[0].classes) + 1) * (0.14 * len(report.adaptation) + 0.1)
    return draw(
        lambda ax: plot_class_iou(report.adaptation, ax=ax),
        name="classes",
        description="Target values of each class and their mean, for each model",
        size=(9.6, 1.2 + rows),
    )


def draw_snapshots(report: SearchReport) -> list[Drawing]:
    """Draw the objective and, where it is known, the metric of the snapshots of each training."""
    drawings = []
    if any(one.objective is not None for each in report.trainings for one in each.snapshots):
        drawings.append(
            draw(
                lambda ax: plot_snapshots(report.trainings, ax=ax),
                name="snapshots",
                description="Label-free objective of the snapshots of each training",
                size=SQUARE,
            )
        )
    if any(each.whole for each in report.trainings):
        drawings.append(
            draw(
                lambda ax: plot_snapshots(report.trainings, ax=ax, metric=report.metric),
                name="snapshots-metric",
                description=f"Target {report.metric} of the same snapshots; {ANALYSIS}",
                size=SQUARE,
            )
        )
    return drawings


def trials_csv(report: SearchReport) -> str:
    """Return one line per trial: everything a record holds, the objective and its terms.

    Columns of terms, scores, costs and choices start with ``part.``, ``score.``, ``cost.`` and
    ``choice.``; what a trial does not have is an empty cell.
    """
    rows = [trial_row(record, report) for record in report.ordered]
    fixed = list(trial_row_start)
    named = sorted({name for row in rows for name in row} - set(fixed), key=column_order)
    header = [*fixed, *named]
    return csv_table(header, ([row.get(name) for name in header] for row in rows))


trial_row_start = (
    "number",
    "id",
    "status",
    "objective",
    "origin",
    "parents",
    "steps",
    "seed",
    "seconds",
    "reason",
    "detail",
    "family",
    "name",
)
"""Columns of ``trials.csv`` that every run has, in their order."""


def column_order(name: str) -> tuple[int, str]:
    """Order the other columns by kind, then by name."""
    kind = name.partition(".")[0]
    return ("part", "score", "cost", "choice").index(kind), name


def trial_row(record: Record, report: SearchReport) -> Mapping[str, object]:
    """Return one trial as values by column."""
    value = value_or_nan(record, report.objective)
    row: dict[str, object] = {
        name: getattr(record, name) for name in trial_row_start if hasattr(record, name)
    }
    row |= {"id": record.architecture.id, "family": record.architecture.family, "objective": value}
    row |= {"parents": " ".join(record.parents)}
    row |= {"name": report.names.get(record.architecture.id)}
    groups: dict[str, Mapping[str, object]] = {
        "part": {} if np.isnan(value) else report.parts(record),
        "score": record.scores,
        "cost": record.costs,
        "choice": {name: thaw(choice) for name, choice in record.architecture.items},
    }
    for group, values in groups.items():
        row |= {f"{group}.{name}": entry for name, entry in values.items()}
    return row
