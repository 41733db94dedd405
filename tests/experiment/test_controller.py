"""The controller: records own the search, and a search that was stopped goes on as if not."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoadapt.config.settings import ExperimentSettings
from autoadapt.errors import ConfigError, RunError, SpaceError
from autoadapt.experiment.controller import Controller
from autoadapt.experiment.trial import Task, record_of
from autoadapt.files import write_json
from autoadapt.records import Record
from autoadapt.space import SearchSpace
from autoadapt.strategies.base import Strategy

Make = Callable[..., Controller]
Run = Callable[..., Record]


def run_all(controller: Controller, run: Run) -> list[dict[str, Any]]:
    while (task := controller.next_task()) is not None:
        controller.commit(run(task, controller.settings))
    return comparable(controller)


def comparable(controller: Controller) -> list[dict[str, Any]]:
    return [record.comparable() for record in controller.records]


def failed(task: Task, settings: ExperimentSettings) -> Record:
    return record_of(task, settings, status="failed", reason="nan", detail="loss")


def events(controller: Controller) -> list[dict[str, Any]]:
    return controller.folder.events.read()


def test_runs_as_many_trials_as_asked_for(
    controller_in: Make, stand_in: Run, tmp_path: Path
) -> None:
    controller = controller_in(tmp_path, {"search.trials": 5})
    run_all(controller, stand_in)
    assert [record.number for record in controller.records] == [0, 1, 2, 3, 4]
    assert controller.next_task() is None


def test_no_architecture_is_trained_twice(
    controller_in: Make, stand_in: Run, tmp_path: Path
) -> None:
    controller = controller_in(tmp_path, {"search.trials": 40})
    run_all(controller, stand_in)
    ids = [record.architecture.id for record in controller.records]
    assert len(set(ids)) == 40


@pytest.mark.parametrize("stop_after", range(7))
def test_continues_as_the_undisturbed_search(
    controller_in: Make, stand_in: Run, tmp_path: Path, stop_after: int
) -> None:
    undisturbed = controller_in(tmp_path / "a")
    expected = run_all(undisturbed, stand_in)
    first = controller_in(tmp_path / "b")
    for _ in range(stop_after):
        task = first.next_task()
        assert task is not None
        first.commit(stand_in(task, first.settings))
    first.next_task()  # in flight when the process dies
    resumed = controller_in(tmp_path / "b")
    assert comparable(resumed) == expected[:stop_after]
    assert run_all(resumed, stand_in) == expected
    assert [resumed.value(record) for record in resumed.records] == [
        undisturbed.value(record) for record in undisturbed.records
    ]
    assert resumed.history == undisturbed.history


def test_trials_in_flight_keep_their_architecture_and_are_handed_out_first(
    controller_in: Make, stand_in: Run, tmp_path: Path
) -> None:
    controller = controller_in(tmp_path)
    started = [controller.next_task() for _ in range(3)]
    assert started[1] is not None
    controller.commit(stand_in(started[1], controller.settings))
    resumed = controller_in(tmp_path)
    assert [resumed.next_task(), resumed.next_task()] == [started[0], started[2]]
    next_one = resumed.next_task()
    assert next_one is not None
    assert next_one.number == 3


def test_a_resumed_search_avoids_what_is_waiting(
    controller_in: Make, settings_with: Any, tmp_path: Path
) -> None:
    controller = controller_in(tmp_path)
    tasks = [controller.next_task() for _ in range(2)]
    assert controller_in(tmp_path).taken == {task.architecture.id for task in tasks if task}


def test_a_result_without_a_record_is_adopted(
    controller_in: Make, stand_in: Run, tmp_path: Path
) -> None:
    expected = run_all(controller_in(tmp_path / "a"), stand_in)
    controller = controller_in(tmp_path / "b")
    task = controller.next_task()
    assert task is not None
    left = dataclasses.replace(stand_in(task, controller.settings), seconds=12.5)
    write_json(task.folder / "result.json", left.to_json())  # then the process dies
    resumed = controller_in(tmp_path / "b")
    assert run_all(resumed, stand_in) == expected
    assert resumed.records[0].seconds == 12.5


def test_a_result_of_the_last_trial_is_adopted_too(
    controller_in: Make, stand_in: Run, tmp_path: Path
) -> None:
    controller = controller_in(tmp_path, {"search.trials": 2})
    for left in (False, True):
        task = controller.next_task()
        assert task is not None
        record = stand_in(task, controller.settings)
        if left:
            write_json(task.folder / "result.json", record.to_json())
        else:
            controller.commit(record)
    resumed = controller_in(tmp_path, {"search.trials": 2})
    assert resumed.next_task() is None
    assert len(resumed.records) == 2


def test_calibration_is_frozen_after_the_first_finished_trials(
    controller_in: Make, stand_in: Run, tmp_path: Path
) -> None:
    controller = controller_in(tmp_path, {"objective.calibration": 3, "search.trials": 8})
    seen: list[float | None] = []
    controller.on_record = lambda record, objective: seen.append(objective)
    runs: list[Run] = [failed, stand_in, stand_in, failed, stand_in, stand_in, stand_in, stand_in]
    for index, run in enumerate(runs):
        task = controller.next_task()
        assert task is not None
        assert (controller.objective is None) == (index < 5)
        controller.commit(run(task, controller.settings))
    # Two failed trials do not count: the objective is known from trial 4 on, the third that
    # finished, and of earlier ones once they are looked at again.
    assert [objective is None for objective in seen] == [True] * 4 + [False] * 4
    assert [entry.objective is None for entry in controller.history] == [
        index in (0, 3) for index in range(8)
    ]
    calibration = json.loads((tmp_path / "calibration.json").read_text())
    assert calibration["trials"] == 3


def test_a_lost_calibration_file_is_made_again(
    controller_in: Make, stand_in: Run, tmp_path: Path
) -> None:
    run_all(controller_in(tmp_path), stand_in)
    before = (tmp_path / "calibration.json").read_bytes()
    (tmp_path / "calibration.json").unlink()
    controller_in(tmp_path)
    assert (tmp_path / "calibration.json").read_bytes() == before


def test_calibration_of_another_run_is_copied_and_kept(
    controller_in: Make, stand_in: Run, tmp_path: Path
) -> None:
    run_all(controller_in(tmp_path / "a"), stand_in)
    other = tmp_path / "a" / "calibration.json"
    changes = {"objective.calibration_from": str(other), "search.trials": 3}
    controller = controller_in(tmp_path / "b", changes)
    run_all(controller, stand_in)
    expected = controller.value(controller.records[0])
    assert expected is not None
    other.unlink()
    assert controller_in(tmp_path / "b", changes).value(controller.records[0]) == expected


def test_calibration_from_nowhere_says_so(
    controller_in: Make, stand_in: Run, tmp_path: Path
) -> None:
    nowhere = str(tmp_path / "nowhere.json")
    controller = controller_in(tmp_path / "b", {"objective.calibration_from": nowhere})
    task = controller.next_task()
    assert task is not None
    with pytest.raises(RunError, match=r"nowhere\.json is not the calibration of a run"):
        controller.commit(stand_in(task, controller.settings))


def test_finish_calibrates_with_what_there_is_and_stays(
    controller_in: Make, stand_in: Run, tmp_path: Path
) -> None:
    changes = {"search.trials": 4, "objective.calibration": 4}
    controller = controller_in(tmp_path, changes)
    for run in (stand_in, failed, stand_in, failed):
        task = controller.next_task()
        assert task is not None
        controller.commit(run(task, controller.settings))
    assert controller.winner() is None
    controller.finish()
    winner = controller.winner()
    assert winner is not None
    assert controller_in(tmp_path, changes).winner() == winner


def test_the_winner_has_the_smallest_objective(
    controller_in: Make, stand_in: Run, tmp_path: Path
) -> None:
    controller = controller_in(tmp_path)
    run_all(controller, stand_in)
    values = [controller.value(record) for record in controller.records]
    known = [value for value in values if value is not None]
    assert controller.winner() == controller.records[values.index(min(known))]


def test_equal_objectives_go_to_the_earlier_trial(controller_in: Make, tmp_path: Path) -> None:
    changes = {"objective.terms": [{"score": "mmd", "form": "raw"}]}
    controller = controller_in(tmp_path, changes)

    def run(task: Task, settings: ExperimentSettings) -> Record:
        scores = {"mmd": [3.0, 1.0, 2.0, 1.0, 1.0, 4.0][task.number]}
        return record_of(task, settings, status="finished", scores=scores)

    run_all(controller, run)
    winner = controller.winner()
    assert winner is not None
    assert winner.number == 1


def test_failed_trials_are_recorded_and_nobody_wins(controller_in: Make, tmp_path: Path) -> None:
    controller = controller_in(tmp_path)
    run_all(controller, failed)
    controller.finish()
    assert [record.reason for record in controller.records] == ["nan"] * 6
    assert controller.objective is None
    assert controller.winner() is None


def test_a_lost_worker_is_replaced_as_often_as_asked_for(
    controller_in: Make, tmp_path: Path
) -> None:
    controller = controller_in(tmp_path, {"executor.retries": 2, "search.trials": 2})
    for attempt in range(3):
        task = controller.next_task()
        assert task is not None
        assert task.number == 0
        assert not controller.records
        controller.give_back(task.number, f"killed, attempt {attempt}")
    (record,) = controller.records
    assert (record.status, record.reason) == ("failed", "lost_worker")
    assert record.detail == "the worker died 3 times, the last time: killed, attempt 2"
    following = controller.next_task()
    assert following is not None
    assert following.number == 1


def test_lost_workers_are_counted_across_restarts(controller_in: Make, tmp_path: Path) -> None:
    changes = {"executor.retries": 1}
    for _ in range(2):
        controller = controller_in(tmp_path, changes)
        task = controller.next_task()
        assert task is not None
        controller.give_back(task.number, "killed")
    assert [record.reason for record in controller_in(tmp_path, changes).records] == ["lost_worker"]


def test_given_back_trials_come_first_in_their_order(controller_in: Make, tmp_path: Path) -> None:
    controller = controller_in(tmp_path)
    for _ in range(3):
        controller.next_task()
    for number in (2, 0):
        controller.give_back(number, "killed")
    handed = [controller.next_task() for _ in range(3)]
    assert [task.number for task in handed if task] == [0, 2, 3]


def test_only_running_trials_can_be_recorded_or_given_back(
    controller_in: Make, stand_in: Run, tmp_path: Path
) -> None:
    controller = controller_in(tmp_path)
    task, other = controller.next_task(), controller.next_task()
    assert task is not None
    assert other is not None
    record = stand_in(task, controller.settings)
    wrong = dataclasses.replace(record, architecture=other.architecture)
    with pytest.raises(ValueError, match="the record is of"):
        controller.commit(wrong)
    controller.commit(record)
    with pytest.raises(ValueError, match="trial 0 is not running"):
        controller.commit(record)
    with pytest.raises(ValueError, match="trial 0 is not running"):
        controller.give_back(0, "killed")
    assert len(controller.records) == 1


def test_a_record_is_on_disk_before_it_is_told(
    controller_in: Make, stand_in: Run, tmp_path: Path
) -> None:
    controller = controller_in(tmp_path)
    told: list[int] = []

    def look(record: Record, objective: float | None) -> None:
        assert controller.folder.records()[-1] == record
        told.append(record.number)

    controller.on_record = look
    run_all(controller, stand_in)
    assert told == [0, 1, 2, 3, 4, 5]


def test_an_exhausted_space_ends_the_search(
    controller_in: Make,
    stand_in: Run,
    tiny_space: SearchSpace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = only_some(tiny_space)
    monkeypatch.setattr("autoadapt.experiment.controller.load", lambda name: small)
    controller = controller_in(tmp_path, {"search.trials": 100})
    run_all(controller, stand_in)
    assert controller.exhausted
    assert len(controller.records) == small.count()


def only_some(space: SearchSpace) -> SearchSpace:
    """Keep one free choice of a space: as many architectures as that has values."""
    free = "head.rates"
    choices = tuple(
        choice
        if choice.name == free
        else dataclasses.replace(choice, values=(space.reference.values[choice.name],))
        for choice in space.choices
        if choice.name in space.reference.values
    )
    return dataclasses.replace(space, choices=choices, forbid=())


def test_limits_that_nothing_meets_are_an_error(controller_in: Make, tmp_path: Path) -> None:
    controller = controller_in(tmp_path, {"search.limits": {"params": [1.5e6, 2e6]}})
    with pytest.raises(SpaceError, match="found 1e"):
        controller.next_task()


def test_proposals_see_history_and_never_the_records(
    controller_in: Make, stand_in: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The set of taken ids is kept, not made anew for each proposal."""
    controller = controller_in(tmp_path)
    seen: list[int] = []
    propose: Callable[..., Any] = controller.strategy.propose

    def spy(history: Any, number: int, taken: Any) -> Any:
        seen.append(id(taken))
        assert len(taken) == number
        return propose(history, number, taken)

    monkeypatch.setattr(controller.strategy, "propose", spy)
    run_all(controller, stand_in)
    assert len(set(seen)) == 1


def test_a_torn_last_line_is_forgotten(controller_in: Make, stand_in: Run, tmp_path: Path) -> None:
    expected = run_all(controller_in(tmp_path / "a"), stand_in)
    run_all(controller_in(tmp_path / "b"), stand_in)
    log = tmp_path / "b" / "records.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole[:-25])  # the record of the last trial
    resumed = controller_in(tmp_path / "b")
    assert len(resumed.records) == 5
    assert run_all(resumed, stand_in) == expected
    assert log.read_bytes() == whole


@pytest.mark.parametrize("line", ["{}", '{"event": "over"}', '{"event": "started", "number": 1}'])
def test_a_strange_line_is_an_error_with_its_place(
    controller_in: Make, tmp_path: Path, line: str
) -> None:
    controller_in(tmp_path)
    log = tmp_path / "records.jsonl"
    log.write_text(f"{line}\n")
    with pytest.raises(RunError, match=r"records\.jsonl: not an event of a search"):
        controller_in(tmp_path)


def test_events_of_a_newer_version_are_ignored(
    controller_in: Make, stand_in: Run, tmp_path: Path
) -> None:
    controller = controller_in(tmp_path)
    controller.folder.events.append({"event": "paused", "number": 0})
    assert len(run_all(controller_in(tmp_path), stand_in)) == 6


def test_a_full_disk_leaves_the_record_uncounted(
    controller_in: Make, stand_in: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller = controller_in(tmp_path)
    task = controller.next_task()
    assert task is not None
    before = (tmp_path / "records.jsonl").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(RunError, match="no space left on the disk"):
            controller.commit(stand_in(task, controller.settings))
    assert (tmp_path / "records.jsonl").read_bytes() == before
    assert not controller.records
    controller.commit(stand_in(task, controller.settings))
    assert len(controller.records) == 1


def test_an_unknown_strategy_is_a_config_error(settings_with: Any) -> None:
    with pytest.raises(ConfigError, match="evolution"):
        settings_with({"search.strategy": {"name": "evolutoin"}})


def test_strategies_are_made_from_the_settings(controller_in: Make, tmp_path: Path) -> None:
    strategy: Strategy = controller_in(tmp_path).strategy
    assert (vars(strategy)["population"], strategy.seed) == (3, 0)
