import pytest
import torch
from torch import Tensor, nn

from autoadapt.networks.blocks.pyramid_heads import DaformerHead, LinearEmbedding, MlpHead, resized


def levels(batch: int = 2) -> list[Tensor]:
    sizes = ((3, 12, 18), (5, 6, 9), (7, 3, 5), (8, 2, 3))
    return [torch.randn(batch, *size) for size in sizes]


def names(*layers: str, norms: tuple[str, ...] = ()) -> set[str]:
    """Parameters of layers with a bias, and of convolutions and the norms behind them."""
    plain = {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}
    normed = {f"{layer}.bn.{part}" for layer in norms for part in ("weight", "bias")}
    return plain | normed | {f"{layer}.conv.weight" for layer in norms}


def test_the_mlp_head_is_named_as_published() -> None:
    head = MlpHead((3, 5, 7, 8), 6, 4, dropout=0.1)

    assert {name for name, _ in head.named_parameters()} == names(
        *(f"linear_c{level}.proj" for level in (1, 2, 3, 4)), "linear_pred", norms=("linear_fuse",)
    )


def test_the_daformer_head_is_named_as_published() -> None:
    head = DaformerHead((3, 5, 7, 8), 6, 4, rates=(6, 12, 18), dropout=0.1)
    separable = [
        f"fuse_layer.aspp_modules.{branch}.{part}"
        for branch in (1, 2, 3)
        for part in ("depthwise_conv", "pointwise_conv")
    ]

    assert {name for name, _ in head.named_parameters()} == names(
        *(f"embed_layers.{level}.proj" for level in range(4)),
        "conv_seg",
        norms=("fuse_layer.aspp_modules.0", "fuse_layer.bottleneck", *separable),
    )
    dilations = [head.get_submodule(f"{name}.conv").dilation for name in separable[::2]]
    assert dilations == [(6, 6), (12, 12), (18, 18)]


@pytest.mark.parametrize(
    "head",
    [
        MlpHead((3, 5, 7, 8), 6, 4, dropout=0.1),
        DaformerHead((3, 5, 7, 8), 6, 4, rates=(1, 2), dropout=0.1),
    ],
    ids=["mlp", "daformer"],
)
def test_logits_have_the_size_of_the_first_level_and_look_at_all(head: nn.Module) -> None:
    head.eval()
    given = levels()
    logits = head(given)

    assert logits.shape == (2, 4, 12, 18)
    for index, level in enumerate(given):
        changed = [*given[:index], level + 1, *given[index + 1 :]]
        assert not torch.allclose(head(changed), logits)


def test_an_embedding_is_a_linear_layer_on_each_pixel() -> None:
    embedding = LinearEmbedding(5, 3)
    features = torch.randn(2, 5, 4, 7)

    torch.testing.assert_close(
        embedding(features)[1, :, 2, 6], embedding.proj(features[1, :, 2, 6])
    )


def test_levels_are_enlarged_without_aligned_corners() -> None:
    # Two pixels to four: source coordinates -0.25 (clamped), 0.25, 0.75, 1.25 (clamped).
    first, second = torch.zeros(1, 1, 1, 4), torch.tensor([0.0, 10.0]).view(1, 1, 1, 2)

    found = resized([first, second])
    assert torch.equal(found[0], first)
    torch.testing.assert_close(found[1].flatten(), torch.tensor([0.0, 2.5, 7.5, 10.0]))


def constant(layer: nn.Conv2d | nn.Linear, *weights: float) -> None:
    """Give every output the same weights, one for each input."""
    with torch.no_grad():
        wanted = torch.tensor(weights).view(1, -1, *[1] * (layer.weight.ndim - 2))
        layer.weight.copy_(wanted.expand_as(layer.weight))
        if layer.bias is not None:
            layer.bias.zero_()


def test_the_mlp_head_fuses_from_the_deepest_level_to_the_first() -> None:
    head = MlpHead((1, 1), 1, 1, dropout=0.0).eval()
    for name in ("linear_c1", "linear_c2"):
        constant(head.get_submodule(name).proj, 1.0)  # type: ignore[arg-type]
    constant(head.linear_fuse.conv, 10.0, 1.0)
    constant(head.linear_pred, 1.0)
    head.linear_fuse.bn.eps = 0.0
    logits = head([torch.full((1, 1, 2, 4), 3.0), torch.full((1, 1, 1, 2), 5.0)])

    torch.testing.assert_close(logits, torch.full((1, 1, 2, 4), 10.0 * 5 + 3))


def test_the_daformer_head_fuses_from_the_first_level_to_the_deepest() -> None:
    head = DaformerHead((1, 1), 1, 1, rates=(), dropout=0.0).eval()
    for embed in head.embed_layers:
        constant(embed.proj, 1.0)  # type: ignore[arg-type]
    aspp = head.fuse_layer
    constant(aspp.aspp_modules[0].conv, 10.0, 1.0)  # type: ignore[arg-type]
    with torch.no_grad():  # the centre of the 3x3 alone
        aspp.bottleneck.conv.weight.zero_()
        aspp.bottleneck.conv.weight[..., 1, 1] = 1.0
    constant(head.conv_seg, 1.0)
    for layer in (aspp.aspp_modules[0], aspp.bottleneck):
        layer.bn.eps = 0.0  # type: ignore[union-attr]
    logits = head([torch.full((1, 1, 2, 4), 3.0), torch.full((1, 1, 1, 2), 5.0)])

    torch.testing.assert_close(logits, torch.full((1, 1, 2, 4), 10.0 * 3 + 5))


def test_dropout_takes_whole_channels_in_training_only() -> None:
    head = MlpHead((3, 5, 7, 8), 6, 4, dropout=0.9)
    head.linear_fuse.eval()  # so that dropout alone tells the modes apart
    given = levels(batch=1)
    first, second = head(given), head(given)
    head.eval()

    assert not torch.allclose(first, second)
    torch.testing.assert_close(head(given), head(given), rtol=0, atol=0)
