from typing import Any

import pytest
import torch
from torch import nn

from autoadapt.errors import SpaceError
from autoadapt.networks.blocks.pyramid_heads import MlpHead
from autoadapt.networks.blocks.transformer import DropPath
from autoadapt.networks.build import build, describe, skeleton
from autoadapt.networks.contract import Output
from autoadapt.networks.families.segformer import Segformer
from autoadapt.space.architecture import Architecture
from autoadapt.space.named import named


def small(**changes: Any) -> Architecture:
    """The smoke network with other values; ``head_kind`` means ``head.kind``, None removes."""
    changed = {key.replace("_", ".", 1): value for key, value in changes.items()}
    values = {**Segformer.smoke_values, **changed}
    return Architecture.of("segformer", {k: v for k, v in values.items() if v is not None})


def mit_shapes(
    widths: tuple[int, ...], depths: tuple[int, ...], reductions: tuple[int, ...]
) -> dict[str, tuple[int, ...]]:
    """Names and shapes in the published Mix Transformer checkpoints, without their classifier."""
    shapes: dict[str, tuple[int, ...]] = {}

    def layer(name: str, *weight: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = weight, weight[:1]

    inputs = 3
    for stage, (width, depth, reduction) in enumerate(
        zip(widths, depths, reductions, strict=True), 1
    ):
        side = 7 if stage == 1 else 3
        layer(f"patch_embed{stage}.proj", width, inputs, side, side)
        layer(f"patch_embed{stage}.norm", width)
        for block in range(depth):
            name = f"block{stage}.{block}"
            layer(f"{name}.norm1", width)
            layer(f"{name}.attn.q", width, width)
            layer(f"{name}.attn.kv", 2 * width, width)
            layer(f"{name}.attn.proj", width, width)
            if reduction > 1:
                layer(f"{name}.attn.sr", width, width, reduction, reduction)
                layer(f"{name}.attn.norm", width)
            layer(f"{name}.norm2", width)
            layer(f"{name}.mlp.fc1", 4 * width, width)
            layer(f"{name}.mlp.dwconv.dwconv", 4 * width, 1, 3, 3)
            layer(f"{name}.mlp.fc2", width, 4 * width)
        layer(f"norm{stage}", width)
        inputs = width
    return shapes


LARGE = (64, 128, 320, 512)
MIT = {
    "b0": ((32, 64, 160, 256), (2, 2, 2, 2)),
    "b1": (LARGE, (2, 2, 2, 2)),
    "b2": (LARGE, (3, 4, 6, 3)),
    "b3": (LARGE, (3, 4, 18, 3)),
    "b4": (LARGE, (3, 8, 27, 3)),
    "b5": (LARGE, (3, 6, 40, 3)),
}


@pytest.mark.parametrize("name", list(MIT))
def test_encoders_have_the_published_names_and_shapes(name: str) -> None:
    network = skeleton(named(f"segformer_{name}"), 19)
    expected = mit_shapes(*MIT[name], (8, 4, 2, 1))

    backbone = network.get_submodule("backbone")
    assert {k: tuple(v.shape) for k, v in backbone.state_dict().items()} == expected
    heads = {key.partition(".")[0] for key in network.state_dict()}
    assert heads == {"backbone", "decode_head"}


def test_normalisations_have_the_published_epsilons() -> None:
    network = skeleton(named("segformer_b0"), 19)
    norms = {n: m.eps for n, m in network.named_modules() if isinstance(m, nn.LayerNorm)}
    fine = {name for name, eps in norms.items() if eps == 1e-6}

    last = [name.split(".")[-1] for name in fine]
    assert sorted(set(last)) == ["norm1", "norm2", "norm3", "norm4"]
    assert len(fine) == 2 * 8 + 4  # two in each of eight blocks, one after each stage
    assert {norms[name] for name in norms.keys() - fine} == {1e-5}


def test_dropping_grows_over_all_stages() -> None:
    network = skeleton(named("segformer_b0"), 19)
    rates = [m.rate for m in network.modules() if isinstance(m, DropPath)]

    assert rates == pytest.approx([0.1 * number / 7 for number in range(8)])


def test_features_are_normalised_maps_of_four_strides() -> None:
    network = build(small(), 5, seed=2).eval()
    features = network.encode(torch.randn(2, 3, 65, 98))
    maps = (features.low, *features.skips, features.mid, features.deep)

    assert [tuple(m.shape) for m in maps] == [
        (2, 4, 17, 25),
        (2, 8, 9, 13),
        (2, 10, 5, 7),
        (2, 16, 3, 4),
    ]
    for found in maps:
        torch.testing.assert_close(
            found.mean(dim=1), torch.zeros_like(found[:, 0]), atol=1e-5, rtol=0
        )


def test_the_gradient_is_nowhere_zero() -> None:
    network = build(small(encoder_drop_path=0.0), 5, seed=2).train()
    network(torch.randn(1, 3, 97, 130)).logits.square().mean().backward()

    unmoved = {
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    }
    assert unmoved == set()


def test_evaluation_is_repeatable_and_training_follows_the_global_generator() -> None:
    network = build(small(encoder_drop_path=0.5), 5, seed=2)
    images = torch.randn(2, 3, 64, 96)

    def run() -> torch.Tensor:
        torch.default_generator.manual_seed(7)
        output: Output = network(images)
        return output.logits.detach()

    first = run()
    assert not torch.equal(network(images).logits, first)
    torch.testing.assert_close(run(), first, rtol=0, atol=0)
    network.eval()
    torch.testing.assert_close(network(images).logits, network(images).logits, rtol=0, atol=0)


def test_the_head_of_linear_layers_can_be_chosen() -> None:
    architecture = small(head_kind="mlp", head_rates=None)
    network = build(architecture, 5, seed=2)

    assert isinstance(network.get_submodule("decode_head"), MlpHead)
    assert network(torch.randn(1, 3, 64, 96)).logits.shape == (1, 5, 16, 24)
    assert "pixel by pixel (SegFormer)" in describe(architecture)


def test_the_description_says_what_was_chosen() -> None:
    words = describe(named("daformer_b5"))

    for part in ("3-6-40-3 blocks", "64, 128, 320 and 512 channels", "8, 4, 2 and 1", "6, 12"):
        assert part in words


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"encoder_heads": [1, 3, 5, 8]}, r"has 8 next to 3 in 'encoder.heads', .*multiple of 3"),
        ({"encoder_depths": [1, 1, 1]}, r"'encoder.depths' is \[1, 1, 1\], expected 4 whole"),
        ({"encoder_drop_path": 1.0}, "'encoder.drop_path' is 1.0, expected a number from 0 up to"),
        ({"encoder_drop_path": True}, "'encoder.drop_path' is True"),
        ({"head_dropout": "none"}, "'head.dropout' is 'none'"),
        ({"head_kind": "fpn"}, "'head.kind' is 'fpn', expected one of mlp, daformer"),
        ({"head_kind": "mlp"}, "'head.rates' has no effect next to the other values"),
        ({"head_rates": None}, "lacks 'head.rates'"),
        ({"encoder_rati": 4}, r"no choice 'encoder.rati', did you mean 'encoder.ratio'\?"),
    ],
)
def test_a_wrong_value_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        build(small(**changes), 5)
