"""Named networks as fixed points of a search: tried first, and unknown to the strategy."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from autoadapt.cli import main
from autoadapt.config.load import load
from autoadapt.errors import ConfigError, RunError, SpaceError
from autoadapt.experiment.controller import Controller
from autoadapt.experiment.jobs import place_of
from autoadapt.experiment.trial import Task, record_of
from autoadapt.records import Record
from autoadapt.space import Architecture, SearchSpace
from autoadapt.space.named import labelled, named
from autoadapt.training.model import load_model

Make = Callable[..., Controller]
Run = Callable[..., Record]
STRANGERS = ["deeplabv2_resnet101", "deeplabv2_seresnet101"]


def run_all(controller: Controller, run: Run) -> list[Record]:
    while (task := controller.next_task()) is not None:
        controller.commit(run(task, controller.settings))
    return controller.records


def by_id(task: Task, settings: Any) -> Record:
    """A record that follows from the architecture, whatever its number."""
    score = int(task.architecture.id[:4], 16) / 16**4
    scores = {"mmd": score, "reent": score**2}
    return record_of(task, settings, status="finished", scores=scores)


@pytest.fixture
def relative(tiny_space: SearchSpace, tmp_path: Path) -> Path:
    """The file of a network that is of the space."""
    path = tmp_path / "relative.yaml"
    path.write_text(yaml.safe_dump(tiny_space.reference.to_json()))
    return path


def test_named_networks_come_first_and_besides_the_trials(
    controller_in: Make, tmp_path: Path
) -> None:
    controller = controller_in(tmp_path / "run", {"search.include": STRANGERS})
    records = run_all(controller, by_id)
    assert [record.origin for record in records[:2]] == ["named", "named"]
    assert [record.architecture for record in records[:2]] == list(map(named, STRANGERS))
    assert (len(records), controller.total) == (8, 8)
    assert all(record.costs["macs"] > 0 for record in records)


def test_strangers_change_no_proposal_and_no_objective_of_the_others(
    controller_in: Make, tmp_path: Path
) -> None:
    """The strategy and the calibration do not see networks that are not of the space."""
    alone, beside = (
        controller_in(tmp_path / name, {"search.include": include, "search.trials": 9})
        for name, include in (("alone", []), ("beside", STRANGERS))
    )
    expected, found = run_all(alone, by_id), run_all(beside, by_id)
    assert [r.architecture for r in found[2:]] == [r.architecture for r in expected]
    assert [r.origin for r in found[2:]] == [r.origin for r in expected]
    assert {"mutation", "random"} == {record.origin for record in expected}
    assert list(map(beside.value, found[2:])) == list(map(alone.value, expected))
    assert all(beside.value(record) is not None for record in found[:2])
    assert alone.history == beside.history


def test_a_named_network_of_the_space_is_a_first_trial_like_others(
    controller_in: Make, tiny_space: SearchSpace, relative: Path, tmp_path: Path
) -> None:
    include = [str(relative), STRANGERS[0], str(relative)]
    controller = controller_in(tmp_path / "run", {"search.include": include, "search.trials": 20})
    records = run_all(controller, by_id)
    assert len(records) == 22  # the same file twice is one network
    assert records[0].architecture == tiny_space.reference
    ids = [record.architecture.id for record in records]
    assert len(set(ids)) == 22
    assert [entry.architecture.id for entry in controller.history] == [ids[0], *ids[2:]]
    assert controller.finished_count == 21


def test_limits_do_not_hold_for_them(
    controller_in: Make, tmp_path: Path, cheap_costs: Callable[[Architecture], dict[str, float]]
) -> None:
    costs = cheap_costs(named(STRANGERS[0]))
    changes = {"search.include": STRANGERS, "search.limits": {"macs": [2e8, costs["macs"] - 1]}}
    records = run_all(controller_in(tmp_path, changes), by_id)
    assert records[0].costs == costs
    assert all(record.costs["macs"] < costs["macs"] for record in records[2:])


@pytest.mark.parametrize("stop_after", range(6))
def test_continues_as_the_undisturbed_search(
    controller_in: Make, relative: Path, tmp_path: Path, stop_after: int
) -> None:
    changes = {"search.include": [*STRANGERS, str(relative)], "search.trials": 4}
    undisturbed = controller_in(tmp_path / "a", changes)
    expected = [record.comparable() for record in run_all(undisturbed, by_id)]
    first = controller_in(tmp_path / "b", changes)
    for _ in range(stop_after):
        task = first.next_task()
        assert task is not None
        first.commit(by_id(task, first.settings))
    first.next_task()  # in flight when the process dies
    resumed = controller_in(tmp_path / "b", changes)
    assert [record.comparable() for record in run_all(resumed, by_id)] == expected
    assert resumed.history == undisturbed.history
    assert list(map(resumed.value, resumed.records)) == list(
        map(undisturbed.value, undisturbed.records)
    )


def test_limits_that_nothing_meets_are_found_before_a_named_network_is_trained(
    controller_in: Make, tmp_path: Path
) -> None:
    changes = {"search.include": STRANGERS, "search.limits": {"params": [1.5e6, 2e6]}}
    with pytest.raises(SpaceError, match="found 1e"):
        controller_in(tmp_path, changes).next_task()
    assert not (tmp_path / "records.jsonl").exists()


def test_without_any_other_trial_the_named_ones_calibrate(
    controller_in: Make, tmp_path: Path
) -> None:
    controller = controller_in(tmp_path, {"search.include": STRANGERS, "search.trials": 2})

    def fail(task: Task, settings: Any) -> Record:
        if task.origin == "named":
            return by_id(task, settings)
        return record_of(task, settings, status="failed", reason="nan")

    run_all(controller, fail)
    assert controller.objective is None
    controller.finish()
    winner = controller.winner()
    assert winner is not None
    assert winner.origin == "named"
    assert json.loads((tmp_path / "calibration.json").read_text())["trials"] == 2


def test_a_named_network_can_be_all_that_is_trained(
    small_config: Path, tiny_network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through the command line, into a new folder that a search may use later."""
    run, label = tmp_path / "run", labelled([tiny_network])
    (name,) = label
    command = ["adapt", str(small_config), "--run", str(run), "--architecture", str(tiny_network)]
    with pytest.raises(SystemExit) as caught:
        main([*command, "--steps", "1", "--set", "adapt.source_only=false"])
    assert caught.value.code == 0
    assert [path.name for path in (run / "adapted").iterdir()] == [f"{name}-advent"]
    model = load_model(run / f"adapted/{name}-advent/seed-0/model.safetensors", torch.device("cpu"))
    assert model.card.architecture == label[name]
    assert f"“{name}, advent” reaches" in capsys.readouterr().out
    assert not (run / "trials").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--architecture", "deeplabv2_resnet11"], "did you mean 'deeplabv2_resnet"),
        ([], "is not a run folder"),
    ],
)
def test_adapting_what_is_not_there(
    small_config: Path,
    tmp_path: Path,
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["adapt", str(small_config), "--run", str(tmp_path / "run"), *arguments])
    assert caught.value.code == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_settings_of_a_run_folder_are_fixed(controller_in: Make, tmp_path: Path) -> None:
    controller_in(tmp_path)
    assert place_of(str(tmp_path))[0] == tmp_path
    with pytest.raises(RunError, match="settings and place are fixed"):
        place_of(str(tmp_path), changes=["seed=4"])


@pytest.mark.parametrize("key", ["search.include", "adapt.networks"])
def test_a_misspelt_network_gets_the_nearest_one(small_config: Path, key: str) -> None:
    change = f"{key}=[deeplabv2_resnet101, deeplabv2_resnet11]"
    with pytest.raises(ConfigError, match=rf"{key}.1: no network .*did you mean 'deeplabv2_resnet"):
        load(small_config, [change])
