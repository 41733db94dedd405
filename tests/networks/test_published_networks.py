"""The named networks against the numbers and the logits of the published ones."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.npyio import NpzFile
from torch import Tensor, nn

from autoadapt import cost
from autoadapt.errors import SpaceError
from autoadapt.networks.batch_norm import freeze_norm_affine
from autoadapt.networks.blocks.heads import AsppSum
from autoadapt.networks.build import build, skeleton
from autoadapt.networks.checkpoints import load_weights
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.space.architecture import Architecture, Value
from autoadapt.space.named import named
from autoadapt.uda._discriminator import output_discriminator

SIZE = (512, 1024)


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("deeplabv2_resnet101", 44_601_560),
        ("deeplabv2_resnet101_two_branch", 44_601_560),
        ("deeplabv2_resnet101_single", 43_901_068),
        ("deeplabv2_resnet101_single_two_branch", 43_901_068),
        # + 2 * channels² / 16 per block: 3 of 256, 4 of 512, 23 of 1024, 3 of 2048 channels
        ("deeplabv2_seresnet101", 44_601_560 + 4_743_168),
        # + the shortcut of the last block: 2048 x 2048 weights and a batch normalisation
        ("deeplabv2_resnet101_dast", 43_901_068 + 2048 * 2048 + 2 * 2048),
        ("deeplabv2_vgg16", 29_573_004),
        ("deeplabv2_vgg16_two_branch", 29_573_004),
        ("deeplabv2_vgg16_dast", 29_573_004),
    ],
)
def test_published_parameter_counts(name: str, count: int) -> None:
    assert parameters(skeleton(named(name), 19)) == count


VGG16 = 14_714_688
"""Weights and biases of the 13 convolutions, as torchvision counts them."""


def fcn8s_head(classes: int) -> int:
    """fc6 and fc7 as convolutions, three scores, two doublings of 4x4."""
    linear = 512 * 4096 * 49 + 4096 + 4096 * 4096 + 4096
    return linear + (4096 + 512 + 256 + 3) * classes + 2 * 16 * classes**2


def segnet_decoder(classes: int) -> int:
    """Convolutions with bias, scale and shift; the classifier has no norm."""
    pairs = [(512, 512)] * 5 + [(512, 256)] + [(256, 256)] * 2 + [(256, 128), (128, 128)]
    pairs += [(128, 64), (64, 64)]
    return sum(9 * a * b + 3 * b for a, b in pairs) + 9 * 64 * classes + classes


@pytest.mark.parametrize(
    ("name", "classes", "count"),
    [
        ("unet_resnet50", 20, 32_523_860),
        ("fcn8s_vgg16", 19, VGG16 + fcn8s_head(19)),
        # 4224 channels with scale and shift in the encoder
        ("segnet", 11, VGG16 + 2 * 4224 + segnet_decoder(11)),
    ],
)
def test_parameter_counts_of_the_baselines(name: str, classes: int, count: int) -> None:
    assert parameters(skeleton(named(name), classes)) == count


@pytest.mark.parametrize(
    ("name", "count"),
    # Published with 1000 ImageNet classes: 4.7 M and 5.3 M.
    [("darts", 4_718_752), ("pc_darts", 5_342_464)],
)
def test_searched_encoders_have_the_published_size(name: str, count: int) -> None:
    network = skeleton(named(name), 19)
    heads = sum(parameters(module) for module in network.head_modules())

    assert parameters(network) - heads + 768 * 1000 + 1000 == count


def test_auto_deeplab_s_has_the_published_size() -> None:
    """10.15 M in the publication."""
    assert parameters(skeleton(named("auto_deeplab_s"), 19)) == 10_147_171


@pytest.mark.parametrize(
    ("name", "millions"),
    [("b0", 3.8), ("b1", 13.7), ("b2", 27.5), ("b3", 47.3), ("b4", 64.1), ("b5", 84.7)],
)
def test_segformers_have_the_published_size(name: str, millions: float) -> None:
    """As published for the 150 classes of ADE20K."""
    assert round(parameters(skeleton(named(f"segformer_{name}"), 150)) / 1e6, 1) == millions


def test_daformer_has_the_published_size() -> None:
    network = skeleton(named("daformer_b5"), 19)
    # Four embeddings, 1x1 and three separable branches of 1024 channels, fusion, classifier.
    embeddings = 256 * (64 + 128 + 320 + 512) + 4 * 256
    separable = 9 * 1024 + 2 * 1024 + 1024 * 256 + 2 * 256
    fusion = 1024 * 256 + 2 * 256 + 3 * separable + 9 * 1024 * 256 + 2 * 256
    encoder = 81_443_008

    assert parameters(network) == encoder + embeddings + fusion + 256 * 19 + 19
    assert round(parameters(network) / 1e6, 1) == 85.2


@pytest.mark.parametrize(
    ("name", "classes", "size", "giga"),
    [
        ("unet_resnet50", 20, (512, 1024), 86.5),
        ("unet_resnet50", 20, (1024, 1024), 173.0),
        ("segformer_b0", 150, (512, 512), 8.4),
        ("segformer_b1", 150, (512, 512), 15.9),
        pytest.param("segformer_b2", 150, (512, 512), 62.4, marks=pytest.mark.slow),
        pytest.param("segformer_b3", 150, (512, 512), 79.0, marks=pytest.mark.slow),
        pytest.param("segformer_b4", 150, (512, 512), 95.7, marks=pytest.mark.slow),
        pytest.param("segformer_b5", 150, (640, 640), 183.3, marks=pytest.mark.slow),
    ],
)
def test_published_multiply_adds_of_the_baselines(
    name: str, classes: int, size: tuple[int, int], giga: float
) -> None:
    found = cost.count(named(name), classes, size)["macs"] / 1e9

    # SegFormer's table was made by a counter that also counts normalisation.
    assert found == pytest.approx(giga, rel=2e-3 if name.startswith("segformer") else 6e-4)


@pytest.mark.parametrize(
    ("name", "giga"),
    [
        ("deeplabv2_resnet101", 379.53),
        ("deeplabv2_resnet101_single", 373.66),
        ("deeplabv2_resnet101_two_branch", 370.72),
        ("deeplabv2_vgg16_two_branch", 322.68),
    ],
)
def test_published_multiply_adds(name: str, giga: float) -> None:
    assert round(cost.count(named(name), 19, SIZE)["macs"] / 1e9, 2) == giga


def test_published_multiply_adds_by_the_rule_of_the_paper() -> None:
    assert round(cost.paper_macs(named("deeplabv2_resnet101"), 19, SIZE) / 1e9, 2) == 380.50


@pytest.mark.parametrize("name", ["deeplabv2_resnet101", "deeplabv2_resnet101_two_branch"])
def test_published_trainable_parameters_with_frozen_normalisation(name: str) -> None:
    network = skeleton(named(name), 19)
    unused = sum(p.numel() for p in network.parameters() if not p.requires_grad)
    freeze_norm_affine(network)
    learning = sum(p.numel() for p in network.parameters() if p.requires_grad)

    # The released two-branch code lists its unused branches as trainable, without effect.
    assert learning + unused == 44_496_216
    # Two branches of both heads: 3 x 3 x (1024 + 2048) weights and two biases per class.
    assert unused == (2 * 19 * (9 * (1024 + 2048) + 2) if name.endswith("two_branch") else 0)


@pytest.mark.parametrize(
    ("size", "features"),
    [
        ((720, 1280), (91, 161)),
        ((760, 1280), (96, 161)),
        ((512, 1024), (65, 129)),
        ((512, 512), (65, 65)),
        ((600, 600), (76, 76)),
        ((1024, 2048), (129, 257)),
    ],
)
def test_published_feature_sizes(size: tuple[int, int], features: tuple[int, int]) -> None:
    output = skeleton(named("deeplabv2_resnet101"), 19)(torch.empty(1, 3, *size, device="meta"))

    assert output.logits.shape == (1, 19, *features)
    assert output.features.mid.shape == (1, 1024, *features)
    assert output.features.deep.shape == (1, 2048, *features)


def test_published_discriminator() -> None:
    with torch.device("meta"):
        discriminator = output_discriminator(19)
        maps = torch.empty(1, 19, *SIZE)

    assert parameters(discriminator) == 2_781_121
    assert discriminator(maps).shape == (1, 1, 16, 32)


def test_the_vgg_network_is_named_and_split_as_released() -> None:
    """DAST's parts end at modules 16, 21 and 29, of 256, 512 and 512 channels."""
    network = skeleton(named("deeplabv2_vgg16"), 19)
    layers = dict(network.named_modules())

    convolutions = [n for n, m in layers.items() if isinstance(m, nn.Conv2d) and "features" in n]
    numbers = [int(name.removeprefix("features.")) for name in convolutions]
    assert numbers == [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31]
    dilations = {n: layers[f"features.{n}"].dilation for n in numbers if n > 21}
    assert dilations == {23: (2, 2), 25: (2, 2), 27: (2, 2), 29: (4, 4), 31: (4, 4)}
    heads = {name for name, _ in network.named_parameters() if not name.startswith("features")}
    assert heads == {
        f"classifier.conv2d_list.{i}.{part}" for i in range(4) for part in ("weight", "bias")
    }
    output = network(torch.empty(1, 3, 512, 1024, device="meta"))
    assert output.features.low.shape == (1, 256, 128, 256)
    assert output.features.mid.shape == (1, 512, 64, 128)
    assert output.features.deep.shape == (1, 1024, 64, 128)
    assert output.logits.shape == (1, 19, 64, 128)


def test_the_vgg_features_are_those_of_its_layers_in_a_row() -> None:
    values = named("deeplabv2_vgg16").values
    narrow = {key: 4 + len(key) for key in values if key.endswith("width")}
    network = build(Architecture.of("vgg_deeplab", values | narrow), 5).eval()
    images = torch.randn(1, 3, 49, 66)
    features = network.encode(images)

    assert isinstance(network.features, nn.Sequential)
    for end, found in ((16, features.low), (29, features.mid), (33, features.deep)):
        torch.testing.assert_close(found, network.features[:end](images), rtol=0, atol=0)


def test_dast_splits_vgg_after_its_fifth_stage() -> None:
    """The same function as the unsplit network; what differs is where a method may step in."""
    values = named("deeplabv2_vgg16_dast").values
    narrow = {key: 4 + len(key) for key in values if key.endswith("width")}
    split = build(Architecture.of("vgg_deeplab", {**values, **narrow}), 5).eval()
    whole = build(Architecture.of("vgg_deeplab", {**values, **narrow, "split": "fc7"}), 5).eval()
    images = torch.randn(1, 3, 49, 66)
    found, wanted = split(images), whole(images)

    torch.testing.assert_close(found.logits, wanted.logits, rtol=0, atol=0)
    torch.testing.assert_close(found.features.deep, wanted.features.mid, rtol=0, atol=0)
    taps = skeleton(named("deeplabv2_vgg16_dast"), 19).taps
    assert [(taps[role].channels, taps[role].stride) for role in ("low", "mid", "deep")] == [
        (256, 4),
        (512, 8),
        (512, 8),
    ]


def test_dast_splits_the_residual_network_before_its_last_block() -> None:
    values = named("deeplabv2_resnet101_dast").values
    narrow = {key: 4 for key in values if key.startswith("stage") and key.endswith("width")}
    network = build(Architecture.of("dast_deeplab", {**values, **narrow, "stage3.depth": 2}), 5)
    network.eval()
    names = {n.split(".downsample")[0] for n, _ in network.named_modules() if ".downsample" in n}
    images = torch.randn(1, 3, 49, 66)
    features = network.encode(images)
    for parameter in network.get_submodule("layer4.2").parameters():
        nn.init.zeros_(parameter)

    assert names == {"layer1.0", "layer2.0", "layer3.0", "layer4.0", "layer4.2"}
    torch.testing.assert_close(network.encode(images).deep, features.deep, rtol=0, atol=0)
    logits = network.decode(features).logits
    # Behind a silenced block nothing is left but the biases of the two branches in use.
    head = network.get_submodule("layer6")
    assert isinstance(head, AsppSum)
    first, second = head.get_submodule("conv2d_list.0"), head.get_submodule("conv2d_list.1")
    biases = first.state_dict()["bias"] + second.state_dict()["bias"]
    torch.testing.assert_close(logits, biases.view(1, 5, 1, 1).expand_as(logits))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"aux": False}, "dast_deeplab: there is no auxiliary head; leave 'aux' out"),
        ({"stage4.depth": 1}, "dast_deeplab: 'stage4.depth' is 1, expected 2 or more"),
        ({"norm": "gn"}, "dast_deeplab: 'norm' is 'gn', expected one of bn, ibn_a"),
    ],
)
def test_what_dast_cannot_split_is_refused(changes: dict[str, Value], said: str) -> None:
    values = named("deeplabv2_resnet101_dast").values
    with pytest.raises(SpaceError, match=said):
        skeleton(Architecture.of("dast_deeplab", {**values, **changes}), 19)


def test_later_networks_cost_more_than_deeplab_v2() -> None:
    """Their published counts belong to variants that no paper describes; this much is common."""
    counts = {
        name: cost.count(named(name), 19, SIZE)
        for name in ("deeplabv2_resnet101", "danet_resnet101", "deeplabv3plus_resnet101")
    }
    deeplab = counts.pop("deeplabv2_resnet101")
    for found in counts.values():
        assert found["params"] > 1.25 * deeplab["params"]
        assert found["macs"] > 1.25 * deeplab["macs"]


def published_weights(case: NpzFile) -> dict[str, Tensor]:
    """The weights of a recorded case, drawn by its recipe and checked against its sums."""
    generator = torch.Generator().manual_seed(int(case["in_weight_seed"]))
    state = {}
    for name, padded, check in zip(case["w_names"], case["w_shapes"], case["w_check"], strict=True):
        shape = [int(side) for side in padded if side]
        drawn = torch.empty(shape).normal_(0, 0.05, generator=generator)
        if name.endswith("running_var"):
            drawn = 1 + drawn.abs()
        elif drawn.ndim == 1 and name.endswith(".weight"):
            drawn = 1 + drawn
        exact = drawn.double()
        found = [exact.flatten()[0].item(), exact.sum().item(), exact.abs().sum().item()]
        np.testing.assert_allclose(found, check, rtol=1e-4)
        state[str(name)] = drawn
    return state


def shallow(name: str) -> Architecture:
    """A named network with one block per stage, as the recorded ones have."""
    architecture = named(name)
    depths = {f"stage{number}.depth": 1 for number in (1, 2, 3, 4)}
    return Architecture.of(architecture.family, architecture.values | depths)


def loaded(name: str, state: dict[str, Tensor]) -> SegmentationNetwork:
    network = build(shallow(name), 5).double().eval()
    load_weights(network, {key: tensor.double() for key, tensor in state.items()})
    return network


@pytest.mark.parametrize(
    ("case_name", "name", "aux", "main"),
    [
        ("advent_deeplab_multi", "deeplabv2_resnet101", "out_aux_f64", "out_main_f64"),
        (
            "adaptsegnet_deeplab_multi",
            "deeplabv2_resnet101_two_branch",
            "out_pred1_f64",
            "out_pred2_f64",
        ),
    ],
)
def test_logits_equal_the_published_networks(
    vectors: Path, case_name: str, name: str, aux: str, main: str
) -> None:
    case = np.load(vectors / f"{case_name}.npz")
    network = loaded(name, published_weights(case))

    output = network(torch.from_numpy(case["in_x"]).double())
    assert output.aux_logits is not None
    for found, key in ((output.aux_logits, aux), (output.logits, main)):
        np.testing.assert_allclose(found.detach().numpy(), case[key], rtol=1e-4, atol=2e-5)


def test_weights_of_two_and_four_branches_fit_both_but_mean_something_else(vectors: Path) -> None:
    """Zeros in branches 2 and 3 of the four-branch network give the two-branch one exactly."""
    case = np.load(vectors / "advent_deeplab_multi.npz")
    state, images = published_weights(case), torch.from_numpy(case["in_x"]).double()
    four = loaded("deeplabv2_resnet101", state)
    two = loaded("deeplabv2_resnet101_two_branch", state)
    wanted = two(images).logits

    difference = (four(images).logits - wanted).norm() / wanted.norm()
    assert difference > 0.3
    for head in (four.layer5, four.layer6):
        assert isinstance(head, AsppSum)
        for branch in head.conv2d_list[2:]:
            for parameter in branch.parameters():
                nn.init.zeros_(parameter)
    torch.testing.assert_close(four(images).logits, wanted, rtol=0, atol=0)


@pytest.mark.parametrize(("name", "used"), [("2branch", 2), ("4branch", None)])
def test_the_head_equals_the_published_ones(vectors: Path, name: str, used: int | None) -> None:
    case = np.load(vectors / f"aspp_head_{name}.npz")
    head = AsppSum(6, 5, (6, 12, 18, 24), used=used)
    head.load_state_dict({k: torch.from_numpy(case[f"w_{k}"]) for k in head.state_dict()})

    logits = head(torch.from_numpy(case["in_x"])).detach().numpy()
    np.testing.assert_allclose(logits, case["out_y"], rtol=1e-4, atol=1e-5)
