import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from autoadapt.networks.blocks.heads import (
    AsppConcat,
    AsppSum,
    ChannelAttention,
    ContextHead,
    DualAttention,
    LowLevelFusion,
    PositionAttention,
    PyramidPooling,
)
from autoadapt.networks.contract import upsample

contexts: dict[str, Callable[[], nn.Module]] = {
    "aspp": lambda: AsppConcat(6, 10, (1, 2)),
    "pyramid": lambda: PyramidPooling(6, 10),
    "attention": lambda: DualAttention(6, 10),
}


@pytest.mark.parametrize("name", contexts)
def test_contexts_keep_the_size_and_train_on_one_image(name: str) -> None:
    context = contexts[name]().train()

    assert context(torch.randn(1, 6, 5, 7)).shape == (1, 10, 5, 7)


def test_aspp_sum_adds_its_branches() -> None:
    head = AsppSum(1, 1, (1, 2))
    for branch in head.conv2d_list:
        assert isinstance(branch, nn.Conv2d)
        nn.init.ones_(branch.weight)
        nn.init.constant_(branch.bias, 0.5)  # type: ignore[arg-type]
    image = torch.zeros(1, 1, 1, 7)
    image[..., 3] = 1.0
    # One row: rate 1 reaches pixels 2, 3, 4 and rate 2 pixels 1, 3, 5; each adds its bias.
    expected = torch.tensor([1.0, 2.0, 2.0, 3.0, 2.0, 2.0, 1.0])

    torch.testing.assert_close(head(image)[0, 0, 0], expected)


def test_image_pooling_sees_the_whole_image() -> None:
    context = AsppConcat(2, 8, (1,)).eval()
    image = torch.zeros(1, 2, 21, 23)
    far = image.clone()
    far[..., -1, -1] = 5.0

    assert not torch.allclose(context(image)[..., 0, 0], context(far)[..., 0, 0])


def test_new_attentions_pass_their_input_on() -> None:
    features = torch.randn(2, 16, 3, 5)

    for attention in (PositionAttention(16), ChannelAttention()):
        torch.testing.assert_close(attention(features), features, rtol=0, atol=0)


def test_position_attention_averages_alike_pixels() -> None:
    attention = PositionAttention(8)
    for part in (attention.query, attention.key):
        nn.init.zeros_(part.weight)
        nn.init.zeros_(part.bias)  # type: ignore[arg-type]
    nn.init.ones_(attention.gain)
    with torch.no_grad():
        attention.value.weight.copy_(torch.eye(8).view(8, 8, 1, 1))
        nn.init.zeros_(attention.value.bias)  # type: ignore[arg-type]
    features = torch.randn(2, 8, 3, 5)
    # All similarities are equal: every pixel adds the mean of its image.
    expected = features + features.mean(dim=(2, 3), keepdim=True)

    torch.testing.assert_close(attention(features), expected, atol=1e-5, rtol=1e-5)


def test_channel_attention_prefers_unlike_channels() -> None:
    attention = ChannelAttention()
    nn.init.ones_(attention.gain)
    # Two orthogonal channels (3, 0) and (0, 3): similarity 9 with itself and 0 with the other;
    # the published softmax(max - similarity) weighs itself by 1 / (1 + e^9) = 0.00012.
    features = torch.tensor([[3.0, 0.0], [0.0, 3.0]]).view(1, 2, 1, 2)
    expected = torch.tensor([[3.0, 3.0], [3.0, 3.0]]).view(1, 2, 1, 2)

    torch.testing.assert_close(attention(features), expected, atol=1e-3, rtol=0)


def test_fusion_has_the_size_of_the_low_features_and_looks_at_them() -> None:
    fusion = LowLevelFusion(4, 16).eval()
    deep, low = torch.randn(1, 16, 3, 5), torch.randn(1, 4, 9, 14)
    fused = fusion(deep, low)

    assert fused.shape == (1, 16, 9, 14)
    assert not torch.allclose(fused, fusion(deep, low + 1))


@pytest.mark.parametrize(("skip", "size"), [(None, (3, 5)), (4, (9, 14))])
def test_logits_have_the_size_of_what_is_fused(skip: int | None, size: tuple[int, int]) -> None:
    head = ContextHead(PyramidPooling(6, 16), 16, 11, low_channels=skip)

    logits = head(torch.randn(2, 6, 3, 5), torch.randn(2, 4, 9, 14))
    assert logits.shape == (2, 11, *size)


def test_branches_without_use_neither_count_nor_learn() -> None:
    head = AsppSum(1, 1, (1, 2, 3), used=2)
    image = torch.randn(1, 1, 5, 9)
    wanted = head.conv2d_list[0](image) + head.conv2d_list[1](image)

    torch.testing.assert_close(head(image), wanted, rtol=0, atol=0)
    learning = {name[12] for name, p in head.named_parameters() if p.requires_grad}
    assert learning == {"0", "1"}


@pytest.mark.skipif("AUTOADAPT_VECTORS" not in os.environ, reason="AUTOADAPT_VECTORS is not set")
def test_upsampling_equals_the_published_one() -> None:
    case = np.load(Path(os.environ["AUTOADAPT_VECTORS"]) / "bilinear_upsampling.npz")
    height, width = case["in_size"].tolist()

    found = upsample(torch.from_numpy(case["in_logits"]), (height, width)).numpy()
    np.testing.assert_allclose(found, case["out_up"], rtol=1e-5, atol=1e-5)
