"""Encoders of timm: what happens without it, and with it.

A stand-in of the same surface proves the wiring everywhere. Where timm is installed and imports,
``test_family_contract`` and ``test_methods_on_families`` run on the real one, and so do the last
tests here.
"""

import importlib
import importlib.util
import sys
from enum import StrEnum
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autoadapt.errors import SpaceError
from autoadapt.networks.build import build, describe
from autoadapt.networks.families.timm_encoder import TimmEncoder, import_timm
from autoadapt.space.architecture import Architecture

CHANNELS = (4, 5, 6, 7, 9)


def network_of(encoder: str, **changes: Any) -> Architecture:
    changed = {key.replace("_", ".", 1): value for key, value in changes.items()}
    values = {**TimmEncoder.smoke_values, "encoder": encoder, **changed}
    return Architecture.of("timm_encoder", {k: v for k, v in values.items() if v is not None})


class Format(StrEnum):
    NCHW = "NCHW"
    NHWC = "NHWC"


class FeatureInfo:
    def __init__(self, levels: int) -> None:
        self.levels = levels

    def channels(self) -> list[int]:
        return list(CHANNELS[: self.levels])

    def reduction(self) -> list[int]:
        return [2, 4, 8, 16, 32][: self.levels]


class Pyramid(nn.Module):
    """Five maps of strides 2 to 32, like those of timm's feature extractors."""

    def __init__(self, levels: int, output_fmt: Format) -> None:
        super().__init__()
        self.feature_info, self.output_fmt = FeatureInfo(levels), output_fmt
        pairs = zip((3, *CHANNELS), CHANNELS[:levels], strict=False)
        self.stages = nn.ModuleList(nn.Conv2d(i, o, 3, stride=2, padding=1) for i, o in pairs)

    def forward(self, images: Tensor) -> list[Tensor]:
        maps, features = [], images
        for stage in self.stages:
            features = stage(features)
            last = self.output_fmt == Format.NHWC
            maps.append(features.permute(0, 2, 3, 1) if last else features)
        return maps


def create_model(name: str, *, pretrained: bool, features_only: bool) -> nn.Module:
    assert features_only
    assert not pretrained, "nothing is ever downloaded silently"
    if name == "no_maps":
        raise RuntimeError("features_only not implemented for no_maps")
    levels = 2 if name == "shallow" else 5
    return Pyramid(levels, Format.NHWC if name == "channels_at_end" else Format.NCHW)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module with what is used of timm."""
    module = ModuleType("timm")
    models = ["pyramid", "channels_at_end", "shallow", "no_maps", "one_size"]
    module.__dict__.update(
        __version__="1.0",
        list_models=lambda: models,
        create_model=create_model,
        get_pretrained_cfg=lambda name: SimpleNamespace(fixed_input_size=name == "one_size"),
    )
    monkeypatch.setitem(sys.modules, "timm", module)
    return module


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)

    with pytest.raises(
        SpaceError, match=r"timm is not installed; .*pip install 'autoadapt\[timm\]'"
    ):
        build(network_of("resnet18"), 5)
    assert describe(network_of("resnet18")).startswith("The encoder resnet18 of timm.")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("operator torchvision::nms does not exist"),
        ModuleNotFoundError("No module named 'torchvision'", name="torchvision"),
    ],
)
def test_a_timm_that_does_not_import_is_told_apart(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> ModuleType:
        raise error

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(
        SpaceError, match=r"installed but does not import: .*torchvision.*same index"
    ):
        import_timm()


SUMMED = {"head_kind": "aspp_sum", "head_rates": [1, 2], "head_width": None, "head_dropout": None}
REFINED = {"head_kind": "deeplabv3plus", "head_rates": [1], "head_skip": True, "head_dropout": None}


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("encoder", ["pyramid", "channels_at_end"])
@pytest.mark.parametrize(
    ("changes", "stride"),
    [({}, 4), ({"head_kind": "daformer", "head_rates": [1, 2]}, 4), (SUMMED, 32), (REFINED, 4)],
    ids=["mlp", "daformer", "aspp_sum", "deeplabv3plus"],
)
def test_heads_read_the_last_four_maps(encoder: str, changes: dict[str, Any], stride: int) -> None:
    network = build(network_of(encoder, **changes), 5, seed=2).train()
    output = network(torch.randn(2, 3, 64, 96))

    assert [(tap.channels, tap.stride) for tap in network.taps.values()] == [
        (5, 4),
        (7, 16),
        (9, 32),
    ]
    assert output.features.low.shape == (2, 5, 16, 24)
    assert [m.shape for m in output.features.skips] == [(2, 6, 8, 12)]
    assert output.features.deep.shape == (2, 9, 2, 3)
    assert output.logits.shape == (2, 5, 64 // stride, 96 // stride)
    assert output.aux_logits is not None
    assert output.aux_logits.shape == (2, 5, 4, 6)
    (output.logits.square().mean() + output.aux_logits.square().mean()).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    ("architecture", "said"),
    [
        (network_of("pyramit"), r"'pyramit', which timm 1.0 does not have, did you mean 'pyramid'"),
        (network_of("one_size"), "'one_size', which takes images of one size alone"),
        (network_of("no_maps"), "'no_maps', which has no feature maps: features_only not"),
        (network_of("shallow"), "'shallow', which has 2 feature maps, expected three or more"),
        (network_of("pyramid", head_kind="unet"), "'unet', expected one of aspp_sum, .*, daformer"),
        (network_of("pyramid", head_skip=True), "'head.skip' has no effect"),
        (network_of("pyramid", head_rates=[1]), "'head.rates' has no effect"),
        (network_of("pyramid", head_dropout=None), "lacks 'head.dropout'"),
        (network_of(""), "'encoder' is '', expected text"),
    ],
)
def test_a_wrong_value_is_named(architecture: Architecture, said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        build(architecture, 5)


@pytest.fixture
def real() -> Any:
    """Timm, where it is installed."""
    if importlib.util.find_spec("timm") is None:
        pytest.skip("the optional package timm is not there")
    return import_timm()


@pytest.mark.parametrize("encoder", ["test_resnet", "test_convnext", "lcnet_035"])
def test_real_encoders_are_what_timm_says(real: Any, encoder: str) -> None:
    network = build(network_of(encoder), 5, seed=2).eval()
    images = torch.randn(1, 3, 64, 96)
    twin = real.create_model(encoder, pretrained=False, features_only=True).eval()
    twin.load_state_dict(network.get_submodule("encoder").state_dict())
    with torch.no_grad():
        features, maps = network.encode(images), twin(images)[-4:]

    found = (features.low, *features.skips, features.mid, features.deep)
    for ours, theirs in zip(found, maps, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_real_encoders_of_one_size_are_refused(real: Any) -> None:
    with pytest.raises(SpaceError, match="takes images of one size alone"):
        build(network_of("vit_tiny_patch16_224"), 5)
