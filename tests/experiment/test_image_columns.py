"""Scores and objectives of banks on choices of target images, as columns of a report."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from autoadapt.config.correlation_protocol import load_protocol
from autoadapt.config.settings import ObjectiveSettings, TermSettings
from autoadapt.experiment.bank_file import Bank
from autoadapt.experiment.image_columns import image_columns
from autoadapt.experiment.image_samples_file import ImageSamples
from autoadapt.experiment.reporting import Request, bank_report
from tests.experiment.synthetic_banks import synthetic_bank

CHOICES = ((0, 1, 2), (0,), (2,), (0, 0, 1))


def described(**scores: str) -> dict[str, Any]:
    return {
        "scores": {name: {"score": plugin, "needs": []} for name, plugin in scores.items()},
        "target": "t",
    }


MARKS = described(mmd="mmd", entropy="entropy", source_miou="source_miou")


def bank_with(values: Mapping[str, NDArray[np.float64]] | None = None, **changes: Any) -> Bank:
    bank = synthetic_bank(architectures=8, repeated=2, fingerprint=MARKS, **changes)
    random = np.random.default_rng(5)
    shape = (len(bank.models), len(CHOICES))
    found = {name: random.normal(size=shape) for name in ("mmd", "entropy")}
    samples = ImageSamples(choices=CHOICES, values=found if values is None else values)
    return replace(bank, image_samples=samples)


def objective(*terms: TermSettings) -> ObjectiveSettings:
    return ObjectiveSettings(terms=terms)


def test_scores_are_those_of_the_file() -> None:
    bank = bank_with()
    found = image_columns([bank], {})
    assert found is not None
    assert bank.image_samples is not None
    assert found.sizes.tolist() == [3, 1, 1, 3]
    assert found.resampled.tolist() == [False, False, False, True]
    assert list(found.columns) == ["mmd", "entropy"]
    np.testing.assert_array_equal(found.columns["mmd"], bank.image_samples.values["mmd"])


def test_an_objective_adds_what_does_not_depend_on_the_images() -> None:
    bank = bank_with()
    asked = objective(
        TermSettings(score="mmd", form="raw"),
        TermSettings(score="source_miou", form="raw", weight=2.0),
        TermSettings(score="macs", form="linear", weight=3.0),
    )
    found = image_columns([bank], {"together": asked})
    assert found is not None
    quality = np.array([model.record.scores["source_miou"] for model in bank.models])
    macs = np.array([model.record.costs["macs"] for model in bank.models])
    expected = found.columns["mmd"] + (2 * quality + 3 * macs / 1e8)[:, None]
    np.testing.assert_allclose(found.columns["together"], expected)


def test_an_objective_is_standardised_on_each_choice() -> None:
    found = image_columns([bank_with()], {"joint": objective(TermSettings(score="mmd"))})
    assert found is not None
    for choice, values in enumerate(found.columns["mmd"].T):
        median = np.median(values)
        spread = 1.4826 * np.median(np.abs(values - median))
        expected = np.clip((values - median) / spread, -5, 5)
        np.testing.assert_allclose(found.columns["joint"][:, choice], expected)


def test_what_needs_other_scores_is_left_out() -> None:
    asked = {
        "known": objective(TermSettings(score="mmd"), TermSettings(score="source_miou")),
        "unknown": objective(TermSettings(score="mmd"), TermSettings(score="committee_agreement")),
    }
    found = image_columns([bank_with()], asked)
    assert found is not None
    assert "known" in found.columns
    assert "unknown" not in found.columns


def test_a_missing_value_is_a_missing_objective() -> None:
    values = {"mmd": np.arange(48.0).reshape(12, 4)}
    values["mmd"][1, 2] = np.nan
    values["mmd"][:, 3] = np.nan
    found = image_columns([bank_with(values)], {"joint": objective(TermSettings(score="mmd"))})
    assert found is not None
    np.testing.assert_array_equal(np.isnan(found.columns["joint"]), np.isnan(values["mmd"]))


def test_banks_of_the_same_choices_are_put_together() -> None:
    one, other = bank_with(), bank_with(name="other", seed=3)
    found = image_columns([one, other], {})
    assert found is not None
    assert len(found.columns["mmd"]) == 24
    assert other.image_samples is not None
    fewer = replace(other.image_samples, choices=CHOICES[::-1])
    assert image_columns([one, replace(other, image_samples=fewer)], {}) is None
    assert image_columns([one, replace(other, image_samples=None)], {}) is None


def test_the_report_of_a_bank_has_them(tmp_path: Any) -> None:
    path = tmp_path / "protocol.yaml"
    path.write_text(
        "combinations: {J1: [mmd], D3: [entropy, source_miou], C1: [committee_agreement]}\n"
        "baseline: J1\nprimary: {first: D3, second: J1}\n"
    )
    report = bank_report([bank_with()], Request(protocol=load_protocol(path)))
    assert {"mmd", "entropy", "objective mmd", "objective ent", "J1", "D3"} <= set(report.by_images)
    assert not {"C1", "macs", "source_miou"} & set(report.by_images)
    assert report.by_images["J1"].rhos == pytest.approx(report.by_images["mmd"].rhos)
    assert bank_report([replace(bank_with(), image_samples=None)]).by_images == {}
