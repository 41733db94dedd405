"""The correlation report: which label-free score ranks models as the true metric does.

Everything is computed from plain columns of numbers, one entry per model.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from autoadapt.analysis.correlation import (
    DRAWS,
    PERMUTATIONS,
    Agreement,
    as_floats,
    correlate,
    strongest_first,
)
from autoadapt.analysis.drawing import Drawing, draw, file_name
from autoadapt.analysis.page import (
    Markup,
    cell,
    document,
    facts,
    join,
    picture,
    prose,
    section,
    table,
    tag,
)
from autoadapt.analysis.plots import plot_agreement, plot_intervals
from autoadapt.analysis.tables import csv_table, decimal, percent, text_table
from autoadapt.files import write_json, write_text

Columns = Mapping[str, Sequence[float | None]]
HEADER = (
    "score",
    "ρ",
    "95 % interval",
    "τ-b",
    "pairs right",
    "ρ, top half",
    "regret@1",
    "p",
    "p, Holm",
    "n",
)
CONTROL = "control"


@dataclass(frozen=True, kw_only=True)
class CorrelationReport:
    """A bank of models with their scores and their true metric.

    Attributes:
        title: Name of the bank.
        models: Label of each model, e.g. the id of its architecture.
        truth: True target mIoU of each model, in [0, 1].
        scores: Label-free scores, one value per model, smaller is better; none where absent.
        controls: What a good score has to beat: costs of the models, the same way.
        facts: What all models have in common (method, steps, images), by name.
        opened_labels: One note for each time target labels were opened.
        seed: Of the resampling.
    """

    title: str
    models: Sequence[str]
    truth: Sequence[float]
    scores: Columns
    controls: Columns = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    opened_labels: Sequence[str] = ()
    seed: int = 0

    @cached_property
    def agreements(self) -> list[Agreement]:
        """Scores and controls, strongest first; only the scores are corrected for each other."""
        scores = correlate(self.scores, self.truth, seed=self.seed)
        return strongest_first(scores + correlate(self.controls, self.truth, seed=self.seed))

    @cached_property
    def columns(self) -> dict[str, Sequence[float | None]]:
        """Scores and controls by name."""
        return {**self.controls, **self.scores}


def write_correlation(report: CorrelationReport, folder: Path) -> Path:
    """Write ``index.html``, ``correlation.csv|json``, ``models.csv`` and ``plots/``.

    Returns:
        The page.

    Raises:
        ValueError: Columns of different lengths, a missing truth, or a name that is both a
            score and a control.
        RunError: The disk is full.
    """
    if len(report.models) != len(report.truth):
        raise ValueError(f"{len(report.models)} models but {len(report.truth)} true metrics")
    if both := sorted(report.scores.keys() & report.controls.keys()):
        raise ValueError(f"both score and control: {both}; rename one of them")
    drawings = draw_all(report)
    for drawing in drawings:
        drawing.save(folder / "plots")
    write_text(folder / "correlation.csv", agreements_csv(report))
    write_text(folder / "models.csv", models_csv(report))
    write_json(folder / "correlation.json", as_json(report))
    page = folder / "index.html"
    write_text(page, correlation_page(report, drawings))
    return page


def correlation_text(report: CorrelationReport) -> str:
    """Return summary and table for a terminal."""
    rows = [agreement_cells(one, report.controls) for one in report.agreements]
    return "\n".join([*summarise(report), "", text_table(HEADER, rows)])


def summarise(report: CorrelationReport) -> list[str]:
    """Return what the numbers say, in plain sentences."""
    count, truth = len(report.truth), report.truth
    opening = f"{len(report.scores)} label-free score{'s' * (len(report.scores) != 1)}"
    if not count:
        return [f"{opening}, but no model with a true target mIoU yet."]
    opening += f" compared with the true target mIoU of {count} model{'s' * (count != 1)}"
    opening += f" (from {percent(min(truth))} to {percent(max(truth))} %)."
    scored = [one for one in report.agreements if one.name in report.scores]
    ranked = [one for one in scored if not math.isnan(one.rho)]
    if not ranked:
        reasons = sorted({one.reason for one in scored if one.reason}) or ["there is no score"]
        return [opening, f"No score could be judged: {'; '.join(reasons)}."]
    best = min(ranked, key=lambda one: one.rho)
    if best.rho >= 0:
        return [opening, "No score ranks the models in the right direction."]
    return [opening, best_sentence(best), *doubts(best, report)]


def best_sentence(best: Agreement) -> str:
    """Say how well the best score ranks."""
    low, high = best.interval
    return (
        f"“{best.name}” ranks them best: Spearman ρ {decimal(best.rho, 2)} (95 % interval "
        f"{decimal(low, 2)} to {decimal(high, 2)}). It puts {percent(best.pair_accuracy)} % of all "
        f"pairs of models in the right order, and the model it would pick is "
        f"{percent(best.regret)} points of mIoU below the best one."
    )


def doubts(best: Agreement, report: CorrelationReport) -> list[str]:
    """Say what weakens the finding: chance, choosing among many scores, a control as good."""
    sentences = []
    if not best.interval[1] < 0:
        sentences.append("Its interval reaches 0: more models are needed to tell it from chance.")
    elif best.p_holm > 0.05:
        sentences.append(
            f"As the best of {len(report.scores)} scores it could still be chance "
            f"(corrected p {decimal(best.p_holm, 2)})."
        )
    controls = [one for one in report.agreements if one.name in report.controls]
    known = [one for one in controls if not math.isnan(one.rho)]
    if known:
        control = max(known, key=lambda one: abs(one.rho))
        verdict = (
            "the size of a network says as much, so this is no evidence for the score"
            if abs(control.rho) >= abs(best.rho)
            else "less than the score"
        )
        sentences.append(
            f"As a control, {control.name} alone reaches ρ {decimal(control.rho, 2)}: {verdict}."
        )
    return sentences


def agreement_cells(one: Agreement, controls: Columns) -> list[str]:
    """Return one row of the table, with the columns of ``HEADER``."""
    low, high = one.interval
    interval = "–" if math.isnan(low) else f"[{decimal(low, 2)}, {decimal(high, 2)}]"
    return [
        f"{one.name} ({CONTROL})" if one.name in controls else one.name,
        decimal(one.rho, 2),
        interval,
        decimal(one.tau, 2),
        percent(one.pair_accuracy) + " %" * (not math.isnan(one.pair_accuracy)),
        decimal(one.top_half, 2),
        percent(one.regret),
        p_words(one.p_value),
        p_words(one.p_holm) if one.name not in controls else "–",
        f"{one.n} of {one.n + one.dropped}",
    ]


def p_words(p: float) -> str:
    """Return a p-value; below what the permutations resolve, only that."""
    return "<0.001" if p < 0.001 else decimal(p, 3)


def draw_all(report: CorrelationReport) -> list[Drawing]:
    """Return the overview of all intervals and one scatter plot per score, strongest first."""
    order, truth = report.agreements, np.array(report.truth, dtype=np.float64)
    overview = draw(
        lambda ax: plot_intervals(
            [one.name for one in order],
            np.array([one.rho for one in order]),
            np.array([one.interval for one in order]).reshape(-1, 2),
            ax=ax,
            controls=list(report.controls),
        ),
        name="overview",
        description="Rank correlation of each score with the true mIoU, with 95 % intervals",
        size=(9.6, 1.0 + 0.34 * max(len(order), 1)),
    )
    return [overview, *(draw_score(i, one, report, truth) for i, one in enumerate(order))]


def draw_score(
    position: int, one: Agreement, report: CorrelationReport, truth: np.ndarray[Any, Any]
) -> Drawing:
    """Draw one score against the truth; the position keeps file names apart."""
    score = as_floats(one.name, report.columns[one.name], len(truth))
    title = f"{one.name}: ρ {decimal(one.rho, 2)}, n = {one.n}"
    return draw(
        lambda ax: plot_agreement(score, truth, ax=ax, title=title, name=one.name),
        name=f"score-{position:02d}-{file_name(one.name)}",
        description=f"{title}, against the true target mIoU",
        size=(4.2, 3.4),
    )


def correlation_page(report: CorrelationReport, drawings: Sequence[Drawing]) -> str:
    """Return the whole page."""
    overview, *scatters = drawings
    contents = {"table": "Scores", "plots": "Plots", "labels": "Target labels", "method": "Method"}
    header = tag(
        "header",
        tag("p", "Correlation report", class_="kicker"),
        tag("h1", report.title),
        *map(prose, summarise(report)),
    )
    opened = [tag("li", note) for note in report.opened_labels]
    return document(
        report.title,
        header,
        section(
            "How each score ranks",
            picture(overview, class_="plot wide"),
            agreement_table(report),
            undefined_notes(report),
            anchor="table",
        ),
        section(
            "Score against truth",
            tag("p", "Every dot is a model; a good score falls from left to right.", class_="note"),
            tag("div", *(picture(one, class_="plot small") for one in scatters), class_="grid"),
            anchor="plots",
        ),
        section(
            "Where target labels were opened",
            tag("p", "The true mIoU needs target labels; no score and no search reads them."),
            tag("ul", *opened, class_="plain") if opened else "",
            anchor="labels",
        ),
        section("How this was computed", *method(report), anchor="method"),
        contents=contents,
    )


def agreement_table(report: CorrelationReport) -> Markup:
    """Return the table of scores, strongest first."""
    rows = []
    for one in report.agreements:
        numbers = (one.rho, one.interval[0], one.tau, one.pair_accuracy, one.top_half, one.regret)
        values = (*numbers, one.p_value, one.p_holm, float(one.n))
        name, *texts = agreement_cells(one, report.controls)
        cells = [cell(text, value=value) for text, value in zip(texts, values, strict=True)]
        kind = CONTROL if one.name in report.controls else None
        rows.append(tag("tr", cell(name, class_="first"), *cells, class_=kind))
    return table(HEADER, rows, numeric=HEADER[1:])


def undefined_notes(report: CorrelationReport) -> Markup:
    """Say why some scores have no numbers."""
    reasons = [f"{one.name}: {one.reason}." for one in report.agreements if one.reason]
    return join(tag("p", reason, class_="note") for reason in reasons)


def method(report: CorrelationReport) -> list[Markup]:
    """Return how the numbers came about and how to read them."""
    text = (
        "A score is better when it is smaller and mIoU when it is larger, so a good score has a "
        "negative correlation. ρ is Spearman's rank correlation, τ-b Kendall's. The interval is "
        f"the 95 % percentile interval of {DRAWS} resamples of the models; p comes from "
        f"{PERMUTATIONS} permutations, and is then corrected for the number of scores (Holm). "
        "“Pairs right” is the share of pairs of models that the score orders as the truth does "
        "(50 % is chance). “Top half” is ρ among the better half of the models, where a search "
        "operates. Regret@1 is the mIoU, in points, that picking by the score alone loses. Rows "
        "marked as control are no scores: a score that ranks no better than they do tells nothing "
        "that the size of the network does not."
    )
    return [tag("p", text), facts(report.facts)]


def agreement_values(one: Agreement, report: CorrelationReport) -> dict[str, Any]:
    """Return one score as plain values, NaN where undefined."""
    return {
        "score": one.name,
        "kind": CONTROL if one.name in report.controls else "score",
        "n": one.n,
        "dropped": one.dropped,
        "rho": one.rho,
        "rho_low": one.interval[0],
        "rho_high": one.interval[1],
        "tau_b": one.tau,
        "p_value": one.p_value,
        "p_holm": one.p_holm,
        "pair_accuracy": one.pair_accuracy,
        "rho_top_half": one.top_half,
        "regret_at_1": one.regret,
        "reason": one.reason,
    }


def agreements_csv(report: CorrelationReport) -> str:
    """Return one line per score in full precision, strongest first."""
    rows = [agreement_values(one, report) for one in report.agreements]
    header = list(agreement_values(Agreement(name="", n=0, dropped=0), report))
    return csv_table(header, [list(row.values()) for row in rows])


def models_csv(report: CorrelationReport) -> str:
    """Return one line per model: its true metric and every score and control."""
    columns = report.columns.values()
    rows = zip(report.models, report.truth, *columns, strict=True)
    return csv_table(["model", "target_miou", *report.columns], rows)


def as_json(report: CorrelationReport) -> dict[str, Any]:
    """Return results and raw numbers as plain values; what is undefined is null."""
    rows = [agreement_values(one, report) for one in report.agreements]
    return {
        "title": report.title,
        "facts": dict(report.facts),
        "seed": report.seed,
        "bootstrap_draws": DRAWS,
        "permutations": PERMUTATIONS,
        "summary": summarise(report),
        "agreements": [{name: finite(value) for name, value in row.items()} for row in rows],
        "models": list(report.models),
        "truth": list(report.truth),
        "columns": {
            name: [finite(value) for value in values] for name, values in report.columns.items()
        },
        "opened_labels": list(report.opened_labels),
    }


def finite(value: Any) -> Any:
    """Return a value that JSON can hold: NaN and infinities become null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
