"""What was named beforehand, against numbers worked out apart from the code."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from autoadapt.analysis.correlation_page import write_correlation
from autoadapt.analysis.correlation_report import CorrelationReport
from autoadapt.analysis.correlation_summary import correlation_text, summarise
from autoadapt.analysis.endpoints import findings, misses, named_values, size_interval
from autoadapt.config.correlation_protocol import (
    CorrelationProtocol,
    Goal,
    LeaveOut,
    Pair,
    as_objective,
)
from autoadapt.config.settings import ObjectiveSettings, TermSettings

ReadPage = Callable[[str], Any]


def objective(*scores: str) -> ObjectiveSettings:
    return ObjectiveSettings(terms=tuple(TermSettings(score=one) for one in scores))


PROTOCOL = CorrelationProtocol(
    combinations={"J": objective("mmd"), "D": objective("softmax_corr", "source_miou")},
    readings={"R": objective("reent")},
    baseline="J",
    primary=Pair(first="D", second="J"),
    source="the plan",
    controls=("macs", "source_miou"),
    leave_out=LeaveOut(score="source_miou", below=0.5),
    goal=Goal(rho=0.9, top_half=0.5, above=("macs",)),
    repetitions=2,
)


def made(**fields: Any) -> CorrelationReport:
    """24 models of 16 architectures; J points the wrong way a little, D the right way."""
    random = np.random.Generator(np.random.PCG64(3))
    quality = np.repeat(random.normal(size=16), [2] * 8 + [1] * 8)
    truth = 0.3 + 0.05 * quality + 0.01 * random.normal(size=24)
    source = -(0.5 + 0.03 * quality)
    source[[4, 21]] = -0.2
    given: dict[str, Any] = {
        "title": "bank",
        "models": [f"model {number}" for number in range(24)],
        "truth": truth.tolist(),
        "scores": {"mmd": random.normal(size=24).tolist(), "entropy": (-truth).tolist()},
        "controls": {
            "macs": (quality + 0.5 * random.normal(size=24)).tolist(),
            "source_miou": source.tolist(),
        },
        "named": {
            "J": (0.3 * quality + random.normal(size=24)).tolist(),
            "D": (-quality + 0.1 * random.normal(size=24)).tolist(),
            "R": [None] * 24,
        },
        "protocol": PROTOCOL,
        "absent": {"R": "no trial has reent"},
        "clusters": [f"a{number}" for number in np.repeat(np.arange(16), [2] * 8 + [1] * 8)],
    }
    return CorrelationReport(**given | fields)


def rho(report: CorrelationReport, name: str, places: Any = slice(None)) -> float:
    return float(spearmanr(report.values(name)[places], report.true[places]).statistic)


def test_endpoints_against_scipy() -> None:
    report = made()
    found = findings(report)
    assert found is not None
    first, second = found.combinations

    assert (first.name, second.name) == ("J", "D")
    assert second.strength == pytest.approx(-rho(report, "D"))
    assert first.strength < 0, "the wrong way is negative, not strong"
    assert second.gain is not None
    assert second.gain.value == pytest.approx(rho(report, "J") - rho(report, "D"))
    assert found.primary == second.gain
    assert found.confirmed
    assert first.gain is None
    best = np.argsort(-report.true)[:12]
    assert second.top_half == pytest.approx(-rho(report, "D", best))
    assert second.interval[0] < second.strength < second.interval[1]
    # what macs leaves of D: the partial correlation by its textbook formula
    a, b = -rho(report, "D"), rho(report, "macs")
    c = -float(spearmanr(report.values("D"), report.values("macs")).statistic)
    expected = (a - b * c) / math.sqrt((1 - b * b) * (1 - c * c))
    assert -second.agreement.partial_rho == pytest.approx(expected)
    # a control has no right way: it counts by its size
    gains = {gain.second: gain.value for gain in second.beyond}
    assert gains["macs"] == pytest.approx(-rho(report, "D") - abs(rho(report, "macs")))


def test_costs_and_their_logarithm_leave_the_same() -> None:
    plain = made(controls={"macs": np.exp(np.arange(24.0)).tolist()})
    logs = made(controls={"macs": np.arange(24.0).tolist()})
    for one, other in zip(plain.agreements, logs.agreements, strict=True):
        assert one.partial_rho == pytest.approx(other.partial_rho, nan_ok=True)


def test_a_paired_cluster_bootstrap_by_hand() -> None:
    """Whole architectures are drawn, for both columns the same ones."""
    report = made()
    found = findings(report)
    assert found is not None
    random = np.random.Generator(np.random.PCG64(0))
    members = [np.flatnonzero(report.ranking.clusters == one) for one in range(16)]
    gains = []
    for _ in range(1500):
        drawn = np.concatenate([members[one] for one in random.integers(16, size=16)])
        gains.append(rho(report, "J", drawn) - rho(report, "D", drawn))
    assert found.primary.interval == pytest.approx(np.quantile(gains, [0.025, 0.975]), abs=0.06)


def test_collapsed_models_are_left_out_by_the_rule() -> None:
    report = made()
    assert report.trained is not None
    assert set(report.models) - set(report.trained.models) == {"model 4", "model 21"}
    # the same random numbers, not new ones
    kept = [place for place in range(24) if place not in (4, 21)]
    assert report.trained.all_controls["random"] == [
        report.all_controls["random"][place] for place in kept
    ]
    values = named_values(report)
    assert values is not None
    assert values["left_out"] == ["model 4", "model 21"]
    again = values["without_collapsed"]
    assert again["models"] == 22
    expected = -rho(report, "D", kept)
    assert again["combinations"][1]["strength"] == pytest.approx(expected)
    assert "2 models have a source_miou below 0.5 of the median" in " ".join(summarise(report))


def test_without_the_score_nobody_can_be_called_collapsed() -> None:
    report = made(controls={"macs": list(range(24))})
    assert report.trained is None
    assert "Collapsed models cannot be told" in " ".join(summarise(report))


def test_the_ceiling_rests_on_repeated_architectures_alone() -> None:
    report = made()
    pairs = report.true[:16].reshape(8, 2)
    within = float(((pairs[:, 0] - pairs[:, 1]) ** 2).sum() / 2 / 8)
    among = float(2 * ((pairs.mean(1) - pairs.mean()) ** 2).sum() / 7)
    between = (among - within) / 2
    assert report.ceiling == pytest.approx(math.sqrt(between / (between + within)))


def test_the_goal() -> None:
    report = made()
    found = findings(report)
    assert found is not None
    assert any(
        "−ρ" in text and "below 0.9" in text for text in misses(found.rows[0], found, report)
    )
    strict = made(protocol=None)
    assert misses(found.rows[0], found, strict) == []
    assert size_interval((-0.7, -0.2)) == (0.2, 0.7)
    assert size_interval((-0.7, 0.2)) == (0.0, 0.7)
    assert size_interval((0.1, 0.2)) == (0.1, 0.2)


def test_only_the_rest_is_exploratory() -> None:
    report = made()
    corrected = {one.name: one for one in report.agreements}
    # two scores: Holm counts two, not the five columns there are
    assert corrected["entropy"].p_holm == pytest.approx(2 * corrected["entropy"].p_value)
    assert corrected["mmd"].p_holm == pytest.approx(corrected["mmd"].p_value)
    assert {one.name for one in report.scored} == {"entropy", "mmd"}


def test_the_page_shows_it_first(tmp_path: Path, read_page: ReadPage) -> None:
    page = read_page(write_correlation(made(), tmp_path).read_text())
    text = page.text
    assert text.index("Named beforehand") < text.index("Exploratory: how each score ranks")
    assert "so it is confirmed in this bank" in text
    assert "It is written in the plan." in text
    assert "R: no trial has reent." in text
    assert "Left out as collapsed: model 4, model 21." in text
    content = json.loads((tmp_path / "correlation.json").read_text())
    assert content["named"]["all_models"]["primary"]["confirmed"] is True
    assert {one["n"] for one in content["without_collapsed"]} == {22, 0}
    assert content["best_by_half"]["picked"] == {"entropy": 1.0}
    rest = (tmp_path / "correlation_without_collapsed.csv").read_text().splitlines()
    assert len(rest) == 1 + len(content["agreements"])
    assert text.count("Without collapsed models") == 2, "named beforehand, and all else"
    kinds = {one["score"]: one["kind"] for one in content["agreements"]}
    assert kinds == {
        "J": "named beforehand",
        "D": "named beforehand",
        "R": "named beforehand",
        "mmd": "score",
        "entropy": "score",
        "macs": "control",
        "source_miou": "control",
        "random": "control",
    }
    lines = correlation_text(made()).splitlines()
    assert lines.index("named beforehand:") < lines.index("exploratory:")


def test_names_that_stand_for_two_things() -> None:
    with pytest.raises(ValueError, match="also a score or control: \\['mmd'\\]"):
        made(named={"mmd": [1.0] * 24})


def test_a_protocol_without_a_truth_asks_nothing() -> None:
    blind = made(truth=[None] * 24)
    assert findings(blind) is None
    assert named_values(blind) is None
    assert "scores only" in " ".join(summarise(blind))


def test_a_list_is_an_objective() -> None:
    assert as_objective(["a", "b"]) == {"terms": [{"score": "a"}, {"score": "b"}]}
