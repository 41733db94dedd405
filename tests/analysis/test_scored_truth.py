"""mIoU on the images that scores look at, beside that on held-out ones, in the report."""

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoadapt.analysis.correlation_page import write_correlation
from autoadapt.analysis.correlation_report import CorrelationReport, header_of
from autoadapt.analysis.correlation_summary import correlation_text, summarise
from autoadapt.analysis.scored_truth import rows_of, truth_sentences, truth_values
from autoadapt.config.correlation_protocol import CorrelationProtocol, Pair
from autoadapt.config.settings import ObjectiveSettings, TermSettings

ReadPage = Callable[[str], Any]
TRUTH = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
ON_SCORED = [0.3, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
"""The two worst models change places: ρ with ``TRUTH`` is 1 - 6 * 2 / 504 = .976190."""


def report(**fields: Any) -> CorrelationReport:
    given: dict[str, Any] = {
        "title": "bank",
        "models": [f"model {index}" for index in range(8)],
        "truth": TRUTH,
        "truth_on_scored": ON_SCORED,
        "scores": {
            "mmd": [8, 7, 6, 5, 4, 3, 1, 2],
            "late": [7.0, 8, 6, 5, 4, 2, 3, 1],
            "snd": [1.0, 2.0, *[None] * 6],
        },
        "controls": {"macs": [1e9, 4e9, 2e9, 8e9, 3e9, 7e9, 5e9, 6e9]},
    }
    return CorrelationReport(**given | fields)


def test_scores_are_judged_by_both() -> None:
    one = report()
    assert one.on_both is not None
    # mmd: d = 1, -1 at both ends: -(1 - 24 / 504); late: only its own d = 1, -1: -(1 - 12 / 504)
    assert one.rhos_on_scored["mmd"] == pytest.approx(-0.952381, abs=5e-7)
    assert one.rhos_on_scored["late"] == pytest.approx(-0.976190, abs=5e-7)
    assert math.isnan(one.rhos_on_scored["snd"])
    assert [(row["images"], row["models"], row["strongest_score"]) for row in rows_of(one)] == [
        ("scored images", 8, "late"),
        ("held-out images", 8, "mmd"),
    ]
    assert [row["mean"] for row in rows_of(one)] == pytest.approx([0.55, 0.45])
    assert [(row["least"], row["largest"]) for row in rows_of(one)] == [(0.2, 0.9), (0.1, 0.8)]


def test_the_summary_says_it_in_plain_words() -> None:
    first, second = truth_sentences(report())
    assert first == (
        "On the images that scores look at, the mIoU of 8 models is 55.0 % on average, on "
        "held-out ones 45.0 %; the two order the models alike with ρ 0.98."
    )
    assert second == (
        "“mmd” reaches ρ −0.95 on the scored images and −0.98 on held-out ones; the strongest "
        "score on the former is “late” (−0.98)."
    )
    assert [first, second] == summarise(report())[1:3]


def test_page_and_files_have_it(tmp_path: Path, read_page: ReadPage) -> None:
    page = read_page(write_correlation(report(), tmp_path).read_text())
    assert "ρ, scored images" in page.text
    assert "Scored and held-out images" in page.text
    assert (tmp_path / "plots/scored-and-held-out.svg").is_file()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "correlation.csv").read_text())))
    found = {row["score"]: row["rho_scored_images"] for row in rows}
    assert float(found["mmd"]) == pytest.approx(-0.952381, abs=5e-7)
    assert found["snd"] == ""
    models = list(csv.DictReader(io.StringIO((tmp_path / "models.csv").read_text())))
    assert (models[0]["scored_miou"], models[0]["target_miou"]) == ("0.3", "0.1")
    content = json.loads((tmp_path / "correlation.json").read_text())
    assert content["truth_on_scored_images"] == ON_SCORED
    assert content["scored_images"]["rho"] == pytest.approx(0.976190, abs=5e-7)


def test_columns_stand_under_their_names() -> None:
    known = header_of(report())
    assert known[:4] == ("score", "ρ", "95 % interval", "ρ, scored images")
    lines = correlation_text(report()).splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("score"))
    assert "pairs right" in lines[start]
    assert "96.4 %" in lines[start + 2], "of mmd: 27 of 28 pairs"


def test_it_is_absent_where_it_is_not_known(tmp_path: Path, read_page: ReadPage) -> None:
    without = report(truth_on_scored=())
    assert "ρ, scored images" not in header_of(without)
    assert truth_sentences(without) == []
    assert truth_values(without) is None
    page = read_page(write_correlation(without, tmp_path).read_text())
    assert "scored images" not in page.text
    assert not (tmp_path / "plots/scored-and-held-out.svg").exists()


def test_models_without_it_are_left_out_of_both_sides() -> None:
    part = report(truth_on_scored=[None, *ON_SCORED[1:7], math.nan])
    assert part.on_both is not None
    assert [len(side.models) for side in part.on_both] == [6, 6]
    assert part.on_both[1].true.tolist() == TRUTH[1:7]
    # without the ends: mmd 7 6 5 4 3 1 falls as both truths rise
    assert part.rhos_on_scored["mmd"] == pytest.approx(-1.0)
    assert report(truth_on_scored=[*ON_SCORED[:2], *[None] * 6]).on_both is None, "2 are too few"
    with pytest.raises(ValueError, match="8 models but 3 mIoU on scored images"):
        report(truth_on_scored=ON_SCORED[:3])


def test_what_was_named_beforehand_is_judged_there_too(tmp_path: Path, read_page: ReadPage) -> None:
    protocol = CorrelationProtocol(
        combinations={
            name: ObjectiveSettings(terms=(TermSettings(score=score),))
            for name, score in (("A", "mmd"), ("B", "late"))
        },
        baseline="A",
        primary=Pair(first="B", second="A"),
    )
    named = report(
        protocol=protocol,
        named={"A": [8.0, 7, 6, 5, 4, 3, 1, 2], "B": [7.0, 8, 6, 5, 4, 2, 3, 1]},
        terms={"A": "mmd", "B": "late"},
    )
    values = truth_values(named)
    assert values is not None
    # held out: B has d = 1, -1 twice: .952381 - .976190; on the scored images the other way round
    assert values["primary"]["difference"] == pytest.approx(0.023810, abs=5e-7)
    assert "Judged on the scored images, B against A differ in −ρ by 0.02" in summarise(named)[4]
    page = read_page(write_correlation(named, tmp_path).read_text())
    assert "−ρ, scored images" in page.text
    content = json.loads((tmp_path / "correlation.json").read_text())
    first = content["named"]["all_models"]["combinations"][0]
    assert first["strength_scored_images"] == pytest.approx(0.952381, abs=5e-7)
