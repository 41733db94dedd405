"""Every method trains every family, with an auxiliary head and without, one image at a time."""

import dataclasses

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
from autoadapt.training.fit import fit

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
