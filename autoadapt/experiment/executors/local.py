"""Trials in this process, one after the other."""

from collections.abc import Callable

from autoadapt.config.settings import ExperimentSettings
from autoadapt.experiment.executors import Work
from autoadapt.experiment.trial import OnProgress, Task, run_trial
from autoadapt.experiment.watching import Watcher
from autoadapt.records import Record
from autoadapt.training.fit import Progress

Run = Callable[[Task, ExperimentSettings, OnProgress], Record]
"""What runs a trial: ``run_trial`` or something with the same promise."""


def execute(work: Work, watcher: Watcher, run: Run = run_trial) -> None:
    """Run trials until none is left.

    Raises:
        AutoAdaptError: What would fail every trial: data, disk or config.
    """

    def told(number: int, progress: Progress) -> None:
        watcher.progress(f"trial {number}", progress)

    while (task := work.next_task()) is not None:
        work.commit(run(task, work.settings, told))
