"""A trial that is asked for every score: what each needs is found, and no target label."""

import dataclasses
from pathlib import Path

import pytest

from autoadapt.config.load import load
from autoadapt.config.settings import ExperimentSettings
from autoadapt.errors import CheckpointError, ConfigError
from autoadapt.experiment.trial import Task, run_trial, score_model, training_seed
from autoadapt.plugins import available
from autoadapt.space.architecture import Architecture
from autoadapt.training.model import MODEL

DACS = "search.method={name: dacs}"


def settings_of(config: Path, *changes: str) -> ExperimentSettings:
    return load(config, [DACS, "search.training.steps=2", "device=cpu", *changes])


def task(folder: Path, architecture: Architecture, number: int = 0) -> Task:
    costs = {"macs": 2.0, "params": 3.0}
    return Task(number, architecture, "random", (), costs, folder / f"trial-{number}")


def test_every_score_gets_what_it_needs(
    small_config: Path, tiny_architecture: Architecture, tmp_path: Path
) -> None:
    bare = settings_of(small_config, "scoring.scores=[source_miou, committee_agreement]")
    first = run_trial(task(tmp_path, tiny_architecture), bare)

    assert first.status == "finished"
    assert "set data.source.hold_out" in first.score_errors["source_miou"]
    assert "scoring.committee" in first.score_errors["committee_agreement"]

    names = ", ".join(available("scores"))
    member = tmp_path / "trial-0" / MODEL
    full = settings_of(
        small_config,
        f"scoring.scores=[{names}]",
        f"scoring.committee=['{member}']",
        "scoring.options={softmax_corr: {reference: prior}}",
        "data.source.hold_out=2",
    )
    record = run_trial(task(tmp_path, tiny_architecture, 1), full)

    assert record.status == "finished"
    # A network of two steps may predict a single class.
    single = {"dispersion", "silhouette", "calinski_harabasz", "class_mmd", "mixval"}
    pooled = {"pool_agreement", "spectral_agreement", "ensv", "aline_d"}
    assert set(record.score_errors) - single == pooled
    assert set(record.scores) | set(record.score_errors) == set(available("scores"))
    assert -1 <= record.scores["teacher_agreement"] < 0
    assert 0 < record.scores["latency"] < 60

    again = score_model(
        tmp_path / "trial-1" / MODEL,
        full,
        costs=record.costs,
        seed=training_seed(full, record.number),
    )
    # No two measurements of time are equal.
    assert again.values == {**record.scores, "latency": again.values["latency"]}
    assert again.errors == record.score_errors
    assert record.score_seconds.keys() == again.seconds.keys() == set(available("scores"))


def test_a_model_of_other_classes_is_not_scored(
    small_config: Path, tiny_architecture: Architecture, tmp_path: Path
) -> None:
    merged = settings_of(small_config, "data.source.ignore=[car]", "data.target.ignore=[car]")
    run_trial(task(tmp_path, tiny_architecture), merged)
    with pytest.raises(CheckpointError, match=r"this experiment has .*car.*: score it with"):
        score_model(tmp_path / "trial-0", settings_of(small_config), costs={}, seed=0)


def test_a_member_of_the_committee_with_other_classes_is_refused(
    small_config: Path, tiny_architecture: Architecture, tmp_path: Path
) -> None:
    merged = settings_of(
        small_config,
        "data.source.ignore=[car]",
        "data.target.ignore=[car]",
    )
    run_trial(task(tmp_path, tiny_architecture), merged)
    settings = settings_of(
        small_config,
        "scoring.scores=[committee_agreement]",
        f"scoring.committee=['{tmp_path / 'trial-0' / MODEL}']",
    )

    with pytest.raises(ConfigError, match=r"scoring.committee: .* expected the classes of this"):
        run_trial(task(tmp_path, tiny_architecture, 1), settings)


def test_a_named_objective_asks_for_its_scores(
    small_config: Path, tiny_architecture: Architecture, tmp_path: Path
) -> None:
    settings = settings_of(
        small_config,
        "objective={name: softmax_corr_source, calibration: 2}",
        "data.source.hold_out=2",
    )

    record = run_trial(task(tmp_path, tiny_architecture), settings)

    assert settings.objective.calibration == 2
    assert {"softmax_corr", "source_miou", "collapse", "entropy"} == set(record.scores)
    assert dataclasses.replace(settings.objective, calibration=None).name == "softmax_corr_source"


def test_a_missing_member_of_the_committee_stops_before_training(
    small_config: Path, tiny_architecture: Architecture, tmp_path: Path
) -> None:
    settings = settings_of(
        small_config,
        "scoring.scores=[committee_agreement]",
        f"scoring.committee=['{tmp_path / 'gone.safetensors'}']",
    )

    with pytest.raises(CheckpointError, match="gone"):
        run_trial(task(tmp_path, tiny_architecture), settings)
    assert not list(tmp_path.glob("trial-0/*.jsonl"))
    assert not (tmp_path / "trial-0" / MODEL).exists()


def test_any_method_has_a_teacher_where_the_training_keeps_one(
    small_config: Path, tiny_architecture: Architecture, tmp_path: Path
) -> None:
    asked = ["scoring.scores=[teacher_agreement]", "search.method={name: min_ent}"]
    without = run_trial(task(tmp_path, tiny_architecture), settings_of(small_config, *asked))
    settings = settings_of(small_config, *asked, "search.training.ema=0.9")
    record = run_trial(task(tmp_path, tiny_architecture, 1), settings)

    assert "training.ema" in without.score_errors["teacher_agreement"]
    assert -1 <= record.scores["teacher_agreement"] < 0
