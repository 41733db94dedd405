"""Numbers as text: for a terminal, for Markdown, for LaTeX, for CSV."""

import csv
import io
import math
from collections.abc import Collection, Iterable, Sequence

from autoadapt.analysis.results import AdaptationResult, row_titles, same_classes

ABSENT = "–"
Rows = Sequence[Sequence[str]]


def decimal(value: float | None, digits: int = 3) -> str:
    """Return a number with fixed digits and a real minus sign; a dash when there is none."""
    if value is None or math.isnan(value):
        return ABSENT
    return f"{value:.{digits}f}".replace("-", "−")


def percent(value: float, spread: float = math.nan, *, digits: int = 1) -> str:
    """Return a fraction as ``41.2`` or, where the spread is known, ``41.2 ± 0.5``, in percent."""
    if math.isnan(value):
        return ABSENT
    known = "" if math.isnan(spread) else f" ± {100 * spread:.{digits}f}"
    return decimal(100 * value, digits) + known


def quantity(value: float | None) -> str:
    """Return a count with a decimal prefix, ``380.5 G``; a dash when it is unknown."""
    if value is None or math.isnan(value):
        return ABSENT
    for prefix, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= 0.99995 * size:
            return f"{value / size:.1f} {prefix}"
    return f"{value:.0f}"


def duration(seconds: float) -> str:
    """Return ``48 s``, ``12 min 5 s`` or ``3 h 20 min``."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def text_table(header: Sequence[str], rows: Rows, *, words: int = 1) -> str:
    """Return columns aligned by spaces, the first ``words`` of them to the left."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        places = enumerate(zip(cells, widths, strict=True))
        return "  ".join(
            cell.ljust(width) if place < words else cell.rjust(width)
            for place, (cell, width) in places
        )

    rule = "  ".join("-" * width for width in widths)
    return "\n".join(line(cells).rstrip() for cells in (header, rule.split("  "), *rows))


def markdown_table(header: Sequence[str], rows: Rows) -> str:
    """Return a Markdown table; a pipe or a line break in a cell cannot break it."""

    def line(cells: Iterable[str]) -> str:
        safe = (cell.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ") for cell in cells)
        return f"| {' | '.join(safe)} |"

    rule = "|".join(["", ":---"] + ["---:"] * (len(header) - 1) + [""])
    return "\n".join([line(header), rule, *map(line, rows)])


LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    ABSENT: "--",
    "−": "$-$",
    "±": r"$\pm$",
    "\n": " ",
}
"""What a sign is written as in LaTeX."""


def latex_text(text: str) -> str:
    """Return a text that LaTeX prints as it is."""
    return "".join(LATEX.get(sign, sign) for sign in text)


def latex_table(header: Sequence[str], rows: Rows, *, rules: Collection[int] = ()) -> str:
    """Return a ``tabular`` in the style of the package ``booktabs``.

    Args:
        header: Names of the columns.
        rows: Cells; the first one of each row stands to the left, the others to the right.
        rules: Indices of rows that have a line above them.
    """

    def line(cells: Iterable[str]) -> str:
        return f"  {' & '.join(map(latex_text, cells))} \\\\"

    body = []
    for index, cells in enumerate(rows):
        body += ["  \\midrule"] * (index in rules) + [line(cells)]
    columns = "l" + "r" * (len(header) - 1)
    top = [f"\\begin{{tabular}}{{{columns}}}", "  \\toprule", line(header), "  \\midrule"]
    return "\n".join([*top, *body, "  \\bottomrule", "\\end{tabular}"])


def csv_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return CSV with full precision; an absent or NaN value is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([plain(value) for value in row] for row in rows)
    return text.getvalue()


def plain(value: object) -> object:
    """Return a value as CSV should hold it: NaN and None are nothing, NumPy numbers are plain."""
    if isinstance(value, float):
        return "" if math.isnan(value) else float(value)
    return "" if value is None else value


def result_cells(results: Sequence[AdaptationResult]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows: one per class, then one per mean; one column per model.

    Cells are percentages: the mean over seeds and, with several of them, ± the deviation.

    Raises:
        ValueError: The results are over different classes.
    """
    rows = [
        [
            name,
            *(
                percent(one.class_mean[i], one.class_spread[i], digits=one.digits)
                for one in results
            ),
        ]
        for i, name in enumerate(same_classes(results))
    ]
    for title in row_titles(results):
        cells = (
            percent(one.row_mean(title), one.row_spread(title), digits=one.digits)
            for one in results
        )
        rows.append([title, *cells])
    measures = dict.fromkeys(one.measure for one in results)
    return [f"{', '.join(measures)} in %", *(one.name for one in results)], rows


def results_text(results: Sequence[AdaptationResult]) -> str:
    """Return the per-class table for a terminal."""
    return text_table(*result_cells(results))


def results_markdown(results: Sequence[AdaptationResult]) -> str:
    """Return the same table as Markdown."""
    return markdown_table(*result_cells(results))


def results_latex(results: Sequence[AdaptationResult]) -> str:
    """Return the same table for LaTeX, with a line between classes and means."""
    return latex_table(*result_cells(results), rules={len(same_classes(results))})


def results_csv(results: Sequence[AdaptationResult]) -> str:
    """Return one line per model and seed, values as fractions in [0, 1], absent ones empty."""
    titles = row_titles(results)
    rows = (
        [
            one.name,
            seed,
            *(one.rows[title][i] if title in one.rows else None for title in titles),
            *one.values[i],
        ]
        for one in results
        for i, seed in enumerate(one.seed_names)
    )
    return csv_table(["model", "seed", *titles, *same_classes(results)], rows)
