"""Which models a comparison is about, and how they become a table."""

import json
from pathlib import Path

import numpy as np
import pytest

from autoadapt.config.conventions import CONVENTIONS, WORKING
from autoadapt.errors import CheckpointError
from autoadapt.experiment.comparison import (
    ModelFile,
    comparison_as,
    find_models,
    results_of,
)
from autoadapt.metrics.evaluation import Evaluation

CLASSES = ("road", "a_b")


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def model_in(folder: Path) -> Path:
    touch(folder / "model.json")
    return touch(folder / "model.safetensors")


def a_run(root: Path) -> Path:
    touch(root / "records.jsonl")
    model_in(root / "trials/0001-abc")
    for name, seeds in (("reference-advent", (0,)), ("winner-advent", (3, 10))):
        for seed in seeds:
            model_in(root / "adapted" / name / f"seed-{seed}")
    return root


def named(models: list[ModelFile]) -> list[tuple[str, int]]:
    return [(model.contender, model.seed) for model in models]


def test_a_run_folder_stands_for_its_adapted_models(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    models = find_models([run])
    assert sorted(named(models)[:2]) == [("winner, advent", 3), ("winner, advent", 10)]
    assert named(models)[2:] == [("hand-crafted, advent", 0)]
    assert all(model.run is not None and model.run.path == run for model in models)


def test_files_and_folders_are_named_after_where_they_lie(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    published = touch(tmp_path / "zoo/gta5_advent.pt")
    models = find_models([published, run / "trials/0001-abc", run / "adapted/winner-advent/seed-3"])
    assert named(models) == [("gta5_advent", 0), ("0001-abc", 0), ("winner, advent", 3)]
    assert [model.run is None for model in models] == [True, False, False]


def test_one_name_in_two_runs_gets_the_run_in_front(tmp_path: Path) -> None:
    one, two = a_run(tmp_path / "one"), a_run(tmp_path / "two")
    seed = "adapted/winner-advent/seed-3/model.safetensors"
    models = find_models([one / seed, two / seed, touch(tmp_path / "x/other.pt")])
    assert named(models) == [("one: winner, advent", 3), ("two: winner, advent", 3), ("other", 0)]
    old = touch(tmp_path / "old/seed-4/model.pt")
    assert named(find_models([old.parent])) == [("old", 4)]
    deep = [touch(tmp_path / place / "zoo/net.pt") for place in ("a", "b")]
    assert named(find_models(deep)) == [(str(path), 0) for path in deep]


def test_no_model_and_one_model_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no model at .*nothing"):
        find_models([tmp_path / "nothing"])
    path = model_in(tmp_path / "m")
    for again in (path.parent, path.with_name("model.json")):
        with pytest.raises(CheckpointError, match="named more than once"):
            find_models([path, again])


def evaluations() -> list[tuple[ModelFile, Evaluation]]:
    # IoU of road and a_b: 1/2, 2/3 (1 right, 1 wrong, 2 right) and 2/3, 1/2
    counts = (np.array([[1, 1], [0, 2]]), np.array([[2, 0], [1, 1]]))
    place = Path("run/adapted/winner-advent")
    return [
        (
            ModelFile(place / f"seed-{seed}/model.safetensors", "winner", place, seed),
            Evaluation(CLASSES, one, 5, WORKING),
        )
        for seed, one in zip((7, 2), counts, strict=True)
    ]


def test_seeds_of_one_contender_are_one_column() -> None:
    (result,) = results_of(evaluations())
    assert result.seeds == (2, 7)
    np.testing.assert_allclose(result.values, [[2 / 3, 1 / 2], [1 / 2, 2 / 3]])
    assert result.headline == "mIoU"
    assert result.headline_mean == pytest.approx(7 / 12)
    assert result.headline_spread == pytest.approx(0)
    assert result.confusion is not None
    assert result.confusion.tolist() == [[3, 1], [1, 3]]
    assert set(result.rows) == {"mIoU", "mean Dice", "pixel accuracy", "mean accuracy"}


def test_every_format_has_the_same_rows() -> None:
    found = evaluations()
    text = comparison_as("text", found).splitlines()
    assert text[0].split() == ["IoU", "in", "%", "winner"]
    # mean of 1/2 and 2/3 = 58.3, deviation sqrt(2) / 12 = 11.8
    assert text[2].split() == ["road", "58.3", "±", "11.8"]
    assert text[4].split() == ["mIoU", "58.3", "±", "0.0"]
    assert text[-1].startswith("5 images. Convention working: ")
    assert r"  a\_b & 58.3 $\pm$ 11.8 \\" in comparison_as("latex", found).splitlines()
    assert "| a_b | 58.3 ± 11.8 |" in comparison_as("markdown", found).splitlines()
    rows = comparison_as("csv", found).splitlines()
    assert rows[0] == "model,seed,mIoU,mean Dice,pixel accuracy,mean accuracy,road,a_b"
    assert [row.split(",")[:2] for row in rows[1:]] == [["winner", "2"], ["winner", "7"]]
    values = json.loads(comparison_as("json", found))
    assert [value["seed"] for value in values] == [7, 2]
    assert values[0]["confusion"] == [[1, 1], [0, 2]]


def test_a_dice_convention_fills_the_table_with_dice() -> None:
    found = [(model, one.under(CONVENTIONS["adabn"])) for model, one in evaluations()]
    (result,) = results_of(found)
    assert (result.measure, result.headline, result.digits) == ("Dice", "mean Dice", 3)
    # Dice 2/3 and 4/5
    np.testing.assert_allclose(result.values[1], [2 / 3, 4 / 5])
    assert comparison_as("text", found).startswith("Dice in %")
