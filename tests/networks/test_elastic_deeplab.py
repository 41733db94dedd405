import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from autoadapt.networks.build import build, describe
from autoadapt.networks.checkpoints import load_weights
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.space.architecture import Architecture
from autoadapt.space.reading import load

Maker = Callable[..., Architecture]


def samples(space: str, count: int) -> list[Architecture]:
    drawn = load(space)
    return [drawn.sample(random.Random(seed)) for seed in range(count)]


def narrowed(architecture: Architecture) -> Architecture:
    """The same architecture with widths and depths small enough for a test."""
    small = {
        key: min(int(value), 2) if key.endswith(".depth") else 8
        for key, value in architecture.values.items()
        if key.endswith((".depth", ".width")) and isinstance(value, int)
    }
    return Architecture.of(architecture.family, architecture.values | small)


ANY = samples("deeplab_tiny", 6) + [narrowed(a) for a in samples("deeplab_resnet101", 6)]


def check_shapes(network: SegmentationNetwork, images: Tensor) -> None:
    """Taps, logits and the auxiliary head are what the network declares."""
    output = network(images)
    for role, tap in network.taps.items():
        found = getattr(output.features, role)
        assert found.shape[:2] == (images.shape[0], tap.channels)
        for side, whole in zip(found.shape[2:], images.shape[2:], strict=True):
            assert -(-whole // tap.stride) <= side <= -(-whole // tap.stride) + 1
    sizes = {output.features.deep.shape[2:], output.features.low.shape[2:]}
    assert output.logits.shape[:2] == (images.shape[0], network.num_classes)
    assert output.logits.shape[2:] in sizes
    assert (output.aux_logits is not None) == network.has_aux
    if output.aux_logits is not None:
        expected = (images.shape[0], network.num_classes, *output.features.mid.shape[2:])
        assert output.aux_logits.shape == expected


@pytest.mark.parametrize("architecture", ANY, ids=lambda a: a.id)
def test_any_network_keeps_the_contract(architecture: Architecture) -> None:
    network = build(architecture, 5, seed=3)
    batch, single = torch.randn(2, 3, 64, 48), torch.randn(1, 3, 97, 129)

    check_shapes(network.train(), batch)
    check_shapes(network.train(), single)
    network.eval()
    with torch.no_grad():
        whole, again = network(batch), network.decode(network.encode(batch))
    torch.testing.assert_close(whole.logits, again.logits, rtol=0, atol=0)
    assert describe(architecture).endswith(".")


@pytest.mark.parametrize("architecture", ANY, ids=lambda a: a.id)
def test_any_network_learns_everywhere(architecture: Architecture) -> None:
    network = build(architecture, 5, seed=3).train()
    output = network(torch.randn(1, 3, 65, 49))
    loss = output.logits.square().mean()
    if output.aux_logits is not None:
        loss = loss + output.aux_logits.square().mean()
    loss.backward()

    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    groups = network.parameter_groups(0.1, 10.0)
    listed = [id(p) for group in groups for p in group["params"]]
    assert sorted(listed) == sorted(map(id, network.parameters()))
    heads = {id(p) for p in groups[1]["params"]}
    named = {n for n, p in network.named_parameters() if id(p) in heads}
    assert named == {n for n, _ in network.named_parameters() if n[:6] in ("layer5", "layer6")}


def test_weights_survive_a_state_dictionary(tiny: Maker) -> None:
    architecture = tiny({"norm": "ibn_a", "stage3.se": True})
    network, copy = build(architecture, 5, seed=1).eval(), build(architecture, 5, seed=2).eval()
    load_weights(copy, network.state_dict())
    images = torch.randn(2, 3, 40, 56)

    torch.testing.assert_close(network(images).logits, copy(images).logits, rtol=0, atol=0)


def test_reweighted_deep_features_reach_the_main_head_only(tiny: Maker) -> None:
    network = build(tiny(), 5).eval()
    features = network.encode(torch.randn(1, 3, 40, 56))
    before = network.decode(features)
    after = network.decode(features._replace(deep=2 * features.deep))

    assert not torch.allclose(before.logits, after.logits)
    assert before.aux_logits is not None
    torch.testing.assert_close(before.aux_logits, after.aux_logits)


@pytest.mark.parametrize(
    ("output_stride", "dilations", "side"), [(8, (1, 1, 2, 4), 12), (16, (1, 1, 1, 2), 6)]
)
def test_dilation_replaces_stride(
    tiny: Maker, output_stride: int, dilations: tuple[int, ...], side: int
) -> None:
    network = build(tiny({"output_stride": output_stride}), 5)
    modules = dict(network.named_modules())

    found = [modules[f"layer{i}.0.conv2"].dilation for i in range(1, 5)]
    assert found == [(d, d) for d in dilations]
    assert network.encode(torch.randn(2, 3, 96, 96)).deep.shape == (2, 14, side, side)


def test_a_dilation_pattern_repeats_over_the_blocks(tiny: Maker) -> None:
    network = build(tiny({"stage3.depth": 4, "stage3.dilation": [1, 2, 4]}), 5)
    modules = dict(network.named_modules())

    # Base 2 at output stride 8, times 1, 2, 4, 1.
    found = [modules[f"layer3.{block}.conv1"].dilation[0] for block in range(4)]
    assert found == [2, 4, 8, 2]


def test_ibn_is_in_the_first_three_stages(tiny: Maker) -> None:
    network = build(tiny({"norm": "ibn_a"}), 5)

    mixed = {name for name, _ in network.named_modules() if name.endswith(".IN")}
    assert mixed == {f"layer{stage}.0.bn1.IN" for stage in (1, 2, 3)}


@pytest.mark.parametrize(
    ("rates", "aux_branches"), [([1, 2, 3], 3), (None, 1)], ids=["rated", "unrated"]
)
def test_the_auxiliary_head_has_the_rates_of_the_main_one(
    tiny: Maker, rates: list[int] | None, aux_branches: int
) -> None:
    unrated = {"head.kind": "pyramid", "head.width": 8, "head.skip": False}
    network = build(tiny({"head.rates": rates} | (unrated if rates is None else {})), 5)

    names = {n for n, _ in network.named_parameters() if n.startswith("layer5.")}
    assert len(names) == 2 * aux_branches  # a weight and a bias each
