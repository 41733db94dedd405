"""The run folder: one config for ever, resumed by the same one, refused to others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoadapt.config.settings import ExperimentSettings
from autoadapt.errors import ConfigError, RunError
from autoadapt.experiment.controller import Controller
from autoadapt.experiment.run_folder import RunFolder, differences, environment
from autoadapt.files import write_json
from autoadapt.records import Record
from autoadapt.space.architecture import Architecture

Settings = Callable[..., ExperimentSettings]


def test_a_new_folder_keeps_the_settings(settings_with: Settings, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    settings = settings_with({"search.limits": {"macs": [1e8, 5e8]}, "data.classes": ["road"]})
    folder.prepare(settings)
    assert folder.settings() == settings
    assert {path.name for path in tmp_path.iterdir()} == {"config.yaml", "environment.json"}
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["search"]["trials"] == 6


def test_the_same_settings_change_nothing(settings_with: Settings, tmp_path: Path) -> None:
    RunFolder(tmp_path).prepare(settings_with())
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    RunFolder(tmp_path).prepare(settings_with())
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"search.trials": 9}, "search.trials: 6 in the folder, 9 now"),
        ({"seed": 1}, "seed: 0 in the folder, 1 now"),
        ({"search.training": {"steps": 8}}, "search.training.steps: 7 in the folder, 8 now"),
        (
            {"search.strategy": "random"},
            "search.strategy.name: 'evolution' in the folder, 'random'",
        ),
    ],
)
def test_other_settings_are_refused_with_the_difference(
    settings_with: Settings, tmp_path: Path, changes: dict[str, Any], difference: str
) -> None:
    RunFolder(tmp_path).prepare(settings_with())
    with pytest.raises(RunError) as caught:
        RunFolder(tmp_path).prepare(settings_with(changes))
    assert difference in str(caught.value)
    assert "choose another folder with --run" in str(caught.value)
    assert RunFolder(tmp_path).settings() == settings_with()


@pytest.mark.parametrize(
    "changes",
    [
        {"executor.kind": "ray", "executor.cpus": 2},
        {"device": "cuda"},
        {"threads": 3},
        {"data.cache": "/elsewhere"},
    ],
)
def test_where_it_runs_may_change(
    settings_with: Settings, tmp_path: Path, changes: dict[str, Any]
) -> None:
    RunFolder(tmp_path).prepare(settings_with())
    RunFolder(tmp_path).prepare(settings_with(changes))


def test_differences_of_nested_values() -> None:
    before = {"a": {"b": 1, "c": [1, 2]}, "threads": 1, "gone": 0}
    after = {"a": {"b": 2, "c": [1, 2]}, "threads": 2, "new": None}
    assert list(differences(before, after)) == [
        "a.b: 1 in the folder, 2 now",
        "gone: 0 in the folder, None now",
    ]


def test_a_folder_of_something_else_is_left_alone(settings_with: Settings, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(
        RunError, match=r"neither empty nor a run folder \(it holds 'thesis\.tex'\)"
    ):
        RunFolder(tmp_path).prepare(settings_with())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_crash_while_it_was_made_is_mended(settings_with: Settings, tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    (tmp_path / ".config.yaml.abc.part").write_text("half")
    RunFolder(tmp_path).prepare(settings_with())
    (tmp_path / "environment.json").unlink()
    RunFolder(tmp_path).prepare(settings_with())
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"lock", "config.yaml", "environment.json"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is damaged"),
        ("just text", "expected 'key: value' lines"),
        ("\xff".encode("latin-1").decode("latin-1"), "is damaged"),
    ],
)
def test_a_damaged_config_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match=message):
        RunFolder(tmp_path).settings()


def test_a_config_of_another_version_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("name: old\n")
    with pytest.raises(ConfigError):
        RunFolder(tmp_path).settings()


def test_a_folder_without_config_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run folder: it has no config\.yaml"):
        RunFolder(tmp_path).settings()


def test_records_are_those_of_trials_that_are_over(
    controller_in: Callable[..., Controller], stand_in: Callable[..., Record], tmp_path: Path
) -> None:
    controller = controller_in(tmp_path)
    assert controller.folder.records() == []
    first, second = controller.next_task(), controller.next_task()
    assert first is not None
    assert second is not None
    record = stand_in(second, controller.settings)
    controller.commit(record)
    assert controller.folder.records() == [record]


def test_trials_are_listed_in_their_order(tmp_path: Path) -> None:
    architecture = Architecture.of("toy", {"depth": 1})
    folder = RunFolder(tmp_path)
    names = [folder.trial(number, architecture).name for number in (2, 10, 100)]
    assert names == sorted(names)
    assert names[0] == f"0002-{architecture.id}"


def test_opened_labels_are_noted(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.labels_opened() == []
    folder.note_labels_opened("camera/val", "evaluation")
    (note,) = folder.labels_opened()
    assert (note["what"], note["why"]) == ("camera/val", "evaluation")
    assert note["at"].endswith("+00:00")


def test_the_environment_is_plain_and_names_versions(tmp_path: Path) -> None:
    found = environment()
    write_json(tmp_path / "environment.json", found)
    assert found["packages"]["torch"].startswith("2.")
    assert found["cores"] >= 1
