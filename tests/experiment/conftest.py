"""A search whose trials cost nothing: stand-ins for settings, costs and ``run_trial``."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from autoadapt.config.load import from_plain
from autoadapt.config.settings import ExperimentSettings
from autoadapt.experiment.controller import Controller
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.trial import Task, record_of
from autoadapt.records import Record
from autoadapt.space.architecture import Architecture


def plain_settings() -> dict[str, Any]:
    images = {"kind": "procedural", "count": 5}
    return {
        "name": "stand-in",
        "data": {"size": [32, 48], "source": images, "target": images | {"style": "camera"}},
        "search": {
            "space": "deeplab_tiny",
            "trials": 6,
            "strategy": {"name": "evolution", "population": 3, "sample": 2},
            "training": {"steps": 7},
        },
        "objective": {"calibration": 2},
    }


def merged(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    for dotted, value in changes.items():
        *parents, last = dotted.split(".")
        here = base
        for key in parents:
            here = here.setdefault(key, {})
        here[last] = value
    return base


@pytest.fixture(scope="session")
def settings_with() -> Callable[..., ExperimentSettings]:
    """Make settings, with changes such as ``{"search.trials": 3}``."""

    def make(changes: Mapping[str, Any] | None = None) -> ExperimentSettings:
        return from_plain(merged(plain_settings(), changes or {}))

    return make


@pytest.fixture(scope="session")
def cheap_costs() -> Callable[[Architecture], dict[str, float]]:
    """Costs within the limits of the space, without building a network."""

    def costs(architecture: Architecture) -> dict[str, float]:
        return {"macs": 2e8 + int(architecture.id[:5], 16), "params": 1e6}

    return costs


@pytest.fixture(scope="session")
def stand_in() -> Callable[..., Record]:
    """Do what ``run_trial`` promises without training: a record that follows from the task."""

    def run(task: Task, settings: ExperimentSettings, on_progress: object = None) -> Record:
        scores = {"mmd": int(task.architecture.id[:4], 16) / 16**4, "reent": 0.1 * task.number}
        return record_of(task, settings, status="finished", scores=scores, seconds=0.5)

    return run


@pytest.fixture
def controller_in(
    settings_with: Callable[..., ExperimentSettings],
    cheap_costs: Callable[[Architecture], dict[str, float]],
) -> Callable[..., Controller]:
    """Make the controller of a new or an existing folder."""

    def make(path: Path, changes: Mapping[str, Any] | None = None, **known: Any) -> Controller:
        settings = settings_with(changes)
        path.mkdir(exist_ok=True)
        folder = RunFolder(path)
        folder.prepare(settings)
        return Controller(folder, settings, cheap_costs, **known)

    return make
