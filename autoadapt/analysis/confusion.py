"""The confusion matrix as a picture: which class is taken for which."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from autoadapt.analysis.drawing import Drawing, draw, file_name
from autoadapt.analysis.plots import Look
from autoadapt.analysis.results import AdaptationResult
from autoadapt.analysis.tables import ABSENT, decimal, quantity

COLOURS = colormaps["Blues"]
"""One hue from light to dark: the order of the shades survives colour blindness and printing."""
DARK, LIGHT = "#0b0b0b", "#ffffff"
"""Text in cells; not the colours of the page, since the cells keep theirs in a dark page too."""
TURN = 0.7
"""Shade from which light text has more contrast than dark text."""
SMALLEST = 0.005
"""Shares below it are left blank: they would be written as 0."""

Text = Literal["shares", "counts"]


def plot_confusion(
    counts: NDArray[np.int64], classes: Sequence[str], *, ax: Axes, text: Text = "shares"
) -> Axes:
    """Draw what became of the pixels of each class: rows are labels and add up to 100 %.

    The shade is the share of the row; the diagonal is the share that was found (recall).

    Args:
        counts: (C, C) pixels, rows are labels, columns predictions.
        classes: Their names.
        ax: Where to draw.
        text: What is written into the cells: shares in percent, or pixel counts.

    Raises:
        ValueError: Counts and names differ in number.
    """
    size = len(classes)
    if counts.shape != (size, size):
        raise ValueError(f"counts of shape {counts.shape} for {size} classes")
    shares = row_shares(counts)
    norm = PowerNorm(0.6, vmin=0, vmax=1)  # lifts the small shares, where the confusions are
    edges = np.arange(size + 1) - 0.5
    look: Look = {"cmap": COLOURS, "norm": norm, "edgecolors": LIGHT, "linewidth": 0.6}
    mesh = ax.pcolormesh(edges, edges, np.nan_to_num(shares), **look)
    for row, column in np.ndindex(size, size):
        written = cell_text(shares, counts, row, column, text)
        shade = float(norm(np.nan_to_num(shares[row, column])))
        style: Look = {
            "color": LIGHT if shade > TURN else DARK,
            "weight": "bold" if row == column else "normal",
            "fontsize": 7 if text == "shares" else 5.2,
        }
        if written:
            ax.text(column, row, written, ha="center", va="center", **style)
    ticks = np.arange(size)
    ax.set_xticks(ticks, classes, rotation=90)
    ax.set_yticks(ticks, classes)
    ax.set(xlabel="predicted as", ylabel="labelled as", aspect="equal")
    ax.set_ylim(size - 0.5, -0.5)
    ax.tick_params(length=0)
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    add_scale(ax, mesh)
    return ax


def add_scale(ax: Axes, mesh: Any) -> None:
    """Add what the shades mean."""
    if ax.figure is None:
        raise ValueError("axes without a figure")
    ticks = [0, 0.05, 0.2, 0.5, 1]
    percents = FuncFormatter(lambda value, _: f"{100 * value:.0f}")
    scale = ax.figure.colorbar(mesh, ax=ax, shrink=0.6, pad=0.02, ticks=ticks, format=percents)
    scale.set_label("% of the labelled pixels of a class")
    scale.outline.set_visible(False)


def row_shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each row divided by its sum; NaN where a class is not labelled."""
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.full(counts.shape, np.nan)
    np.divide(counts, totals, out=shares, where=totals > 0)
    return shares


def cell_text(
    shares: NDArray[np.float64], counts: NDArray[np.int64], row: int, column: int, text: Text
) -> str:
    """Return what stands in a cell; a dash on the diagonal of a class that is not labelled."""
    share = shares[row, column]
    if np.isnan(share):
        return ABSENT if row == column else ""
    if text == "counts":
        return quantity(float(counts[row, column])) if counts[row, column] else ""
    return decimal(100 * share, 0) if share >= SMALLEST else ""


def draw_confusion(result: AdaptationResult, *, text: Text = "shares") -> Drawing:
    """Draw the confusion matrix of a result over all its seeds.

    Raises:
        ValueError: The result carries no counts.
    """
    counts = result.confusion
    if counts is None:
        raise ValueError(f"{result.name} carries no counts of pixels")
    side = 2.2 + 0.34 * len(result.classes)
    return draw(
        lambda ax: plot_confusion(counts, result.classes, ax=ax, text=text),
        name=f"confusion-{file_name(result.name)}" + ("-counts" if text == "counts" else ""),
        description=f"Confusion matrix of {result.name}: rows are labels, columns predictions",
        size=(side + 1.2, side),
    )
