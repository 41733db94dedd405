"""The executor in this process, and how one is chosen."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from autoadapt.config.settings import ExperimentSettings
from autoadapt.errors import DataError
from autoadapt.experiment import executors
from autoadapt.experiment.controller import Controller
from autoadapt.experiment.executors import local
from autoadapt.experiment.trial import OnProgress, Task
from autoadapt.experiment.watching import Watcher
from autoadapt.records import Record
from autoadapt.training.fit import Progress

Make = Callable[..., Controller]
Run = Callable[..., Record]


def test_local_runs_what_is_left(controller_in: Make, stand_in: Run, tmp_path: Path) -> None:
    controller = controller_in(tmp_path)
    task = controller.next_task()
    assert task is not None
    controller.commit(stand_in(task, controller.settings))
    ran: list[int] = []

    def run(task: Task, settings: ExperimentSettings, told: OnProgress) -> Record:
        ran.append(task.number)
        return stand_in(task, settings)

    local.execute(controller_in(tmp_path), Watcher(), run)
    assert ran == [1, 2, 3, 4, 5]
    local.execute(controller_in(tmp_path), Watcher(), run)
    assert ran == [1, 2, 3, 4, 5]


def test_local_passes_progress_on(controller_in: Make, stand_in: Run, tmp_path: Path) -> None:
    class Told(Watcher):
        def progress(self, name: str, progress: Progress) -> None:
            seen.append((name, progress.step))

    def run(task: Task, settings: ExperimentSettings, told: OnProgress) -> Record:
        told(task.number, Progress(4, 7, "adapt", {}))
        return stand_in(task, settings)

    seen: list[tuple[str, int]] = []
    local.execute(controller_in(tmp_path, {"search.trials": 2}), Told(), run)
    assert seen == [("trial 0", 4), ("trial 1", 4)]


@pytest.mark.parametrize("stop", [DataError("broken image"), KeyboardInterrupt()])
def test_what_stops_a_trial_stops_the_search_and_it_can_go_on(
    controller_in: Make, stand_in: Run, tmp_path: Path, stop: BaseException
) -> None:
    def run(task: Task, settings: ExperimentSettings, told: OnProgress) -> Record:
        if task.number == 2:
            raise stop
        return stand_in(task, settings)

    with pytest.raises(type(stop)):
        local.execute(controller_in(tmp_path), Watcher(), run)
    resumed = controller_in(tmp_path)
    assert [record.number for record in resumed.records] == [0, 1]
    assert [task.number for task in resumed.waiting] == [2]


def test_the_settings_choose_the_executor(
    controller_in: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Controller] = []
    monkeypatch.setattr(local, "execute", lambda work, watcher, run: asked.append(work))
    controller = controller_in(tmp_path)
    executors.execute(controller, Watcher())
    assert asked == [controller]


def test_ray_is_imported_by_whoever_uses_it() -> None:
    code = (
        "import sys; import autoadapt.experiment.search, autoadapt.experiment.executors.local;"
        "sys.exit('ray' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
