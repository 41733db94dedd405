"""Validation without target labels: held-out source images with frequencies of the target."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from autoadapt.config.load import load
from autoadapt.config.settings import ExperimentSettings, PluginSettings
from autoadapt.data.open import open_held_out, open_source, open_target
from autoadapt.errors import ConfigError
from autoadapt.experiment.commands import validate_checkpoints
from autoadapt.experiment.comparison import find_models
from autoadapt.experiment.validate import translated, validate_models
from autoadapt.experiment.watching import Watcher
from autoadapt.networks.build import build
from autoadapt.space.architecture import Architecture
from autoadapt.training.fit import Fitted
from autoadapt.training.model import Card, save_model
from autoadapt.uda._fourier import with_low_frequencies

HELD_OUT = ["data.source.hold_out=2"]


@pytest.fixture
def settings(small_config: Path) -> ExperimentSettings:
    return load(small_config, HELD_OUT)


@pytest.fixture
def model(settings: ExperimentSettings, tiny_architecture: Architecture, tmp_path: Path) -> Path:
    source = open_source(settings.data)
    network = build(tiny_architecture, len(source.classes), seed=5).eval()
    card = Card(
        tiny_architecture,
        source.classes,
        settings.data.size,
        settings.data.normalisation,
        PluginSettings(name="source_only"),
    )
    save_model(tmp_path / "model.safetensors", Fitted(network, {}, network, 1, {}), card)
    return tmp_path / "model.safetensors"


def test_held_out_images_are_not_trained_on(settings: ExperimentSettings) -> None:
    held, taught = open_held_out(settings.data), open_source(settings.data)
    assert (len(held), len(taught)) == (2, 4)
    assert not set(held.ids) & set(taught.ids)


def test_without_held_out_images_the_message_says_how(small_config: Path) -> None:
    with pytest.raises(ConfigError, match=r"data.source.hold_out is 0.*set it"):
        open_held_out(load(small_config).data)


def test_images_take_low_frequencies_of_one_target_image_and_keep_their_labels(
    settings: ExperimentSettings, tmp_path: Path
) -> None:
    held, target = open_held_out(settings.data), open_target(settings.data)
    found = translated(held, target, beta=0.05, seed=3, path=tmp_path / "a.rows")
    assert (found.labels([1, 0]) == held.labels([1, 0])).all()
    assert found.classes == held.classes

    def planes(pictures: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> torch.Tensor:
        return torch.from_numpy(pictures).permute(0, 3, 1, 2).float()

    for index in range(2):
        own = planes(held.images([index]))
        distances = [
            (with_low_frequencies(own, planes(target.images([partner])), 0.05).clamp(0, 255)
             - planes(found.images([index]))).abs().max().item()
            for partner in range(len(target))
        ]  # fmt: skip
        assert min(distances) <= 0.5001
        assert sorted(distances)[1] > 2
    again = translated(held, target, beta=0.05, seed=3, path=tmp_path / "b.rows")
    assert again.fingerprint == found.fingerprint


def test_domains_of_different_size_are_refused(
    settings: ExperimentSettings, tmp_path: Path
) -> None:
    other = open_target(replace(settings.data, size=(32, 64)))
    with pytest.raises(ConfigError, match=r"\(32, 48\) .* \(32, 64\)"):
        translated(open_held_out(settings.data), other, beta=0.05, seed=0, path=tmp_path / "a.rows")


def test_models_are_compared_with_source_labels(
    settings: ExperimentSettings, model: Path, small_config: Path, tmp_path: Path
) -> None:
    watcher = Watcher()
    ((_, evaluation),) = validate_models(find_models([model]), settings, watcher, beta=0.09)
    assert evaluation.images == 2
    held = open_held_out(settings.data)
    labelled = held.labels([0, 1])
    assert evaluation.confusion.sum() == (labelled != 255).sum()
    text = validate_checkpoints(
        [model], str(small_config), HELD_OUT, watcher, beta=0.09, form="json"
    )
    assert json.loads(text)
    with pytest.raises(ConfigError, match="no format 'word'"):
        validate_checkpoints([model], str(small_config), [], watcher, beta=0.1, form="word")
