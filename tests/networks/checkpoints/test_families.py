"""Published names on the networks beyond DeepLabV2: DAST's, transformers, encoders elsewhere."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autoadapt.errors import CheckpointError
from autoadapt.networks.blocks.heads import AsppSum
from autoadapt.networks.blocks.residual import BlockPlan, Bottleneck
from autoadapt.networks.build import build, skeleton
from autoadapt.networks.checkpoints.loading import foreign, load_source
from autoadapt.networks.checkpoints.reading import Weights
from autoadapt.networks.checkpoints.report import Report
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.seeding import python_random
from autoadapt.space import load
from autoadapt.space.architecture import Architecture
from autoadapt.space.named import named

CLASSES = 5
SMALL = ((4, 8, 8, 12), (1, 2, 1, 1))
State = dict[str, Tensor]


def into(
    network: SegmentationNetwork, state: State, project: str | None = None, **how: Any
) -> Report:
    return load_source(network, foreign(Weights(Path("w.pth"), state), project), **how)


def changed(name: str, **changes: Any) -> Architecture:
    base = named(name)
    return Architecture.of(base.family, {**base.values, **changes})


def small_dast() -> Architecture:
    widths = {f"stage{i}.width": 2**i for i in (1, 2, 3, 4)}
    return changed("deeplabv2_resnet101_dast", **{"stem.width": 2}, **widths)


def small_transformer(name: str) -> Architecture:
    return changed(
        name,
        **{
            "encoder.widths": list(SMALL[0]),
            "encoder.depths": list(SMALL[1]),
            "encoder.heads": [1, 2, 2, 3],
            "head.width": 6,
        },
    )


def part(state: State, prefix: str) -> State:
    return {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}


def test_dast_has_its_last_block_and_a_new_shortcut_apart(official: Any) -> None:
    """Trunk, then ``layer5.0``, then the first two branches of ``layer6``, put together by hand."""
    state = official.filled(official.dast(CLASSES, 2))
    network = build(small_dast(), CLASSES, seed=1).eval()
    report = into(network, state)
    assert report.projects == ("dast",)
    images = torch.rand(1, 3, 33, 47)
    deep = network.encode(images).deep
    last = Bottleneck(64, BlockPlan(planes=16, dilation=4, project=True))
    last.load_state_dict(part(state, "layer5.0."))
    head = AsppSum(64, CLASSES, (6, 12, 18, 24), used=2)
    head.load_state_dict(part(state, "layer6."))
    expected = head(last.eval()(deep))
    torch.testing.assert_close(network(images).logits, expected)


def test_dast_fits_only_the_network_that_has_this_shortcut(official: Any) -> None:
    widths = {"stem.width": 2} | {f"stage{i}.width": 2**i for i in (1, 2, 3, 4)}
    plain = changed("deeplabv2_resnet101_single_two_branch", **widths)
    state = official.filled(official.dast(CLASSES, 2))
    with pytest.raises(CheckpointError, match=r"unexpected: layer4\.2\.downsample\.0\.weight"):
        into(build(plain, CLASSES), state)


def test_a_plain_trunk_starts_the_new_shortcut_as_an_identity(official: Any) -> None:
    state = official.filled(official.initial(base=2))
    network = build(small_dast(), CLASSES, seed=1).eval()
    report = into(network, state)
    why = "an identity in the file, written as a projection"
    assert report.initial["layer4.2.downsample.0.weight"] == why
    maps = torch.rand(1, 64, 3, 4)
    torch.testing.assert_close(network.get_submodule("layer4.2.downsample")(maps), maps)


@pytest.mark.parametrize(
    ("names", "architecture"),
    [
        ("dast", "deeplabv2_resnet101_dast"),
        ("daformer", "daformer_b5"),
        ("segformer", "segformer_b0"),
    ],
)
def test_full_size_files_leave_nothing_over(names: str, architecture: str, official: Any) -> None:
    """On the meta device; SegFormer's file has a classifier that its head never uses."""
    state = official.on_meta(getattr(official, names)())
    report = into(skeleton(named(architecture), 19), state)
    assert report.initial == {}
    assert report.sliced == {}
    unused = {f"decode_head.conv_seg.{kind}" for kind in ("weight", "bias")}
    assert set(report.skipped) == (unused if names == "segformer" else set())


def test_daformer_saves_student_teacher_and_imagenet_copy(official: Any) -> None:
    copies = {
        prefix: official.filled(official.daformer(SMALL, CLASSES, 6), seed=seed)
        for seed, prefix in enumerate(("model.", "ema_model.", "imnet_model."))
    }
    state = {f"{prefix}{n}": t for prefix, copy in copies.items() for n, t in copy.items()}
    for project, prefix in ((None, "model."), ("daformer_teacher", "ema_model.")):
        network = build(small_transformer("daformer_b5"), CLASSES, seed=1)
        report = into(network, state, project)
        own = network.state_dict()
        assert own.keys() == copies[prefix].keys()
        assert all(torch.equal(own[name], copies[prefix][name]) for name in own)
        assert report.skipped["imnet_model.backbone.norm1.bias"].startswith("another copy")
        assert report.notes == ("these weights expect data.normalisation: imagenet",)


@pytest.mark.parametrize("embedding", ["linear_c{}", "linear_c.{}"])
def test_both_ways_to_name_segformers_embeddings(embedding: str, official: Any) -> None:
    shapes = official.segformer(SMALL, CLASSES, 6, embedding)
    state = official.filled(shapes)
    network = build(small_transformer("segformer_b0"), CLASSES, seed=1)
    into(network, state, "segformer")
    number = "linear_c.3" if "." in embedding else "linear_c4"
    name = "decode_head.{}.proj.weight"
    own = network.state_dict()
    assert torch.equal(own[name.format("linear_c4")], state[name.format(number)])


def test_segformer_of_other_classes(official: Any) -> None:
    state = official.filled(official.segformer(SMALL, 7, 6))
    network = build(small_transformer("segformer_b0"), CLASSES, seed=1)
    with pytest.raises(CheckpointError, match="7 classes, the network has 5"):
        into(network, state)
    report = into(network, state, head="drop")
    assert report.initial["decode_head.linear_pred.bias"] == "the head is dropped, as asked for"


def test_a_transformer_trunk(official: Any) -> None:
    state = official.filled(official.mit_imagenet(SMALL))
    network = build(small_transformer("daformer_b5"), CLASSES, seed=1)
    report = into(network, state)
    own = network.state_dict()
    assert torch.equal(own["backbone.block2.1.attn.kv.weight"], state["block2.1.attn.kv.weight"])
    assert report.skipped["head.bias"] == "classes of ImageNet"
    assert {name.split(".")[0] for name in report.initial} == {"decode_head"}


@pytest.mark.parametrize(
    ("names", "architecture", "encoder"),
    [
        ("torchvision_resnet50", "unet_resnet50", "encoder.layer4.2.conv3.weight"),
        ("torchvision_vgg_bn", "segnet", "features.41.running_var"),
        ("torchvision_vgg", "fcn8s_vgg16", "features.28.weight"),
        ("torchvision_resnet", "deeplabv3plus_resnet101", "layer3.22.conv2.weight"),
        ("torchvision_resnet", "danet_resnet101", "layer3.22.conv2.weight"),
    ],
)
def test_a_classifier_fills_the_encoder_and_nothing_else(
    names: str, architecture: str, encoder: str, official: Any
) -> None:
    if names == "torchvision_resnet50":
        shapes = official.trunk((3, 4, 6, 3)) | {"fc.weight": (1000, 2048), "fc.bias": (1000,)}
    else:
        shapes = getattr(official, names)()
    network = skeleton(named(architecture), 19)
    report = into(network, official.on_meta(shapes))
    start = encoder.split(".")[0] if "." in encoder else ""
    assert encoder in network.state_dict()
    assert encoder not in report.initial
    assert not any(name.startswith(("encoder.", "features.", "layer4.")) for name in report.initial)
    assert report.initial, start


def test_parts_that_are_missing_inside_an_encoder_are_an_error(official: Any) -> None:
    """A ResNet-50 in a network on ResNet-101."""
    shapes = official.trunk((3, 4, 6, 3)) | {"fc.weight": (1000, 2048)}
    with pytest.raises(CheckpointError, match=r"missing: layer3\.6\.conv1\.weight"):
        into(skeleton(named("deeplabv2_resnet101"), 19), official.on_meta(shapes))


def test_gates_of_an_se_network_start_open(official: Any) -> None:
    network = skeleton(named("deeplabv2_seresnet101"), 19)
    report = into(network, official.on_meta(official.initial()), fit="slice")
    gates = [name for name in report.initial if ".se." in name]
    assert len(gates) == 2 * (3 + 4 + 23 + 3)
    assert isinstance(network.get_submodule("layer1.0.se"), nn.Module)


@pytest.mark.parametrize("names", ["initial", "two_level"])
def test_every_candidate_of_the_papers_space_gets_a_slice(names: str, official: Any) -> None:
    """Random architectures of ``deeplab_resnet101``, at full size on the meta device."""
    state = official.on_meta(getattr(official, names)())
    space = load("deeplab_resnet101")
    for index in range(5):
        network = skeleton(space.sample(python_random(7, "slices", index)), 19)
        report = into(network, state, None if names == "initial" else "advent", fit="slice")
        assert report.matched + len(report.sliced) > 250
        reasons = {why for name, why in report.initial.items() if not name.endswith("tracked")}
        assert reasons <= {
            "the file has no such head",
            "a head of another kind or width",
            "no branch of this dilation rate in the file",
            "a new gate, which changes nothing yet",
            "a block beyond those of the file, which changes nothing yet",
        }
