from collections.abc import Callable

import pytest
import torch

from autoadapt.errors import CheckpointError
from autoadapt.networks.build import build
from autoadapt.networks.checkpoints import load_weights
from autoadapt.space.architecture import Architecture

Maker = Callable[..., Architecture]


def test_loaded_weights_give_the_same_logits(tiny: Maker) -> None:
    source, target = build(tiny(), 5, seed=1).eval(), build(tiny(), 5, seed=2).eval()
    images = torch.rand(1, 3, 33, 47)
    load_weights(target, source.state_dict())

    torch.testing.assert_close(source(images).logits, target(images).logits, rtol=0, atol=0)


def test_old_files_without_counters_load(tiny: Maker) -> None:
    network = build(tiny(), 5)
    state = {k: v for k, v in network.state_dict().items() if not k.endswith("batches_tracked")}

    load_weights(network, state)


def test_every_mismatch_is_listed_and_nothing_is_loaded(tiny: Maker) -> None:
    network = build(tiny(), 5, seed=2)
    before = network.state_dict()["bn1.weight"].clone()
    state = dict(build(tiny(), 5, seed=1).state_dict())
    state["bn1.weight"] = before + 1
    state["stray"] = torch.zeros(1)
    state["conv1.weight"] = torch.zeros(6, 3, 7, 7)
    del state["layer4.0.conv2.weight"]

    with pytest.raises(CheckpointError) as caught:
        load_weights(network, state)
    message = str(caught.value)
    assert "1 missing: layer4.0.conv2.weight" in message
    assert "1 unexpected: stray" in message
    assert "conv1.weight (6, 3, 7, 7) instead of (6, 3, 3, 3)" in message
    assert torch.equal(network.state_dict()["bn1.weight"], before)


def test_long_lists_are_cut(tiny: Maker) -> None:
    state = {f"stray{i}": torch.zeros(1) for i in range(12)} | dict(build(tiny(), 5).state_dict())

    with pytest.raises(CheckpointError, match=r"12 unexpected: stray0, .*stray7, … \(4 more\)"):
        load_weights(build(tiny(), 5), state)
