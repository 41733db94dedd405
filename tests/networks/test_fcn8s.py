import torch
from torch import nn
from torch.nn.functional import interpolate

from autoadapt.networks.build import build, skeleton
from autoadapt.networks.families.fcn8s import Fcn8s, bilinear_doubling
from autoadapt.space.architecture import Architecture
from autoadapt.space.named import named

SMALL = Architecture.of("fcn8s", Fcn8s.smoke_values)


def test_doubling_starts_bilinear() -> None:
    scores = torch.randn(2, 3, 5, 7)
    doubled = bilinear_doubling(3)(scores)
    expected = interpolate(scores, scale_factor=2, mode="bilinear", align_corners=False)

    assert doubled.shape == (2, 3, 10, 14)
    # A transposed convolution has zeros around the map instead of its border.
    torch.testing.assert_close(doubled[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])


def test_parameters_are_named_and_shaped_as_published() -> None:
    network = skeleton(named("fcn8s_vgg16"), 19)
    numbers = [
        int(name.split(".")[1])
        for name, module in network.named_modules()
        if name.startswith("features.") and isinstance(module, nn.Conv2d)
    ]
    shapes = {
        name: tuple(tensor.shape)
        for name, tensor in network.state_dict().items()
        if not name.startswith("features.")
    }

    assert numbers == [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]  # torchvision's vgg16
    assert shapes == {
        "vgg_head.0.weight": (4096, 512, 7, 7),
        "vgg_head.0.bias": (4096,),
        "vgg_head.3.weight": (4096, 4096, 1, 1),
        "vgg_head.3.bias": (4096,),
        "vgg_head.6.weight": (19, 4096, 1, 1),
        "vgg_head.6.bias": (19,),
        "score_pool4.weight": (19, 512, 1, 1),
        "score_pool4.bias": (19,),
        "score_pool3.weight": (19, 256, 1, 1),
        "score_pool3.bias": (19,),
        "upscore2.weight": (19, 19, 4, 4),
        "upscore_pool4.weight": (19, 19, 4, 4),
    }


def test_a_new_network_has_no_opinion() -> None:
    output = build(SMALL, 5, seed=2)(torch.randn(1, 3, 64, 96))

    assert output.logits.shape == (1, 5, 8, 12)
    assert output.logits.count_nonzero() == 0


def test_scores_of_three_layers_add_up() -> None:
    network = build(SMALL, 2, seed=2).eval()
    for name, value in (("vgg_head.6", 100.0), ("score_pool4", 10.0), ("score_pool3", 1.0)):
        nn.init.constant_(network.get_parameter(f"{name}.bias"), value)
    logits = network(torch.randn(1, 3, 67, 100)).logits

    assert logits.shape == (1, 2, 9, 13)
    # Inside, where bilinear enlargement leaves a constant as it is.
    torch.testing.assert_close(logits[..., 4:-4, 4:-4], torch.full((1, 2, 1, 5), 111.0))


def test_dropout_is_for_training() -> None:
    network = build(SMALL, 5, seed=2)
    nn.init.ones_(network.get_parameter("vgg_head.6.weight"))
    images = torch.randn(2, 3, 64, 96)

    assert not torch.equal(network(images).logits, network(images).logits)
    network.eval()
    torch.testing.assert_close(network(images).logits, network(images).logits, rtol=0, atol=0)
