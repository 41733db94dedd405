"""Numbers as text: for a terminal, for Markdown, for CSV."""

import csv
import io
import math
from collections.abc import Iterable, Sequence

from autoadapt.analysis.results import AdaptationResult, same_classes

ABSENT = "–"
Rows = Sequence[Sequence[str]]


def decimal(value: float | None, digits: int = 3) -> str:
    """Return a number with fixed digits and a real minus sign; a dash when there is none."""
    if value is None or math.isnan(value):
        return ABSENT
    return f"{value:.{digits}f}".replace("-", "−")


def percent(value: float, spread: float = math.nan) -> str:
    """Return a fraction as ``41.2`` or, where the spread is known, ``41.2 ± 0.5``, in percent."""
    if math.isnan(value):
        return ABSENT
    return decimal(100 * value, 1) + ("" if math.isnan(spread) else f" ± {100 * spread:.1f}")


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


def iou_cells(results: Sequence[AdaptationResult]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows: one row per class and a last one, ``mIoU``; one column per model.

    Raises:
        ValueError: The results are over different classes.
    """
    rows = [
        [name, *(percent(result.class_mean[i], result.class_spread[i]) for result in results)]
        for i, name in enumerate(same_classes(results))
    ]
    rows.append(["mIoU", *(percent(result.miou_mean, result.miou_spread) for result in results)])
    return ["IoU in %", *(result.name for result in results)], rows


def iou_text(results: Sequence[AdaptationResult]) -> str:
    """Return the per-class table for a terminal: mean ± standard deviation over seeds."""
    return text_table(*iou_cells(results))


def iou_markdown(results: Sequence[AdaptationResult]) -> str:
    """Return the same table as Markdown."""
    return markdown_table(*iou_cells(results))


def iou_csv(results: Sequence[AdaptationResult]) -> str:
    """Return one line per model and seed, IoU as fractions in [0, 1], absent classes empty."""
    rows = (
        [result.name, seed, miou, *iou]
        for result in results
        for seed, miou, iou in zip(result.seed_names, result.miou, result.iou, strict=True)
    )
    return csv_table(["model", "seed", "miou", *same_classes(results)], rows)
