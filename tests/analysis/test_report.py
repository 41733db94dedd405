import csv
import io
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoadapt.analysis.report import (
    Sample,
    SearchReport,
    draw_pair,
    draw_parts,
    summarise,
    trials_csv,
    write_report,
)
from autoadapt.analysis.results import AdaptationResult
from autoadapt.records import Record

MakeRecord = Callable[..., Record]
ReadPage = Callable[[str], Any]
NASTY = "<img src=x onerror=alert(1)> & $x$"


def parts(record: Record) -> dict[str, float]:
    return {"mmd": record.scores["mmd"], "reent": 2 * record.scores["reent"]}


def objective(record: Record) -> float | None:
    return sum(parts(record).values()) if record.scores else None


def trial(make: MakeRecord, number: int, **fields: Any) -> Record:
    scores = {"mmd": 1 / (1 + number), "reent": 0.1 * (number % 3)}
    costs = {"macs": 1e9 * (2 + number % 5), "params": 1e7}
    return make(number, scores=scores, costs=costs, seconds=30.0, **fields)


@pytest.fixture(scope="module")
def report(make_record: MakeRecord, png: bytes) -> SearchReport:
    """Everything there can be, with text that would break a careless page."""
    records = [trial(make_record, number) for number in range(5)]
    winner = trial(
        make_record, 5, origin=NASTY, parents=("abc",), choices={"head": NASTY, "rates": [6, 12]}
    )
    failed = make_record(6, status="failed", reason="nan", detail=NASTY)
    partly = trial(make_record, 7, score_errors={"snd": NASTY})
    iou = np.array([[0.5, math.nan, 0.3], [0.7, math.nan, 0.3]])
    classes = ("road", NASTY, "car")
    return SearchReport(
        title=NASTY,
        facts={NASTY: NASTY},
        records=[*records, failed, winner, partly],
        objective=objective,
        parts=parts,
        planned=8,
        winner=winner,
        winner_words=NASTY,
        reference_costs={"macs": 6e9, "params": 3e7},
        reference_objective=1.5,
        samples=[Sample(label=NASTY, pictures={NASTY: png, "prediction": png})],
        classes=dict.fromkeys(classes, (128, 64, 0)),
        adaptation=[
            AdaptationResult(
                name="winner, AdvEnt",
                description=NASTY,
                values=iou,
                classes=classes,
                means={"mIoU": np.array([0.4, 0.5]), "pixel accuracy": np.array([0.9, 0.9])},
                confusion=np.array([[5, 1, 0], [0, 0, 0], [2, 2, 900]]),
            ),
            AdaptationResult(name=NASTY, values=iou[:1] / 2, classes=classes),
        ],
        opened_labels=[NASTY],
    )


def write(report: SearchReport, folder: Path, read_page: ReadPage) -> Any:
    page = write_report(report, folder)
    assert page == folder / "index.html"
    return read_page(page.read_text())


@pytest.fixture(scope="module")
def written(report: SearchReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the full report; drawing takes a second."""
    folder = tmp_path_factory.mktemp("report")
    write_report(report, folder)
    return folder


def test_full_report(written: Path, read_page: ReadPage) -> None:
    page = read_page((written / "index.html").read_text())
    assert "7 of 8 trials finished, 1 failed (1 NaN)." in page.text
    # winner: mmd 1/6, reent 2 * .1 * 2 = .4: .567; its MACs are 2 G of 6 G
    assert "with an objective of 0.567" in page.text
    assert "33 % of the reference" in page.text
    # seeds (.5 + .3) / 2 = .4 and (.7 + .3) / 2 = .5: .45 ± .0707; the other: (.25 + .15) / 2
    assert "45.0 ± 7.1 % over 2 seeds, against 20.0 %" in page.text
    assert "+25.0 against" in page.text
    assert page.tags.count("img") == 2, "two samples, and nothing smuggled in"
    assert page.tags.count("svg") == 6
    assert "What is taken for what" in page.text
    assert page.texts.count(NASTY) > 10, "shown as it is written"
    names = {path.name for path in (written / "plots").iterdir()}
    plots = ("history", "parts", "pareto", "scores", "classes", "confusion-winner-AdvEnt")
    assert names == {f"{name}.{kind}" for name in plots for kind in ("svg", "png")}


def test_trials_table_has_every_trial_with_its_reason(written: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((written / "trials.csv").read_text())))
    assert [row["number"] for row in rows] == list("01234567")
    winner, failed = rows[5], rows[6]
    assert float(winner["objective"]) == pytest.approx(1 / 6 + 0.4)
    assert float(winner["part.reent"]) == pytest.approx(0.4)
    assert float(winner["score.reent"]) == pytest.approx(0.2)
    assert winner["choice.rates"] == "[6, 12]"
    assert winner["parents"] == "abc"
    assert (failed["status"], failed["reason"], failed["detail"]) == ("failed", "nan", NASTY)
    assert failed["objective"] == failed["score.mmd"] == failed["cost.macs"] == ""


def test_adaptation_csv(written: Path) -> None:
    rows = list(csv.reader(io.StringIO((written / "adaptation.csv").read_text())))
    assert rows[0] == ["model", "seed", "mIoU", "pixel accuracy", "road", NASTY, "car"]
    assert rows[1] == ["winner, AdvEnt", "0", "0.4", "0.9", "0.5", "", "0.3"]
    assert len(rows) == 1 + 2 + 1


def bare(records: list[Record], **fields: Any) -> SearchReport:
    return SearchReport(title="run", records=records, objective=objective, parts=parts, **fields)


def test_no_trial_yet(tmp_path: Path, read_page: ReadPage) -> None:
    page = write(bare([], planned=12), tmp_path, read_page)
    assert "No trial has ended yet of 12 planned." in page.text
    assert "0 of 12" in page.text
    assert (tmp_path / "adaptation.csv").read_text() == "model,seed\n"


def test_running(make_record: MakeRecord, tmp_path: Path, read_page: ReadPage) -> None:
    records = [trial(make_record, number) for number in range(3)]
    page = write(bare(records, planned=9), tmp_path, read_page)
    assert "3 of 9 planned trials have ended" in page.text
    assert "No winner has been chosen yet; the best so far is" in page.text
    assert "No model has been adapted in full yet." in page.text
    assert "Target labels have not been opened in this run." in page.text


def test_named_networks_are_called_by_their_names(
    make_record: MakeRecord, tmp_path: Path, read_page: ReadPage
) -> None:
    records = [make_record(0, origin="named"), make_record(1)]
    name = {records[0].architecture.id: "deeplabv2_resnet101"}
    report = replace(bare(records), names=name, winner=records[0])
    page = write(report, tmp_path, read_page)
    assert page.text.count("named deeplabv2_resnet101") == 2  # as the winner and in the table
    rows = list(csv.DictReader(io.StringIO((tmp_path / "trials.csv").read_text())))
    assert [row["name"] for row in rows] == ["deeplabv2_resnet101", ""]


def test_all_failed(make_record: MakeRecord, tmp_path: Path, read_page: ReadPage) -> None:
    records = [make_record(n, status="failed", reason="out_of_memory") for n in range(3)]
    page = write(bare(records), tmp_path, read_page)
    assert "0 of 3 trials finished, 3 failed (3 out of memory)." in page.text
    assert page.text.count("failed: out of memory") == 3


def test_finished_but_nothing_scored(
    make_record: MakeRecord, tmp_path: Path, read_page: ReadPage
) -> None:
    page = write(bare([make_record(0)]), tmp_path, read_page)
    assert "no trial has an objective" in page.text
    assert page.tags.count("svg") == 1, "nothing to take apart or to compare"


def test_one_trial_of_unknown_cost(
    make_record: MakeRecord, tmp_path: Path, read_page: ReadPage
) -> None:
    only = make_record(0, scores={"mmd": 0.5, "reent": 0.1})
    page = write(bare([only], winner=only), tmp_path, read_page)
    assert f"The winner is {only.architecture.id} (trial 0)" in page.text
    assert "multiply-adds per image" not in page.text


@pytest.mark.slow
def test_thousand_trials(make_record: MakeRecord, tmp_path: Path, read_page: ReadPage) -> None:
    records = [
        make_record(n, status="failed", reason="error") if n % 10 == 3 else trial(make_record, n)
        for n in range(1000)
    ]
    page = write(bare(records), tmp_path, read_page)
    assert "900 of 1000 trials finished" in page.text
    assert page.tags.count("tr") == 1001
    assert len(page.html) < 3_000_000


def test_only_the_best_ten_are_shown_in_parts(make_record: MakeRecord) -> None:
    report = bare([trial(make_record, n) for n in range(25)])
    svg = draw_parts(report).svg
    shown = [record.number for record in report.best_first if f"#{record.number}<" in svg]
    assert shown == [record.number for record in report.best_first[:10]]


def test_objectives_of_one_score_have_no_pair(make_record: MakeRecord) -> None:
    records = [make_record(n, scores={"mmd": float(n)}, costs={"macs": 1.0}) for n in range(3)]
    single = SearchReport(
        title="run",
        records=records,
        objective=lambda record: record.scores["mmd"],
        parts=lambda record: {"mmd": record.scores["mmd"], "macs": 0.0},
    )
    assert draw_pair(single) is None


def test_results_over_different_classes_are_refused(report: SearchReport, tmp_path: Path) -> None:
    other = AdaptationResult(name="b", values=np.zeros((1, 1)), classes=("road",))
    mixed = replace(report, records=[], winner=None, adaptation=[*report.adaptation, other])
    with pytest.raises(ValueError, match="different classes"):
        write_report(mixed, tmp_path)


def test_summary_is_plain_text(report: SearchReport) -> None:
    assert len(summarise(report)) == 3
    assert not any("&lt;" in sentence for sentence in summarise(report))


def test_csv_of_no_trials_has_a_header() -> None:
    assert trials_csv(bare([])).startswith("number,id,status,objective")
