"""Every method trains every family, with an auxiliary head and without, one image at a time."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from autoadapt.config.load import make
from autoadapt.config.settings import PluginSettings, TrainingSettings
from autoadapt.data.training import TrainingData
from autoadapt.data.views import subset
from autoadapt.errors import ConfigError
from autoadapt.networks.build import build
from autoadapt.plugins import available, find
from autoadapt.space.architecture import Architecture
from autoadapt.training.fit import Fitted, Progress, fit

SETTINGS = TrainingSettings(steps=3, learning_rate=0.01)


QUICK = {"advent", "dast", "da_former"}
"""What the quick suite runs: they ask most of a network (outputs, deep features, a twin)."""

every_method = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow)
        for name in available("uda")
    ],
)


class StopError(Exception):
    """Stands for a crash."""


def test_training_goes_on_as_if_it_had_never_stopped(
    smoke_architecture: Architecture, toy_data: TrainingData, tmp_path: Path
) -> None:
    """Also where dropout and dropped paths draw from the global generator."""
    settings = dataclasses.replace(SETTINGS, checkpoint_every=1)

    def stop(progress: Progress) -> None:
        if progress.step == 2:
            raise StopError

    def train(folder: Path, on_progress: Callable[[Progress], None] | None = None) -> Fitted:
        method = make("uda", PluginSettings(name="source_only"))
        return fit(
            method,
            build(smoke_architecture, 4, seed=5),
            toy_data,
            settings,
            seed=11,
            device=torch.device("cpu"),
            folder=folder,
            on_progress=on_progress,
        )

    whole = train(tmp_path / "whole").network.state_dict()
    with pytest.raises(StopError):
        train(tmp_path / "parts", stop)
    torch.rand(3)  # whatever happens in between
    resumed = train(tmp_path / "parts")
    assert resumed.steps == 3
    for name, tensor in resumed.network.state_dict().items():
        assert torch.equal(tensor, whole[name]), name


@every_method
def test_a_few_steps(name: str, smoke_architecture: Architecture, toy_data: TrainingData) -> None:
    network = build(smoke_architecture, 4, seed=5)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    method = make("uda", PluginSettings(name=name, options=dict(find("uda", name).smoke_options)))
    single = dataclasses.replace(toy_data, batch_size=1)
    if method.needs.sources > 1:
        other = subset(toy_data.source, [3, 0, 4])
        single = dataclasses.replace(single, further={"other": other})

    def train() -> dict[str, float]:
        device = torch.device("cpu")
        return dict(fit(method, network, single, SETTINGS, seed=11, device=device).losses)

    if method.needs.aux == "required" and not network.has_aux:
        with pytest.raises(ConfigError, match="auxiliary output"):
            train()
        return
    losses = train()
    assert losses
    after = network.state_dict()
    assert all(tensor.isfinite().all() for tensor in after.values())
    assert any(not torch.equal(tensor, before[key]) for key, tensor in after.items())
