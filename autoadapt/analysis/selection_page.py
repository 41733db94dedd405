"""The part of the search report about what was chosen among full models."""

from collections.abc import Mapping, Sequence

from autoadapt.analysis.drawing import Drawing
from autoadapt.analysis.page import Markup, cell, join, picture, section, table, tag
from autoadapt.analysis.report_content import SearchReport
from autoadapt.analysis.selection import MEAN, finalist_cells, selection_cells, selection_note

PLOTS = ("snapshots", "snapshots-metric")


def selection_section(report: SearchReport, drawings: Mapping[str, Drawing]) -> Markup:
    """Return finalists and snapshots; nothing where nothing was chosen among full models."""
    if not report.finalists and not report.trainings:
        return join([])
    parts: list[str] = []
    if report.finalists:
        parts += [
            tag("h3", "Finalists"),
            rows_table(*finalist_cells(report.finalists, report.metric), words={0, 2, 7}),
        ]
    if report.trainings:
        plots = [drawings[name] for name in PLOTS if name in drawings]
        parts += [
            tag("h3", "Snapshots"),
            tag("div", *(picture(one, one.description) for one in plots), class_="columns"),
            rows_table(*selection_cells(report.trainings), words={0}),
        ]
    notes = dict.fromkeys(one.note for one in report.trainings if one.note)
    lines = [selection_note(report.metric), *(f"No objective: {note}." for note in notes)]
    return section(
        "Chosen among full models",
        *parts,
        *(tag("p", line, class_="note") for line in lines),
        anchor="selection",
    )


def rows_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, words: set[int]) -> Markup:
    """Return a sortable table; ``words`` are the columns without numbers."""
    lines = [
        tag(
            "tr",
            *(
                cell(text) if place in words else cell(text, value=number(text))
                for place, text in enumerate(row)
            ),
            class_="total" if row[0] == MEAN else "winner" if row[-1] == "winner" else None,
        )
        for row in rows
    ]
    numeric = [name for place, name in enumerate(header) if place not in words]
    return table(header, lines, numeric=numeric)


def number(text: str) -> float:
    """Return the number that a cell shows, to sort by; NaN for a dash or nothing."""
    try:
        return float(text.removeprefix("step ").split(" ")[0].replace("−", "-"))
    except ValueError:
        return float("nan")
