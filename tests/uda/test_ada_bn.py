"""AdaBN: which images the statistics come from, and that nothing else changes."""

from typing import Any

import pytest
import torch
from torch import Tensor

from autoadapt.config.load import make
from autoadapt.config.settings import PluginSettings, TrainingSettings
from autoadapt.data.training import TrainingData
from autoadapt.data.transforms import without_augmentation
from autoadapt.networks.batch_norm import layers, reestimate
from autoadapt.networks.build import build
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.space.architecture import Architecture
from autoadapt.training.fit import Fitted, fit

SETTINGS = TrainingSettings(steps=2, learning_rate=0.01)


def fitted(
    architecture: Architecture, data: TrainingData, name: str = "ada_bn", **options: Any
) -> Fitted:
    method = make("uda", PluginSettings(name=name, options=options))
    network = build(architecture, 4, seed=5)
    return fit(method, network, data, SETTINGS, seed=11, device=torch.device("cpu"))


def first_mean(network: SegmentationNetwork) -> Tensor:
    """Running mean of the first layer, which is linear in the images: it tells them apart."""
    return network.get_buffer("bn1.running_mean").clone()


def measured(network: SegmentationNetwork, data: TrainingData, *domains: str) -> Tensor:
    """What the first layer measures on all images of some domains in one batch."""
    sets = {"target": data.target, "source": data.source.unlabelled()}
    transform = without_augmentation(data.settings)
    images = [
        transform.images(sets[name].images(range(len(sets[name]))), "all", 0) for name in domains
    ]
    reestimate(network, [torch.cat(images)])
    return first_mean(network)


def test_weights_stay_and_statistics_are_those_of_the_target(
    tiny_architecture: Architecture, toy_data: TrainingData
) -> None:
    host = fitted(tiny_architecture, toy_data, "source_only")
    adapted = fitted(tiny_architecture, toy_data, measured=1)
    for (name, before), after in zip(
        host.network.named_parameters(), adapted.network.parameters(), strict=True
    ):
        assert torch.equal(before, after), name
    assert not torch.allclose(first_mean(host.network), first_mean(adapted.network), atol=1e-2)
    found = first_mean(adapted.network)
    torch.testing.assert_close(found, measured(adapted.network, toy_data, "target"))


def test_all_source_images_mixed_in(
    tiny_architecture: Architecture, toy_data: TrainingData
) -> None:
    """Five source and three target images: alpha 5/3 takes all of them."""
    for mixing in ("images", "statistics"):
        adapted = fitted(tiny_architecture, toy_data, alpha=5 / 3, mixing=mixing, measured=1)
        found = first_mean(adapted.network)
        wanted = measured(adapted.network, toy_data, "target", "source")
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_more_than_there_are_takes_all(
    tiny_architecture: Architecture, toy_data: TrainingData
) -> None:
    many, all_of_them = (
        first_mean(fitted(tiny_architecture, toy_data, alpha=alpha).network)
        for alpha in (100.0, 5 / 3)
    )
    assert torch.equal(many, all_of_them)


@pytest.mark.parametrize("passes", [1, 2])
def test_a_momentum_keeps_some_of_the_old_statistics(
    tiny_architecture: Architecture, toy_data: TrainingData, passes: int
) -> None:
    """With momentum m, three batches and p passes, (1 - m) ** (3 p) of the old ones is left."""
    host = first_mean(fitted(tiny_architecture, toy_data, "source_only").network)
    adapted = fitted(tiny_architecture, toy_data, momentum=0.9, passes=passes, measured=1).network
    found, target = first_mean(adapted), measured(adapted, toy_data, "target")
    assert (found - target).norm() < (host - target).norm()
    exact = fitted(tiny_architecture, toy_data, measured=1).network
    assert not torch.equal(found, first_mean(exact))


def test_it_adapts_what_predicts(tiny_architecture: Architecture, toy_data: TrainingData) -> None:
    """The teacher of a host, when that is what predicts."""
    teaching = {"predict_with": "teacher"}
    adapted = fitted(tiny_architecture, toy_data, host="dacs", host_options=teaching, measured=1)
    teacher = adapted.modules["teacher"]
    assert adapted.predictor is teacher
    assert isinstance(teacher, SegmentationNetwork)
    found = first_mean(teacher)
    torch.testing.assert_close(found, measured(teacher, toy_data, "target"))


def test_a_network_without_batch_norm_is_left_alone(
    tiny_architecture: Architecture, toy_data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoadapt.uda.ada_bn.layers", lambda network: [])
    host = fitted(tiny_architecture, toy_data, "source_only")
    adapted = fitted(tiny_architecture, toy_data)
    assert len(layers(host.network)) > 3
    assert torch.equal(first_mean(host.network), first_mean(adapted.network))
