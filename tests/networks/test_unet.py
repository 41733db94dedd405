import pytest
import torch
from torch import Tensor, nn

from autoadapt.errors import SpaceError
from autoadapt.networks.build import build, describe, skeleton
from autoadapt.networks.families.unet import Unet, UnetDecoder
from autoadapt.space.architecture import Architecture
from autoadapt.space.named import named

SMALL = Architecture.of("unet", Unet.smoke_values)


def test_parameters_are_named_and_shaped_as_published() -> None:
    state = {
        k: tuple(v.shape) for k, v in skeleton(named("unet_resnet50"), 20).state_dict().items()
    }

    for name, shape in {
        "encoder.conv1.weight": (64, 3, 7, 7),
        "encoder.layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "encoder.layer3.5.conv2.weight": (256, 256, 3, 3),
        "encoder.layer4.2.bn3.running_var": (2048,),
        "decoder.blocks.0.conv1.0.weight": (256, 2048 + 1024, 3, 3),
        "decoder.blocks.1.conv1.0.weight": (128, 256 + 512, 3, 3),
        "decoder.blocks.3.conv1.0.weight": (32, 64 + 64, 3, 3),
        "decoder.blocks.4.conv1.0.weight": (16, 32, 3, 3),
        "decoder.blocks.4.conv2.1.weight": (16,),
        "segmentation_head.0.weight": (20, 16, 3, 3),
        "segmentation_head.0.bias": (20,),
    }.items():
        assert state[name] == shape
    assert not any(name.startswith("encoder.fc") for name in state)


def test_the_stride_is_in_the_3x3_and_projections_are_where_torchvision_has_them() -> None:
    modules = dict(skeleton(named("unet_resnet50"), 20).named_modules())

    for stage, stride in ((1, 1), (2, 2), (3, 2), (4, 2)):
        block = modules[f"encoder.layer{stage}.0"]
        assert isinstance(block.conv1, nn.Conv2d)
        assert isinstance(block.conv2, nn.Conv2d)
        assert (block.conv1.stride, block.conv2.stride) == ((1, 1), (stride, stride))
    projected = {n.split(".")[1:3].__repr__() for n in modules if n.endswith("downsample.0")}
    assert len(projected) == 4


@pytest.mark.parametrize(("size", "logits"), [((64, 96), (64, 96)), ((65, 98), (66, 98))])
def test_logits_have_the_size_of_the_image_rounded_up(
    size: tuple[int, int], logits: tuple[int, int]
) -> None:
    network = build(SMALL, 5, seed=2).eval()

    assert network(torch.randn(2, 3, *size)).logits.shape == (2, 5, *logits)


def test_the_decoder_takes_over_every_map() -> None:
    network = build(SMALL, 5, seed=2).eval()
    features = network.encode(torch.randn(1, 3, 64, 96))
    assert [m.shape[1:] for m in features.skips] == [(4, 32, 48), (32, 8, 12)]
    before = network.decode(features).logits
    changes = [{role: getattr(features, role) + 1} for role in ("low", "mid", "deep")]
    stem, second = features.skips
    changes += [{"skips": (stem + 1, second)}, {"skips": (stem, second + 1)}]

    for change in changes:
        assert not torch.allclose(network.decode(features._replace(**change)).logits, before)


def test_blocks_see_the_enlarged_map_and_then_the_one_of_the_encoder() -> None:
    """The order in which the published layout joins them."""
    decoder = UnetDecoder((3, 4, 5), (6, 7, 8)).eval()
    seen: list[Tensor] = []
    for block in decoder.blocks:
        block.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    deep, mid, stem = (torch.rand(2, *shape) for shape in ((5, 2, 3), (4, 3, 6), (3, 6, 12)))
    refined = decoder(deep, (mid, stem))

    # Three rows out of two: the nearest to the centres are 0, 0 and 1.
    rows = deep[:, :, [0, 0, 1]]
    assert torch.equal(seen[0], torch.cat([rows.repeat_interleave(2, dim=3), mid], dim=1))
    assert torch.equal(seen[1][:, 6:], stem)
    assert [given.shape[1:] for given in seen] == [(9, 3, 6), (9, 6, 12), (7, 12, 24)]
    assert refined.shape == (2, 8, 12, 24)


def test_wrong_values_are_named() -> None:
    for key, said in (("encoder.depths", "4 whole"), ("decoder.widths", "5 whole")):
        with pytest.raises(SpaceError, match=f"'{key}' is .*expected {said} numbers"):
            build(Architecture.of("unet", {**Unet.smoke_values, key: [1, 2]}), 5)


def test_the_description_says_what_was_chosen() -> None:
    words = describe(named("unet_resnet50"))

    assert "3-4-6-3 bottleneck blocks" in words
    assert "256-128-64-32-16 channels" in words
