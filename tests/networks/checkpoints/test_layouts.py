"""Every project's names are recognised by the keys, and translated to the same function."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from autoadapt.errors import CheckpointError
from autoadapt.networks.build import build, skeleton
from autoadapt.networks.checkpoints.layouts import PROJECTS, recognise
from autoadapt.networks.checkpoints.loading import foreign, load_source
from autoadapt.networks.checkpoints.reading import Weights
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.space.architecture import Architecture
from autoadapt.space.named import named

CLASSES, BASE = 5, 2
State = dict[str, Tensor]


def small(**changes: Any) -> Architecture:
    """DeepLabV2 on ResNet-101 with a width of 2 instead of 64."""
    widths = {"stem.width": BASE} | {f"stage{i}.width": BASE * 2 ** (i - 1) for i in (1, 2, 3, 4)}
    values = named("deeplabv2_resnet101").values | widths | changes
    return Architecture.of("elastic_deeplab", values)


def network(
    *, aux: bool = False, rates: tuple[int, ...] = (6, 12, 18, 24), kind: str = "aspp_sum"
) -> SegmentationNetwork:
    changes: dict[str, Any] = {"aux": aux, "head.rates": list(rates), "head.kind": kind}
    return build(small(**changes), CLASSES, seed=11).eval()


def loaded(state: State, project: str | None = None, **of: Any) -> SegmentationNetwork:
    found = network(**of)
    load_source(found, foreign(Weights(Path("w.pth"), state), project))
    return found


def logits(of: SegmentationNetwork) -> Tensor:
    images = torch.rand(1, 3, 33, 47, generator=torch.Generator().manual_seed(4))
    result: Tensor = of(images).logits
    return result.detach()


def renamed(state: State, change: Callable[[str], str | None]) -> State:
    pairs = ((change(name), tensor) for name, tensor in state.items())
    return {name: tensor for name, tensor in pairs if name is not None}


@pytest.fixture
def advent(official: Any) -> State:
    """AdvEnt's network with one head, in its own names."""
    state: State = official.filled(official.single("layer6", CLASSES, BASE))
    return state


@pytest.fixture
def truth(advent: State) -> Tensor:
    """What it computes, loaded by equal names."""
    plain = network()
    plain.load_state_dict(advent)
    return logits(plain)


@pytest.mark.parametrize("project", ["crst", "fda", "dacs", "adaptsegnet", "deeplab_coco"])
def test_a_single_head_named_layer5(project: str, advent: State, truth: Tensor) -> None:
    state = renamed(advent, lambda name: name.replace("layer6.", "layer5."))
    rates = PROJECTS[project].rates
    found = loaded(state, project, rates=rates)
    if len(rates) == 4:
        assert torch.equal(logits(found), truth)
    for index in range(len(rates)):
        head: Any = found.get_submodule("layer6.conv2d_list")[index]  # type: ignore[index]
        assert torch.equal(head.weight, advent[f"layer6.conv2d_list.{index}.weight"])


def test_a_single_head_named_layer6(advent: State, truth: Tensor) -> None:
    assert torch.equal(logits(loaded(advent)), truth)


def test_tllib(advent: State, truth: Tensor) -> None:
    def change(name: str) -> str:
        return name.replace("layer6.", "classifier.") if "layer6" in name else f"backbone.{name}"

    assert torch.equal(logits(loaded(renamed(advent, change))), truth)


def test_counters_may_be_missing(advent: State, truth: Tensor) -> None:
    state = renamed(advent, lambda name: None if "num_batches" in name else name)
    assert torch.equal(logits(loaded(state)), truth)


def test_two_levels(official: Any) -> None:
    state = official.filled(official.two_level(CLASSES, BASE))
    plain = network(aux=True)
    plain.load_state_dict(state)
    found = loaded(state, aux=True)
    images = torch.rand(1, 3, 33, 47)
    assert torch.equal(found(images).logits, plain(images).logits)
    assert torch.equal(found(images).aux_logits, plain(images).aux_logits)


def test_without_an_auxiliary_head_the_main_one_is_enough(official: Any) -> None:
    state = official.filled(official.two_level(CLASSES, BASE))
    plain = network(aux=True)
    plain.load_state_dict(state)
    assert torch.equal(logits(loaded(state)), logits(plain))


def test_two_branches_are_the_four_with_two_set_to_zero(official: Any) -> None:
    """What the early return of AdaptSegNet, DAST and DACS computes (section 1.2 of the facts)."""
    state = official.filled(official.two_level(CLASSES, BASE))
    zeroed = {
        name: torch.zeros_like(t) if ".conv2d_list.2." in name or ".conv2d_list.3." in name else t
        for name, t in state.items()
    }
    expected = logits(loaded(zeroed, "advent"))
    assert torch.equal(logits(loaded(state, "adaptsegnet", rates=(6, 12))), expected)
    two_of_four = loaded(state, "adaptsegnet", kind="aspp_first_two")
    assert torch.equal(logits(two_of_four), expected)
    assert torch.equal(
        two_of_four.state_dict()["layer6.conv2d_list.3.bias"], state["layer6.conv2d_list.3.bias"]
    )


def test_two_branches_are_pointed_out_where_they_may_be_meant(official: Any) -> None:
    state = official.filled(official.two_level(CLASSES, BASE))
    for project, told in ((None, True), ("intrada", False)):
        source = foreign(Weights(Path("w.pth"), state), project)
        notes = load_source(network(), source).notes
        assert any("adaptsegnet compute with the first two" in note for note in notes) is told
    two_of_four = network(kind="aspp_first_two")
    notes = load_source(two_of_four, foreign(Weights(Path("w.pth"), state))).notes
    assert not any("first two" in note for note in notes)


def test_rates_that_the_project_does_not_compute_are_refused(official: Any) -> None:
    state = official.filled(official.two_level(CLASSES, BASE))
    with pytest.raises(
        CheckpointError, match=r"\[6, 12\], that of the file with \[6, 12, 18, 24\]"
    ):
        loaded(state, "advent", rates=(6, 12))
    with pytest.raises(CheckpointError, match=r"with the dilation rates \[3, 6, 9, 12\]"):
        loaded(state, rates=(3, 6, 9, 12))


def test_equal_heads_need_to_know_the_project(official: Any) -> None:
    state = official.filled(official.equal_heads(CLASSES, BASE))
    with pytest.raises(
        CheckpointError, match=r"more than one meaning \(ccm: .*; clan: .*'project'"
    ):
        loaded(state)


def test_ccm_predicts_with_its_first_head(official: Any, advent: State) -> None:
    state = official.filled(official.equal_heads(CLASSES, BASE), seed=3)
    first = renamed(state, lambda n: None if "layer6" in n else n.replace("layer5", "layer6"))
    plain = network()
    plain.load_state_dict(first)
    assert torch.equal(logits(loaded(state, "ccm")), logits(plain))


def test_clan_adds_the_logits_of_its_heads(official: Any) -> None:
    state = official.filled(official.equal_heads(CLASSES, BASE), seed=3)
    heads = []
    for number in (5, 6):
        other = f"layer{11 - number}."
        one = renamed(state, lambda n, o=other: None if n.startswith(o) else n)  # type: ignore[misc]
        plain = network()
        plain.load_state_dict(renamed(one, lambda n: n.replace("layer5.", "layer6.")))
        heads.append(logits(plain))
    torch.testing.assert_close(logits(loaded(state, "clan")), sum(heads), rtol=1e-4, atol=1e-4)


def test_the_imagenet_initialisation_leaves_the_head_alone(official: Any) -> None:
    state = official.filled(official.initial(base=BASE))
    before = network(aux=True)
    found = network(aux=True)
    report = load_source(found, foreign(Weights(Path("init.pth"), state)))
    assert torch.equal(found.state_dict()["bn1.weight"], state["Scale.bn1.weight"])
    assert torch.equal(
        found.state_dict()["layer4.2.conv3.weight"], state["Scale.layer4.2.conv3.weight"]
    )
    for name in ("layer5.conv2d_list.1.weight", "layer6.conv2d_list.3.bias"):
        assert torch.equal(found.state_dict()[name], before.state_dict()[name])
    assert report.skipped["Scale.layer5.conv2d_list.0.weight"].startswith("head of the init")
    assert report.initial["layer6.conv2d_list.0.weight"] == "the file has no such head"
    assert report.notes == ("these weights expect data.normalisation: caffe_bgr",)


def test_torchvision_resnet_and_where_it_strides(official: Any) -> None:
    state = official.filled(official.torchvision_resnet(BASE))
    found = network()
    report = load_source(found, foreign(Weights(Path("resnet.pth"), state)))
    assert report.skipped == dict.fromkeys(("fc.weight", "fc.bias"), "classes of ImageNet")
    assert report.notes[0] == "these weights expect data.normalisation: imagenet"
    assert "stride_in: 3x3 is what the weights were made for" in report.notes[1]
    assert torch.equal(found.state_dict()["layer2.0.conv1.weight"], state["layer2.0.conv1.weight"])


def small_vgg() -> SegmentationNetwork:
    values = named("deeplabv2_vgg16").values
    narrow = {key: value // 32 for key, value in values.items() if key.endswith("width")}  # type: ignore[operator]
    return build(Architecture.of("vgg_deeplab", values | narrow), CLASSES, seed=11).eval()


def test_dast_cuts_vgg_into_four_parts(official: Any) -> None:
    whole = official.filled(official.deeplab_vgg(CLASSES, 32))
    parts = official.filled(official.dast_vgg(CLASSES, 32))  # the same values in the same order
    assert "layer4.2.weight" in parts
    plain, found = small_vgg(), small_vgg()
    load_source(plain, foreign(Weights(Path("w.pth"), whole), "adaptsegnet"), fit="slice")
    load_source(found, foreign(Weights(Path("w.pth"), parts), "dast"), fit="slice")
    assert torch.equal(plain.state_dict()["features.29.weight"], whole["features.29.weight"])
    assert torch.equal(logits(found), logits(plain))


def test_torchvision_vgg_without_the_fourth_pooling(official: Any) -> None:
    state = official.filled(official.torchvision_vgg(32))
    found = small_vgg()
    before = found.state_dict()["features.29.weight"].clone()
    report = load_source(found, foreign(Weights(Path("vgg.pth"), state)))
    for own, theirs in ((21, 21), (23, 24), (25, 26), (27, 28)):
        name = "features.{}.weight"
        assert torch.equal(found.state_dict()[name.format(own)], state[name.format(theirs)])
    assert torch.equal(found.state_dict()["features.29.weight"], before)
    assert report.skipped["classifier.6.bias"] == "classes of ImageNet"
    assert "torchvision: imagenet, vgg_caffe: caffe_bgr" in report.notes[0]


def test_a_head_of_other_classes_is_dropped_only_when_asked_for(official: Any) -> None:
    state = official.filled(official.single("layer6", 7, BASE))
    source = foreign(Weights(Path("w.pth"), state))
    found = network()
    before = {name: tensor.clone() for name, tensor in found.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"7 classes, the network has 5.*set head: drop"):
        load_source(found, source)
    assert all(torch.equal(found.state_dict()[name], before[name]) for name in before)
    report = load_source(found, source, head="drop")
    assert torch.equal(found.state_dict()["conv1.weight"], state["conv1.weight"])
    head = "layer6.conv2d_list.0.weight"
    assert torch.equal(found.state_dict()[head], before[head])
    assert report.skipped[head] == "the head is dropped, as asked for"


def test_untrained_branches_are_noticed(official: Any) -> None:
    state = official.filled(official.single("layer6", CLASSES, BASE))
    for index in (2, 3):
        name = f"layer6.conv2d_list.{index}.weight"
        wide = torch.randn(CLASSES, 32 * BASE, 3, 3)
        state[name] = (wide - wide.mean()) / wide.std() * 0.01
    report = load_source(network(), foreign(Weights(Path("w.pth"), state), "advent"))
    assert any("branches 3 and 4 of the head were never trained" in note for note in report.notes)


def test_what_is_missing_or_unexpected_is_listed(advent: State) -> None:
    state = renamed(advent, lambda n: None if n == "layer3.7.conv2.weight" else n)
    state["layer3.23.conv1.weight"] = torch.zeros(2, 4, 1, 1)
    with pytest.raises(CheckpointError) as caught:
        loaded(state)
    assert "1 missing: layer3.7.conv2.weight" in str(caught.value)
    assert "1 unexpected: layer3.23.conv1.weight" in str(caught.value)


def test_strangers_and_wrong_projects_are_refused(advent: State) -> None:
    with pytest.raises(CheckpointError, match="nobody known names weights so: what"):
        recognise({"what": torch.ones(1)}, "w.pth")
    with pytest.raises(CheckpointError, match=r"no project 'crts', did you mean 'crst'\?"):
        recognise(advent, "w.pth", "crts")
    with pytest.raises(CheckpointError, match="not written by clan: its names are those of advent"):
        recognise(advent, "w.pth", "clan")


@pytest.mark.parametrize(
    ("shapes", "architecture"),
    [
        ("two_level", "deeplabv2_resnet101"),
        ("single", "deeplabv2_resnet101_single"),
        ("deeplab_vgg", "deeplabv2_vgg16"),
    ],
)
def test_full_size_names_and_shapes_are_the_published_ones(
    shapes: str, architecture: str, official: Any
) -> None:
    """44.6, 43.9 and 29.6 million weights, on the meta device."""
    expected = official.single("layer6") if shapes == "single" else getattr(official, shapes)()
    own = skeleton(named(architecture), 19).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in own.items()} == expected
