"""The sections of the search report's page."""

import math
from collections.abc import Mapping, Sequence

from autoadapt.analysis.drawing import Drawing
from autoadapt.analysis.history import value_or_nan
from autoadapt.analysis.page import (
    Markup,
    cell,
    document,
    facts,
    join,
    picture,
    png_image,
    prose,
    section,
    table,
    tag,
    tiles,
)
from autoadapt.analysis.report_content import SearchReport, summarise
from autoadapt.analysis.results import AdaptationResult, row_titles, same_classes
from autoadapt.analysis.selection_page import selection_section
from autoadapt.analysis.summary import reason_words, share_words
from autoadapt.analysis.tables import decimal, duration, percent, quantity, result_cells
from autoadapt.records import Record
from autoadapt.space.architecture import Value

CONTENTS = {
    "search": "Search",
    "winner": "Winner",
    "adaptation": "Adaptation",
    "selection": "Selection",
    "samples": "Samples",
    "trials": "Trials",
    "labels": "Target labels",
    "settings": "Settings",
}


def report_page(report: SearchReport, drawings: Mapping[str, Drawing]) -> str:
    """Return the whole page; ``drawings`` are those of ``draw_all``."""
    return document(
        report.title,
        page_header(report),
        search_section(drawings),
        winner_section(report),
        adaptation_section(report, drawings),
        selection_section(report, drawings),
        samples_section(report),
        trials_section(report),
        labels_section(report.opened_labels),
        section("Settings", facts(report.facts), anchor="settings"),
        contents=contents(report),
    )


def contents(report: SearchReport) -> dict[str, str]:
    """Return the links at the top: to the sections that there are."""
    chosen = bool(report.finalists or report.trainings)
    return {anchor: name for anchor, name in CONTENTS.items() if chosen or anchor != "selection"}


def page_header(report: SearchReport) -> Markup:
    """Return title, summary in plain words and the key numbers."""
    return tag(
        "header",
        tag("p", "Search report", class_="kicker"),
        tag("h1", report.title),
        *map(prose, summarise(report)),
        tiles(key_numbers(report)),
    )


def key_numbers(report: SearchReport) -> list[tuple[str, str, str]]:
    """Return the numbers a reader looks for first: name, value, what to compare it with."""
    finished = sum(record.status == "finished" for record in report.records)
    total = max(report.planned or 0, len(report.records))
    entries = [("Trials finished", f"{finished} of {total}", time_words(report.records))]
    best = report.winner or (report.best_first[0] if report.best_first else None)
    if best is not None:
        who = "of the winner" if report.winner else "of the best so far"
        value = value_or_nan(best, report.objective)
        entries.append(("Objective", decimal(value), f"{who}; smaller is better"))
        macs, reference = best.costs.get("macs"), report.reference_costs.get("macs")
        note = f"{share_words(macs / reference)} the reference" if macs and reference else who
        entries.append(("Multiply-adds", quantity(macs), note))
    return entries + adaptation_numbers(report.adaptation)


def adaptation_numbers(results: Sequence[AdaptationResult]) -> list[tuple[str, str, str]]:
    """Return the first result's headline, with its distance from what it is compared with."""
    if not results:
        return []
    headline, *others = results
    gains = [
        f"{signed(100 * (headline.headline_mean - other.headline_mean))} against {other.name}"
        for other in others
    ]
    note = "; ".join(gains[:2]) or headline.name
    value = percent(headline.headline_mean, digits=headline.digits)
    return [(f"Target {headline.headline}", f"{value} %", note)]


def time_words(records: Sequence[Record]) -> str:
    """Return the trials' wall time, added up."""
    total = sum(record.seconds for record in records)
    return f"{duration(total)} of trials, added up" if total else ""


def search_section(drawings: Mapping[str, Drawing]) -> Markup:
    """Return the plots about the trials."""
    history = picture(
        drawings["history"],
        "Each dot is one trial, in the order proposed. The line is the best objective up to "
        "there; crosses at the bottom are trials that failed.",
        class_="plot wide",
    )
    captions = {
        "parts": "The best trials, best first: each weighted term of the objective, and their "
        "sum (diamond). Below zero is better than the calibration trials were in the middle.",
        "pareto": "A trial on the front has no other that is better in one and not worse in "
        "the other.",
        "scores": "Two scores of the same trials. Where they agree, the second one adds little.",
    }
    titles = {
        "parts": "The objective in parts",
        "pareto": "Objective and costs",
        "scores": "Two scores",
    }
    kinds = {"parts": "plot wide", "pareto": "plot", "scores": "plot"}
    below = [
        section(
            titles[name],
            picture(drawings[name], caption, class_=kinds[name]),
            anchor=f"plot-{name}",
        )
        for name, caption in captions.items()
        if name in drawings
    ]
    first = section("How the search went", history, anchor="search")
    return join([first, *below[:1], tag("div", *below[1:], class_="columns")])


def winner_section(report: SearchReport) -> Markup:
    """Return the winner's architecture in words and choice by choice."""
    title = "The winning architecture"
    if report.winner is None:
        return section(title, tag("p", "No winner has been chosen yet."), anchor="winner")
    winner = report.winner
    origin = f"trial {winner.number}, {report.origin(winner)}"
    if winner.parents:
        origin += f" of {', '.join(winner.parents)}"
    known = {
        "architecture": winner.architecture.id,
        "found in": origin,
        "family": winner.architecture.family,
        "multiply-adds": against(winner.costs.get("macs"), report.reference_costs.get("macs")),
        "parameters": against(winner.costs.get("params"), report.reference_costs.get("params")),
    }
    known |= {f"score {name}": decimal(value, 4) for name, value in winner.scores.items()}
    choices = {name: choice_words(value) for name, value in winner.architecture.items}
    words = [tag("p", report.winner_words)] if report.winner_words else []
    return section(
        title, *words, facts(known), tag("h3", "Its choices"), facts(choices), anchor="winner"
    )


def signed(points: float) -> str:
    """Return a difference with its sign, a real minus where it is negative."""
    return f"{points:+.1f}".replace("-", "−")


def against(value: float | None, reference: float | None) -> str:
    """Return a cost and, where it is known, that of the reference."""
    return quantity(value) + (f" (reference {quantity(reference)})" if reference else "")


def choice_words(value: Value) -> str:
    """Return the value of a choice as a reader would write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(choice_words(item) for item in value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def adaptation_section(report: SearchReport, drawings: Mapping[str, Drawing]) -> Markup:
    """Return what full adaptation gave, class by class."""
    title, anchor = "After full adaptation", "adaptation"
    if not report.adaptation:
        return section(title, tag("p", "No model has been adapted in full yet."), anchor=anchor)
    models = [
        tag("li", tag("strong", result.name), f": {result.description} ({seeds_words(result)})")
        for result in report.adaptation
    ]
    return section(
        title,
        tag("ul", *models, class_="plain"),
        tag("h3", f"Target {report.adaptation[0].measure} by class"),
        picture(drawings["classes"], class_="plot wide"),
        results_table(report.adaptation),
        tag(
            "p",
            "Mean and, with several seeds, ± the standard deviation over them. “–”: the class "
            f"occurs neither in the labels nor in the predictions. {report.evaluation_words}",
            class_="note",
        ),
        confusion_pictures(drawings),
        anchor=anchor,
    )


def results_table(results: Sequence[AdaptationResult]) -> Markup:
    """Return the table of classes and means, which can be sorted by any of its columns."""
    header, rows = result_cells(results)
    classes = same_classes(results)
    values = [*zip(*(result.class_mean for result in results), strict=True)]
    values += [tuple(one.row_mean(title) for one in results) for title in row_titles(results)]
    lines = [
        tag(
            "tr",
            cell(name, class_="first"),
            *(cell(text, value=value) for text, value in zip(texts, means, strict=True)),
            class_="total" if index >= len(classes) else None,
        )
        for index, ((name, *texts), means) in enumerate(zip(rows, values, strict=True))
    ]
    return table(header, lines, numeric=header[1:])


def confusion_pictures(drawings: Mapping[str, Drawing]) -> Markup:
    """Return the confusion matrices, where there are any."""
    found = [drawing for name, drawing in drawings.items() if name.startswith("confusion-")]
    if not found:
        return join([])
    pictures = (picture(drawing, drawing.description) for drawing in found)
    return join([tag("h3", "What is taken for what"), tag("div", *pictures, class_="columns")])


def seeds_words(result: AdaptationResult) -> str:
    """Say which seeds a result rests on."""
    return f"seed{'s' * (len(result.values) != 1)} {', '.join(map(str, result.seed_names))}"


def samples_section(report: SearchReport) -> Markup:
    """Return predictions to look at, with the colours of the classes."""
    title, anchor = "Sample predictions", "samples"
    if not report.samples:
        return section(title, tag("p", "There are no sample predictions yet."), anchor=anchor)
    legend = [
        tag("li", tag("span", class_="swatch", style=f"background:rgb({r} {g} {b})"), name)
        for name, (r, g, b) in report.classes.items()
    ]
    strips = [
        tag(
            "div",
            tag("h3", sample.label),
            tag("div", *map(one_picture, *zip(*pictures, strict=True)), class_="strip"),
            class_="sample",
        )
        for sample in report.samples
        if (pictures := list(sample.pictures.items()))
    ]
    return section(
        title,
        tag("ul", *legend, class_="legend"),
        tag("div", *strips, class_="samples"),
        anchor=anchor,
    )


def one_picture(caption: str, png: bytes) -> Markup:
    """Return one picture of a sample."""
    return tag("figure", png_image(png, caption), tag("figcaption", caption))


def trials_section(report: SearchReport) -> Markup:
    """Return the table of all trials."""
    title, anchor = "All trials", "trials"
    if not report.records:
        return section(title, tag("p", "No trial has ended yet."), anchor=anchor)
    numbers = ["objective", *report.terms, "multiply-adds", "parameters"]
    header = ["trial", "architecture", "state", *numbers, "origin", "time", "remarks"]
    rows = (trial_line(record, report) for record in report.ordered)
    return section(
        title,
        tag("p", "A click on a heading sorts by it; a second one turns the order.", class_="note"),
        table(header, rows, numeric=["trial", *numbers, "time"]),
        anchor=anchor,
    )


def trial_line(record: Record, report: SearchReport) -> Markup:
    """Return one row of the table of trials."""
    value = value_or_nan(record, report.objective)
    parts = {} if math.isnan(value) else report.parts(record)
    macs, params = (record.costs.get(name, math.nan) for name in ("macs", "params"))
    won = report.winner is not None and record.number == report.winner.number
    state = (
        "winner" if won else ": ".join(filter(None, [record.status, reason_words(record.reason)]))
    )
    return tag(
        "tr",
        cell(str(record.number), value=record.number),
        cell(record.architecture.id, class_="mono"),
        tag("td", tag("span", state, class_=f"state {record.status}")),
        cell(decimal(value), value=value),
        *(cell(decimal(parts.get(t)), value=parts.get(t, math.nan)) for t in report.terms),
        cell(quantity(macs), value=macs),
        cell(quantity(params), value=params),
        cell(report.origin(record)),
        cell(duration(record.seconds), value=record.seconds),
        cell(remarks(record), class_="words"),
        class_="winner" if won else record.status,
    )


def remarks(record: Record) -> str:
    """Say why a trial failed, or which of its scores did."""
    scores = [f"{name}: {reason}" for name, reason in record.score_errors.items()]
    return "; ".join(filter(None, [record.detail, *scores]))


def labels_section(notes: Sequence[str]) -> Markup:
    """Say when target labels were opened."""
    always = (
        "The search reads no target label: a training batch of target images has no field for "
        "one, and scores and strategies cannot import the metrics."
    )
    opened = (
        tag("ul", *(tag("li", note) for note in notes), class_="plain")
        if notes
        else tag("p", "Target labels have not been opened in this run.")
    )
    return section("Where target labels were opened", tag("p", always), opened, anchor="labels")
