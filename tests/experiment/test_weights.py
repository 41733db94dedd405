"""Training starts from the weights that the settings name, and says so."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from autoadapt.config.load import from_plain, load, to_plain
from autoadapt.config.published_weights import PUBLISHED, PublishedWeights
from autoadapt.config.settings import AdaptSettings, ExperimentSettings, WeightsSettings
from autoadapt.errors import CheckpointError, ConfigError, RunError
from autoadapt.experiment.adapt import adapt_fully, contenders
from autoadapt.experiment.trial import domains_of, train
from autoadapt.experiment.weights import (
    allowing_download,
    check_start,
    planned,
    resolve,
    start_of,
    weights_folder,
)
from autoadapt.files import sha256_of
from autoadapt.networks.build import build
from autoadapt.space import Architecture
from autoadapt.space import load as load_space
from autoadapt.space.named import named
from autoadapt.training.fit import Fitted
from autoadapt.training.model import card_of, read_model, save_model

CPU = torch.device("cpu")


@pytest.fixture
def settings(small_config: Path) -> ExperimentSettings:
    return load(small_config)


@pytest.fixture
def reference() -> Architecture:
    return load_space("deeplab_tiny").reference


@pytest.fixture
def model(settings: ExperimentSettings, reference: Architecture, tmp_path: Path) -> Path:
    """A model of the reference with weights of its own."""
    classes = domains_of(settings.data).classes
    network = build(reference, len(classes), seed=77)
    card = card_of(reference, settings.data, classes, settings.search.method)
    fitted = Fitted(network, {}, network, 0, {})
    save_model(tmp_path / "seed/model.safetensors", fitted, card)
    return tmp_path / "seed/model.safetensors"


def trained(
    settings: ExperimentSettings, architecture: Architecture, folder: Path, **changes: Any
) -> Path:
    search = dataclasses.replace(settings.search, **changes)
    train(
        architecture,
        search.method,
        search.training,
        domains_of(settings.data),
        settings.data,
        weights=search.weights,
        seed=5,
        device=CPU,
        folder=folder,
    )
    return folder / "model.safetensors"


def without_steps(settings: ExperimentSettings) -> Any:
    """A rate so small that training changes nothing that float32 could show."""
    return dataclasses.replace(settings.search.training, learning_rate=1e-30, weight_decay=0.0)


def test_a_candidate_starts_from_a_slice_of_the_seed(
    model: Path, settings: ExperimentSettings, reference: Architecture, tmp_path: Path
) -> None:
    child = Architecture.of(
        "elastic_deeplab", {**reference.values, "stage4.width": 96, "stage1.se": True}
    )
    weights = WeightsSettings(file=str(model), fit="slice")
    path = trained(
        settings, child, tmp_path / "t", weights=weights, training=without_steps(settings)
    )
    seed, own = read_model(model).network, read_model(path).network
    assert torch.equal(own["conv1.weight"], seed["conv1.weight"])
    assert torch.equal(own["layer4.1.conv2.weight"], seed["layer4.1.conv2.weight"][:96, :96])
    report = json.loads((path.parent / "weights.json").read_text())
    assert report["file"] == str(model)
    assert "layer4.1.conv2.weight" in report["sliced"]
    assert report["initial"]["layer1.0.se.fc2.weight"] == "a new gate, which changes nothing yet"


def test_the_start_is_part_of_what_a_training_is(
    model: Path, settings: ExperimentSettings, reference: Architecture, tmp_path: Path
) -> None:
    """A finished training is continued with the same weights, and refused with others."""
    weights = WeightsSettings(file=str(model))
    first = trained(settings, reference, tmp_path / "t", weights=weights)
    before = first.read_bytes()
    assert trained(settings, reference, tmp_path / "t", weights=weights).read_bytes() == before
    fresh = trained(settings, reference, tmp_path / "u", weights=None)
    assert fresh.read_bytes() != before
    with pytest.raises(CheckpointError, match=r"belongs to another run: weights\.fit 'exact'"):
        trained(settings, reference, tmp_path / "t", weights=None)
    dropped = dataclasses.replace(weights, head="drop")
    with pytest.raises(CheckpointError, match=r"weights\.head 'keep' instead of 'drop'"):
        trained(settings, reference, tmp_path / "t", weights=dropped)


def test_full_adaptation_starts_from_weights_too(
    model: Path, settings: ExperimentSettings, reference: Architecture, tmp_path: Path
) -> None:
    assert settings.adapt is not None
    adapt: AdaptSettings = dataclasses.replace(
        settings.adapt, weights=WeightsSettings(file=str(model)), source_only=False
    )
    (contender,) = contenders({"winner": reference}, adapt)
    path = adapt_fully(contender, settings, adapt, tmp_path / "adapted", 0)
    assert json.loads((path.parent / "weights.json").read_text())["matched"] > 50
    with pytest.raises(RunError, match=r"weights: .* in the folder, None now"):
        adapt_fully(contender, settings, dataclasses.replace(adapt, weights=None), path.parent, 0)


def test_weights_are_tried_before_anything_is_trained(
    model: Path, settings: ExperimentSettings
) -> None:
    weights = WeightsSettings(file=str(model))
    search = dataclasses.replace(settings.search, weights=weights)
    changed = dataclasses.replace(settings, search=search)
    search_plan, adapt_plan = planned(changed)
    assert adapt_plan == ("adapt", None, search_plan[2])
    part, weights_of_part, networks = search_plan
    assert (part, weights_of_part) == ("search", weights)
    (line,) = check_start(weights, networks, settings.data, 11)
    assert line.startswith(f"starts from {model} (model of autoadapt, architecture ")
    with pytest.raises(CheckpointError, match="11 classes, the network has 12"):
        list(check_start(weights, networks, settings.data, 12))
    other = dataclasses.replace(settings.data, normalisation="caffe_bgr")
    told = list(check_start(weights, networks, other, 11))
    assert told[1] == "note: these weights expect data.normalisation: imagenet"
    vgg = [*networks, named("deeplabv2_vgg16")]
    with pytest.raises(CheckpointError, match=r"does not belong to this network \(VggDeeplab\)"):
        list(check_start(weights, vgg, settings.data, 11))


def test_nothing_is_downloaded_unasked(
    settings: ExperimentSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = dataclasses.replace(settings.data, cache=str(tmp_path / "cache"))
    origin = tmp_path / "server/weights.pth"
    origin.parent.mkdir()
    origin.write_bytes(b"weights")
    published = PublishedWeights(origin.as_uri(), "of the test", sha256_of(origin)[:8])
    monkeypatch.setitem(PUBLISHED, "of_the_test", published)
    weights = WeightsSettings(name="of_the_test")
    with pytest.raises(CheckpointError, match=r"nothing is downloaded unasked: use --download"):
        start_of(weights, data)
    assert not weights_folder(data).exists()
    allowed = dataclasses.replace(weights, download=True)
    path = resolve(allowed, weights_folder(data))
    assert path == tmp_path / "cache/weights/weights.pth"
    assert resolve(weights, weights_folder(data)) == path


def test_leave_to_download_changes_nothing_else(settings: ExperimentSettings) -> None:
    assert allowing_download(settings) == settings
    weights = WeightsSettings(name="resnet50_torchvision", head="drop")
    assert settings.adapt is not None
    search = dataclasses.replace(settings.search, weights=weights)
    adapt = dataclasses.replace(settings.adapt, weights=weights)
    found = allowing_download(dataclasses.replace(settings, search=search, adapt=adapt))
    assert found.search.weights == dataclasses.replace(weights, download=True)
    assert found.adapt is not None
    assert found.adapt.weights == found.search.weights
    assert from_plain(to_plain(found)) == found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("search.weights={}", "search.weights: expected either 'file' or 'name'"),
        ("adapt.weights={file: a, name: resnet50_torchvision}", "adapt.weights: expected either"),
        ("search.weights.name=resnet50_torch", "did you mean 'resnet50_torchvision'"),
        ("search.weights={file: a, head: droop}", "search.weights.head"),
    ],
)
def test_mistakes_in_settings_are_named(change: str, words: str, small_config: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        load(small_config, [change])
