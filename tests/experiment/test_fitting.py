"""Weights that are fitted on one bank and tested on another, never on the same."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.stats import rankdata, spearmanr

from autoadapt.analysis.endpoints import findings
from autoadapt.cli import main
from autoadapt.config.correlation_protocol import CorrelationProtocol, Pair
from autoadapt.config.load import load as load_config
from autoadapt.errors import ConfigError, RunError
from autoadapt.experiment.bank_file import Bank, common_ground, write_bank
from autoadapt.experiment.commands import fit_objective, with_fit
from autoadapt.experiment.fitting import (
    candidates,
    fit_bank,
    fit_for,
    judged_on,
    transfer,
    write_fitted,
)
from autoadapt.experiment.reporting import Request, bank_report
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.search import Experiment
from autoadapt.experiment.trial import domains_of
from autoadapt.experiment.watching import Watcher
from autoadapt.objective import column, named
from tests.experiment.synthetic_banks import synthetic_bank

STRENGTHS = {"softmax_corr": 1.5, "source_miou": 0.8, "mmd": 0.0, "entropy": -1.0}


@pytest.fixture(scope="module")
def bank() -> Bank:
    return synthetic_bank(architectures=50, repeated=8, collapsed=0, strengths=STRENGTHS)


@pytest.fixture(scope="module")
def other() -> Bank:
    return synthetic_bank(
        "other", architectures=40, repeated=5, collapsed=0, seed=7, strengths=STRENGTHS
    )


def miou(bank: Bank) -> list[float]:
    return [one.miou or math.nan for one in bank.models]


def test_weights_follow_what_the_scores_say(bank: Bank) -> None:
    fitted = fit_bank(bank, list(STRENGTHS))
    found = {term.score: term.weight for term in fitted.settings.terms}
    assert found["softmax_corr"] > found["source_miou"] > 0.1
    assert found["entropy"] < -0.1, "a score that points the wrong way is turned"
    assert abs(found["mmd"]) < 0.1, "a useless score hardly counts"
    assert {term.form for term in fitted.settings.terms} == {"rank"}
    assert (fitted.models, fitted.left_out) == (66, 0)
    assert -fitted.held_out.rho > 0.8


def test_on_ranks_it_is_the_textbook_form(bank: Bank) -> None:
    """Ranks of scores against ranks of the metric, by numpy, with the penalty found."""
    fitted = fit_bank(bank, ["softmax_corr", "mmd"])
    x = np.array(
        [rankdata([m.record.scores[name] for m in bank.models]) for name in ("softmax_corr", "mmd")]
    ).T
    y = rankdata([-value for value in miou(bank)])
    x, y = (x - x.mean(0)) / 66, (y - y.mean()) / 66
    rows = math.sqrt(66 * fitted.ridge.penalty / 12) * np.eye(2)
    expected = np.linalg.lstsq(np.vstack([x, rows]), np.append(y, [0, 0]), rcond=None)[0]
    assert [term.weight for term in fitted.settings.terms] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("form", ["rank", "standard"])
def test_the_objective_is_what_was_fitted(bank: Bank, form: str, tmp_path: Path) -> None:
    """Read from its file, it orders the bank as the fit did; so no approximation is in between."""
    fitted = fit_bank(bank, list(STRENGTHS), form="standard" if form == "standard" else "rank")
    write_fitted(fitted, bank, tmp_path / "mine.yaml")
    read = named(str(tmp_path / "mine.yaml"))
    assert read.terms == fitted.settings.terms
    values = column([one.record for one in bank.models], read, {})
    x = np.array(
        [
            column([one.record for one in bank.models], replace(read, terms=(alone,)), {})
            for alone in (replace(term, weight=1.0) for term in read.terms)
        ]
    ).T
    assert values == pytest.approx(x @ fitted.ridge.weights, abs=1e-4)


def test_ranks_and_robust_values_say_nearly_the_same(bank: Bank, other: Bank) -> None:
    found = [transfer(bank, other, form=form).agreement.rho for form in ("rank", "standard")]
    assert found[0] == pytest.approx(found[1], abs=0.05)


def test_on_another_bank_ranks_are_those_of_that_bank(bank: Bank, other: Bank) -> None:
    fitted = fit_bank(bank, ["softmax_corr", "entropy"])
    found = judged_on(other, fitted)
    ranks = [
        term.weight * rankdata([one.record.scores[term.score] for one in other.models])
        for term in fitted.settings.terms
    ]
    assert found.rho == pytest.approx(spearmanr(sum(ranks), miou(other)).statistic)
    assert found.n == 50


def test_missing_and_constant_scores(bank: Bank) -> None:
    models = list(bank.models)
    for place in range(3):
        scores = {**models[place].record.scores, "softmax_corr": math.nan}
        models[place] = replace(models[place], record=replace(models[place].record, scores=scores))
    models = [
        replace(one, record=replace(one.record, scores={**one.record.scores, "atc": 1.0}))
        for one in models
    ]
    half = [
        replace(one, record=replace(one.record, scores={**one.record.scores, "doc": float(place)}))
        if place % 2
        else one
        for place, one in enumerate(models)
    ]
    fitted = fit_for(replace(bank, models=tuple(half)), (), form="rank", costs=False, other=None)
    assert (fitted.models, fitted.left_out) == (63, 3)
    assert fitted.unused == {
        "atc": "all models have the same value",
        "doc": "33 of 66 models have it",
    }


def test_what_a_search_cannot_compute_is_not_used(bank: Bank) -> None:
    marks = {
        **bank.fingerprint,
        "scores": {
            "together": {"score": "pool_agreement", "needs": ["pool"]},
            "reent_loc": {"score": "reent", "needs": []},
            "cost": {"score": "macs", "needs": []},
        },
    }
    more = {"together": 1.0, "reent_loc": 2.0, "cost": 3.0, "strange": 4.0, "pool_agreement": 5.0}
    models = tuple(
        replace(one, record=replace(one.record, scores={**one.record.scores, **more}))
        for one in bank.models
    )
    found, unused = candidates(replace(bank, models=models, fingerprint=marks))
    assert found == ["entropy", "mmd", "reent_loc", "softmax_corr", "source_miou"]
    assert unused == {
        "together": "it needs all other candidates",
        "pool_agreement": "it needs all other candidates",
        "cost": "a cost",
        "strange": "no score of this version, so a search cannot compute it",
    }
    found, _ = candidates(replace(bank, models=models, fingerprint=marks), costs=True)
    assert {"cost", "macs", "params"} <= set(found)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fingerprint": {"target": "target of made_up"}}, "the same target images"),
        ({"fingerprint": {"evaluation": "held out of made_up"}}, "the same evaluation images"),
        ({"models": "same"}, "66 of the same models"),
    ],
)
def test_a_test_on_the_same_is_refused(
    changes: dict[str, object], words: str, bank: Bank, other: Bank
) -> None:
    given = {**changes, "models": bank.models} if "models" in changes else changes
    close = replace(other, **given)  # type: ignore[arg-type]
    assert common_ground(bank, other) == []
    assert common_ground(bank, close) == [words]
    with pytest.raises(RunError, match=f"'made_up' cannot be tested on 'other': they have {words}"):
        transfer(bank, close)


def test_too_few_models(bank: Bank) -> None:
    with pytest.raises(
        RunError, match="9 models have a true mIoU and 1 common scores; at least 10"
    ):
        fit_bank(replace(bank, models=bank.models[:9]), ["mmd"])
    blind = tuple(replace(one, evaluation=None) for one in bank.models)
    with pytest.raises(RunError, match="0 models have a true mIoU"):
        fit_bank(replace(bank, models=blind), ["mmd"])


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return caught.value.code if isinstance(caught.value.code, int) else 0


def test_the_command(
    bank: Bank, other: Bank, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for one in (bank, other):
        write_bank(one, tmp_path / one.name)
    first, second, out = tmp_path / "made_up", tmp_path / "other", tmp_path / "mine.yaml"
    assert run("fit", first, "--out", out, "--test", second) == 0
    text = capsys.readouterr().out
    lines = [line.split()[:2] for line in text.splitlines()]
    assert ["made_up", "other"] in lines, "both directions"
    assert ["other", "made_up"] in lines
    written = yaml.safe_load(out.read_text())
    assert written["fitted"]["bank"] == "made_up"
    assert written["fitted"]["models"] == 66
    assert run("fit", first, "--out", tmp_path / "again.yaml", "--test", second) == 0
    assert (tmp_path / "again.yaml").read_bytes() == out.read_bytes()
    assert run("correlate", first, "--objective", out) == 2
    assert "the same target images as made_up" in capsys.readouterr().err
    assert run("fit", first, "--out", out, "--test", first) == 2
    assert "the test would only repeat the fit" in capsys.readouterr().err
    assert run("fit", first, "--out", out, "--scores", "mmd,mmf") == 2
    assert "made_up has no score 'mmf'; it has entropy, macs" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="no form 'ranks'; expected one of rank, standard"):
        fit_objective(first, out, standardise="ranks")


def test_a_search_on_the_target_of_the_fit_is_refused(
    bank: Bank, small_config: Path, tmp_path: Path
) -> None:
    """Weights fitted to labels of a target must not come back to it through an objective."""
    file = tmp_path / "mine.yaml"
    settings = load_config(small_config)
    target = domains_of(settings.data).target.fingerprint
    marks = {**bank.fingerprint, "target": target}
    write_fitted(fit_bank(bank, ["entropy", "mmd"]), replace(bank, fingerprint=marks), file)
    again = load_config(small_config, [f"objective={file}"])
    with pytest.raises(ConfigError, match="were fitted to the target labels of 'made_up'"):
        Experiment(RunFolder(tmp_path / "run"), again, Watcher()).check_data()
    write_fitted(fit_bank(bank, ["entropy", "mmd"]), bank, tmp_path / "apart.yaml")
    apart = load_config(small_config, [f"objective={tmp_path / 'apart.yaml'}"])
    Experiment(RunFolder(tmp_path / "run"), apart, Watcher()).check_data()


def test_a_protocol_has_it_fitted_on_the_other_bank(bank: Bank, other: Bank) -> None:
    protocol = CorrelationProtocol(
        combinations={"J": named("mmd")},
        baseline="J",
        primary=Pair(first="J", second="J"),
        fitted="ridge",
    )
    asked = with_fit(Request((), protocol), bank, [bank, other])
    found = findings(bank_report([bank], asked))
    assert found is not None
    one = found.readings[0]
    assert one.terms == "ridge regression on the ranks of 4 scores, fitted on other"
    assert one.agreement.rho == pytest.approx(transfer(other, bank).agreement.rho)
    assert one.gain is not None
    assert one.gain.second == "J"

    close = replace(other, fingerprint=bank.fingerprint)
    for banks, words in (
        ([bank], "it takes exactly two banks"),
        ([bank, close], "the test would only repeat the fit"),
    ):
        asked = with_fit(Request((), protocol), bank, banks)
        found = findings(bank_report([bank], asked))
        assert found is not None
        assert words in found.readings[0].agreement.reason
