import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoadapt.analysis.correlation_page import write_correlation
from autoadapt.analysis.correlation_report import CorrelationReport
from autoadapt.analysis.correlation_summary import correlation_text, summarise
from autoadapt.analysis.score_costs import ScoreCost

ReadPage = Callable[[str], Any]
NASTY = "<b>a/b</b> & $x$"
TRUTH = [0.10, 0.20, 0.30, 0.40, 0.50, 0.60, 0.70, 0.80]


def report(**fields: Any) -> CorrelationReport:
    given: dict[str, Any] = {
        "title": "bank",
        "models": [f"model {index}" for index in range(len(TRUTH))],
        "truth": TRUTH,
        # in order but for the two best models: d = 1, -1 of 8 models: rho = -(1 - 12 / 504)
        "scores": {"mmd": [8, 7, 6, 5, 4, 3, 1, 2], "snd": [1.0, 2.0, *[None] * 6]},
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
    # 27 of 28 pairs are in order; the pick has .7, the best .8; the top 5 hold the best
    assert "“mmd” ranks them best: it puts 96.4 % of all pairs" in page.text
    assert "Spearman ρ −0.98" in page.text
    assert "is 10.0 points of mIoU below the best one; the best of its top 5 is 0.0" in page.text
    assert "snd: 2 models have it, at least 3 are needed." in page.text
    assert "mmd: ρ −0.98, n = 8" in page.text
    assert page.tags.count("svg") == 8, (
        "overview, two scores, two controls, regret, learning, heat map"
    )
    stems = sorted(path.stem for path in (written / "plots").glob("*.svg"))
    expected = ["learning", "overview", "redundancy", "regret", "score-00-mmd", "score-01-macs"]
    assert stems == [*expected, "score-02-random", "score-03-snd"]


def test_csv_is_sorted_by_strength_with_controls(written: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((written / "correlation.csv").read_text())))
    assert [(row["score"], row["kind"]) for row in rows] == [
        ("mmd", "score"),
        ("macs", "control"),
        ("random", "control"),
        ("snd", "score"),
    ]
    # 1 - 6 * 2 / (8 * 63) = .97619
    assert float(rows[0]["rho"]) == pytest.approx(-0.976190, abs=5e-7)
    assert rows[3]["rho"] == rows[3]["rho_low"] == ""
    assert (rows[3]["n"], rows[3]["dropped"]) == ("2", "6")


def test_raw_numbers_are_kept(written: Path) -> None:
    models = list(csv.DictReader(io.StringIO((written / "models.csv").read_text())))
    assert models[3].pop("random")
    assert models[3] == {
        "model": "model 3",
        "target_miou": "0.4",
        "macs": "8000000000.0",
        "mmd": "5",
        "snd": "",
    }
    content = json.loads((written / "correlation.json").read_text())
    assert content["truth"] == TRUTH
    assert content["columns"]["snd"] == [1.0, 2.0, *[None] * 6]
    assert content["agreements"][3]["rho"] is None
    assert content["opened_labels"] == ["evaluation"]


def test_what_a_score_takes_is_in_table_and_files(tmp_path: Path, read_page: ReadPage) -> None:
    costs = {"mmd": ScoreCost(0.0312, ("mirrored", "held_out")), "snd": ScoreCost(0.24)}
    page = write(report(score_costs=costs), tmp_path, read_page)
    assert "31 ms + mirrored images + labelled source images" in page.text
    rows = list(csv.DictReader(io.StringIO((tmp_path / "correlation.csv").read_text())))
    assert [(row["seconds"], row["needs"]) for row in rows] == [
        ("0.0312", "mirrored held_out"),
        ("", ""),
        ("", ""),
        ("0.24", ""),
    ]
    values = json.loads((tmp_path / "correlation.json").read_text())["agreements"]
    assert [(one["seconds"], one["needs"]) for one in values[:2]] == [
        (0.0312, "mirrored held_out"),
        (None, ""),
    ]


def test_text_for_a_terminal() -> None:
    lines = correlation_text(report()).splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("score"))
    names = [line.split("  ")[0] for line in lines[start + 2 :]]
    assert names == ["mmd", "macs (control)", "random (control)", "snd"]
    assert "2 of 8" in lines[-1]


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
    assert "As the best of 9 scores it could still be chance" in " ".join(sentences)
    assert "the best of 9 scores reaches ρ" in sentences[-1], "where it was not chosen"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (report(models=[], truth=[], scores={}, controls={}), "no model"),
        (report(scores={}, controls={}), "there is no score"),
        (
            report(models=["a"], truth=[0.4], scores={"mmd": [1.0]}, controls={}),
            "1 model has it, at least 3 are needed",
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


def test_contradictions_are_refused() -> None:
    with pytest.raises(ValueError, match="1 models but 8 true metrics"):
        report(models=["a"])
    with pytest.raises(ValueError, match="both score and control"):
        report(controls={"mmd": TRUTH})
    with pytest.raises(ValueError, match="8 models but 1 groups"):
        report(groups=["advent"])


def test_three_models_in_order_are_no_best_score() -> None:
    few = report(scores={"mmd": [8, 7, 6, 5, 4, 3, 1, 2], "snd": [3.0, 2.0, 1.0, *[None] * 5]})
    assert "“mmd” ranks them best" in " ".join(summarise(few))
    assert "“snd” 5" in " ".join(summarise(few)), "what was dropped is said"
    alone = report(scores={"snd": [3.0, 2.0, 1.0, *[None] * 5]})
    assert "more than half of the models lack it" in summarise(alone)[-1]


def test_scores_without_any_truth(tmp_path: Path, read_page: ReadPage) -> None:
    blind = report(truth=[None] * 8)
    page = write(blind, tmp_path, read_page)
    assert "The 8 models have scores only" in page.text
    assert "How each score ranks" not in page.text
    assert "Which scores say the same" in page.text
    content = json.loads((tmp_path / "correlation.json").read_text())
    assert content["agreements"] == content["differences"] == []
    assert content["columns"]["mmd"][0] == 8


def test_models_without_a_truth_are_left_out_and_counted() -> None:
    part = report(truth=[*TRUTH[:6], None, math.nan])
    assert part.agreements[0].n == 6
    assert part.agreements[0].rho == pytest.approx(-1)
    assert "2 models have no true mIoU and could not be compared." in summarise(part)


def test_groups_clusters_and_comparisons(tmp_path: Path, read_page: ReadPage) -> None:
    """Falling inside both methods and rising between them: pooled it looks wrong."""
    inner = [0.0, 1, 2, 3, 4, 5]
    grouped = report(
        models=[str(number) for number in range(12)],
        truth=[0.1 + 0.01 * value for value in inner] + [0.5 + 0.01 * value for value in inner],
        scores={"entropy": [-v for v in inner] + [20 - v for v in inner]},
        controls={"macs": [float(v * 7 % 12) for v in range(12)]},
        groups=["advent"] * 6 + ["min_ent"] * 6,
        clusters=[f"a{number // 2}" for number in range(12)],
        comparisons=[("entropy", "macs"), ("entropy", "absent")],
    )
    one = next(found for found in grouped.agreements if found.name == "entropy")
    assert one.rho > 0.4
    assert one.within_rho == pytest.approx(-1)
    assert [(group.name, group.n) for group in one.within] == [("advent", 6), ("min_ent", 6)]
    page = write(grouped, tmp_path, read_page)
    assert "Inside groups of models" in page.text
    assert "entropy against macs" in page.text
    content = json.loads((tmp_path / "correlation.json").read_text())
    assert content["noise_ceiling"] == pytest.approx(1, abs=0.01)
    assert [pair["second"] for pair in content["differences"]] == ["macs", "random"]
    models = list(csv.DictReader(io.StringIO((tmp_path / "models.csv").read_text())))
    assert (models[7]["group"], models[7]["cluster"]) == ("min_ent", "a3")


def test_between_groups_only_is_warned_of() -> None:
    flat = [2.0, 1, 3, 2, 1, 3]
    between = report(
        models=[str(number) for number in range(12)],
        truth=[0.1 + 0.01 * v for v in range(6)] + [0.5 + 0.01 * v for v in range(6)],
        scores={"entropy": [20 + v for v in flat] + flat},
        controls={},
        groups=["advent"] * 6 + ["min_ent"] * 6,
    )
    assert "lies between the groups" in " ".join(summarise(between))


def test_other_methods_are_no_repetitions() -> None:
    """The noise of seeds is known only where an architecture was trained twice in one way."""
    crossed = {"groups": ["advent", "min_ent"] * 4, "clusters": [f"a{n // 2}" for n in range(8)]}
    assert math.isnan(report(**crossed).ceiling)
    assert report(clusters=crossed["clusters"]).ceiling > 0.9
