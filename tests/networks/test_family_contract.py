"""What every network family must do; a new file in ``families`` is tested from its first day."""

import pytest
import torch
from torch import Tensor, nn

from autoadapt import cost
from autoadapt.networks.build import build, describe, skeleton
from autoadapt.networks.contract import Features, Output, SegmentationNetwork
from autoadapt.space.architecture import Architecture

CLASSES = 5


def test_smoke_networks_are_small(smoke_architecture: Architecture) -> None:
    assert sum(p.numel() for p in skeleton(smoke_architecture, CLASSES).parameters()) < 100_000


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (75, 50)])
def test_maps_are_what_the_network_declares(
    smoke_architecture: Architecture, size: tuple[int, int]
) -> None:
    network = build(smoke_architecture, CLASSES, seed=3).eval()
    with torch.no_grad():
        output = network(torch.randn(2, 3, *size))

    for role, tap in network.taps.items():
        found = getattr(output.features, role)
        assert found.shape[:2] == (2, tap.channels), role
        for side, whole in zip(found.shape[2:], size, strict=True):
            assert whole // tap.stride <= side <= -(-whole // tap.stride) + 1, role
    assert set(network.taps) == {"low", "mid", "deep"}
    assert output.logits.shape[:2] == (2, CLASSES)
    assert network.num_classes == CLASSES
    assert (output.aux_logits is not None) == network.has_aux
    if output.aux_logits is not None:
        assert output.aux_logits.shape[:2] == (2, CLASSES)


def test_the_auxiliary_head_is_there_if_asked_for(smoke_architecture: Architecture) -> None:
    network = skeleton(smoke_architecture, CLASSES)

    assert network.has_aux == smoke_architecture.values.get("aux", network.has_aux)


def test_forward_is_encode_and_decode(smoke_architecture: Architecture) -> None:
    network = build(smoke_architecture, CLASSES, seed=3).eval()
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        whole, parts = network(images), network.decode(network.encode(images))

    torch.testing.assert_close(whole.logits, parts.logits, rtol=0, atol=0)


def off_zero(network: SegmentationNetwork) -> None:
    """Add a little to all weights of the heads: some classifiers start at zero."""
    with torch.no_grad():
        for module in network.head_modules():
            for parameter in module.parameters():
                parameter.add_(0.01)


def test_reweighted_deep_features_reach_the_logits(smoke_architecture: Architecture) -> None:
    """What a method does between encoder and heads must not be lost, nor reach the encoder."""
    network = build(smoke_architecture, CLASSES, seed=3).eval()
    with torch.no_grad():
        off_zero(network)
        features = network.encode(torch.randn(1, 3, 64, 96))
        kept = features.deep.clone()
        before = network.decode(features).logits
        after = network.decode(features._replace(deep=3 * features.deep)).logits

    assert not torch.allclose(before, after)
    torch.testing.assert_close(features.deep, kept, rtol=0, atol=0)


def test_the_gradient_of_one_image_reaches_every_parameter_that_learns(
    smoke_architecture: Architecture,
) -> None:
    network = build(smoke_architecture, CLASSES, seed=3).train()
    off_zero(network)
    loss = loss_of(network(torch.randn(1, 3, 65, 97)))
    loss.backward()  # type: ignore[no-untyped-call]

    for name, parameter in network.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


def loss_of(output: Output) -> Tensor:
    loss = output.logits.square().mean()
    return loss if output.aux_logits is None else loss + output.aux_logits.square().mean()


def test_groups_hold_what_learns_once_and_heads_apart(smoke_architecture: Architecture) -> None:
    network = build(smoke_architecture, CLASSES)
    backbone, head = network.parameter_groups(0.1, 10.0, backbone_multiplier=3.0)

    assert (backbone["name"], head["name"]) == ("backbone", "head")
    assert (backbone["lr"], head["lr"]) == (pytest.approx(0.3), pytest.approx(1.0))
    listed = [id(p) for group in (backbone, head) for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in network.parameters() if p.requires_grad)


def test_heads_are_what_the_encoder_does_not_use(smoke_architecture: Architecture) -> None:
    network = build(smoke_architecture, CLASSES).train()
    encoded: Features = network.encode(torch.randn(2, 3, 64, 96))
    maps = (encoded.low, encoded.mid, encoded.deep)
    torch.autograd.backward([features.square().mean() for features in maps])
    heads = {id(p) for module in network.head_modules() for p in module.parameters()}

    for name, parameter in network.named_parameters():
        assert not (parameter.grad is not None and id(parameter) in heads), name


def test_weights_survive_a_state_dictionary(smoke_architecture: Architecture) -> None:
    network, copy = (build(smoke_architecture, CLASSES, seed=seed).eval() for seed in (1, 2))
    copy.load_state_dict(network.state_dict())
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        found, wanted = copy(images).logits, network(images).logits

    torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_it_can_be_counted_and_described(smoke_architecture: Architecture) -> None:
    found = cost.count(smoke_architecture, CLASSES, (64, 96))

    assert found["params"] == parameters_of(build(smoke_architecture, CLASSES))
    assert found["macs"] > found["activations"] > 0
    assert describe(smoke_architecture).endswith(".")


def parameters_of(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_channels_last_and_bfloat16_change_little(smoke_architecture: Architecture) -> None:
    network: SegmentationNetwork = build(smoke_architecture, CLASSES, seed=3).eval()
    off_zero(network)
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        plain = network(images).logits
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        last = network(images.to(memory_format=torch.channels_last)).logits
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = network(images).logits.float()

    torch.testing.assert_close(last, plain, rtol=1e-3, atol=1e-4)
    # Not of every pixel: where two maxima are nearly alike, unpooling may choose the other one.
    assert ((half - plain).abs() / plain.abs().max()).quantile(0.95) < 0.1


@pytest.mark.slow
def test_it_can_be_exported(smoke_architecture: Architecture) -> None:
    network = build(smoke_architecture, CLASSES, seed=3).eval()
    images = torch.randn(1, 3, 65, 98)
    exported = torch.export.export(network, (images,)).module()
    with torch.no_grad():
        found, wanted = exported(images).logits, network(images).logits

    torch.testing.assert_close(found, wanted)
