"""Model files: all that prediction needs, or a refusal that says why."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autoadapt.config.settings import PluginSettings, TrainingSettings
from autoadapt.data.training import TrainingData
from autoadapt.errors import CheckpointError, ConfigError
from autoadapt.networks.build import build
from autoadapt.space.architecture import Architecture
from autoadapt.training.checkpoints import read_checkpoint, write_checkpoint
from autoadapt.training.fit import Fitted, fit
from autoadapt.training.model import card_of, load_model, save_model
from autoadapt.uda.advent import Advent

CPU = torch.device("cpu")


@pytest.fixture
def fitted(tiny_architecture: Architecture, toy_data: TrainingData) -> Fitted:
    network = build(tiny_architecture, 4, seed=5)
    settings = TrainingSettings(steps=1)
    return fit(Advent(discriminator_width=4), network, toy_data, settings, seed=0, device=CPU)


@pytest.fixture
def path(
    fitted: Fitted, tiny_architecture: Architecture, toy_data: TrainingData, tmp_path: Path
) -> Path:
    method = PluginSettings(name="advent", options={"discriminator_width": 4})
    card = card_of(tiny_architecture, toy_data.settings, toy_data.source.classes, method)
    save_model(tmp_path / "model.pt", fitted, card)
    return tmp_path / "model.pt"


def change(path: Path, **values: Any) -> None:
    write_checkpoint(path, {**read_checkpoint(path), **values})


def test_prediction_has_the_size_asked_for(path: Path, toy_data: TrainingData) -> None:
    model = load_model(path, CPU)
    images = toy_data.target.images([0, 2])
    labels = model.predict(images, (40, 70))
    assert labels.shape == (2, 40, 70)
    assert labels.dtype == np.uint8
    assert labels.max() < 4
    assert (model.predict(images[1:], (40, 70)) == labels[1:]).all()


def test_loading_leaves_global_randomness_alone(path: Path) -> None:
    before = torch.get_rng_state()
    load_model(path, CPU)
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_of_other_classes_are_refused(path: Path) -> None:
    change(path, classes=["a", "b", "c", "d", "e"])
    with pytest.raises(CheckpointError, match=r"of another shape: layer5.*instead of \(5,"):
        load_model(path, CPU)


def test_weights_of_another_architecture_are_refused(
    path: Path, tiny_architecture: Architecture
) -> None:
    other = Architecture.of("elastic_deeplab", {**tiny_architecture.values, "stage2.depth": 2})
    change(path, architecture=other.to_json())
    with pytest.raises(CheckpointError, match=r"missing: layer2\.1"):
        load_model(path, CPU)


def test_modules_of_another_method_are_refused(path: Path) -> None:
    change(path, modules={})
    with pytest.raises(CheckpointError, match=r"modules \[\], but Advent .*'aux', 'main'"):
        load_model(path, CPU)


def test_an_option_that_is_gone_is_named(path: Path) -> None:
    change(path, method={"name": "advent", "options": {"width": 4}})
    with pytest.raises(ConfigError, match="width"):
        load_model(path, CPU)


def test_a_newer_format_is_refused(path: Path) -> None:
    change(path, format=99)
    with pytest.raises(CheckpointError, match="format 99"):
        load_model(path, CPU)


def test_a_checkpoint_is_not_a_model(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "checkpoint.pt", {"step": 3, "weights": {}})
    with pytest.raises(CheckpointError, match="not a model of autoadapt: it lacks architecture"):
        load_model(tmp_path / "checkpoint.pt", CPU)
