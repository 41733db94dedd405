import logging
import random
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from autoadapt import cost
from autoadapt.errors import SpaceError
from autoadapt.networks.blocks.cells import Atrous, FactorizedReduce, SeparableTwice
from autoadapt.networks.blocks.heads import AsppSum, DualAttention
from autoadapt.networks.blocks.layers import InstanceBatchNorm, SqueezeExcite
from autoadapt.networks.blocks.residual import BasicBlock, BlockPlan, Bottleneck
from autoadapt.networks.blocks.transformer import MixBlock, to_map, to_tokens
from autoadapt.networks.build import build
from autoadapt.space.reading import load

TINY = load("deeplab_tiny").reference


def counted(module: nn.Module, *shape: int) -> dict[str, int]:
    return cost.operations(module.to("meta").eval(), torch.empty(*shape, device="meta"))


class Head(nn.Module):
    """A classifier of images: pooled, flattened, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 7)

    def forward(self, images: Tensor) -> Tensor:
        classes: Tensor = self.linear(images.mean(dim=(2, 3)))
        return classes


class Unpooling(nn.Module):
    """Pools by two and puts the maxima back."""

    def forward(self, images: Tensor) -> Tensor:
        even = nn.functional.pad(images, (0, 1, 0, 1))
        pooled, places = nn.functional.max_pool2d(even, 2, return_indices=True)
        return nn.functional.max_unpool2d(pooled, places, [2, 2])


class Tokens(nn.Module):
    """A block of a transformer as a module of maps."""

    def __init__(self, reduction: int) -> None:
        super().__init__()
        self.block = MixBlock(6, heads=2, reduction=reduction, ratio=4, drop_path=0.1)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        return to_map(self.block(to_tokens(images), (height, width)), (height, width))


class Attention(nn.Module):
    """Three heads of 2 channels; 45 queries, 30 keys, values of 4 channels."""

    def forward(self, images: Tensor) -> Tensor:
        query = images.reshape(len(images), 3, 2, -1).transpose(2, 3)
        key = query[:, :, :30]
        value = torch.cat([key, key], dim=3)
        return nn.functional.scaled_dot_product_attention(query, key, value)


class Sorter(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.sort(dim=1).values


# 5 x 9 pixels, 6 channels in; stride 2 gives 3 x 5 = 15 pixels.
@pytest.mark.parametrize(
    ("module", "macs", "activations", "batch_norm"),
    [
        # 5*9 pixels * 3*3 * 6 * 7
        (nn.Conv2d(6, 7, 3, padding=1), 45 * 9 * 6 * 7, 45 * 7, 0),
        # depth-wise: each of 6 outputs sees one input
        (nn.Conv2d(6, 6, 3, padding=1, groups=6), 45 * 9 * 6, 45 * 6, 0),
        (Head(), 6 * 7, 7, 0),
        # both 3x3 at 15 pixels, and the projection
        (
            BasicBlock(6, BlockPlan(planes=4, stride=2, project=True)),
            15 * (9 * 6 * 4 + 9 * 4 * 4 + 6 * 4),
            3 * 15 * 4,
            3 * 15 * 4,
        ),
        # 5x5 kernels, no projection
        (BasicBlock(6, BlockPlan(planes=6, kernel=5)), 45 * 2 * 25 * 36, 2 * 45 * 6, 2 * 45 * 6),
        # 1x1 with the stride, 3x3, 1x1 to 16, projection to 16
        (
            Bottleneck(6, BlockPlan(planes=4, stride=2, project=True)),
            15 * (6 * 4 + 9 * 4 * 4 + 4 * 16 + 6 * 16),
            15 * (4 + 4 + 16 + 16),
            15 * (4 + 4 + 16 + 16),
        ),
        # with the stride in the 3x3 the first 1x1 runs at 45 pixels
        (
            Bottleneck(6, BlockPlan(planes=4, stride=2, project=True, stride_in="3x3")),
            45 * 6 * 4 + 15 * (9 * 4 * 4 + 4 * 16 + 6 * 16),
            45 * 4 + 15 * (4 + 16 + 16),
            45 * 4 + 15 * (4 + 16 + 16),
        ),
        # 6 -> 4 hidden -> 6 on one pixel
        (SqueezeExcite(6), 6 * 4 + 4 * 6, 4 + 6, 0),
        # 3 of 6 channels go through batch normalisation
        (InstanceBatchNorm(6), 0, 0, 45 * 3),
        (AsppSum(6, 5, (1, 2, 3)), 3 * 45 * 9 * 6 * 5, 3 * 45 * 5, 0),
        # 8 wide: entry and exit 3x3 of both branches; 1x1 query and key to 1, value to 8;
        # position similarity 45*45*1 and mean 45*45*8; channel similarity and mean 8*8*45 each.
        (
            DualAttention(6, 8),
            2 * 45 * 9 * (6 * 8 + 8 * 8) + 45 * 8 * (1 + 1 + 8) + 45 * 45 * 9 + 2 * 64 * 45,
            4 * 45 * 8 + 45 * (1 + 1 + 8) + 45 * 45 + 45 * 8 + 64 + 45 * 8,
            4 * 45 * 8,
        ),
        # each of 45 pixels spreads 4x4 taps of 6 x 7 over the 10 x 18 it makes
        (nn.ConvTranspose2d(6, 7, 4, stride=2, padding=1), 45 * 16 * 6 * 7, 180 * 7, 0),
        # in two groups, of 3 x 4 each
        (nn.ConvTranspose2d(6, 8, 2, stride=2, groups=2), 45 * 4 * 2 * 3 * 4, 180 * 8, 0),
        (Unpooling(), 0, 0, 0),
        # similarity of 45 with 30 in 2 channels, mean of 30 in 4 channels, three heads
        (Attention(), 3 * 45 * 30 * (2 + 4), 3 * 45 * 4, 0),
        # query, key and value, output: 6 x 6 each; attention of two heads of 3 in both products;
        # 6 to 24 to 6, and 3x3 of 24 channels alone
        (
            Tokens(1),
            45 * 4 * 36 + 45 * 45 * 6 * 2 + 45 * 2 * 6 * 24 + 45 * 9 * 24,
            45 * (6 + 12 + 6 + 6) + 45 * (24 + 24 + 6),
            0,
        ),
        # 5 x 9 pixels are 2 x 4 squares of 2x2: keys and values for 8 of them
        (
            Tokens(2),
            45 * 2 * 36 + 8 * (4 * 36 + 2 * 36) + 45 * 8 * 6 * 2 + 45 * (2 * 6 * 24 + 9 * 24),
            45 * (6 + 6 + 6) + 8 * (6 + 12) + 45 * (24 + 24 + 6),
            0,
        ),
        # twice: 9 taps of 6 channels alone, and 6 x 6 across; the first halves the size
        (SeparableTwice(6, 3, stride=2), 15 * 2 * (9 * 6 + 36), 4 * 15 * 6, 2 * 15 * 6),
        # two 1x1 convolutions from 6 to 3 channels
        (FactorizedReduce(6, 6), 15 * 2 * 6 * 3, 15 * 6, 15 * 6),
        (Atrous(6, 5, stride=2, eps=1e-3), 15 * 25 * 36, 15 * 6, 15 * 6),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_counts_equal_hand_written_products(
    module: nn.Module, macs: int, activations: int, batch_norm: int
) -> None:
    found = counted(module, 1, 6, 5, 9)

    assert found == {"macs": macs, "activations": activations, "batch_norm": batch_norm}


def test_an_operator_without_a_rule_is_an_error() -> None:
    with pytest.raises(SpaceError, match=r"no rule to count aten::sort in Sorter"):
        counted(Sorter(), 1, 6, 5, 9)


def test_an_unpooling_of_another_stride_is_an_error() -> None:
    class Odd(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            pooled, places = nn.functional.max_pool2d(images, 2, stride=1, return_indices=True)
            return nn.functional.max_unpool2d(pooled, places, [2, 2], [1, 1])

    with pytest.raises(SpaceError, match="only with the stride of its kernel"):
        counted(Odd(), 1, 6, 5, 9)


def test_counting_is_silent_and_leaves_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    before = torch.get_rng_state()
    with caplog.at_level(logging.DEBUG):
        cost.count(TINY, 7, (64, 96))

    assert not caplog.records
    assert torch.equal(before, torch.get_rng_state())


def test_a_changed_result_does_not_change_the_next() -> None:
    first = cost.count(TINY, 7, (64, 96))
    first["macs"] = 0.0

    assert cost.count(TINY, 7, (64, 96))["macs"] > 0


def test_parameters_are_those_of_the_built_network() -> None:
    for seed in range(3):
        architecture = load("deeplab_tiny").sample(random.Random(seed))
        params = sum(p.numel() for p in build(architecture, 7).parameters())
        assert cost.count(architecture, 7, (64, 96))["params"] == params


def test_the_references_keep_the_limits_of_their_spaces() -> None:
    for name, classes in (("deeplab_tiny", 11), ("deeplab_resnet101", 19)):
        space = load(name)
        found = cost.count(space.reference, classes, space.input_size)
        for quantity, (lowest, highest) in space.limits.items():
            assert lowest <= found[quantity] <= highest


def test_the_cache_answers_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "costs.jsonl"
    first = cost.CostCache(path).count(TINY, 7, (64, 96))
    other = cost.CostCache(path).count(TINY, 7, (96, 64))
    assert len(path.read_text().splitlines()) == 2
    assert first == cost.count(TINY, 7, (64, 96))

    def refuse(*_: object) -> dict[str, float]:
        raise AssertionError("counted again")

    monkeypatch.setattr(cost, "count", refuse)
    cached = cost.CostCache(path)
    assert cached.count(TINY, 7, (64, 96)) == first
    assert cached.count(TINY, 7, (96, 64)) == other


def test_latency_is_the_median_of_the_runs_after_warming_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = build(TINY, 5).train()
    # Two warm-up runs of 100 s, then 3, 1 and 8 s.
    durations = iter((100.0, 100.0, 3.0, 1.0, 8.0))
    monkeypatch.setattr(cost, "_timed", lambda *_: next(durations))

    assert cost.latency(network, (64, 96), repeats=3) == 3.0
    assert network.training
    with pytest.raises(ValueError, match="at least one repeat"):
        cost.latency(network, (64, 96), repeats=0)


def test_latency_grows_with_the_image() -> None:
    network = build(TINY, 5)
    start = time.perf_counter()
    small, large = (cost.latency(network, size, repeats=3) for size in ((32, 32), (160, 192)))

    assert 0 < small < large < time.perf_counter() - start
    assert all(parameter.grad is None for parameter in network.parameters())
