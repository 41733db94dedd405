"""Where trials run: in this process, or on Ray. All of them call ``run_trial``."""

import importlib

from autoadapt.experiment.controller import Controller
from autoadapt.experiment.watching import Watcher


def execute(controller: Controller, watcher: Watcher) -> None:
    """Run what is left of a search with the executor of its settings.

    Raises:
        AutoAdaptError: What would fail every trial: data, disk, config, or a machine or cluster
            that cannot run them.
    """
    kind = controller.settings.executor.kind
    module = importlib.import_module(f"autoadapt.experiment.executors.{kind}")
    module.execute(controller, watcher)
