"""The plots of the correlation report: numbers and axes in, the same axes out."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from autoadapt.analysis.correlation import GroupAgreement
from autoadapt.analysis.drawing import (
    BLUE,
    INK,
    MARKERS,
    MUTED,
    PAPER,
    PURPLE,
    SERIES,
    VERMILLION,
)
from autoadapt.analysis.plots import Float, Look, legend_above, say
from autoadapt.analysis.resampling import BLOCK, LEVEL, Index, bootstrap
from autoadapt.analysis.tables import decimal, quantity

RHO = "Spearman ρ with target mIoU (a good score is near −1)"
STRENGTH = "−ρ with target mIoU (larger is better)"
DASHES: tuple[tuple[float, ...], ...] = ((1, 0), (5, 2), (1, 1.5), (6, 2, 1, 2), (3, 1), (8, 3))
"""Line patterns that tell curves apart in black and white; drawn, then left out, in points."""
READABLE = 60
"""Columns of a map up to which its cells have room for a number."""
GRID = 40
"""Places along a line of regression at which its band is known."""
SHADES = colormaps["RdBu_r"]
"""Red and blue differ for colour-blind readers too; the numbers in the cells do for print."""


def plot_agreement(
    score: Float,
    truth: Float,
    *,
    ax: Axes,
    title: str,
    name: str,
    groups: Sequence[str] = (),
    seed: int = 0,
) -> Axes:
    """Scatter a label-free score against the true metric of the same models, in percent.

    A line of regression is drawn with the 95 % band of resampled models.

    Args:
        score: (n,) NaN where it is missing.
        truth: (n,) fractions in [0, 1].
        ax: Where to draw.
        title: Carries the correlation and the number of models it rests on.
        name: What the score is.
        groups: (n,) what each model belongs to, shown by marker and colour; empty: all alike.
        seed: Of the resampling.
    """
    known = ~np.isnan(score)
    ax.set(xlabel=name, ylabel="target mIoU in %")
    ax.set_title(title, fontsize=10)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    if np.nanmax(np.abs(score), initial=0) >= 1e4:
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: quantity(value)))
    if not known.any():
        say(ax, "no model has this score")
        return ax
    labels = np.array(groups if groups else [""] * len(score))[known]
    x, y = score[known], 100 * truth[known]
    for place, label in enumerate(sorted(set(labels.tolist()))):
        cloud(ax, x[labels == label], y[labels == label], place=place, label=label, total=len(x))
    if np.ptp(x) > 0:
        draw_regression(ax, x, y, seed=seed)
    if len(set(labels.tolist())) > 1:
        ax.legend(fontsize=7, loc="best", handletextpad=0.2, labelspacing=0.2)
    return ax


def cloud(ax: Axes, x: Float, y: Float, *, place: int, label: str, total: int) -> None:
    """Draw the models of one group: smaller and lighter when there are many."""
    many = total > 200
    look: Look = {
        "color": SERIES[place % len(SERIES)],
        "mec": PAPER,
        "mew": 0.3 if many else 0.6,
        "ms": 4 if many else 6.5,
        "alpha": 0.6 if many else 0.85,
    }
    ax.plot(x, y, MARKERS[place % len(MARKERS)], label=label or "_", **look)


def draw_regression(ax: Axes, x: Float, y: Float, *, seed: int) -> None:
    """Draw the least-squares line and its 95 % bootstrap band."""
    places = np.linspace(x.min(), x.max(), GRID)
    slope, offset = line(x, y, np.ones((1, len(x))))
    lines = bootstrap(
        lambda counts: at(places, *line(x, y, counts)), np.arange(len(x)), seed=seed, draws=BLOCK
    )
    low, high = np.nanquantile(lines, LEVEL, axis=0)
    ax.fill_between(places, low, high, color=VERMILLION, alpha=0.15, lw=0)
    ax.plot(places, at(places, slope, offset)[0], "--", color=VERMILLION, lw=1.5)
    # The models set the axis: the band of a few of them would make them one flat row.
    room = 0.35 * float(np.ptp(y)) or 1.0
    ax.set_ylim(float(y.min()) - room, float(y.max()) + room)


def line(x: Float, y: Float, counts: Float) -> tuple[Float, Float]:
    """Return slope and offset of the least-squares line of each resample, (draws,) each.

    Where all models of a resample have the same x, the line is flat.
    """
    size = counts.sum(axis=1)
    origin, height = x.mean(), y.mean()  # around 0, or the squares of 1e9 multiply-adds cancel
    x, y = x - origin, y - height
    mean_x, mean_y = counts @ x / size, counts @ y / size
    spread = counts @ (x * x) / size - mean_x**2
    product = counts @ (x * y) / size - mean_x * mean_y
    slope = np.divide(product, spread, out=np.zeros(len(size)), where=spread > 1e-12 * x.var())
    return slope, mean_y + height - slope * (mean_x + origin)


def at(places: Float, slope: Float, offset: Float) -> Float:
    """Return the height of each line at each place, (draws, places)."""
    heights: Float = slope[:, None] * places + offset[:, None]
    return heights


def plot_intervals(
    names: Sequence[str],
    values: Float,
    intervals: Float,
    *,
    ax: Axes,
    controls: Sequence[str],
    ceiling: float = math.nan,
    label: str = RHO,
) -> Axes:
    """Draw a rank correlation per row with its confidence interval, the first on top.

    Args:
        names: (n,) rows.
        values: (n,) in [-1, 1]; NaN is left out.
        intervals: (n, 2) lower and upper end; NaN is left out.
        ax: Where to draw.
        controls: Names that are no score, drawn with another marker.
        ceiling: Largest size of a correlation that noise leaves possible; NaN: not known.
        label: What the correlation is.
    """
    for row, (name, value, ends) in enumerate(zip(names, values, intervals, strict=True)):
        draw_interval(ax, row, value, ends, control=name in controls)
    ax.axvline(0, color=INK, lw=0.9)
    if not math.isnan(ceiling):
        look: Look = {"color": VERMILLION, "lw": 1.3, "ls": (0, (4, 2))}
        ax.axvline(-ceiling, label=f"noise ceiling, ±{ceiling:.2f}", **look)
        ax.axvline(ceiling, **look)
        legend_above(ax)
    rows(ax, [f"{name} (control)" if name in controls else name for name in names])
    ax.set(xlabel=label)
    return ax


def plot_side_by_side(
    names: Sequence[str],
    values: Float,
    intervals: Float,
    *,
    ax: Axes,
    banks: Sequence[str],
    controls: Sequence[str],
) -> Axes:
    """Draw for each row its strength in each bank, with its interval; the first row on top.

    Args:
        names: (n,) rows.
        values: (n, b) -ρ in each bank; NaN is left out.
        intervals: (n, b, 2) lower and upper end.
        ax: Where to draw.
        banks: (b,) names, told apart by colour and marker.
        controls: Rows that are no score.
    """
    shifts = 0.5 * (np.arange(len(banks)) - (len(banks) - 1) / 2) / max(len(banks), 2)
    for place, (bank, shift) in enumerate(zip(banks, shifts, strict=True)):
        color = SERIES[place % len(SERIES)]
        heights = np.arange(len(names)) + shift
        look: Look = {"ls": "none", "marker": MARKERS[place % len(MARKERS)], "ms": 6.5}
        ax.hlines(heights, intervals[:, place, 0], intervals[:, place, 1], color=color, lw=2)
        ax.plot(values[:, place], heights, color=color, mec=PAPER, label=bank, **look)
    ax.axvline(0, color=INK, lw=0.9)
    rows(ax, [f"{name} (control)" if name in controls else name for name in names])
    ax.set(xlabel=STRENGTH)
    legend_above(ax, columns=len(banks))
    return ax


def draw_interval(ax: Axes, row: float, value: float, ends: Float, *, control: bool) -> None:
    """Draw one correlation: a dot on its interval; a control has a square."""
    color = PURPLE if control else BLUE
    ax.plot(ends, [row, row], color=color, lw=2, solid_capstyle="round")
    look: Look = {"color": color, "marker": "s" if control else "o", "ms": 7, "mec": PAPER}
    ax.plot([value], [row], ls="none", **look)


def rows(ax: Axes, labels: Sequence[str]) -> None:
    """Set up the axes of correlations, one label per row."""
    ax.set_yticks(np.arange(len(labels)), labels)
    ax.set_xlim(-1.03, 1.03)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.set(xlabel=RHO)


def plot_forest(
    pooled: GroupAgreement, within: Sequence[GroupAgreement], mean: float, *, ax: Axes
) -> Axes:
    """Draw a score's correlation inside each group, their mean, and over all models together.

    Args:
        pooled: Over all models.
        within: Inside each group.
        mean: Of the groups, weighted by models.
        ax: Where to draw.
    """
    for row, one in enumerate(within):
        draw_interval(ax, row, one.rho, np.array(one.interval), control=False)
    last = len(within)
    diamond: Look = {"marker": "D", "ms": 8, "mec": PAPER, "ls": "none"}
    ax.plot([mean], [last], color=INK, **diamond)
    draw_interval(ax, last + 1, pooled.rho, np.array(pooled.interval), control=True)
    ax.axhline(last - 0.5, color=MUTED, lw=0.8)
    ax.axvline(0, color=INK, lw=0.9)
    named = [f"{one.name} (n = {one.n})" for one in within]
    rows(ax, [*named, "mean of the groups", f"pooled (n = {pooled.n})"])
    return ax


def plot_heat_map(names: Sequence[str], matrix: Float, *, ax: Axes) -> Axes:
    """Draw the rank correlation of each pair of scores; alike ones side by side.

    Args:
        names: (m,) of the scores.
        matrix: (m, m) in [-1, 1]; NaN is left white.
        ax: Where to draw.
    """
    order = leaf_order(matrix)
    shown, labels = matrix[np.ix_(order, order)], [names[place] for place in order]
    number = len(labels)
    edges = np.arange(number + 1) - 0.5
    mesh = ax.pcolormesh(
        edges, edges, shown, cmap=SHADES, vmin=-1, vmax=1, edgecolors=PAPER, linewidth=0.4
    )
    for row, column in np.ndindex(shown.shape) if number <= READABLE else ():
        if not np.isnan(shown[row, column]):
            write_share(ax, row, column, float(shown[row, column]), number)
    ax.set_xticks(np.arange(number), labels, rotation=90)
    ax.set_yticks(np.arange(number), labels)
    ax.set(aspect="equal")
    ax.set_ylim(number - 0.5, -0.5)
    ax.tick_params(length=0)
    ax.grid(visible=False)
    if ax.figure is not None:
        scale = ax.figure.colorbar(mesh, ax=ax, shrink=0.6, pad=0.02)
        scale.set_label("Spearman ρ between two scores")
    return ax


def write_share(ax: Axes, row: int, column: int, value: float, number: int) -> None:
    """Write one correlation into its cell, as hundredths, in the ink that contrasts with it."""
    ink = "#ffffff" if abs(value) > 0.7 else "#0b0b0b"
    size = 7 if number <= 20 else 4.5
    ax.text(
        column, row, decimal(100 * value, 0), ha="center", va="center", color=ink, fontsize=size
    )


def leaf_order(matrix: Float) -> list[int]:
    """Return rows ordered so that alike ones, of either sign, are neighbours (average linkage)."""
    if len(matrix) < 3:
        return list(range(len(matrix)))
    distance = 1 - np.abs(np.nan_to_num(matrix))
    np.fill_diagonal(distance, 0)
    found = linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
    return [int(place) for place in leaves_list(found)]


def plot_regrets(curves: Mapping[str, Float], chance: Float, *, ax: Axes) -> Axes:
    """Draw the mIoU lost by looking only at the k models with the best scores.

    Args:
        curves: (k,) fractions from k = 1, by score.
        chance: The same for models drawn by lot.
        ax: Where to draw.
    """
    for place, (name, curve) in enumerate(curves.items()):
        look: Look = {
            "color": SERIES[place % len(SERIES)],
            "marker": MARKERS[place % len(MARKERS)],
            "dashes": DASHES[place % len(DASHES)],
            "markevery": 3,
        }
        ax.plot(np.arange(1, len(curve) + 1), 100 * curve, label=name, ms=5, lw=1.6, **look)
    places = np.arange(1, len(chance) + 1)
    ax.plot(places, 100 * chance, color=MUTED, lw=2, ls=":", label="by lot (expected)")
    ax.axhline(0, color=INK, lw=0.9, label="oracle")
    counted(ax, len(chance))
    ax.set(xlabel="k, models looked at", ylabel="regret in points of mIoU")
    legend_above(ax, columns=3)
    return ax


def plot_learning(
    curves: Mapping[str, tuple[Index, Float]], *, ax: Axes, label: str = "models in the bank"
) -> Axes:
    """Draw how the correlation of scores varies with the number of models in a bank, or of images.

    Args:
        curves: By score, numbers (k,) and quantiles (k, 3) of ρ: 2.5 %, 50 %, 97.5 %.
        ax: Where to draw.
        label: What there is a number of.
    """
    largest = 0
    for place, (name, (sizes, quantiles)) in enumerate(curves.items()):
        color = SERIES[place % len(SERIES)]
        look: Look = {
            "marker": MARKERS[place % len(MARKERS)],
            "dashes": DASHES[place % len(DASHES)],
        }
        ax.plot(sizes, quantiles[:, 1], color=color, ms=5, lw=1.6, label=name, **look)
        ax.plot(sizes, quantiles[:, [0, 2]], color=color, lw=0.9, dashes=look["dashes"])
        ax.fill_between(sizes, quantiles[:, 0], quantiles[:, 2], color=color, alpha=0.1, lw=0)
        largest = max([largest, *sizes.tolist()])
    if not largest:
        say(ax, "too few models")
        return ax
    ax.axhline(0, color=INK, lw=0.9)
    counted(ax, largest)
    ax.set_ylim(-1.03, 1.03)
    ax.set(xlabel=label, ylabel="Spearman ρ")
    legend_above(ax, columns=3)
    return ax


def counted(ax: Axes, largest: int) -> None:
    """Make the horizontal axis logarithmic, with whole numbers on it."""
    ticks = [k for k in (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 500, 1000) if k <= largest]
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
