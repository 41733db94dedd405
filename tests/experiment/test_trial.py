"""One trial: what is recorded when it fails, and what is measured of every candidate."""

import contextlib
import dataclasses
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from autoadapt.config.load import load
from autoadapt.config.settings import ExperimentSettings
from autoadapt.errors import DataError, ExecutorError, TrainingDivergedError
from autoadapt.experiment import trial
from autoadapt.experiment.trial import Task, run_trial, scored_images
from autoadapt.records import Record
from autoadapt.space import load as load_space


@pytest.fixture
def settings(small_config: Path) -> ExperimentSettings:
    return load(small_config)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    reference = load_space("deeplab_tiny").reference
    return Task(7, reference, "random", (), {"macs": 2.0, "params": 3.0}, tmp_path / "trial")


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(trial, "train", failing)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TrainingDivergedError("the loss 'source' became nan at step 3"), "nan"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "out_of_memory"),
        (MemoryError(), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: not enough memory: out of memory"), "out_of_memory"),
        (ZeroDivisionError("division by zero"), "error"),
    ],
)
def test_a_failure_becomes_a_record_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
    settings: ExperimentSettings,
    task: Task,
    error: BaseException,
    reason: str,
) -> None:
    fail_with(monkeypatch, error)
    record = run_trial(task, settings)
    assert (record.status, record.reason, record.number) == ("failed", reason, 7)
    assert type(error).__name__ in record.detail
    assert record.costs == {"macs": 2.0, "params": 3.0}
    assert "Traceback" in (task.folder / "error.txt").read_text()


@pytest.mark.parametrize("hidden", [True, False])
def test_ctrl_c_is_no_failure_even_where_compiled_code_disguises_it(
    monkeypatch: pytest.MonkeyPatch, settings: ExperimentSettings, task: Task, hidden: bool
) -> None:
    """As ``torch.save`` does: the interrupt is lost, and an error about the file comes out."""

    def interrupted(*_: Any, **__: Any) -> None:
        with contextlib.suppress(*[KeyboardInterrupt] * hidden):
            os.kill(os.getpid(), signal.SIGINT)
        raise RuntimeError("unexpected pos 3342720 vs 3342608")

    monkeypatch.setattr(trial, "train", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_trial(task, settings)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not (task.folder / "result.json").exists()
    assert not (task.folder / "error.txt").exists()


def test_what_would_fail_every_trial_stops_the_search(
    monkeypatch: pytest.MonkeyPatch, settings: ExperimentSettings, task: Task
) -> None:
    fail_with(monkeypatch, DataError("the disk with the images is gone"))
    with pytest.raises(DataError, match="is gone"):
        run_trial(task, settings)
    assert not (task.folder / "result.json").exists()


def test_a_result_that_is_there_is_taken_and_nothing_is_trained(
    monkeypatch: pytest.MonkeyPatch, settings: ExperimentSettings, task: Task
) -> None:
    left = Record(
        number=7, architecture=task.architecture, status="finished", seed=3, steps=3,
        scores={"mmd": 0.25}, seconds=12.5,
    )  # fmt: skip
    task.folder.mkdir()
    (task.folder / "result.json").write_text(json.dumps(left.to_json()))
    fail_with(monkeypatch, AssertionError("trained again"))
    assert run_trial(task, settings) == left


@pytest.mark.parametrize(
    ("available", "wanted", "expected"),
    [
        (10, 4, [0, 3, 6, 9]),  # linspace 0, 3, 6, 9
        (10, 3, [0, 4, 9]),  # linspace 0, 4.5, 9; halves round to even
        (3, 100, [0, 1, 2]),
        (5, 1, [0]),
    ],
)
def test_measured_images_are_spread_evenly(
    available: int, wanted: int, expected: list[int]
) -> None:
    assert scored_images(available, wanted) == expected


def test_the_seed_of_a_trial_is_its_own(
    monkeypatch: pytest.MonkeyPatch, settings: ExperimentSettings, task: Task
) -> None:
    seeds = []

    def listening(*_: Any, seed: int, **__: Any) -> None:
        seeds.append(seed)
        raise MemoryError

    monkeypatch.setattr(trial, "train", listening)
    for number in (7, 8):
        folder = task.folder / str(number)
        run_trial(dataclasses.replace(task, number=number, folder=folder), settings)
    assert seeds[0] != seeds[1]


def test_cuda_that_is_not_there_stops_the_search(
    monkeypatch: pytest.MonkeyPatch, settings: ExperimentSettings, task: Task
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ExecutorError, match="device is cuda:1, but PyTorch finds no CUDA"):
        run_trial(task, dataclasses.replace(settings, device="cuda:1"))
    assert not (task.folder / "result.json").exists()
