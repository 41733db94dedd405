"""DARTS and Auto-DeepLab as encoders."""

from typing import Any

import pytest
import torch

from autoadapt.errors import SpaceError
from autoadapt.networks.build import build, describe, skeleton
from autoadapt.networks.families.auto_deeplab import AutoDeeplab
from autoadapt.networks.families.darts import GENOTYPES, Darts
from autoadapt.space.architecture import Architecture
from autoadapt.space.named import named


def darts(**changes: Any) -> Architecture:
    return Architecture.of("darts", {**Darts.smoke_values, **changes})


def auto_deeplab(**changes: Any) -> Architecture:
    return Architecture.of("auto_deeplab", {**AutoDeeplab.smoke_values, **changes})


@pytest.mark.parametrize("genotype", list(GENOTYPES))
def test_every_published_genotype_trains(genotype: str) -> None:
    network = build(darts(genotype=genotype), 5, seed=2).train()
    output = network(torch.randn(1, 3, 65, 98))
    assert output.aux_logits is not None
    (output.logits.square().mean() + output.aux_logits.square().mean()).backward()

    assert all(
        p.grad is not None and p.grad.isfinite().all() and p.grad.abs().sum() > 0
        for p in network.parameters()
    )


def test_reduction_cells_stand_at_a_third_and_two_thirds() -> None:
    network = skeleton(named("darts"), 19)
    assert isinstance(network, Darts)
    assert network.reductions == (4, 9)
    assert [cell.outputs for cell in network.cells] == [192] * 4 + [384] * 5 + [768] * 5

    output = network(torch.empty(1, 3, 512, 1024, device="meta"))
    assert output.features.low.shape == (1, 192, 64, 128)
    assert output.features.mid.shape == (1, 384, 32, 64)
    assert output.features.deep.shape == (1, 768, 16, 32)
    assert output.logits.shape == (1, 19, 16, 32)


def test_the_path_of_auto_deeplab_is_followed() -> None:
    network = skeleton(named("auto_deeplab_s"), 19).train()
    seen: list[tuple[int, ...]] = []
    for cell in network.get_submodule("cells").children():
        cell.register_forward_hook(lambda _m, _i, found: seen.append(tuple(found.shape[1:])))
    output = network(torch.empty(2, 3, 520, 1044, device="meta"))

    # Height 520 has 130, 65, 33 and 17 rows at strides 4 to 32; width 1044 has 261, 131, 66, 33.
    sizes = {4: (100, 130, 261), 8: (200, 65, 131), 16: (400, 33, 66), 32: (800, 17, 33)}
    path = (4, 4, 4, 8, 16, 8, 16, 16, 32, 32, 16, 8)
    assert seen == [sizes[stride] for stride in path]
    features = output.features
    assert [tuple(f.shape[1:]) for f in (features.low, features.mid, features.deep)] == [
        sizes[stride] for stride in (4, 32, 8)
    ]
    assert output.logits.shape == (2, 19, 130, 261)


@pytest.mark.parametrize(
    ("path", "low", "mid"), [([8, 8], 8, 8), ([4, 4], 4, 4), ([4, 8, 16, 16, 8], 4, 16)]
)
def test_short_paths_have_features_too(path: list[int], low: int, mid: int) -> None:
    network = build(auto_deeplab(path=path), 5, seed=2).eval()
    output = network(torch.randn(1, 3, 64, 96))

    assert [network.taps[role].stride for role in ("low", "mid")] == [low, mid]
    assert output.features.low.shape[2:] == (64 // low, 96 // low)
    assert output.features.mid.shape[2:] == (64 // mid, 96 // mid)


def test_deep_features_are_rectified() -> None:
    features = build(auto_deeplab(), 5, seed=2).eval().encode(torch.randn(1, 3, 64, 96))

    assert features.deep.min() == 0
    assert features.low.min() < 0


@pytest.mark.parametrize(
    ("architecture", "said"),
    [
        (
            darts(genotype="darts_v3"),
            "'genotype' is 'darts_v3', expected one of darts_v1, darts_v2",
        ),
        (darts(cells=2), "'cells' is 2, expected 3 or more"),
        (darts(width=5), "'width' is 5, expected an even number"),
        (auto_deeplab(path=[4, 16]), r"'path' is \[4, 16\], expected .*; 4 to 16 is a leap"),
        (auto_deeplab(path=[16]), r"'path' is \[16\].*; 4 to 16 is a leap"),
        (auto_deeplab(path=[8, 16, 32, 64]), r"'path' is \[8, 16, 32, 64\], expected strides"),
        (auto_deeplab(path=[2]), r"'path' is \[2\], expected strides of 4, 8, 16 and 32"),
        (auto_deeplab(widht=3), r"no choice 'widht', did you mean 'width'\?"),
    ],
    ids=lambda value: "" if isinstance(value, Architecture) else None,
)
def test_a_wrong_value_is_named(architecture: Architecture, said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        build(architecture, 5)


def test_descriptions_say_what_was_chosen() -> None:
    cells, path = describe(named("darts")), describe(named("auto_deeplab_s"))

    for part in ("14 cells of darts_v2, 48 channels", "cells 5 and 10 halve", "reads cell 9"):
        assert part in cells
    for part in ("12 Auto-DeepLab cells", "4, 4, 4, 8, 16", "output of cell 3"):
        assert part in path
