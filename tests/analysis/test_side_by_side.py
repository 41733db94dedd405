"""Banks beside each other: what holds on all of them, and what is said of it."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoadapt.analysis.correlation_report import CorrelationReport
from autoadapt.analysis.side_by_side import (
    SideBySide,
    as_text,
    name_of,
    summary,
    weakest,
    write_side_by_side,
)
from autoadapt.config.correlation_protocol import CorrelationProtocol, Goal, LeaveOut, Pair
from autoadapt.config.settings import ObjectiveSettings, TermSettings

ReadPage = Callable[[str], Any]


def objective(score: str) -> ObjectiveSettings:
    return ObjectiveSettings(terms=(TermSettings(score=score),))


PROTOCOL = CorrelationProtocol(
    combinations={"J": objective("mmd"), "D": objective("snd"), "E": objective("rsi")},
    baseline="J",
    primary=Pair(first="D", second="J"),
    controls=("macs",),
    leave_out=LeaveOut(score="macs", below=0.1),
    goal=Goal(rho=0.8, top_half=0.1, above=("macs",)),
)


def made(title: str, seed: int, *, size: int = 26, **fields: Any) -> CorrelationReport:
    random = np.random.Generator(np.random.PCG64(seed))
    truth = 0.3 + 0.05 * random.normal(size=size)

    def column(noise: float) -> list[float]:
        values: list[float] = (-(truth - 0.3) / 0.05 + noise * random.normal(size=size)).tolist()
        return values

    given: dict[str, Any] = {
        "title": title,
        "models": [f"model {number}" for number in range(size)],
        "truth": truth.tolist(),
        "scores": {"good": column(0.3), "noise": column(50.0)},
        "controls": {"macs": (-1 - random.random(size)).tolist()},
        "named": {"J": column(9.0), "D": column(0.2), "E": column(0.1 if seed == 1 else 2.0)},
        "protocol": PROTOCOL,
        "terms": {"J": "mmd", "D": "snd", "E": "rsi"},
    }
    return CorrelationReport(**given | fields)


@pytest.fixture(scope="module")
def both() -> SideBySide:
    return SideBySide((made("dusk", 1), made("carla", 2, size=24)))


def test_the_largest_smaller_strength_is_recommended(both: SideBySide) -> None:
    strengths = [[end.strength for end in row] for row in both.named]
    assert strengths[2][0] > strengths[1][0], "E is the best of one bank"
    assert strengths[2][1] < strengths[1][1], "and not of the other"
    assert both.recommended == "D"
    assert weakest([end.agreement for end in both.named[1]]) == pytest.approx(min(strengths[1]))


def test_a_score_holds_where_it_ranks_in_every_bank(both: SideBySide) -> None:
    held = {name_of(row): both.holds(row) for row in both.others if not both.is_control(row)}
    assert held == {"good": True, "noise": False}
    assert name_of(both.others[0]) == "good", "the safest one first"


def test_a_score_that_one_bank_lacks_holds_nowhere(both: SideBySide) -> None:
    first, second = both.reports
    lone = SideBySide((first, replace(second, scores={"noise": second.scores["noise"]})))
    row = next(row for row in lone.others if name_of(row) == "good")
    assert row[1] is None
    assert np.isnan(weakest(row))
    assert not lone.holds(row)
    assert "good" in as_text(lone)


def test_what_is_said(both: SideBySide) -> None:
    text = " ".join(summary(both))
    assert "never pooled: dusk (26 models), carla (24 models)" in text
    assert "D against J is confirmed: the interval of the difference is above 0 in every" in text
    assert "D (snd) has the largest smaller −ρ" in text
    assert "The goal is reached in every bank by D." in text
    assert "1 of 2 exploratory scores rank the right way in every bank" in text


def test_one_bank_that_does_not_confirm_is_enough(both: SideBySide) -> None:
    first, second = both.reports
    swapped = {**second.named, "J": second.named["D"], "D": second.named["J"]}
    text = " ".join(summary(SideBySide((first, replace(second, named=swapped)))))
    assert "D against J is not confirmed" in text
    assert "No combination reaches the goal in every bank." in text
    assert "is below 0.8" in text


def test_without_a_protocol_everything_is_alike(both: SideBySide) -> None:
    plain = SideBySide(tuple(replace(one, named={}, protocol=None) for one in both.reports))
    assert "beforehand" not in " ".join(summary(plain))
    assert "Scores and controls:" in as_text(plain)


def test_files(both: SideBySide, tmp_path: Path, read_page: ReadPage) -> None:
    page = read_page(write_side_by_side(both, tmp_path).read_text())
    assert page.tags.count("svg") == 2
    assert "Primary comparison" in page.text
    rows = list(csv.DictReader(io.StringIO((tmp_path / "side_by_side.csv").read_text())))
    assert {(row["bank"], row["models"]) for row in rows} == {
        ("dusk", "all models"),
        ("carla", "all models"),
    }
    assert len(rows) == 2 * 7, "three named, two scores, macs and random, in both banks"
    markdown = (tmp_path / "side_by_side.md").read_text()
    assert "| D | " in markdown
    assert "### Exploratory scores and controls" in markdown
    content = json.loads((tmp_path / "side_by_side.json").read_text())
    assert content["recommended"] == "D"
    assert content["confirmed"] is True
    assert content["rank_in_all"] == ["good"]
    assert content["lacking_for_goal"]["J"]
    assert [one["bank"] for one in content["reports"]] == ["dusk", "carla"]


def test_collapsed_models_are_left_out_of_a_second_set_of_tables(
    both: SideBySide, tmp_path: Path, read_page: ReadPage
) -> None:
    first, second = both.reports
    low = [*first.controls["macs"][:-1], -0.01]
    found = SideBySide((replace(first, controls={"macs": low}), second))
    again = found.without_collapsed
    assert again is not None
    assert [len(report.models) for report in again.reports] == [25, 24]
    assert both.without_collapsed is None
    page = read_page(write_side_by_side(found, tmp_path).read_text())
    assert "Models left out: dusk: 1, carla: 0." in page.text
    assert "## Without collapsed models" in (tmp_path / "side_by_side.md").read_text()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "side_by_side.csv").read_text())))
    assert sum(row["models"] == "without collapsed" for row in rows) == 14


def test_a_bank_without_a_truth_says_so(both: SideBySide) -> None:
    first, second = both.reports
    blind = SideBySide((first, replace(second, truth=[None] * 24)))
    assert blind.findings == ()
    assert "No true metric is known in carla." in summary(blind)
    assert "good" in as_text(blind)
