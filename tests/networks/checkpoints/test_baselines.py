"""Weights of other projects in U-Net, SegNet, FCN-8s, SegFormer and DAFormer."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from autoadapt.errors import CheckpointError
from autoadapt.networks.build import build, skeleton
from autoadapt.networks.checkpoints.loading import foreign, load_source
from autoadapt.networks.checkpoints.reading import Weights
from autoadapt.networks.checkpoints.report import Report
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.networks.families.segformer import Segformer
from autoadapt.networks.families.unet import Unet
from autoadapt.space.architecture import Architecture
from autoadapt.space.named import named

CLASSES = 5
State = Mapping[str, Tensor]


def small(family: str, **changes: Any) -> SegmentationNetwork:
    values = {
        "unet": Unet.smoke_values,
        "segformer": Segformer.smoke_values,
        "fcn8s": {"width": 2, "hidden": 10, "dropout": 0.5},  # a 32nd of VGG-16, as the lists here
        "segnet": {"width": 2},
    }[family]
    changed = {key.replace("_", ".", 1): value for key, value in changes.items()}
    kept = {key: value for key, value in {**values, **changed}.items() if value is not None}
    return build(Architecture.of(family, kept), CLASSES, seed=3).eval()


def load(network: SegmentationNetwork, state: State, **options: Any) -> Report:
    return load_source(network, foreign(Weights(Path("w.pth"), state)), **options)


def changed(state: State) -> dict[str, Tensor]:
    return {k: v + (0.5 if v.is_floating_point() else 1) for k, v in state.items()}


def check_equal(network: SegmentationNetwork, state: State, prefix: str = "") -> None:
    own = network.state_dict()
    for name, tensor in state.items():
        assert torch.equal(own[prefix + name], tensor), name


def encoder_of(network: SegmentationNetwork, prefix: str) -> dict[str, Tensor]:
    own = network.state_dict().items()
    return changed({k.removeprefix(prefix): v for k, v in own if k.startswith(prefix)})


def test_torchvision_resnet_starts_the_encoder_of_unet(official: Any) -> None:
    network = small("unet", encoder_depths=[3, 4, 23, 3])
    before = network.state_dict()["decoder.blocks.0.conv1.0.weight"].clone()
    state = official.filled(official.torchvision_resnet(4))
    report = load(network, state)

    check_equal(network, {k: v for k, v in state.items() if not k.startswith("fc.")}, "encoder.")
    assert torch.equal(network.state_dict()["decoder.blocks.0.conv1.0.weight"], before)
    assert report.skipped == dict.fromkeys(("fc.weight", "fc.bias"), "classes of ImageNet")


def test_a_whole_unet_is_recognised() -> None:
    network = small("unet")
    state = changed(network.state_dict())
    report = load(network, state)

    check_equal(network, state)
    assert report.skipped == {}
    wrong = {**state, "segmentation_head.0.weight": torch.zeros(7, 6, 3, 3)}
    with pytest.raises(CheckpointError, match="7 classes, the network has 5"):
        load(network, wrong)
    load(network, wrong, head="drop")


def test_vgg_starts_fcn_and_segnet(official: Any) -> None:
    state = official.filled(official.torchvision_vgg(32))
    network = small("fcn8s")
    load(network, state)
    check_equal(network, {k: v for k, v in state.items() if k.startswith("features.")})

    network = small("segnet")
    normed = {f"features.{k}": v for k, v in encoder_of(network, "features.").items()}
    report = load(network, normed | {"classifier.0.weight": torch.zeros(4096, 25088)})
    check_equal(network, normed)
    assert report.skipped == {"classifier.0.weight": "classes of ImageNet"}


@pytest.mark.parametrize("changes", [{}, {"head_kind": "mlp", "head_rates": None}])
def test_a_mix_transformer_starts_both_networks(changes: dict[str, Any]) -> None:
    network = small("segformer", **changes)
    state = encoder_of(network, "backbone.")
    load(network, state | {"head.weight": torch.zeros(1000, 16), "head.bias": torch.zeros(1000)})

    check_equal(network, state, "backbone.")


def test_a_whole_segformer_comes_with_a_classifier_of_no_use() -> None:
    network = small("segformer", head_kind="mlp", head_rates=None)
    state = changed(network.state_dict())
    unused = {"decode_head.conv_seg.weight": torch.zeros(CLASSES, 128, 1, 1)}
    report = load(network, state | unused)

    check_equal(network, state)
    assert list(report.skipped) == list(unused)
    with pytest.raises(CheckpointError, match="unexpected"):
        load(small("segformer"), state)


def test_daformers_version_of_segformers_head_joins_the_levels_the_other_way_round() -> None:
    """``linear_c.0`` is the largest map and comes first there, and comes last in SegFormer's."""
    network = small("segformer", head_kind="mlp", head_rates=None)
    state = changed(network.state_dict())
    theirs = {
        re.sub(r"linear_c(\d)", lambda found: f"linear_c.{int(found[1]) - 1}", name): tensor
        for name, tensor in state.items()
    }
    fusion = "decode_head.linear_fuse.conv.weight"
    deep, mid, second, low = state[fusion].chunk(4, dim=1)
    theirs[fusion] = torch.cat([low, second, mid, deep], dim=1)
    load(network, theirs)

    assert "decode_head.linear_c.3.proj.weight" in theirs
    check_equal(network, state)


def test_student_and_teacher_of_daformer() -> None:
    network = small("segformer")
    student = changed(network.state_dict())
    teacher = changed(student)
    state = {f"model.{k}": v for k, v in student.items()}
    state |= {f"ema_model.{k}": v for k, v in teacher.items()}
    state |= {f"imnet_model.{k}": v for k, v in changed(teacher).items()}
    weights = Weights(Path("w.pth"), state)

    for project, expected in (("daformer", student), ("daformer_teacher", teacher)):
        load_source(network, foreign(weights, project))
        check_equal(network, expected)


def test_named_networks_have_the_names_of_torchvision(official: Any) -> None:
    """The whole of VGG-16, and ResNet-50 below ``encoder``, at full size on the meta device."""
    fcn, unet = (skeleton(named(n), 19).state_dict() for n in ("fcn8s_vgg16", "unet_resnet50"))
    vgg = {k: s for k, s in official.torchvision_vgg().items() if k.startswith("features.")}
    resnet = official.trunk((3, 4, 6, 3))

    assert {k: tuple(v.shape) for k, v in fcn.items() if k.startswith("features.")} == vgg
    encoder = {k: tuple(v.shape) for k, v in unet.items() if k.startswith("encoder.")}
    assert encoder == {f"encoder.{name}": shape for name, shape in resnet.items()}
