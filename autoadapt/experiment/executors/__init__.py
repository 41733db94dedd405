"""Where trials run: in this process, or on Ray. All of them call ``run_trial``, or what stands in.

Executors differ only in where the work is done. They get it from a ``Controller``, or from
anything else that hands out trials and takes records.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from autoadapt.config.settings import ExperimentSettings
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.trial import Task, run_trial
from autoadapt.experiment.watching import Watcher
from autoadapt.records import Record


class Work(Protocol):
    """What an executor works off."""

    @property
    def folder(self) -> RunFolder:
        """The run folder that the work belongs to."""

    @property
    def settings(self) -> ExperimentSettings:
        """What workers are told."""

    @property
    def running(self) -> Mapping[int, Task]:
        """Trials that are handed out, by number."""

    def next_task(self) -> Task | None:
        """Return the next trial to run; nothing when none is left to be handed out."""

    def commit(self, record: Record) -> None:
        """Take the record of a running trial."""

    def give_back(self, number: int, why: str) -> None:
        """Take back a running trial whose worker was lost."""


def execute(work: Work, watcher: Watcher, run: Callable[..., Record] = run_trial) -> None:
    """Do what is left of the work with the executor of its settings.

    Args:
        work: Where trials come from and records go.
        watcher: Told how it goes.
        run: What a worker does with a trial, given it, the settings and, in this process, whom
            to tell how far training is.

    Raises:
        AutoAdaptError: What would fail every trial: data, disk, config, or a machine or cluster
            that cannot run them.
    """
    kind = work.settings.executor.kind
    module: Any = importlib.import_module(f"autoadapt.experiment.executors.{kind}")
    module.execute(work, watcher, run)
