"""One function per plot: numbers and axes in, the same axes out; saving is the caller's.

Every series differs in marker, hatch or line as well as in colour, so that the plots can be read
in black and white.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from autoadapt.analysis.drawing import (
    BLUE,
    HATCHES,
    INK,
    MARKERS,
    MUTED,
    ORANGE,
    PAPER,
    SERIES,
    VERMILLION,
)
from autoadapt.analysis.history import History, pareto_front
from autoadapt.analysis.results import AdaptationResult, same_classes
from autoadapt.analysis.selection import SelectedTraining, Snapshot
from autoadapt.analysis.tables import quantity

Float = NDArray[np.float64]
Look = dict[str, Any]
"""Keyword arguments of matplotlib."""


def plot_history(history: History, *, ax: Axes) -> Axes:
    """Draw the objective of each trial, the best so far, and the failed trials at the bottom.

    Few very bad trials would flatten the rest: what lies far above is drawn as an arrow at the
    upper edge.
    """
    known = ~np.isnan(history.objective)
    ax.set(xlabel="trial", ylabel="objective (smaller is better)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if known.any():
        top = ceiling(history.objective[known])
        inside, above = known & (history.objective <= top), known & (history.objective > top)
        marks(ax, history.numbers[inside], history.objective[inside], label="trial")
        level = np.full(int(above.sum()), 0.97)
        edge(ax, history.numbers[above], level, marker="^", color=MUTED, label="far above")
        best = history.best[known]
        ax.step(
            history.numbers[known],
            best,
            where="post",
            color=VERMILLION,
            lw=1.8,
            label="best so far",
        )
        low, high = float(best.min()), top if above.any() else float(history.objective[known].max())
        margin = 0.1 * (high - low) or 0.5
        ax.set_ylim(low - 1.6 * margin, high + margin)
    else:
        say(ax, "no trial has an objective yet" if len(history.numbers) else "no trial yet")
    failed = np.array([status == "failed" for status in history.status], dtype=bool)
    unscored = ~known & ~failed
    for which, marker, label in ((failed, "x", "failed"), (unscored, "1", "no objective")):
        level = np.full(int(which.sum()), 0.03)
        edge(ax, history.numbers[which], level, marker=marker, color=INK, label=label)
    if len(history.numbers):
        legend_above(ax)
    return ax


def plot_parts(parts: Mapping[str, Mapping[str, float]], *, ax: Axes) -> Axes:
    """Draw the terms of the objective of several trials as stacked bars, the first on top.

    Terms below zero (better than usual) extend to the left, the others to the right; a diamond
    marks their sum.

    Args:
        parts: Terms by name, for each trial by its label.
        ax: Where to draw.
    """
    labels = list(parts)
    terms = list(dict.fromkeys(term for values in parts.values() for term in values))
    rows = np.arange(len(labels))
    left, right = np.zeros(len(labels)), np.zeros(len(labels))
    for i, term in enumerate(terms):
        width = np.array([parts[label].get(term, 0.0) for label in labels])
        start = np.where(width < 0, left, right)
        look: Look = {"color": SERIES[i % len(SERIES)], "hatch": HATCHES[i % len(HATCHES)]}
        ax.barh(rows, width, left=start, height=0.66, edgecolor=PAPER, lw=0.6, label=term, **look)
        left, right = left + np.minimum(width, 0), right + np.maximum(width, 0)
    if labels:
        # Not cut at the border, where the sum of the last trial may lie.
        marks = left + right
        ax.plot(marks, rows, "D", color=INK, mec=PAPER, ms=6, label="objective", clip_on=False)
        legend_above(ax)
    else:
        say(ax, "no trial has an objective yet")
    ax.axvline(0, color=INK, lw=0.8)
    ax.set_yticks(rows, labels, family="monospace")
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.set(xlabel="weighted term (smaller is better)")
    return ax


def plot_pareto(
    objective: Float,
    macs: Float,
    *,
    ax: Axes,
    winner: int | None = None,
    reference: tuple[float, float | None] | None = None,
) -> Axes:
    """Draw the objective against the costs, with the trials that no other one beats in both.

    Args:
        objective: (n,) NaN for a trial without one.
        macs: (n,) multiply-adds.
        ax: Where to draw.
        winner: Index of the chosen trial.
        reference: Multiply-adds and, if known, objective of the reference architecture.
    """
    ax.set(xlabel="multiply-adds", ylabel="objective (smaller is better)")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: quantity(value)))
    points = np.column_stack([objective, macs])
    front = pareto_front(points)[::-1]
    if not len(front):
        say(ax, "no trial has an objective and costs yet")
        return ax
    marks(ax, macs, objective, label="trial")
    ax.step(macs[front], objective[front], where="post", color=VERMILLION, lw=1.4)
    look: Look = {"marker": "D", "color": VERMILLION, "mec": PAPER, "ms": 7, "ls": "none"}
    ax.plot(macs[front], objective[front], label="Pareto front", **look)
    if winner is not None:
        star: Look = {"marker": "*", "color": ORANGE, "mec": INK, "ms": 17, "ls": "none"}
        ax.plot(macs[winner], objective[winner], label="winner", **star)
    mark_reference(ax, reference)
    values = objective[~np.isnan(objective) & ~np.isnan(macs)]
    if (top := ceiling(values)) < values.max():
        low = min(values.min(), ax.dataLim.y0)
        ax.set_ylim(low - 0.1 * (top - low), top + 0.1 * (top - low))
        ax.set_title(
            f"{(values > top).sum()} trials lie above", fontsize=9, weight="normal", loc="right"
        )
    legend_above(ax)
    return ax


def mark_reference(ax: Axes, reference: tuple[float, float | None] | None) -> None:
    """Mark the reference architecture: a point, or a line where only its costs are known."""
    if reference is None:
        return
    macs, objective = reference
    if objective is None:
        ax.axvline(macs, color=INK, ls="--", lw=1.2, label="costs of the reference")
    else:
        ax.plot(macs, objective, "s", color=PAPER, mec=INK, mew=1.6, ms=8, label="reference")


def plot_score_pair(pairs: Float, *, ax: Axes, names: tuple[str, str]) -> Axes:
    """Scatter two scores of the same trials.

    Args:
        pairs: (n, 2).
        ax: Where to draw.
        names: What the two columns are.
    """
    ax.set(xlabel=names[0], ylabel=names[1])
    if len(pairs):
        marks(ax, pairs[:, 0], pairs[:, 1])
    else:
        say(ax, "no trial has both scores")
    return ax


def plot_class_iou(results: Sequence[AdaptationResult], *, ax: Axes) -> Axes:
    """Draw the values of each class as grouped bars, one per model, and their mean apart.

    Whiskers are the standard deviation over seeds; a class that does not occur has no bar.

    Raises:
        ValueError: The results are over different classes.
    """
    classes = same_classes(results)
    places = np.append(np.arange(len(classes)), len(classes) + 0.35)
    height = 0.84 / max(len(results), 1)
    for i, result in enumerate(results):
        mean = 100 * np.append(result.class_mean, result.headline_mean)
        spread = 100 * np.append(result.class_spread, result.headline_spread)
        offset = (i - (len(results) - 1) / 2) * height
        look: Look = {"color": SERIES[i % len(SERIES)], "hatch": HATCHES[i % len(HATCHES)]}
        rows = places + offset
        ax.barh(
            rows, np.nan_to_num(mean), height, edgecolor=PAPER, lw=0.6, label=result.name, **look
        )
        several = ~np.isnan(spread)
        whiskers: Look = {"fmt": "none", "ecolor": INK, "elinewidth": 1, "capsize": 2}
        ax.errorbar(mean[several], rows[several], xerr=spread[several], **whiskers)
    ax.axhline(len(classes) - 0.33, color=MUTED, lw=0.8)
    titles = dict.fromkeys(result.headline for result in results)
    ax.set_yticks(places, [*classes, " / ".join(titles)])
    ax.set_ylim(places[-1] + 0.55, -0.55)
    ax.set_xlim(0, None)
    ax.grid(visible=False, axis="y")
    measures = dict.fromkeys(result.measure for result in results)
    ax.set(xlabel=f"{' / '.join(measures)} in %")
    legend_above(ax, columns=2)
    return ax


def plot_snapshots(
    trainings: Sequence[SelectedTraining], *, ax: Axes, metric: str | None = None
) -> Axes:
    """Draw the snapshots of each training over its steps; a ring marks the one that is used.

    Seeds of a contender share colour and marker.

    Args:
        trainings: At least one.
        ax: Where to draw.
        metric: Draw the metric of this name instead of the objective.
    """
    names = list(dict.fromkeys(one.contender for one in trainings))
    for one in trainings:
        place = names.index(one.contender)
        first = next(other for other in trainings if other.contender == one.contender)
        values = [snapshot_value(snapshot, metric) for snapshot in one.snapshots]
        steps = [snapshot.step for snapshot in one.snapshots]
        look: Look = {
            "color": SERIES[place % len(SERIES)],
            "marker": MARKERS[place % len(MARKERS)],
            "ms": 5,
            "lw": 1.2,
        }
        ax.plot(steps, values, label=one.contender if one is first else "_", **look)
        ring: Look = {"marker": "o", "mfc": "none", "mec": INK, "mew": 1.4, "ms": 12, "ls": "none"}
        chosen = steps.index(one.selected)
        label = "selected without labels" if one is trainings[-1] else "_"
        ax.plot(steps[chosen], values[chosen], label=label, **ring)
    title = "objective (smaller is better)" if metric is None else f"target {metric} in %"
    ax.set(xlabel="step", ylabel=title)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_above(ax, columns=2)
    return ax


def snapshot_value(snapshot: Snapshot, metric: str | None) -> float:
    """Return what is drawn of a snapshot; NaN where it is unknown."""
    if metric is not None:
        return 100 * snapshot.metric
    return np.nan if snapshot.objective is None else snapshot.objective


def ceiling(values: Float) -> float:
    """Return up to where values are drawn to scale: the largest, unless a few lie far above."""
    lower, upper = np.quantile(values, [0.25, 0.75])
    far = upper + 4 * (upper - lower)
    usual = values[values <= far]
    return float(usual.max()) if far > lower else float(values.max())


def marks(ax: Axes, x: NDArray[np.generic], y: Float, *, label: str = "") -> None:
    """Draw the points of one cloud: smaller and lighter when there are many."""
    many = len(x) > 200
    look: Look = {
        "color": BLUE,
        "mec": PAPER,
        "mew": 0.3 if many else 0.6,
        "alpha": 0.6 if many else 0.85,
    }
    ax.plot(x, y, MARKERS[0], ms=4 if many else 6.5, label=label or "_", **look)


def edge(
    ax: Axes, x: NDArray[np.int64], level: Float, *, marker: str, color: str, label: str
) -> None:
    """Mark trials whose value is not on the scale, at a fixed height of the axes."""
    if len(x):
        look: Look = {"marker": marker, "color": color, "ls": "none", "ms": 6, "clip_on": False}
        ax.plot(x, level, transform=ax.get_xaxis_transform(), label=label, **look)


def say(ax: Axes, text: str) -> None:
    """Write in the middle of empty axes why they are empty."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=MUTED)
    ax.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False)
    ax.grid(visible=False)


def legend_above(ax: Axes, *, columns: int = 5) -> None:
    """Put the legend above the axes, where it hides nothing."""
    ax.legend(
        ncols=columns,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.3,
        handletextpad=0.4,
        handlelength=1.4,
        columnspacing=1.4,
    )
