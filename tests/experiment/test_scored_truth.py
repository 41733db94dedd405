"""Labels of the very images that scores look at: opened last, for the report alone."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autoadapt.config.conventions import convention_of
from autoadapt.config.load import load as load_config
from autoadapt.config.settings import DatasetSettings, ExperimentSettings
from autoadapt.data.images import LabelledImages
from autoadapt.data.open import open_evaluation
from autoadapt.errors import ConfigError, DataError, RunError
from autoadapt.experiment.bank import run_bank
from autoadapt.experiment.bank_file import Bank, check_same, read_bank, write_bank
from autoadapt.experiment.reporting import bank_report
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.scored_truth import (
    check_scored_truth,
    compared,
    labelled_target,
    scored_labels,
)
from autoadapt.experiment.trial import domains_of, without_evaluation
from autoadapt.experiment.watching import Watcher
from autoadapt.metrics.segmentation import ConfusionMatrix
from autoadapt.training.model import load_model

MakeSettings = Callable[..., ExperimentSettings]
OPENED = "autoadapt.experiment.scored_truth.open_evaluation"
TRUTH = "bank.scored_truth=true"
TRAINED = ("cells/*/config.yaml", "cells/*/records.jsonl", "cells/*/trials/*/model.*")


@pytest.fixture(scope="module")
def asked(bank_settings: MakeSettings) -> ExperimentSettings:
    return bank_settings(TRUTH)


@pytest.fixture(scope="module")
def made(
    asked: ExperimentSettings, small_bank: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A copy of the trained bank to which the second truth was added."""
    folder = Path(shutil.copytree(small_bank, tmp_path_factory.mktemp("banks") / "made"))
    run_bank(asked, folder, Watcher())
    return folder


@pytest.fixture(scope="module")
def bank(made: Path) -> Bank:
    return read_bank(made)


def contents(folder: Path, *patterns: str) -> dict[str, bytes]:
    paths = (path for pattern in patterns for path in folder.glob(pattern))
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_counts_are_those_of_the_models_run_on_the_scored_images(
    asked: ExperimentSettings, made: Path, bank: Bank
) -> None:
    labelled = open_evaluation(labelled_target(asked))
    places = [0, 1, 3, 4]  # 4 of 5 images, spread evenly: 0, 1.33, 2.67, 4
    for model, trial in zip(bank.models, sorted(made.glob("cells/*/trials/*")), strict=True):
        network = load_model(trial, torch.device("cpu"))
        matrix = ConfusionMatrix(len(labelled.classes))
        matrix.update(
            network.predict(labelled.images(places), labelled.size), labelled.labels(places)
        )
        found = model.scored_evaluation
        assert found is not None
        assert np.array_equal(found.confusion, matrix.counts)
        assert found.images == 4
        assert found.classes == labelled.classes
        assert model.scored_miou == found.headline != model.miou


def test_iou_by_hand_with_void_and_an_image_without_labels() -> None:
    maps = np.zeros((3, 2, 4), np.uint8)
    maps[0] = [[0, 0, 1, 1], [0, 1, 1, 1]]
    labels = np.full((3, 2, 4), 255, np.uint8)
    labels[0] = [[0, 0, 0, 1], [0, 255, 1, 1]]
    labels[2] = [[0, 0, 0, 0], [1, 1, 0, 0]]
    found = compared(maps, labels, ("road", "car"), convention_of("crst"))
    assert found.confusion.tolist() == [[9, 1], [2, 3]]
    assert found.iou.tolist() == [9 / 12, 3 / 6]
    assert found.headline == 0.625
    assert found.images == 2
    assert (found.convention.labels, found.convention.scales) == ("working", (1.0,))
    assert found.convention.absent == convention_of("crst").absent == "zero"

    road = replace(convention_of("working"), subset=("road",), outside="void")
    assert compared(maps, labels, ("road", "car"), road).headline == 9 / 10
    counted = replace(road, outside="counted")
    assert compared(maps, labels, ("road", "car"), counted).headline == 9 / 12


def test_it_is_added_to_a_trained_bank_without_training(
    asked: ExperimentSettings, small_bank: Path, made: Path, bank: Bank
) -> None:
    assert contents(made, *TRAINED) == contents(small_bank, *TRAINED)
    before = read_bank(small_bank)
    assert all(one.scored_evaluation is None for one in before.models)
    assert bank.fingerprint == before.fingerprint
    for old, new in zip(before.models, bank.models, strict=True):
        assert replace(new, scored_evaluation=None, evaluation=None) == replace(
            old, evaluation=None
        )
        assert new.miou == old.miou


def test_labels_are_opened_once_and_that_is_noted(
    asked: ExperimentSettings, small_bank: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = RunFolder(made).labels_opened()
    assert len(notes) == len(RunFolder(small_bank).labels_opened()) + 1
    assert (notes[-1]["what"], notes[-1]["why"]) == ("3 models", "true mIoU on the scored images")
    before = contents(made, "bank/*.json*")
    monkeypatch.delattr(OPENED)
    run_bank(asked, made, Watcher())
    assert RunFolder(made).labels_opened() == notes
    assert contents(made, "bank/*.json*") == before


def test_labels_are_opened_when_all_models_are_trained_and_scored(
    bank_settings: MakeSettings,
    bank: Bank,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, there = tmp_path / "new", []

    def told(*arguments: Any) -> LabelledImages:
        there.append(len(list(folder.glob("cells/*/trials/*/scores/*.npz"))))
        return open_evaluation(*arguments)

    monkeypatch.setattr(OPENED, told)
    run_bank(bank_settings(TRUTH), folder, Watcher())
    assert there == [3]
    again = read_bank(folder)
    assert [one.scored_miou for one in again.models] == [one.scored_miou for one in bank.models]


def test_another_convention_and_other_classes_are_compared_anew(
    bank_settings: MakeSettings, made: Path, bank: Bank, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    ignored = 'bank.scored_truth={"ignore": ["road"]}'
    run_bank(bank_settings(ignored), copy, Watcher())
    first, second = bank.models[0].scored_evaluation, read_bank(copy).models[0].scored_evaluation
    assert first is not None
    assert second is not None
    road = first.classes.index("road")
    assert first.confusion[road].sum() > 0
    assert second.confusion[road].sum() == 0
    others = [place for place in range(len(first.classes)) if place != road]
    assert np.array_equal(second.confusion[others], first.confusion[others])
    assert read_bank(copy).scored_truth == {"merge": {}, "ignore": ["road"]}
    with pytest.raises(RunError, match=r"scored_truth\.ignore: \[\] and \['road'\]"):
        check_same([bank, read_bank(copy)])


def test_banks_with_and_without_can_be_compared(
    bank: Bank, small_bank: Path, tmp_path: Path
) -> None:
    old = read_bank(small_bank)
    check_same([bank, old])
    check_same([old, bank])
    write_bank(old, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "models.jsonl").read_text().splitlines()]
    assert not any("scored_evaluation" in line for line in lines)
    common = json.loads((tmp_path / "bank.json").read_text())
    del common["scored_truth"], common["score_seconds"]  # as an earlier version wrote it
    (tmp_path / "bank.json").write_text(json.dumps(common))
    assert read_bank(tmp_path).scored_truth == {}
    both = bank_report([bank, replace(old, name="old")])
    assert both.on_both is not None
    assert len(both.on_both[0].models) == 3
    assert both.facts["Evaluation images"] == "4"
    assert both.facts["Scored images with labels"] == "4"
    assert bank_report([old]).on_both is None


def folder_of_images(root: Path, labels: bytes | None) -> DatasetSettings:
    """Return a data set whose label files hold anything at all, or are not there."""
    (root / "images/dusk").mkdir(parents=True)
    (root / "classes.json").write_text(
        json.dumps(
            {"classes": ["road", "zebra"], "palette": [[0, 0, 0], [9, 9, 9]], "void_id": 255}
        )
    )
    (root / "images/dusk/a.png").write_bytes(b"never decoded here")
    if labels is not None:
        (root / "labels/dusk").mkdir(parents=True)
        (root / "labels/dusk/a.png").write_bytes(labels)
    return DatasetSettings(kind="folder", options={"root": str(root), "split": "dusk"})


def test_missing_labels_and_strange_classes_are_told_before_anything_is_done(
    bank_settings: MakeSettings, tmp_path: Path
) -> None:
    def asking(target: DatasetSettings, change: str = TRUTH) -> ExperimentSettings:
        settings = bank_settings(change)
        return replace(settings, data=replace(settings.data, target=target))

    bare = folder_of_images(tmp_path / "bare", None)
    with pytest.raises(ConfigError, match=r"bank\.scored_truth needs labels of .*labels"):
        run_bank(asking(bare), tmp_path / "run", Watcher())
    full = folder_of_images(tmp_path / "full", b"no label is opened to find out")
    with pytest.raises(ConfigError, match=r"zebra.* not among the classes.*its own merge"):
        run_bank(asking(full), tmp_path / "run", Watcher())
    with pytest.raises(ConfigError, match="unicorn"):
        run_bank(
            asking(full, 'bank.scored_truth={"ignore": [unicorn]}'), tmp_path / "run", Watcher()
        )
    assert not (tmp_path / "run").exists()
    check_scored_truth(asking(full, 'bank.scored_truth={"ignore": [zebra]}'))
    check_scored_truth(asking(full, 'bank.scored_truth={"merge": {zebra: car}}'))
    check_scored_truth(asking(bare, "bank.scored_truth=false"))


def test_an_image_without_a_usable_label_is_void(
    asked: ExperimentSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = scored_labels(asked)
    assert whole.shape == (4, 32, 48)
    labelled = open_evaluation(labelled_target(asked))

    def without(*dropped: int) -> LabelledImages:
        """Return what ``data.broken: skip`` leaves."""
        kept = [place for place in range(len(labelled)) if place not in dropped]
        pictures = labelled.pictures
        return replace(
            labelled,
            positions=tuple(labelled.positions[place] for place in kept),
            pictures=replace(
                pictures,
                ids=tuple(pictures.ids[place] for place in kept),
                origins=tuple(pictures.origins[place] for place in kept),
                positions=tuple(pictures.positions[place] for place in kept),
            ),
        )

    monkeypatch.setattr(OPENED, lambda _: without(1))
    part = scored_labels(asked)
    assert (part[1] == 255).all()
    assert np.array_equal(part[[0, 2, 3]], whole[[0, 2, 3]])
    monkeypatch.setattr(OPENED, lambda _: without(0, 1, 3, 4))
    with pytest.raises(DataError, match="none of the 4 images that scores look at"):
        scored_labels(asked)


def test_a_trial_is_not_told_of_it(asked: ExperimentSettings) -> None:
    assert asked.bank is not None
    assert asked.bank.scored_truth is not None
    seen = without_evaluation(asked)
    assert seen.data.evaluation is None
    assert seen.bank == replace(asked.bank, scored_truth=None)  # what to keep of a model, no labels
    assert not hasattr(domains_of(asked.data).target, "labels")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ((TRUTH, "data.evaluation=null"), "bank.scored_truth: .* add data.evaluation"),
        (("bank.scored_truth={ignored: [road]}",), "did you mean 'ignore'"),
        (("bank.scored_truth=7",), "bank.scored_truth"),
    ],
)
def test_mistakes_in_the_setting(small_config: Path, changes: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(small_config, ["bank={}", *changes])
