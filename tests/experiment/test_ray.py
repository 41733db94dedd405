"""Trials on Ray Tune: one small cluster on this machine, shared by all tests here."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autoadapt.config.settings import ExperimentSettings
from autoadapt.errors import DataError, ExecutorError, RunError
from autoadapt.experiment.controller import Controller
from autoadapt.experiment.trial import Task
from autoadapt.experiment.watching import Watcher
from autoadapt.records import Record

pytestmark = [
    pytest.mark.ray,
    # Ray and what it imports are not ours to mend: deprecated names, and sockets and files that
    # its clients leave to the garbage collector.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

Make = Callable[..., Controller]
Run = Callable[[Task, ExperimentSettings], Record]
ON_RAY = {"executor.kind": "ray", "search.trials": 6}


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    import ray

    from autoadapt.experiment.executors.ray import QUIET, environment, local_cluster, session_folder

    with environment(QUIET), session_folder() as folder:
        ray.init(**local_cluster(folder) | {"num_cpus": 2, "log_to_driver": False})
        yield
        ray.shutdown()


class Stages(Watcher):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def stage(self, text: str) -> None:
        self.said.append(text)


def scoring(act: Callable[[Task, ExperimentSettings], str] | None = None) -> Run:
    """Make a stand-in for ``run_trial``; a closure, which travels to the workers by value."""

    def run(task: Task, settings: ExperimentSettings) -> Record:
        from autoadapt.experiment.trial import record_of

        detail = act(task, settings) if act else ""
        scores = {"mmd": int(task.architecture.id[:4], 16) / 16**4, "reent": 0.1 * task.number}
        return record_of(task, settings, status="finished", scores=scores, detail=detail)

    return run


def execute(controller: Controller, run: Run, watcher: Watcher | None = None) -> None:
    from autoadapt.experiment.executors import ray as ray_executor

    ray_executor.execute(controller, watcher or Watcher(), run)


def test_runs_every_trial_once_and_says_where(
    cluster: None, controller_in: Make, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    controller, stages = controller_in(tmp_path, ON_RAY), Stages()
    execute(controller, scoring(), stages)
    assert sorted(record.number for record in controller.records) == list(range(6))
    assert not controller.running
    assert stages.said == [
        "on Ray, 1 machine: 2 trials at a time, 1 CPUs and 0 GPUs each"
    ] or stages.said == [
        "on Ray, 1 machine: 2 trials at a time, 1 CPUs and 0 GPUs each; "
        "set executor.gpus to use the GPUs there are"
    ]
    assert capfd.readouterr().out == ""
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"config.yaml", "environment.json", "records.jsonl", "calibration.json"}


def test_one_at_a_time_equals_the_local_executor(
    cluster: None, controller_in: Make, tmp_path: Path
) -> None:
    from autoadapt.experiment.executors import local

    here, there = controller_in(tmp_path / "a"), controller_in(tmp_path / "b", {**ON_RAY, **ALONE})
    local.execute(here, Watcher(), lambda task, settings, told: scoring()(task, settings))
    execute(there, scoring())
    assert [record.comparable() for record in there.records] == [
        record.comparable() for record in here.records
    ]


ALONE = {"executor.parallel": 1}


def test_a_worker_gets_its_threads_and_no_evaluation_data(
    cluster: None, controller_in: Make, tmp_path: Path
) -> None:
    changes = {
        **ON_RAY,
        "search.trials": 1,
        "objective.calibration": 1,
        "executor.cpus": 1.5,
        "data.evaluation": {"kind": "procedural", "style": "camera", "count": 3},
    }

    def look(task: Task, settings: ExperimentSettings) -> str:
        import torch

        return f"{torch.get_num_threads()} {settings.data.evaluation} {settings.adapt}"

    controller = controller_in(tmp_path, changes)
    execute(controller, scoring(look))
    assert controller.records[0].detail == "2 None None"


def test_a_killed_worker_is_replaced(cluster: None, controller_in: Make, tmp_path: Path) -> None:
    marker = tmp_path / "killed"

    def die_once(task: Task, settings: ExperimentSettings) -> str:
        if task.number == 1 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return ""

    controller = controller_in(tmp_path / "run", {**ON_RAY, "search.trials": 3})
    execute(controller, scoring(die_once))
    assert sorted((r.number, r.status) for r in controller.records) == [
        (number, "finished") for number in range(3)
    ]
    assert dict(controller.lost) == {1: 1}


def test_a_worker_that_always_dies_is_a_failed_trial(
    cluster: None, controller_in: Make, tmp_path: Path
) -> None:
    def die(task: Task, settings: ExperimentSettings) -> str:
        if task.number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return ""

    controller = controller_in(tmp_path, {**ON_RAY, "search.trials": 3, "executor.retries": 1})
    execute(controller, scoring(die))
    by_number = {record.number: record for record in controller.records}
    assert [by_number[number].reason for number in range(3)] == ["", "lost_worker", ""]
    assert by_number[1].detail.startswith("the worker died 2 times, the last time: ")


def test_what_the_user_can_mend_stops_the_search_with_its_message(
    cluster: None, controller_in: Make, tmp_path: Path
) -> None:
    def no_data(task: Task, settings: ExperimentSettings) -> str:
        if task.number:
            raise DataError("image 7 is broken")
        return ""

    controller = controller_in(tmp_path, ON_RAY)
    with pytest.raises(DataError, match=r"^image 7 is broken$"):
        execute(controller, scoring(no_data))
    resumed = controller_in(tmp_path, ON_RAY)
    execute(resumed, scoring())
    assert len(resumed.records) == 6


def test_a_bug_in_a_worker_keeps_its_traceback(
    cluster: None, controller_in: Make, tmp_path: Path
) -> None:
    def bug(task: Task, settings: ExperimentSettings) -> str:
        return ["one"][task.number + 7]

    with pytest.raises(RuntimeError, match=r"in bug\n(.|\n)*IndexError: list index out"):
        execute(controller_in(tmp_path, ON_RAY), scoring(bug))


def test_an_error_of_the_controller_stops_the_search(
    cluster: None, controller_in: Make, tmp_path: Path
) -> None:
    def full(record: Record, objective: float | None) -> None:
        raise RunError("no space left")

    with pytest.raises(RunError, match="no space left"):
        execute(controller_in(tmp_path, ON_RAY, on_record=full), scoring())


@pytest.fixture
def heeding_ctrl_c() -> Iterator[None]:
    """Python leaves SIGINT ignored where it was started so, as shells do in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_waits_for_no_trial_and_the_search_can_go_on(
    cluster: None, heeding_ctrl_c: None, controller_in: Make, tmp_path: Path
) -> None:
    def slow(task: Task, settings: ExperimentSettings) -> str:
        if task.number == 2:
            os.kill(driver, signal.SIGINT)
            time.sleep(300)
            ended.touch()
        return ""

    driver, ended = os.getpid(), tmp_path / "the trial came to its end"
    controller = controller_in(tmp_path, {**ON_RAY, **ALONE})
    with pytest.raises(KeyboardInterrupt):
        execute(controller, scoring(slow))
    assert not ended.exists()
    resumed = controller_in(tmp_path, ON_RAY)
    assert len(resumed.records) == 2
    assert [task.number for task in resumed.waiting] == [2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"executor.cpus": 64}, r"executor.cpus=64 .* the cluster has 2 CPUs and \d+ GPUs"),
        ({"executor.gpus": 999, "device": "cuda"}, "executor.gpus=999"),
        ({"executor.gpus": 1.5, "device": "cuda"}, "a fraction up to 1 or a whole number"),
        ({"device": "cuda"}, "0 GPUs per trial while device is 'cuda'"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_starts(
    cluster: None, controller_in: Make, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    controller = controller_in(tmp_path, {**ON_RAY, **changes})
    with pytest.raises(ExecutorError, match=message):
        execute(controller, scoring())
    assert controller.folder.events.read() == []


def test_a_cluster_that_was_there_before_is_left_running(
    cluster: None, controller_in: Make, tmp_path: Path
) -> None:
    import ray

    execute(controller_in(tmp_path, {**ON_RAY, "search.trials": 2}), scoring())
    assert ray.is_initialized()
    assert "TUNE_DISABLE_SIGINT_HANDLER" in os.environ  # of the fixture
    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
    assert resources["CPU"] == 2


@pytest.mark.parametrize(
    "address", ["nonsense", "ray://10.0.0.1:10001", "host:port", ":6379", "127.0.0.1:99999"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    from autoadapt.experiment.executors.ray import check_address

    with pytest.raises(ExecutorError, match=r"executor\.address: "):
        check_address(address)


def test_an_address_where_nobody_answers_is_refused_soon() -> None:
    from autoadapt.experiment.executors.ray import check_address

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        port = taken.getsockname()[1]
        with pytest.raises(ExecutorError, match=f"no Ray cluster answers at 127.0.0.1:{port}"):
            check_address(f"127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("machine", "cpus", "gpus", "fit"),
    [
        ({"CPU": 16.0}, 1, 0, 16),
        ({"CPU": 16.0}, 3, 0, 5),  # 16 / 3 = 5.33
        ({"CPU": 2.0}, 0.1, 0, 20),  # 2 / 0.1 is 20, whatever floats say
        ({"CPU": 16.0, "GPU": 1.0}, 1, 0.5, 2),
        ({"CPU": 16.0, "GPU": 2.0}, 1, 0.3, 6),  # three on each GPU, none across two
        ({"CPU": 16.0, "GPU": 5.0}, 1, 2, 2),
        ({"CPU": 2.0, "GPU": 8.0}, 1, 1, 2),
        ({"CPU": 16.0}, 1, 1, 0),
        ({"memory": 1.0}, 1, 0, 0),
    ],
)
def test_how_many_trials_fit_on_a_machine(
    machine: dict[str, float], cpus: float, gpus: float, fit: int
) -> None:
    from autoadapt.config.settings import ExecutorSettings
    from autoadapt.experiment.executors.ray import trials_on

    assert trials_on(machine, ExecutorSettings(kind="ray", cpus=cpus, gpus=gpus)) == fit


def test_parallel_is_an_upper_limit() -> None:
    from autoadapt.config.settings import ExecutorSettings
    from autoadapt.experiment.executors.ray import trials_at_once

    machines: list[Any] = [{"CPU": 4.0}, {"CPU": 2.0}]
    assert trials_at_once(ExecutorSettings(kind="ray", cpus=2), machines) == 3
    assert trials_at_once(ExecutorSettings(kind="ray", cpus=2, parallel=2), machines) == 2
    assert trials_at_once(ExecutorSettings(kind="ray", cpus=2, parallel=9), machines) == 3
    with pytest.raises(ExecutorError, match="4 CPUs and 0 GPUs; 2 CPUs and 0 GPUs"):
        trials_at_once(ExecutorSettings(kind="ray", cpus=5), machines)


def test_tune_keeps_nothing_of_ours() -> None:
    import ray.cloudpickle as pickle

    from autoadapt.experiment.executors.ray import Bridge, Forwarding, Listening

    bridge = Bridge(controller=lambda: None, parallel=1)  # type: ignore[arg-type]
    for kind in (Forwarding, Listening):
        pickled = pickle.dumps(kind(bridge))  # type: ignore[no-untyped-call]
        assert pickle.loads(pickled).bridge is None


def test_a_task_survives_the_way_to_a_worker(controller_in: Make, tmp_path: Path) -> None:
    from autoadapt.experiment.executors.ray import plain_task, task_from_plain

    task = controller_in(tmp_path).next_task()
    assert task is not None
    assert task_from_plain(plain_task(task)) == task


def test_session_folders_of_dead_processes_are_removed(tmp_path: Path) -> None:
    from autoadapt.experiment.executors.ray import SESSIONS, session_folder

    dead = Path(f"/tmp/{SESSIONS}-999999999-test")
    dead.mkdir(exist_ok=True)
    with session_folder() as folder:
        assert not dead.exists()
        assert folder.is_dir()
        # Ray adds session_<date and time>_<pid>/sockets/plasma_store: about 65 bytes.
        assert len(str(folder)) + 65 < 107
    assert not folder.exists()
