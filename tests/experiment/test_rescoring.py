"""Models that are trained already are scored anew without training, to the same bits."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoadapt.config.settings import ExperimentSettings
from autoadapt.errors import CheckpointError, RunError
from autoadapt.experiment.bank import run_bank
from autoadapt.experiment.bank_file import Bank, read_bank
from autoadapt.experiment.committee import committee_files, committee_hashes
from autoadapt.experiment.statistics_file import read_class_maps, write_statistics
from autoadapt.experiment.watching import Watcher
from autoadapt.scores._compute import Computed, compute_timed
from autoadapt.scores.base import Score, Statistics

SCORES = [
    "entropy",
    "reent",
    "reent_mass",
    "reent_of_large",
    "softmax_corr",
    "source_miou",
    "flip_agreement",
    "batch_norm_agreement",
    "teacher_agreement",
    "committee_agreement",
    "transfer_score",
    "synflow",
    "grad_norm",
]
OPTIONS: dict[str, dict[str, Any]] = {
    "reent_mass": {"score": "reent", "variant": "mass"},
    "reent_of_large": {"score": "reent", "smallest": 100_000},
}

RESCORING = "autoadapt.experiment.rescoring"

MakeSettings = Callable[..., ExperimentSettings]


@pytest.fixture(scope="module")
def committee(small_bank: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, below one folder."""
    folder = tmp_path_factory.mktemp("committee")
    for name, trial in zip("ba", sorted(small_bank.glob("cells/*/trials/*"))[:2], strict=True):
        (folder / name).mkdir()
        for part in ("model.safetensors", "model.json"):
            shutil.copy(trial / part, folder / name / part)
    return folder


@pytest.fixture(scope="module")
def asked(bank_settings: MakeSettings, committee: Path) -> ExperimentSettings:
    """The settings of the same bank with many scores."""
    return bank_settings(
        "objective=mmd_reent", scores=SCORES, options=OPTIONS, committee=[str(committee)]
    )


@pytest.fixture
def copy(small_bank: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_bank, tmp_path / "copy"))


@pytest.fixture(scope="module")
def scored(
    asked: ExperimentSettings, small_bank: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A copy of the old bank that was scored anew."""
    folder = Path(shutil.copytree(small_bank, tmp_path_factory.mktemp("banks") / "scored"))
    run_bank(asked, folder, Watcher())
    return folder


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The names of the scores of each call that measures a model."""
    calls: list[list[str]] = []

    def told(scores: Mapping[str, Score], statistics: Statistics) -> Computed:
        calls.append(sorted(scores))
        return compute_timed(scores, statistics)

    monkeypatch.setattr(f"{RESCORING}.compute_timed", told)
    return calls


def comparable(bank: Bank) -> list[Any]:
    return [
        (one.record.comparable(), one.objective, one.miou, one.method, one.training_seed)
        for one in bank.models
    ]


def files_of(folder: Path, *patterns: str) -> dict[str, bytes]:
    found = sorted(path for pattern in patterns for path in folder.glob(pattern))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


TRAINED = (
    "config.yaml",
    "cells/*/config.yaml",
    "cells/*/records.jsonl",
    "cells/*/calibration.json",
    "cells/*/trials/*/model.*",
    "cells/*/trials/*/result.json",
    "cells/*/trials/*/evaluation.json",
)


def test_scores_are_those_of_a_bank_made_with_them_bit_for_bit(
    asked: ExperimentSettings, scored: Path, tmp_path: Path
) -> None:
    run_bank(asked, tmp_path / "made", Watcher())
    again, made = read_bank(scored), read_bank(tmp_path / "made")
    assert comparable(again) == comparable(made)
    assert again.fingerprint == made.fingerprint
    for one in again.models:
        assert set(one.record.scores) == {"mmd", *SCORES} - {"reent_of_large"}
        assert "no region of 100000 pixels" in one.record.score_errors["reent_of_large"]
    assert all(one.objective is not None for one in again.models)
    assert files_of(scored, "cells/*/trials/*/scores/*.npz") == files_of(
        tmp_path / "made", "cells/*/trials/*/scores/*.npz"
    )


def test_nothing_of_the_training_changes(small_bank: Path, scored: Path) -> None:
    before = files_of(small_bank, *TRAINED)
    assert len(before) == 1 + 3 + 3 * 4
    assert files_of(scored, *TRAINED) == before


def test_what_is_known_is_not_measured_again(
    asked: ExperimentSettings, scored: Path, measured: list[list[str]], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(scored, tmp_path / "copy"))
    before = comparable(read_bank(copy))
    run_bank(asked, copy, Watcher())
    assert measured == []
    assert comparable(read_bank(copy)) == before

    more = replace(asked.scoring, scores=(*SCORES, "rsi"))
    run_bank(replace(asked, scoring=more), copy, Watcher())
    assert measured == [["rsi"]] * 3

    options = {"other_name": OPTIONS["reent_mass"]}
    renamed = replace(more, scores=("other_name",), options=options)
    run_bank(replace(asked, scoring=renamed), copy, Watcher())
    assert measured == [["rsi"]] * 3
    first = read_bank(copy).models[0].record
    assert sorted(first.scores) == ["mmd", "other_name", "reent"]
    assert first.scores["other_name"] == before[0][0]["scores"]["reent_mass"]


def test_what_scores_took_is_kept_and_may_be_unknown(
    asked: ExperimentSettings, scored: Path, measured: list[list[str]], tmp_path: Path
) -> None:
    bank = read_bank(scored)
    assert set(bank.score_seconds) == {"mmd", *SCORES}, "also of a score that failed"
    assert all(0 <= seconds < 60 for seconds in bank.score_seconds.values())
    assert not any(one.record.score_seconds for one in bank.models)
    copy = Path(shutil.copytree(scored, tmp_path / "copy"))
    for path in copy.glob("cells/*/trials/*/scores/*.json"):
        content = json.loads(path.read_text())
        for entry in content["scores"].values():
            del entry["seconds"]
        path.write_text(json.dumps(content))
    run_bank(asked, copy, Watcher())
    assert measured == [], "a value of an earlier version is as good"
    assert read_bank(copy).score_seconds == {}
    assert comparable(read_bank(copy)) == comparable(bank)


def test_an_interrupted_scoring_goes_on(
    asked: ExperimentSettings,
    copy: Path,
    scored: Path,
    measured: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(path: Path, *rest: Any) -> None:
        if len(measured) == 1:
            raise KeyboardInterrupt
        write_statistics(path, *rest)

    monkeypatch.setattr(f"{RESCORING}.write_statistics", stop)
    with pytest.raises(KeyboardInterrupt):
        run_bank(asked, copy, Watcher())
    monkeypatch.setattr(f"{RESCORING}.write_statistics", write_statistics)
    run_bank(asked, copy, Watcher())
    assert len(measured) == 3
    assert comparable(read_bank(copy)) == comparable(read_bank(scored))


def test_a_committee_is_known_by_its_content(
    asked: ExperimentSettings,
    scored: Path,
    committee: Path,
    measured: list[list[str]],
    tmp_path: Path,
) -> None:
    copy = Path(shutil.copytree(scored, tmp_path / "copy"))
    moved = Path(shutil.copytree(committee, tmp_path / "elsewhere"))
    scoring = replace(asked.scoring, committee=(f"{moved}/*/model.safetensors",))
    run_bank(replace(asked, scoring=scoring), copy, Watcher())
    assert measured == []
    assert read_bank(copy).fingerprint == read_bank(scored).fingerprint

    for part in ("model.safetensors", "model.json"):
        shutil.copy(sorted(scored.glob("cells/*/trials/*"))[2] / part, moved / "a" / part)
    run_bank(replace(asked, scoring=scoring), copy, Watcher())
    assert measured == [["committee_agreement"]] * 3


def test_places_of_committees(
    bank_settings: MakeSettings, committee: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def files(*places: object) -> list[str]:
        found = committee_files(bank_settings(committee=[str(place) for place in places]))
        return [str(path.relative_to(committee)) for path in found]

    both = ["a/model.safetensors", "b/model.safetensors"]
    assert (
        files(committee) == files(committee / "*") == files(committee / "?/*.safetensors") == both
    )
    assert files(committee / "b", committee) == both[::-1]
    monkeypatch.setenv("HERE", str(committee))
    assert files("${HERE}/a/model.safetensors") == both[:1]
    with pytest.raises(CheckpointError, match=r"no model at .*; expected a model\.safetensors"):
        files(tmp_path)
    with pytest.raises(CheckpointError, match=r"scoring\.committee: no model at .*nowhere"):
        committee_hashes(bank_settings(committee=[str(tmp_path / "nowhere")]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("search.training.steps=4", "search.training.steps: 3 in the folder, 4 now"),
        ("seed=5", "seed: 3 in the folder, 5 now"),
        ("data.source.hold_out=1", "data.source.hold_out: 2 in the folder, 1 now"),
        ("bank.architectures=4", "bank.architectures: 3 in the folder, 4 now"),
        ("bank.methods=[advent]", "bank.methods"),
    ],
)
def test_other_training_is_refused(
    bank_settings: MakeSettings, small_bank: Path, change: str, words: str
) -> None:
    with pytest.raises(RunError, match="belongs to another config") as caught:
        run_bank(bank_settings(change), small_bank, Watcher())
    assert words in str(caught.value)


def test_a_bank_that_is_not_whole_is_trained_as_it_began(
    asked: ExperimentSettings, scored: Path, copy: Path
) -> None:
    path = copy / "cells/dacs-seed-4/records.jsonl"
    first, second, *_ = path.read_text().splitlines(keepends=True)
    path.write_text(first + second)  # one model is over
    for trial in sorted(copy.glob("cells/*/trials/*"))[1:]:
        shutil.rmtree(trial)
    run_bank(asked, copy, Watcher())
    assert comparable(read_bank(copy)) == comparable(read_bank(scored))
    trained = [json.loads(line) for line in path.read_text().splitlines()]
    assert sum("record" in event for event in trained) == 3
    assert {tuple(e["record"]["scores"]) for e in trained if "record" in e} == {("entropy",)}


def test_a_model_that_is_gone_is_named(asked: ExperimentSettings, copy: Path) -> None:
    trial = sorted(copy.glob("cells/dacs*/trials/*"))[1]
    (trial / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=trial.name):
        run_bank(asked, copy, Watcher())


def test_damaged_scores_are_named(asked: ExperimentSettings, scored: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(scored, tmp_path / "copy"))
    (path,) = sorted(copy.glob("cells/dacs*/trials/0001*/scores/*.json"))
    path.write_text("{")
    with pytest.raises(RunError, match=r"is damaged: .*; delete it to score the model again"):
        run_bank(asked, copy, Watcher())


def test_another_convention_evaluates_again_beside_the_first(
    bank_settings: MakeSettings, copy: Path, small_bank: Path
) -> None:
    before = files_of(copy, *TRAINED)
    notes = len(read_bank(small_bank).opened_labels)
    with_flip = bank_settings("evaluation.convention.flip=true")
    run_bank(with_flip, copy, Watcher())
    run_bank(with_flip, copy, Watcher())
    assert files_of(copy, *TRAINED) == before
    bank = read_bank(copy)
    assert bank.fingerprint["convention"]["flip"] is True
    assert len(bank.opened_labels) == 2 * notes
    assert len(list(copy.glob("cells/*/trials/*/evaluation-*.json"))) == 3
    run_bank(bank_settings(), copy, Watcher())
    assert comparable(read_bank(copy)) == comparable(read_bank(small_bank))


def test_class_maps_are_kept(scored: Path) -> None:
    paths = sorted(scored.glob("cells/*/trials/*/scores/*.npz"))
    assert len(paths) == 3
    maps = read_class_maps(paths[0])
    assert maps.target.shape == (4, 32, 48)
    assert maps.held_out is not None
    assert maps.held_out.shape == (2, 32, 48)
    assert maps.held_out_counts is not None
    assert maps.held_out_counts.sum() == (maps.held_out != 255).sum()


@pytest.mark.slow
def test_scores_on_ray_are_the_same(asked: ExperimentSettings, copy: Path, scored: Path) -> None:
    on_ray = replace(asked, executor=replace(asked.executor, kind="ray", parallel=2))
    run_bank(on_ray, copy, Watcher())
    assert comparable(read_bank(copy)) == comparable(read_bank(scored))
