"""Trials in this process, one after the other."""

from autoadapt.experiment.controller import Controller
from autoadapt.experiment.trial import run_trial
from autoadapt.experiment.watching import Watcher
from autoadapt.training.fit import Progress


def execute(controller: Controller, watcher: Watcher) -> None:
    """Run trials until the search is over."""

    def told(number: int, progress: Progress) -> None:
        watcher.progress(f"trial {number}", progress)

    while (task := controller.next_task()) is not None:
        controller.commit(run_trial(task, controller.settings, told))
