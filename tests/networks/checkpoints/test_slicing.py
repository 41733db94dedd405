"""Children of an elastic space get slices of the seed; what is new changes nothing at first."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from autoadapt.errors import CheckpointError
from autoadapt.networks.build import build
from autoadapt.networks.checkpoints.loading import Source, load_source
from autoadapt.networks.checkpoints.report import Report
from autoadapt.networks.checkpoints.slicing import cut
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.space.architecture import Architecture

Maker = Callable[..., Architecture]
CLASSES = 5
SEED = {
    "stem.kind": "resnet",
    "block": "bottleneck",
    "stride_in": "1x1",
    "head.rates": [6, 12, 18, 24],
    "stage2.depth": 2,
    "stage3.depth": 2,
}


@pytest.fixture
def seed(tiny: Maker) -> SegmentationNetwork:
    """A seed whose statistics are not those of a new network."""
    network = build(tiny(SEED), CLASSES, seed=1)
    with torch.no_grad():
        network(torch.rand(2, 3, 40, 56))
    return network.eval()


def child_of(
    seed: SegmentationNetwork, architecture: Architecture, **how: Any
) -> tuple[SegmentationNetwork, Report]:
    child = build(architecture, CLASSES, seed=2).eval()
    source = Source(Path("seed.pth"), seed.state_dict(), "own", num_classes=CLASSES)
    return child, load_source(child, source, fit="slice", **how)


def logits(network: SegmentationNetwork) -> Tensor:
    images = torch.rand(1, 3, 33, 47, generator=torch.Generator().manual_seed(4))
    result: Tensor = network(images).logits
    return result.detach()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"stage2.se": True, "stage4.se": True},
        {"stage1.kernel": 5, "stage3.kernel": 5},
        {"stage2.depth": 4, "stage4.depth": 3},
        {"stage1.width": 11, "stage3.width": 17, "stem.width": 9},
        {"aux": False},
    ],
    ids=lambda changes: "-".join(changes) or "same",
)
def test_what_a_child_has_in_addition_changes_nothing(
    changes: dict[str, Any], seed: SegmentationNetwork, tiny: Maker
) -> None:
    child, _ = child_of(seed, tiny(SEED | changes))
    torch.testing.assert_close(logits(child), logits(seed), rtol=1e-4, atol=1e-5)


def test_leading_channels_and_first_blocks(seed: SegmentationNetwork, tiny: Maker) -> None:
    changes = {"stage2.width": 7, "stage3.depth": 1, "stage3.width": 9}
    child, report = child_of(seed, tiny(SEED | changes))
    theirs, own = seed.state_dict(), child.state_dict()
    name = "layer2.1.conv2.weight"
    assert torch.equal(own[name], theirs[name][:7, :7])
    assert torch.equal(own["layer2.1.bn3.running_mean"], theirs["layer2.1.bn3.running_mean"][:28])
    head = "layer5.conv2d_list.2.weight"
    assert torch.equal(own[head], theirs[head][:, :36])
    assert report.sliced[name] == "channels or kernels from (10, 10, 3, 3) instead of (7, 7, 3, 3)"
    assert report.skipped["layer3.1.conv1.weight"] == "the network has no such part"
    assert report.initial == {}
    assert "were cut: channels or kernels" in report.text()


def test_branches_are_matched_by_their_rate(seed: SegmentationNetwork, tiny: Maker) -> None:
    child, report = child_of(seed, tiny(SEED | {"head.rates": [12, 3, 24]}))
    theirs, own = seed.state_dict(), child.state_dict()
    for at, origin in ((0, 1), (2, 3)):
        part = "layer6.conv2d_list.{}.weight"
        assert torch.equal(own[part.format(at)], theirs[part.format(origin)])
    new = "layer6.conv2d_list.1.weight"
    assert report.initial[new] == "no branch of this dilation rate in the file"
    fresh = build(tiny(SEED | {"head.rates": [12, 3, 24]}), CLASSES, seed=2).state_dict()
    assert torch.equal(own[new], fresh[new])


def test_scale_and_shift_survive_a_change_of_normalisation(
    seed: SegmentationNetwork, tiny: Maker
) -> None:
    with torch.no_grad():
        for name, parameter in seed.named_parameters():
            if "bn1" in name:
                parameter.copy_(torch.rand_like(parameter))
    narrow = {"norm": "ibn_a", "stage2.width": 7}
    child, _ = child_of(seed, tiny(SEED | narrow))
    theirs, own = seed.state_dict(), child.state_dict()
    assert torch.equal(own["layer2.0.bn1.IN.bias"], theirs["layer2.0.bn1.bias"][:3])
    assert torch.equal(own["layer2.0.bn1.BN.weight"], theirs["layer2.0.bn1.weight"][3:7])
    assert torch.equal(own["layer2.0.bn1.BN.running_var"], theirs["layer2.0.bn1.running_var"][3:7])
    grandchild, _ = child_of(child, tiny(SEED | {"stage2.width": 7}))
    again = grandchild.state_dict()
    assert torch.equal(again["layer2.0.bn1.weight"], theirs["layer2.0.bn1.weight"][:7])
    expected = torch.cat([torch.zeros(3), theirs["layer2.0.bn1.running_mean"][3:7]])
    assert torch.equal(again["layer2.0.bn1.running_mean"], expected)


def test_a_head_of_another_kind_starts_anew(seed: SegmentationNetwork, tiny: Maker) -> None:
    pyramid = {"head.kind": "pyramid", "head.rates": None, "head.width": 8, "head.skip": False}
    child, report = child_of(seed, tiny(SEED | pyramid))
    assert report.initial["layer6.classifier.weight"] == "a head of another kind or width"
    assert report.skipped["layer6.conv2d_list.0.bias"] == "a head of another kind or width"
    _, report = child_of(child, tiny(SEED | pyramid | {"head.width": 16}))
    assert report.initial["layer6.context.fuse.0.weight"] == "a head of another kind or width"
    same, report = child_of(child, tiny(SEED | pyramid | {"stage1.se": True}))
    torch.testing.assert_close(logits(same), logits(child))


def test_classes_are_never_sliced(seed: SegmentationNetwork, tiny: Maker) -> None:
    child = build(tiny(SEED), CLASSES - 1, seed=2)
    source = Source(Path("seed.pth"), seed.state_dict(), "own", num_classes=CLASSES)
    with pytest.raises(CheckpointError, match="5 classes, the network has 4"):
        load_source(child, source, fit="slice")


def test_blocks_of_another_kind_are_refused(seed: SegmentationNetwork, tiny: Maker) -> None:
    with pytest.raises(CheckpointError, match="for bottleneck blocks, the network has basic"):
        child_of(seed, tiny(SEED | {"block": "basic", "stride_in": None}))


def test_a_stem_of_another_kind_is_refused(seed: SegmentationNetwork, tiny: Maker) -> None:
    with pytest.raises(
        CheckpointError, match=r"conv1\.weight \(6, 3, 7.*missing: reduce\.0\.weight"
    ):
        child_of(seed, tiny(SEED | {"stem.kind": "conv"}))


def test_a_classifier_without_a_single_fitting_weight_is_refused(
    seed: SegmentationNetwork,
) -> None:
    """All parts of another network are missing from a classifier, which alone is no mistake."""
    source = Source(Path("resnet.pth"), seed.state_dict(), "torchvision ResNet", backbone=True)
    child = build(Architecture.of("segnet", {"width": 3}), CLASSES)
    with pytest.raises(CheckpointError, match=r"not a single weight for this network \(Segnet\)"):
        load_source(child, source, fit="slice", head="drop")


def test_exact_says_how_children_get_weights(seed: SegmentationNetwork, tiny: Maker) -> None:
    source = Source(Path("seed.pth"), seed.state_dict(), "own", num_classes=CLASSES)
    with pytest.raises(CheckpointError, match=r"of another shape: layer2.*set fit: slice"):
        load_source(build(tiny(SEED | {"stage2.width": 7}), CLASSES), source)


def test_a_basic_block_without_projection_gets_an_identity(tiny: Maker) -> None:
    """ResNet-18 and -34 have no projection in their first stage; here every stage has one."""
    basic = {"stem.kind": "resnet", "stem.width": 8, "stage1.width": 8}
    network = build(tiny(basic), CLASSES, seed=1).eval()
    state = dict(network.state_dict())
    for name in list(state):
        if name.startswith("layer1.0.downsample"):
            del state[name]
    found = build(tiny(basic), CLASSES, seed=2).eval()
    report = load_source(
        found,
        Source(
            Path("r18.pth"),
            state,
            "own",
            num_classes=CLASSES,
            rates=(1, 2),
            computed=frozenset({(1, 2)}),
        ),
    )
    why = "an identity in the file, written as a projection"
    assert report.initial["layer1.0.downsample.0.weight"] == why
    maps = torch.rand(2, 8, 3, 4)
    torch.testing.assert_close(found.get_submodule("layer1.0.downsample")(maps), maps)


def test_cut_by_hand() -> None:
    """Two outputs and three inputs from three and two, kernels 3 and 5."""
    given = torch.arange(3 * 2 * 9.0).view(3, 2, 3, 3)
    own = torch.full((2, 3, 5, 5), 7.0)
    result = cut(own, given)
    assert result is not None
    assert torch.equal(result[:, :2, 1:-1, 1:-1], given[:2])
    assert result[:, 2].abs().sum() == 0
    assert result[:, :, 0].abs().sum() == 0
    back = cut(torch.full((4, 2, 3, 3), 7.0), result)
    assert back is not None
    assert torch.equal(back[:2], given[:2])
    assert (back[2:] == 7).all()
    assert cut(torch.zeros(2, 3), torch.zeros(2, 3, 1, 1)) is None
    assert cut(torch.zeros(2, 3, 7, 7), torch.zeros(2, 3, 3, 3)) is None
