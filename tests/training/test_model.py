"""Model files: all that prediction needs, or a refusal that says why."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from autoadapt.config.settings import PluginSettings, TrainingSettings
from autoadapt.data.training import TrainingData
from autoadapt.errors import CheckpointError, ConfigError
from autoadapt.networks.build import build
from autoadapt.space.architecture import Architecture
from autoadapt.training.checkpoints import write_checkpoint
from autoadapt.training.fit import Fitted, fit
from autoadapt.training.model import (
    MODEL,
    card_of,
    find_model,
    is_model,
    load_model,
    read_model,
    save_model,
)
from autoadapt.uda.advent import Advent
from autoadapt.uda.source_only import SourceOnly

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
    save_model(tmp_path / MODEL, fitted, card)
    return tmp_path / MODEL


def change(path: Path, **values: Any) -> None:
    """Change what the card says."""
    card = path.with_suffix(".json")
    card.write_text(json.dumps({**json.loads(card.read_text()), **values}))


def test_prediction_has_the_size_asked_for(path: Path, toy_data: TrainingData) -> None:
    model = load_model(path, CPU)
    images = toy_data.target.images([0, 2])
    labels = model.predict(images, (40, 70))
    assert labels.shape == (2, 40, 70)
    assert labels.dtype == np.uint8
    assert labels.max() < 4
    assert (model.predict(images[1:], (40, 70)) == labels[1:]).all()


def test_weights_come_back_bit_for_bit(path: Path, fitted: Fitted) -> None:
    stored = read_model(path)
    expected = fitted.network.state_dict()
    assert stored.network.keys() == expected.keys()
    assert all(torch.equal(stored.network[name], expected[name]) for name in expected)
    for name, module in fitted.modules.items():
        theirs = module.state_dict()
        assert all(torch.equal(stored.modules[name][key], theirs[key]) for key in theirs)


def test_other_programs_read_the_two_files(path: Path) -> None:
    with safe_open(path, "pt") as file:
        names = set(file.keys())
    assert {"network.conv1.weight", "modules.main.0.weight"} <= names
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["classes"] == ["a", "b", "c", "d"]
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("part", ["model.json", "."])
def test_a_model_goes_by_its_card_or_its_folder_too(
    part: str, path: Path, toy_data: TrainingData
) -> None:
    images = toy_data.target.images([1])
    expected = load_model(path, CPU).predict(images, (32, 48))
    assert (load_model(path.parent / part, CPU).predict(images, (32, 48)) == expected).all()


def test_models_of_earlier_versions_load(path: Path, toy_data: TrainingData) -> None:
    """One file of ``torch.save``, format 1."""
    new, card = read_model(path), json.loads(path.with_suffix(".json").read_text())
    kept = ("architecture", "classes", "size", "normalisation", "method")
    old = {"format": 1, **{key: card[key] for key in kept}}
    folder = path.parent / "old"
    tensors = {"network": dict(new.network), "modules": dict(new.modules)}
    write_checkpoint(folder / "model.pt", {**old, **tensors})
    images = toy_data.target.images([1])
    expected = load_model(path, CPU).predict(images, (32, 48))
    assert find_model(folder) == folder / "model.pt"
    assert is_model(folder / "model.pt")
    assert (load_model(folder, CPU).predict(images, (32, 48)) == expected).all()


def test_a_model_without_its_card_is_not_finished(path: Path) -> None:
    assert find_model(path.parent) == path
    path.with_suffix(".json").unlink()
    assert find_model(path.parent) is None
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*model\.json; a model is two"):
        load_model(path, CPU)


def test_a_card_vouches_for_its_weights_alone(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"other weights than model\.json beside it"):
        load_model(path, CPU)


@pytest.mark.parametrize(("content", "words"), [("{", "damaged"), ("[1]", "expected a JSON obj")])
def test_a_damaged_card_is_named(content: str, words: str, path: Path) -> None:
    path.with_suffix(".json").write_text(content)
    with pytest.raises(CheckpointError, match=words):
        load_model(path, CPU)


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
    change(path, method={"name": "source_only", "options": {}})
    with pytest.raises(CheckpointError, match=r"modules \['aux', 'main'\], but SourceOnly"):
        load_model(path, CPU)


def test_the_teacher_that_the_loop_kept_comes_back(
    tiny_architecture: Architecture, toy_data: TrainingData, tmp_path: Path
) -> None:
    network = build(tiny_architecture, 4, seed=5)
    fitted = fit(
        SourceOnly(), network, toy_data, TrainingSettings(steps=2, ema=0.9), seed=0, device=CPU
    )
    method = PluginSettings(name="source_only")
    card = card_of(tiny_architecture, toy_data.settings, toy_data.source.classes, method)
    save_model(tmp_path / MODEL, fitted, card)

    model = load_model(tmp_path / MODEL, CPU)

    found = model.modules["teacher"].state_dict()
    for name, tensor in fitted.modules["teacher"].state_dict().items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)
    assert model.predictor is model.network


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
