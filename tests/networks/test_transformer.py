import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, gelu, linear

from autoadapt.networks.blocks.transformer import (
    DropPath,
    EfficientSelfAttention,
    MixBlock,
    MixFeedForward,
    OverlapPatchEmbed,
    drop_path_rates,
    initialise_transformer,
    to_map,
    to_tokens,
)


def test_tokens_run_along_the_rows_of_a_map() -> None:
    features = torch.arange(2 * 3 * 4 * 5.0).view(2, 3, 4, 5)
    tokens = to_tokens(features)

    assert tokens.shape == (2, 20, 3)
    assert torch.equal(tokens[1, 7], features[1, :, 1, 2])
    assert torch.equal(to_map(tokens, (4, 5)), features)


def torch_attention(ours: EfficientSelfAttention, channels: int) -> nn.MultiheadAttention:
    """PyTorch's own attention with the same weights."""
    theirs = nn.MultiheadAttention(channels, ours.heads, batch_first=True)
    state = {
        "in_proj_weight": torch.cat([ours.q.weight, ours.kv.weight]),
        "in_proj_bias": torch.cat([ours.q.bias, ours.kv.bias]),
        "out_proj.weight": ours.proj.weight,
        "out_proj.bias": ours.proj.bias,
    }
    theirs.load_state_dict(state)
    return theirs


def test_without_reduction_it_is_the_attention_of_pytorch() -> None:
    attention = EfficientSelfAttention(12, 3, 1)
    tokens = torch.randn(2, 15, 12)
    expected, _ = torch_attention(attention, 12)(tokens, tokens, tokens)

    torch.testing.assert_close(attention(tokens, (3, 5)), expected)


def test_keys_and_values_come_from_the_reduced_map() -> None:
    attention = EfficientSelfAttention(12, 3, 2)
    tokens = torch.randn(2, 24, 12)
    assert attention.sr is not None
    squares = conv2d(
        tokens.transpose(1, 2).reshape(2, 12, 4, 6), attention.sr.weight, attention.sr.bias, 2
    )
    reduced = attention.norm(squares.reshape(2, 12, 6).transpose(1, 2))
    expected, _ = torch_attention(attention, 12)(tokens, reduced, reduced)

    torch.testing.assert_close(attention(tokens, (4, 6)), expected)


def test_a_rest_at_the_border_has_no_key_but_asks() -> None:
    attention = EfficientSelfAttention(6, 2, 2).eval()
    tokens = torch.randn(1, 3 * 5, 6)
    changed = to_map(tokens.clone(), (3, 5)).clone()
    changed[:, :, 2] += 1.0  # the last row is narrower than a square
    found = to_map(attention(to_tokens(changed), (3, 5)), (3, 5))
    before = to_map(attention(tokens, (3, 5)), (3, 5))

    torch.testing.assert_close(found[:, :, :2], before[:, :, :2])
    assert not torch.allclose(found[:, :, 2], before[:, :, 2])


def test_feed_forward_by_hand() -> None:
    mixer = MixFeedForward(4, 3)
    tokens = torch.randn(2, 15, 4)
    hidden = linear(tokens, mixer.fc1.weight, mixer.fc1.bias)
    depthwise = mixer.dwconv.dwconv
    as_map = hidden.transpose(1, 2).reshape(2, 12, 3, 5)
    mixed = conv2d(as_map, depthwise.weight, depthwise.bias, padding=1, groups=12)
    expected = linear(gelu(mixed.flatten(2).transpose(1, 2)), mixer.fc2.weight, mixer.fc2.bias)

    torch.testing.assert_close(mixer(tokens, (3, 5)), expected)


def test_silenced_branches_leave_the_tokens() -> None:
    block = MixBlock(8, heads=2, reduction=2, ratio=2, drop_path=0.5).eval()
    for last in (block.attn.proj, block.mlp.fc2):
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    tokens = torch.randn(2, 15, 8)

    torch.testing.assert_close(block(tokens, (3, 5)), tokens, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("kernel", "stride", "grid"), [(7, 4, (9, 13)), (3, 2, (17, 25)), (3, 1, (33, 50))]
)
def test_patches_overlap_and_round_up(kernel: int, stride: int, grid: tuple[int, int]) -> None:
    tokens, found = OverlapPatchEmbed(3, 6, kernel=kernel, stride=stride)(torch.randn(2, 3, 33, 50))

    assert found == grid
    assert tokens.shape == (2, grid[0] * grid[1], 6)
    torch.testing.assert_close(tokens.mean(dim=2), torch.zeros(tokens.shape[:2]), atol=1e-5, rtol=0)


def draw(rate: float, seed: int = 0) -> Tensor:
    torch.default_generator.manual_seed(seed)
    dropped: Tensor = DropPath(rate).train()(torch.ones(4000, 2, 3))
    return dropped


def test_dropped_branches_keep_their_mean() -> None:
    dropped = draw(0.25)
    of_images = dropped[:, 0, 0]

    assert torch.equal(dropped, of_images.view(-1, 1, 1).expand(-1, 2, 3))  # whole images
    assert sorted(set(of_images.tolist())) == pytest.approx([0.0, 4 / 3])
    # The deviation of the mean of 4000 draws is sqrt(0.25 / 0.75 / 4000) = 0.009.
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.04)


def test_dropping_follows_the_generator_that_checkpoints_keep() -> None:
    assert torch.equal(draw(0.25, seed=1), draw(0.25, seed=1))
    assert not torch.equal(draw(0.25, seed=1), draw(0.25, seed=2))


@pytest.mark.parametrize("layer", [DropPath(0.0).train(), DropPath(0.9).eval()])
def test_nothing_is_drawn_in_evaluation_or_at_rate_zero(layer: DropPath) -> None:
    before = torch.get_rng_state()
    branch = torch.ones(5, 2)

    assert layer(branch) is branch
    assert torch.equal(torch.get_rng_state(), before)


def test_rates_grow_evenly_with_depth() -> None:
    assert drop_path_rates(0.3, 4) == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert drop_path_rates(0.3, 1) == [0.0]
    with torch.device("meta"):
        assert drop_path_rates(0.2, 3) == pytest.approx([0.0, 0.1, 0.2])


def test_initial_weights_have_the_published_deviations() -> None:
    layers = nn.ModuleList(
        [nn.Linear(64, 96), nn.Conv2d(16, 32, 3), nn.Conv2d(320, 320, 3, groups=320)]
    )
    initialise_transformer(layers)
    # Fan-out 9 * 32 of the full convolution, 9 of the one of each channel.
    for layer, deviation in zip(layers, (0.02, (2 / 288) ** 0.5, (2 / 9) ** 0.5), strict=True):
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        assert layer.weight.std().item() == pytest.approx(deviation, rel=0.06)
        assert layer.bias is not None
        assert layer.bias.count_nonzero() == 0
