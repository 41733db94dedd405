"""Tables, sentences and plots about what was chosen among full models."""

import csv
import io
import json
import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from autoadapt.analysis.plots import plot_snapshots
from autoadapt.analysis.selection import (
    ComparedFinalist,
    SelectedTraining,
    Snapshot,
    finalist_cells,
    finalists_sentence,
    selection_cells,
    selection_csv,
    selection_json,
    selection_markdown,
    selection_sentence,
)

NAN = math.nan


def training(
    contender: str, *snapshots: tuple[float | None, float], selected: int, whole: bool = True
) -> SelectedTraining:
    return SelectedTraining(
        contender=contender,
        seed=0,
        snapshots=tuple(
            Snapshot(step=10 * place, objective=objective, metric=metric)
            for place, (objective, metric) in enumerate(snapshots, start=1)
        ),
        selected=selected,
        whole=whole,
    )


FIRST = training("winner, advent", (0.5, 0.30), (-1.25, 0.41), (0.2, 0.38), selected=20)
SECOND = training("winner, source-only", (-2.0, 0.20), (1.0, 0.25), (3.0, 0.23), selected=10)
BLIND = training("winner, advent", (1.0, NAN), (0.0, NAN), selected=20, whole=False)


def finalist(
    place: int, objective: float | None, metric: float, *, won: bool = False, note: str = ""
) -> ComparedFinalist:
    return ComparedFinalist(
        name=f"finalist {place}",
        trial=place,
        id=f"id{place}",
        search_objective=-0.5,
        objective=objective,
        metric=metric,
        won=won,
        note=note,
    )


def test_regret_is_the_distance_from_the_best_by_labels() -> None:
    assert FIRST.best is FIRST.chosen
    assert FIRST.regret(FIRST.chosen) == 0
    assert FIRST.regret(FIRST.last) == pytest.approx(0.03)
    assert SECOND.regret(SECOND.chosen) == pytest.approx(0.05)
    assert BLIND.best is None
    assert math.isnan(BLIND.regret(BLIND.last))


def test_the_best_is_unknown_until_every_snapshot_is_evaluated() -> None:
    partly = training("x", (1.0, NAN), (0.0, 0.4), selected=20, whole=False)
    assert partly.best is None
    tied = training("x", (1.0, 0.4), (0.0, 0.4), selected=10)
    assert tied.best is tied.last


def test_the_table_has_a_row_per_training_and_the_mean_below() -> None:
    header, rows = selection_cells([FIRST, SECOND])
    assert header[5:] == ["best by labels*", "regret*", "regret of last*"]
    first = ["38.0 at 30", "41.0 at 20", "−1.250", "41.0 at 20", "0.0", "3.0"]
    assert rows[0] == ["winner, advent", "0", *first]
    # means: (38 + 23) / 2, (41 + 20) / 2, (41 + 25) / 2, (0 + 5) / 2, (3 + 2) / 2
    assert rows[-1] == ["mean", "", "30.5", "30.5", "", "33.0", "2.5", "2.5"]
    assert selection_cells([BLIND])[1] == [
        ["winner, advent", "0", "step 20", "step 20", "0.000", "–", "–", "–"]
    ]


def test_sentences_name_the_regret_and_its_use_of_labels() -> None:
    text = selection_sentence([FIRST, SECOND])
    assert "an earlier snapshot than the last step was selected in 2 of 2" in text
    assert "2.5 points of mIoU below the best snapshot by labels, the last step 2.5" in text
    assert text.endswith("(uses target labels: for analysis only).")
    assert selection_sentence([BLIND]).endswith("selected in 0 of 1 full training.")
    assert selection_sentence([]) == ""


def test_finalists_show_objective_metric_and_regret() -> None:
    entries = [
        finalist(1, 0.5, 0.42),
        finalist(2, -1.0, 0.40, won=True),
        finalist(3, None, NAN, note="loss became nan"),
    ]
    _, rows = finalist_cells(entries)
    assert rows[1] == ["finalist 2", "2", "id2", "−0.500", "−1.000", "40.0", "2.0", "winner"]
    assert rows[2][4:] == ["–", "–", "–", "loss became nan"]
    text = finalists_sentence(entries)
    assert text.startswith("Of 3 finalists, finalist 2 (id2, trial 2) has the smallest objective")
    assert "2.0 points of mIoU below the best of them (uses target labels" in text
    unknown = [finalist(1, None, NAN, won=True), finalist(2, None, NAN)]
    assert "is kept, since no full model has an objective." in finalists_sentence(unknown)
    assert finalists_sentence([]) == ""


def test_files_hold_the_same_numbers() -> None:
    entries = [finalist(1, 0.5, 0.42, won=True)]
    lines = list(csv.DictReader(io.StringIO(selection_csv([FIRST, BLIND]))))
    assert len(lines) == 3 + 2
    flags = [(one["is_last"], one["is_selected"], one["is_best_by_labels"]) for one in lines]
    assert flags[1:] == [("0", "1", "1"), ("1", "0", "0"), ("0", "0", ""), ("1", "1", "")]
    assert lines[3]["metric"] == ""
    values = json.loads(selection_json([FIRST, BLIND], entries))
    assert values["best_by_labels"] == "uses target labels: for analysis only"
    assert values["trainings"][0]["regret_of_last"] == pytest.approx(0.03)
    assert values["trainings"][1]["regret_of_last"] is None
    assert values["finalists"][0]["won"] is True
    text = selection_markdown([FIRST], entries)
    assert "| finalist 1 | 1 | id1 |" in text
    assert "\\* " not in text.split("Snapshots:")[0]
    assert "\\* uses target labels: for analysis only" in text


@pytest.mark.parametrize(("metric", "label"), [(None, "objective"), ("mIoU", "target mIoU in %")])
def test_the_plot_rings_what_is_used(metric: str | None, label: str) -> None:
    axes = plot_snapshots([FIRST, SECOND], ax=Figure().add_subplot(), metric=metric)
    assert axes.get_ylabel().startswith(label)
    lines = axes.get_lines()
    assert np.array_equal(lines[0].get_xdata(), [10, 20, 30])
    rings = [line for line in lines if line.get_markersize() == 12]
    assert [float(np.asarray(one.get_xdata())[0]) for one in rings] == [20, 10]
    expected = [41.0, 20.0] if metric else [-1.25, -2.0]
    assert [float(np.asarray(one.get_ydata())[0]) for one in rings] == pytest.approx(expected)
