"""A whole experiment small enough for a test, and one whose trials are stand-ins."""

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoadapt.config.load import from_plain
from autoadapt.config.load import load as load_config
from autoadapt.config.settings import ExperimentSettings
from autoadapt.experiment.bank import run_bank
from autoadapt.experiment.controller import Controller
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.trial import Task, record_of
from autoadapt.experiment.watching import Watcher
from autoadapt.records import Record
from autoadapt.space import Architecture, SearchSpace, load

SMALL = """\
name: small
seed: 3
threads: 1
data:
  size: [32, 48]
  source: {kind: procedural, style: game, count: 6, seed: 1}
  target: {kind: procedural, style: camera, count: 5, seed: 2}
  evaluation: {kind: procedural, style: camera, count: 4, seed: 3}
search:
  space: deeplab_tiny
  trials: 4
  limits: {macs: [1.0e+8, 1.6e+8]}
  strategy: {name: evolution, population: 2, sample: 1}
  method: {name: advent, discriminator_width: 4}
  training: {steps: 3, batch_size: 2, optimizer: adamw, learning_rate: 1.0e-3, checkpoint_every: 1}
scoring: {images: 4, scores: [entropy]}
objective: {calibration: 2}
adapt:
  method: {name: advent, discriminator_width: 4}
  training: {steps: 2, batch_size: 2}
evaluation: {samples: 2}
"""


@pytest.fixture(scope="session")
def small_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config file of a search that takes seconds; the cache lies beside it."""
    folder = tmp_path_factory.mktemp("small")
    path = folder / "small.yaml"
    cache = f"data:\n  cache: {folder / 'cache'}\n"
    path.write_text(SMALL.replace("data:\n", cache, 1))
    return path


SMALL_BANK = {"architectures": 3, "repeated": 0, "seeds": [4], "methods": ["dacs"]}


@pytest.fixture(scope="session")
def bank_settings(small_config: Path) -> Callable[..., ExperimentSettings]:
    """Make the settings of a bank of three models, with what is asked of them, and changes."""

    def make(*changes: str, **scoring: Any) -> ExperimentSettings:
        known = {"images": 4, "scores": ["entropy"], **scoring}
        return load_config(
            small_config,
            [
                f"bank={json.dumps(SMALL_BANK)}",
                "data.source.hold_out=2",
                f"scoring={json.dumps(known)}",
                "objective=ent",
                *changes,
            ],
        )

    return make


@pytest.fixture(scope="session")
def small_bank(
    bank_settings: Callable[..., ExperimentSettings], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The run folder of that bank, made with one score; to be copied, not changed."""
    folder = tmp_path_factory.mktemp("banks") / "small"
    run_bank(bank_settings(), folder, Watcher())
    return folder


@pytest.fixture(scope="session")
def tiny_network(tiny_architecture: Architecture, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a very small network that is of no space."""
    path = tmp_path_factory.mktemp("networks") / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_architecture.to_json()))
    return path


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


@functools.cache
def settings_from(text: str) -> ExperimentSettings:
    return from_plain(json.loads(text))


@pytest.fixture(scope="session")
def settings_with() -> Callable[..., ExperimentSettings]:
    """Make settings, with changes such as ``{"search.trials": 3}``."""

    def make(changes: Mapping[str, Any] | None = None) -> ExperimentSettings:
        return settings_from(json.dumps(merged(plain_settings(), changes or {})))

    return make


@pytest.fixture(scope="session")
def tiny_space() -> SearchSpace:
    """The space of the settings, read once."""
    return load("deeplab_tiny")


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
    tiny_space: SearchSpace,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Controller]:
    """Make the controller of a new or an existing folder, with stand-ins for what is slow."""
    monkeypatch.setattr("autoadapt.experiment.controller.load", lambda name: tiny_space)
    monkeypatch.setattr("autoadapt.experiment.run_folder.environment", dict)

    def make(path: Path, changes: Mapping[str, Any] | None = None, **known: Any) -> Controller:
        settings = settings_with(changes)
        path.mkdir(exist_ok=True)
        folder = RunFolder(path)
        folder.prepare(settings)
        return Controller(folder, settings, cheap_costs, **known)

    return make
