import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoadapt.analysis.correlation_report import (
    CorrelationReport,
    correlation_text,
    summarise,
    write_correlation,
)

ReadPage = Callable[[str], Any]
NASTY = "<b>a/b</b> & $x$"
TRUTH = [0.10, 0.20, 0.30, 0.40, 0.50, 0.60, 0.70, 0.80]


def report(**fields: Any) -> CorrelationReport:
    given: dict[str, Any] = {
        "title": "bank",
        "models": [f"model {index}" for index in range(len(TRUTH))],
        "truth": TRUTH,
        # in order but for the two best models: d = 1, -1 of 8 models: rho = -(1 - 12 / 504)
        "scores": {"mmd": [8, 7, 6, 5, 4, 3, 1, 2], "snd": [1.0, 2.0, 3.0, *[None] * 5]},
        "controls": {"macs": [1e9, 4e9, 2e9, 8e9, 3e9, 7e9, 5e9, 6e9]},
    }
    return CorrelationReport(**given | fields)


def write(value: CorrelationReport, folder: Path, read_page: ReadPage) -> Any:
    page = write_correlation(value, folder)
    assert page == folder / "index.html"
    return read_page(page.read_text())


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("correlation")
    write_correlation(report(opened_labels=["evaluation"]), folder)
    return folder


def test_page_and_plots(written: Path, read_page: ReadPage) -> None:
    page = read_page((written / "index.html").read_text())
    assert "2 label-free scores compared with the true target mIoU of 8 models" in page.text
    assert "“mmd” ranks them best: Spearman ρ −0.98" in page.text
    # 27 of 28 pairs are in order; the pick has .7, the best .8
    assert "96.4 % of all pairs" in page.text
    assert "is 10.0 points of mIoU below the best one" in page.text
    assert "snd: 3 models have it, at least 4 are needed." in page.text
    assert "mmd: ρ −0.98, n = 8" in page.text
    assert page.tags.count("svg") == 4, "the overview, two scores and a control"
    stems = sorted(path.stem for path in (written / "plots").glob("*.svg"))
    assert stems == ["overview", "score-00-mmd", "score-01-macs", "score-02-snd"]


def test_csv_is_sorted_by_strength_with_controls(written: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((written / "correlation.csv").read_text())))
    assert [(row["score"], row["kind"]) for row in rows] == [
        ("mmd", "score"),
        ("macs", "control"),
        ("snd", "score"),
    ]
    # 1 - 6 * 2 / (8 * 63) = .97619
    assert float(rows[0]["rho"]) == pytest.approx(-0.976190, abs=5e-7)
    assert rows[2]["rho"] == rows[2]["rho_low"] == ""
    assert (rows[2]["n"], rows[2]["dropped"]) == ("3", "5")


def test_raw_numbers_are_kept(written: Path) -> None:
    models = list(csv.DictReader(io.StringIO((written / "models.csv").read_text())))
    assert models[3] == {
        "model": "model 3",
        "target_miou": "0.4",
        "macs": "8000000000.0",
        "mmd": "5",
        "snd": "",
    }
    content = json.loads((written / "correlation.json").read_text())
    assert content["truth"] == TRUTH
    assert content["columns"]["snd"] == [1.0, 2.0, 3.0, *[None] * 5]
    assert content["agreements"][2]["rho"] is None
    assert content["opened_labels"] == ["evaluation"]


def test_text_for_a_terminal() -> None:
    lines = correlation_text(report()).splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("score"))
    names = [line.split("  ")[0] for line in lines[start + 2 :]]
    assert names == ["mmd", "macs (control)", "snd"]
    assert "3 of 8" in lines[-1]


def test_a_control_as_good_as_the_score_is_named() -> None:
    control = report(controls={"macs": [8.0, 7, 6, 5, 4, 3, 2, 1]})
    assert "no evidence for the score" in summarise(control)[-1]


def test_a_weak_score_is_called_weak() -> None:
    weak = report(scores={"mmd": [4, 8, 1, 6, 3, 7, 2, 5]}, controls={})
    assert "tell it from chance" in summarise(weak)[-1]
    wrong = report(scores={"mmd": list(range(8))})
    assert summarise(wrong)[-1] == "No score ranks the models in the right direction."


def test_best_of_many_is_corrected() -> None:
    # rho = -.76: p = .04 alone, but not as the best of nine
    good = [6.0, 8, 7, 3, 5, 1, 4, 2]
    noise = {f"noise {i}": [float((3 * k + i) % 8) for k in range(8)] for i in range(8)}
    sentences = summarise(report(scores={"good": good, **noise}, controls={}))
    assert "As the best of 9 scores it could still be chance" in sentences[-1]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (report(models=[], truth=[], scores={}, controls={}), "no model"),
        (report(scores={}, controls={}), "there is no score"),
        (
            report(models=["a"], truth=[0.4], scores={"mmd": [1.0]}, controls={}),
            "1 model has it, at least 4 are needed",
        ),
    ],
)
def test_next_to_nothing(
    value: CorrelationReport, words: str, tmp_path: Path, read_page: ReadPage
) -> None:
    assert words in write(value, tmp_path, read_page).text


def test_text_is_escaped_and_names_are_safe(tmp_path: Path, read_page: ReadPage) -> None:
    scores = {NASTY: [8.0, 7, 6, 5, 4, 3, 1, 2]}
    value = report(title=NASTY, scores=scores, facts={NASTY: NASTY}, opened_labels=[NASTY])
    page = write(value, tmp_path, read_page)
    assert "b" not in page.tags
    assert all(path.parent == tmp_path / "plots" for path in tmp_path.rglob("*.png"))


def test_contradictions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 models but 8 true metrics"):
        write_correlation(report(models=["a"]), tmp_path)
    with pytest.raises(ValueError, match="both score and control"):
        write_correlation(report(controls={"mmd": TRUTH}), tmp_path)
