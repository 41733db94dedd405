"""The objective by hand, and why its calibration is frozen."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata

from autoadapt.config.named_objectives import names, summary_of
from autoadapt.config.settings import ObjectiveSettings, TermSettings
from autoadapt.errors import ConfigError, RunError
from autoadapt.objective import (
    Calibration,
    Objective,
    Places,
    Standard,
    calibrate,
    columns,
    named,
)
from autoadapt.plugins import available
from autoadapt.records import Record, Status
from autoadapt.space.architecture import Architecture

REFERENCE = {"macs": 200.0, "params": 50.0}


def record(
    scores: Mapping[str, float], macs: float = 200.0, status: Status = "finished", **more: Any
) -> Record:
    return Record(
        number=3,
        architecture=Architecture.of("net", {"width": 1}),
        status=status,
        seed=0,
        steps=1,
        scores=scores,
        costs={"macs": macs},
        **more,
    )


def settings(*terms: TermSettings, calibration: int = 30, clip: float = 5.0) -> ObjectiveSettings:
    return ObjectiveSettings(terms=terms, calibration=calibration, clip=clip)


MMD, REENT = TermSettings(score="mmd"), TermSettings(score="reent", weight=2.0)
FROZEN = Calibration({"mmd": Standard(0.25, 0.1, 30), "reent": Standard(0.2, 0.02, 30)}, trials=30)


def test_terms_by_hand() -> None:
    objective = Objective(
        settings(
            MMD,
            REENT,
            TermSettings(score="macs", weight=10.0, form="hinge"),
            TermSettings(score="entropy", weight=0.5, form="raw"),
            TermSettings(score="params", weight=3.0, form="linear"),
        ),
        FROZEN,
        REFERENCE,
    )
    trial = record({"mmd": 0.30, "reent": 0.17, "entropy": 0.4, "params": 25.0}, macs=230.0)

    assert objective.parts(trial) == pytest.approx(
        {
            "mmd": 0.5,  # (0.30 - 0.25) / 0.1
            "reent": -3.0,  # 2 * (0.17 - 0.20) / 0.02
            "macs": 1.5,  # 10 * (230 / 200 - 1)
            "entropy": 0.2,  # 0.5 * 0.4
            "params": 1.5,  # 3 * 25 / 50
        }
    )
    assert objective(trial) == pytest.approx(0.7)


@pytest.mark.parametrize(("macs", "expected"), [(0.0, 0.0), (200.0, 0.0), (220.0, 1.0)])
def test_hinge_adds_nothing_within_the_budget(macs: float, expected: float) -> None:
    objective = Objective(
        settings(TermSettings(score="macs", weight=10.0, form="hinge")), FROZEN, REFERENCE
    )

    assert objective(record({}, macs=macs)) == pytest.approx(expected)


@pytest.mark.parametrize(("form", "expected"), [("hinge", 0.5), ("linear", 1.5)])
def test_budget_comes_before_the_reference(form: Any, expected: float) -> None:
    term = TermSettings(score="macs", form=form, budget=100.0)

    assert Objective(settings(term), FROZEN, REFERENCE)(record({}, macs=150.0)) == expected


@pytest.mark.parametrize("form", ["hinge", "linear"])
def test_forms_without_a_budget(form: Any) -> None:
    with pytest.raises(ConfigError, match=f"the {form} term of 'mmd' needs a 'budget'.*macs, par"):
        Objective(settings(TermSettings(score="mmd", form=form)), FROZEN, REFERENCE)


@pytest.mark.parametrize(("value", "expected"), [(100.0, 5.0), (-100.0, -5.0), (0.75, 5.0)])
def test_standardised_values_are_clipped(value: float, expected: float) -> None:
    assert Objective(settings(MMD), FROZEN, {})(record({"mmd": value})) == expected


def test_two_terms_of_one_score_are_put_together() -> None:
    twice = settings(MMD, TermSettings(score="mmd", form="raw", weight=10.0))

    # (0.35 - 0.25) / 0.1 + 10 * 0.35
    assert Objective(twice, FROZEN, {}).parts(record({"mmd": 0.35})) == pytest.approx({"mmd": 4.5})


def test_a_score_comes_before_a_cost_of_the_same_name() -> None:
    objective = Objective(settings(TermSettings(score="macs", form="raw")), FROZEN, {})

    assert objective(record({"macs": 7.0}, macs=200.0)) == 7.0


def test_no_objective_without_a_needed_score() -> None:
    objective = Objective(settings(MMD, REENT), FROZEN, {})
    incomplete = record({"mmd": 0.3})

    assert objective(incomplete) is None
    assert objective.missing(incomplete) == ["reent"]
    assert objective(record({"mmd": 0.3, "reent": 0.2}, status="failed")) is None
    with pytest.raises(RunError, match="trial 3 has no objective: it lacks reent"):
        objective.parts(incomplete)


def test_calibration_by_hand() -> None:
    values = (3.0, 1.0, 2.0, 10.0, 4.0)
    trials = [record({"mmd": value, "reent": 1.0}, macs=5.0) for value in values]

    found = calibrate(trials, settings(MMD))

    # Median 3; absolute deviations 0, 2, 1, 7, 1 have the median 1.
    assert found.terms["mmd"].median == 3.0
    assert found.terms["mmd"].scale == pytest.approx(1.4826)
    assert found.trials == found.terms["mmd"].count == 5
    # All equal: a floor instead of zero.
    assert found.terms["reent"].scale == pytest.approx(1e-6)
    assert set(found.terms) == {"mmd", "reent", "macs"}


def test_calibration_takes_the_first_finished_trials_that_have_the_score() -> None:
    trials = [
        record({"mmd": 9.0}, status="failed"),
        record({"mmd": 1.0}),
        record({}, score_errors={"mmd": "equal"}),
        record({"mmd": 2.0}),
        record({"mmd": 50.0}),
    ]

    found = calibrate(trials, settings(MMD, calibration=3))

    assert found.trials == 3
    assert (found.terms["mmd"].median, found.terms["mmd"].count) == (1.5, 2)
    assert found.terms["mmd"].scale == pytest.approx(0.7413)


def test_calibration_without_a_needed_score() -> None:
    with pytest.raises(RunError, match=r"'mmd': none of the 1 finished.*example: equal"):
        calibrate([record({}, score_errors={"mmd": "equal"})], settings(MMD))
    with pytest.raises(RunError, match=r"none of the 0 finished.*scoring\.scores"):
        calibrate([], settings(MMD))


def test_objective_without_calibration_of_a_term() -> None:
    with pytest.raises(ConfigError, match=r"'rsi' is not in the calibration, which has mmd, reent"):
        Objective(settings(TermSettings(score="rsi")), FROZEN, {})


def test_places_by_hand() -> None:
    """Of 1, 2, 2, 5: mid-ranks 1, 2.5, 2.5, 4, less a half, are 1/8, 4/8, 4/8, 7/8 of the way."""
    places = Places([5.0, 2.0, 1.0, 2.0])
    spread = 12**0.5

    assert places(1.0) == pytest.approx(spread * (1 / 8 - 1 / 2))
    assert places(2.0) == pytest.approx(0.0)
    assert places(5.0) == pytest.approx(spread * (7 / 8 - 1 / 2))
    # Between 2 and 5 linear; beyond with the mean slope, (7/8 - 1/8) / (5 - 1).
    assert places(3.0) == pytest.approx(spread * (1 / 2 + 3 / 8 / 3 - 1 / 2))
    assert places(6.0) == pytest.approx(spread * (7 / 8 + 3 / 16 - 1 / 2))
    assert places(0.5) == pytest.approx(spread * (1 / 8 - 3 / 32 - 1 / 2))
    assert Places([3.0, 3.0])(9.0) == 0.0


def test_on_a_closed_set_the_form_rank_is_a_sum_of_ranks() -> None:
    random = np.random.Generator(np.random.PCG64(0))
    first, second = random.normal(size=(2, 11)).round(1).tolist()
    trials = [record({"mmd": a, "reent": b}) for a, b in zip(first, second, strict=True)]
    both = ObjectiveSettings(
        terms=(
            TermSettings(score="mmd", form="rank"),
            TermSettings(score="reent", form="rank", weight=-2.0),
        )
    )

    found = columns(trials, {"both": both}, {})["both"]

    ranks = rankdata(first) - 2 * rankdata(second) + 6
    assert found == pytest.approx((12**0.5 / 11 * ranks).tolist())
    # frozen: a value between two trials lies between theirs, and a far one is clipped
    objective = Objective(both, calibrate(trials, both), {})
    far = objective.parts(record({"mmd": 1e6, "reent": -1e6}))
    assert far == {"mmd": 5.0, "reent": 10.0}
    assert objective.clipped_share([record({"mmd": 1e6, "reent": 0.0})]) == 1.0


def test_a_calibration_without_values_has_no_ranks() -> None:
    with pytest.raises(ConfigError, match=r"has no values of 'mmd'.*calibrate again"):
        Objective(settings(TermSettings(score="mmd", form="rank")), FROZEN, {})


def test_values_that_are_not_finite_are_absent() -> None:
    trials = [record({"mmd": value}) for value in (1.0, float("nan"), 3.0, float("inf"))]

    assert calibrate(trials, settings(MMD)).terms["mmd"].values == (1.0, 3.0)
    assert columns(trials, {"mmd": settings(MMD)}, {})["mmd"][1] is None


def test_calibration_survives_json() -> None:
    kept = Calibration({"mmd": Standard(0.25, 0.1, 2, (0.2, 0.3))}, trials=2)
    assert Calibration.from_json(json.loads(json.dumps(kept.to_json()))) == kept

    assert Calibration.from_json(json.loads(json.dumps(FROZEN.to_json()))) == FROZEN


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({}, "found version None"),
        ({"version": 2}, "found version 2"),
        ({"version": 1, "trials": 3}, "not a calibration"),
        ({"version": 1, "trials": 3, "terms": {"mmd": {"median": 1}}}, "not a calibration"),
        ({"version": 1, "trials": 3, "terms": [1]}, "not a calibration"),
    ],
)
def test_not_a_calibration(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(RunError, match=message):
        Calibration.from_json(raw)


def test_share_of_clipped_trials() -> None:
    objective = Objective(settings(MMD, REENT), FROZEN, {})
    inside, at_the_edge = {"mmd": 0.25, "reent": 0.2}, {"mmd": 0.5, "reent": 0.2}
    outside = {"mmd": 0.8, "reent": 0.2}

    assert objective.clipped_share([]) == 0.0
    assert objective.clipped_share(
        [record(inside), record(outside), record(at_the_edge), record(inside), record({"mmd": 9.0})]
    ) == pytest.approx(1 / 4)


def spread_around(centre: float, deviation: float, count: int) -> list[float]:
    """Values whose standard deviation and robust deviation are ``deviation``."""
    signs = np.tile([-1.0, 1.0], count // 2)
    return list(centre + deviation * signs)


def test_frozen_calibration_keeps_the_order_of_old_trials_where_z_scores_turn_it() -> None:
    """A wins on the first population; ten collapsed networks join; A must still win."""
    a, b = {"mmd": 0.30, "reent": 0.20}, {"mmd": 0.20, "reent": 0.26}
    terms = settings(MMD, TermSettings(score="reent"))
    first = [
        record({"mmd": m, "reent": s})
        for m, s in zip(
            spread_around(0.25, 0.1 / 1.4826, 30),
            spread_around(0.23, 0.02 / 1.4826, 30),
            strict=True,
        )
    ]
    collapsed = [record({"mmd": 0.25, "reent": s}) for s in np.linspace(-0.3, 0.1, 45)]
    frozen = Objective(terms, calibrate(first, terms), {})
    grown = Objective(
        terms, calibrate(first + collapsed, settings(MMD, REENT, calibration=1000)), {}
    )

    def difference(objective: Objective) -> float:
        values = [objective(record(trial)) for trial in (a, b)]
        assert values[0] is not None
        assert values[1] is not None
        return values[0] - values[1]

    # (0.30 - 0.20) / 0.1 - (0.26 - 0.20) / 0.02 = 1 - 3
    assert difference(frozen) == pytest.approx(-2.0)
    assert frozen(record(a)) == frozen(record(a))
    # Statistics of the grown population, were they used, would have turned the order.
    assert difference(grown) > 0


def test_a_guard_adds_nothing_up_to_its_limit() -> None:
    guard = TermSettings(score="collapse", weight=100.0, form="guard", limit=0.2)
    objective = Objective(settings(MMD, guard), FROZEN, REFERENCE)

    assert objective(record({"mmd": 0.25, "collapse": 0.2})) == 0.0
    assert objective(record({"mmd": 0.25, "collapse": 0.3})) == pytest.approx(10.0)
    assert objective(record({"mmd": 0.25})) is None


PAPER = {
    "mmd": ["mmd"],
    "ent": ["entropy"],
    "mmd_ent": ["mmd", "entropy"],
    "reent": ["reent"],
    "mmd_reent": ["mmd", "reent"],
}


@pytest.mark.parametrize("name", PAPER)
def test_objectives_of_the_paper_by_name(name: str) -> None:
    found = named(name)

    assert [(t.score, t.weight, t.form) for t in found.terms] == [
        (score, 1.0, "standard") for score in PAPER[name]
    ]
    assert found.name == name


def test_the_default_has_a_name() -> None:
    assert named("default") == dataclasses.replace(ObjectiveSettings(), name="default")
    assert [(t.score, t.weight, t.form) for t in ObjectiveSettings().terms] == [
        ("mmd", 1.0, "standard"),
        ("reent", 1.0, "standard"),
        ("macs", 10.0, "hinge"),
    ]


@pytest.mark.parametrize("name", names())
def test_shipped_objectives_name_scores_and_say_what_they_are(name: str) -> None:
    scores = {term.score for term in named(name).terms}

    assert scores <= {*available("scores"), "macs", "params"}
    assert len(summary_of(name)) > 10


def test_a_file_stands_for_a_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("terms: [{score: rsi, weight: 2}]\nclip: 3\n")

    assert named(str(file)).terms == (TermSettings(score="rsi", weight=2.0),)
    assert named(str(file)).clip == 3.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "is no objective: expected a mapping with 'terms'"),
        ("clip: 3", "is no objective: expected a mapping with 'terms'"),
        ("terms: [", "is not valid YAML"),
        ("terms: [{scores: mmd}]", "scores"),
    ],
)
def test_files_that_are_no_objective(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text)

    with pytest.raises(ConfigError, match=message):
        named(str(file))


def test_unknown_name_of_an_objective() -> None:
    with pytest.raises(ConfigError, match=r"no objective named 'mmd_rent', did you mean"):
        named("mmd_rent")


def test_objectives_as_columns_of_a_closed_set() -> None:
    trials = [record({"mmd": m, "entropy": e}) for m, e in ((0.1, 0.4), (0.2, 0.2), (0.4, 0.3))]
    trials.append(record({"entropy": 0.3}))

    found = columns(trials, {name: named(name) for name in PAPER}, {})

    assert list(found) == ["mmd", "ent", "mmd_ent"]  # nobody has ReEnt
    # Median 0.2, deviations 0.1, 0, 0.2: scale 0.14826.
    assert found["mmd"] == [
        pytest.approx(-0.1 / 0.14826),
        0.0,
        pytest.approx(0.2 / 0.14826),
        None,
    ]
    assert found["mmd_ent"][3] is None
    assert [None if v is None else round(v, 6) for v in found["mmd_ent"]] == [
        None if a is None or b is None else round(a + b, 6)
        for a, b in zip(found["mmd"], found["ent"], strict=True)
    ]
