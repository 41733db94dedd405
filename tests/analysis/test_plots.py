import math
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from autoadapt.analysis.correlation_plots import plot_agreement, plot_intervals
from autoadapt.analysis.history import search_history
from autoadapt.analysis.plots import (
    ceiling,
    plot_class_iou,
    plot_history,
    plot_pareto,
    plot_parts,
    plot_score_pair,
)
from autoadapt.analysis.results import AdaptationResult
from autoadapt.records import Record

NAN = math.nan


@pytest.fixture
def ax() -> Axes:
    return Figure().add_subplot()


def drawn(ax: Axes, label: str) -> list[tuple[float, float]]:
    """The points of the line with this label."""
    (line,) = (line for line in ax.lines if line.get_label() == label)
    data = np.column_stack([np.asarray(line.get_xdata()), np.asarray(line.get_ydata())])
    return [(float(x), float(y)) for x, y in data]


def rectangles(ax: Axes) -> list[Rectangle]:
    return [patch for patch in ax.patches if isinstance(patch, Rectangle)]


def words(ax: Axes) -> str:
    return " ".join(text.get_text() for text in ax.texts)


def test_history_shows_trials_best_so_far_and_failures(
    ax: Axes, make_record: Callable[..., Record]
) -> None:
    records = [make_record(n, scores={"mmd": v}) for n, v in ((0, 3.0), (2, 1.0), (3, 2.0))]
    records += [make_record(1, status="failed"), make_record(4)]
    assert plot_history(search_history(records, lambda r: r.scores.get("mmd")), ax=ax) is ax
    assert drawn(ax, "trial") == [(0, 3), (2, 1), (3, 2)]
    assert drawn(ax, "best so far") == [(0, 3), (2, 1), (3, 1)]
    assert [x for x, _ in drawn(ax, "failed")] == [1]
    assert [x for x, _ in drawn(ax, "no objective")] == [4]


def test_a_runaway_trial_does_not_flatten_the_others(
    ax: Axes, make_record: Callable[..., Record]
) -> None:
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 1e6]
    records = [make_record(n, scores={"mmd": v}) for n, v in enumerate(values)]
    plot_history(search_history(records, lambda r: r.scores.get("mmd")), ax=ax)
    assert ax.get_ylim()[1] < 10
    assert [x for x, _ in drawn(ax, "far above")] == [5]


def test_ceiling_by_hand() -> None:
    # quartiles of 1..5, 1e6 are 2.25 and 4.75: beyond 4.75 + 4 * 2.5 = 14.75 is far above
    assert ceiling(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 1e6])) == 5
    assert ceiling(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 14.0])) == 14
    assert ceiling(np.array([2.0, 2.0, 2.0, 2.0, 9.0])) == 9, "no spread, no outlier"


def test_empty_plots_say_why(ax: Axes, make_record: Callable[..., Record]) -> None:
    plot_history(search_history([], lambda _: None), ax=ax)
    assert words(ax) == "no trial yet"
    failed = [make_record(0, status="failed")]
    assert "objective" in words(
        plot_history(search_history(failed, lambda _: 1.0), ax=Figure().add_subplot())
    )
    assert "objective" in words(plot_parts({}, ax=Figure().add_subplot()))
    nothing = np.array([NAN])
    assert "objective" in words(plot_pareto(nothing, nothing, ax=Figure().add_subplot()))
    pairs = np.empty((0, 2))
    assert "both" in words(plot_score_pair(pairs, ax=Figure().add_subplot(), names=("a", "b")))


def test_parts_stack_away_from_zero_on_both_sides(ax: Axes) -> None:
    parts = {
        "first": {"mmd": -2.0, "reent": -1.0, "macs": 0.5},
        "second": {"mmd": 1.0, "macs": 2.0},
    }
    plot_parts(parts, ax=ax)
    bars = [
        (round(bar.get_y() + bar.get_height() / 2), bar.get_x(), bar.get_x() + bar.get_width())
        for bar in rectangles(ax)
        if bar.get_width()
    ]
    spans = {(row, min(a, b), max(a, b)) for row, a, b in bars}
    # first: mmd -2..0, reent -3..-2, macs 0..0.5; second: mmd 0..1, macs 1..3
    assert spans == {(0, -2, 0), (0, -3, -2), (0, 0, 0.5), (1, 0, 1), (1, 1, 3)}
    assert drawn(ax, "objective") == [(-2.5, 0), (3.0, 1)]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["first", "second"]
    low, high = ax.get_ylim()
    assert low > high, "the first is on top"


def test_pareto_plot_marks_front_winner_and_reference(ax: Axes) -> None:
    objective, macs = np.array([1.0, 2.0, 3.0, NAN]), np.array([9.0, 5.0, 7.0, 1.0])
    plot_pareto(objective, macs, ax=ax, winner=1, reference=(6.0, 2.5))
    assert drawn(ax, "Pareto front") == [(5, 2), (9, 1)]
    assert drawn(ax, "winner") == [(5, 2)]
    assert drawn(ax, "reference") == [(6, 2.5)]


def test_reference_without_an_objective_is_a_line(ax: Axes) -> None:
    plot_pareto(np.array([1.0]), np.array([9.0]), ax=ax, reference=(6.0, None))
    assert {x for x, _ in drawn(ax, "costs of the reference")} == {6.0}


def test_agreement_leaves_missing_scores_out_and_shows_percent(ax: Axes) -> None:
    plot_agreement(
        np.array([0.1, NAN, 0.3]), np.array([0.4, 0.5, 0.2]), ax=ax, title="ρ", name="mmd"
    )
    points, trend = ax.lines
    assert np.column_stack(
        [np.asarray(points.get_xdata()), np.asarray(points.get_ydata())]
    ).tolist() == [
        [0.1, 40],
        [0.3, 20],
    ]
    np.testing.assert_allclose(np.asarray(trend.get_ydata()), np.linspace(40, 20, 40))


def test_class_bars_have_the_means_and_no_bar_for_an_absent_class(ax: Axes) -> None:
    a = AdaptationResult(
        name="a", classes=("road", "train"), values=np.array([[0.5, NAN], [0.7, NAN]])
    )
    b = AdaptationResult(name="b", classes=("road", "train"), values=np.array([[0.2, NAN]]))
    plot_class_iou([a, b], ax=ax)
    widths = [round(bar.get_width(), 6) for bar in rectangles(ax)]
    assert widths == [60, 0, 60, 20, 0, 20]  # road, train, mIoU of a, then of b
    hatches = {bar.get_hatch() for bar in ax.patches}
    assert len(hatches) == 2, "told apart without colour"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["road", "train", "mIoU"]


def test_intervals_have_one_row_per_score(ax: Axes) -> None:
    intervals = np.array([[-0.9, -0.5], [NAN, NAN], [-0.2, 0.3]])
    plot_intervals(
        ["mmd", "snd", "macs"], np.array([-0.8, NAN, 0.1]), intervals, ax=ax, controls=["macs"]
    )
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["mmd", "snd", "macs (control)"]
    ends = [[float(x) for x in np.asarray(line.get_xdata())] for line in ax.lines[0:6:2]]
    np.testing.assert_array_equal(ends, intervals)
