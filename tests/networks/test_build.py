from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autoadapt import plugins
from autoadapt.errors import ConfigError, SpaceError
from autoadapt.networks.build import build, describe, skeleton
from autoadapt.space.architecture import Architecture

Maker = Callable[..., Architecture]


def weights(network: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_families_are_the_files_of_the_package() -> None:
    assert "elastic_deeplab" in plugins.available("networks.families")
    assert not any(name.startswith("_") for name in plugins.available("networks.families"))


def test_the_seed_decides_the_weights_and_nothing_else_does(tiny: Maker) -> None:
    first = weights(build(tiny(), 5, seed=1))
    torch.rand(3)
    again, other = weights(build(tiny(), 5, seed=1)), weights(build(tiny(), 5, seed=2))

    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert not torch.equal(first, other)


def test_building_leaves_the_random_state_of_the_caller(tiny: Maker) -> None:
    before = torch.get_rng_state()
    build(tiny(), 5)

    assert torch.equal(before, torch.get_rng_state())


def test_a_skeleton_has_the_names_and_shapes_but_no_memory(tiny: Maker) -> None:
    network, bones = build(tiny({"stage2.se": True}), 5), skeleton(tiny({"stage2.se": True}), 5)

    assert [(name, p.shape) for name, p in network.named_parameters()] == [
        (name, p.shape) for name, p in bones.named_parameters()
    ]
    assert all(p.is_meta for p in bones.parameters())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"stem.kind": "vgg"}, "'stem.kind' is 'vgg', expected one of conv, resnet"),
        ({"stem.width": 0}, "'stem.width' is 0"),
        ({"stage3.kernel": 4}, "'stage3.kernel' is 4, expected one of 3, 5"),
        ({"stage2.dilation": []}, r"'stage2.dilation' is \[\]"),
        ({"stage4.se": 1}, "'stage4.se' is 1"),
        ({"output_stride": 32}, "'output_stride' is 32, expected one of 8, 16"),
        ({"stage1.depth": None}, "lacks 'stage1.depth'"),
        ({"stride_in": "1x1"}, "'stride_in' has no effect next to the other"),
        ({"head.skip": True}, "'head.skip' has no effect next to the other"),
        ({"head.kind": "pyramid"}, "lacks 'head.width'"),
        (
            {"head.kind": "pyramid", "head.width": 8, "head.skip": False},
            "'head.rates' has no effect",
        ),
        (
            {"head.kind": "aspp_first_two"},
            r"'head.rates' is \[1, 2\], expected three or more with head.kind aspp_first_two",
        ),
        ({"norm": "ibn_a", "stage2.width": 1}, "'stage2.width' is 1, expected 2 or more"),
        ({"stage3.deph": 2}, r"no choice 'stage3.deph', did you mean 'stage3.depth'\?"),
    ],
)
def test_a_wrong_value_is_named(tiny: Maker, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(SpaceError, match=named):
        build(tiny(changes), 5)


def test_an_unknown_family_and_no_classes_are_refused(tiny: Maker) -> None:
    with pytest.raises(ConfigError, match="did you mean 'elastic_deeplab'"):
        build(Architecture.of("elastic_deeplap", {}), 5)
    with pytest.raises(ValueError, match="at least one class, got 0"):
        build(tiny(), 0)


def test_a_description_says_what_was_chosen(tiny: Maker) -> None:
    # Stage 4 at output stride 8 has base dilation 4; pattern (1, 2) over 3 blocks: 4, 8, 4.
    plain = describe(tiny({"stage4.depth": 3, "stage4.dilation": [1, 2], "stage2.se": True}))
    fancy = describe(
        tiny(
            {
                "norm": "ibn_a",
                "head.kind": "deeplabv3plus",
                "head.width": 24,
                "head.skip": True,
                "stage1.kernel": 5,
                "aux": False,
            }
        )
    )

    for words in (
        "1-1-1-3 basic blocks, 8, 10, 12 and 14 channels wide",
        "stage 2 gates its channels by squeeze-excite",
        "stage 4 is dilated by 4 and 8",
        "(DeepLabV2) at dilation rates 1 and 2",
        "an auxiliary head reads stage 3",
    ):
        assert words in plain
    for words in (
        "(IBN-a)",
        "stage 1 has 5x5 kernels",
        "24 channels wide, and is refined by low-level features",
        "no auxiliary head",
    ):
        assert words in fancy
