import torch
from torch import nn
from torch.nn.functional import max_unpool2d

from autoadapt.networks.build import build, skeleton
from autoadapt.networks.families.segnet import Segnet, even, pool_with_places
from autoadapt.space.architecture import Architecture
from autoadapt.space.named import named

SMALL = Architecture.of("segnet", Segnet.smoke_values)


def test_maxima_go_back_to_where_they_were_also_in_odd_maps() -> None:
    features = torch.tensor([[1.0, 5, 2], [3, 4, 7], [6, 2, 9]]).view(1, 1, 3, 3)
    pooled, places = pool_with_places()(even(features))
    back = max_unpool2d(pooled, places, [2, 2])[..., :3, :3]

    assert pooled.flatten().tolist() == [5, 7, 6, 9]
    assert back.view(3, 3).tolist() == [[0, 5, 0], [0, 0, 7], [6, 0, 9]]


def test_the_encoder_is_named_as_torchvision_does() -> None:
    network = skeleton(named("segnet"), 11)
    numbers = [
        int(name.split(".")[1])
        for name, module in network.named_modules()
        if name.startswith("features.") and isinstance(module, nn.Conv2d)
    ]

    # Of vgg16_bn: convolution, norm, rectifier, and a pooling layer at the end of each block.
    assert numbers == [0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40]
    assert network.get_parameter("features.40.weight").shape == (512, 512, 3, 3)


def test_the_decoder_mirrors_the_encoder() -> None:
    network = skeleton(named("segnet"), 11)
    widths = [
        (module.in_channels, module.out_channels)
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and not name.startswith("features.")
    ]
    encoder = [
        (module.out_channels, module.in_channels)
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and name.startswith("features.")
    ]

    assert widths == [*encoder[:0:-1], (64, 11)]


def test_logits_have_the_size_of_the_image_rounded_up() -> None:
    network = build(SMALL, 5, seed=2).eval()

    assert network(torch.randn(1, 3, 64, 96)).logits.shape == (1, 5, 64, 96)
    assert network(torch.randn(1, 3, 67, 98)).logits.shape == (1, 5, 68, 98)


def test_the_decoder_needs_the_places() -> None:
    network = build(SMALL, 5, seed=2).eval()
    ours, other = (network.encode(torch.randn(1, 3, 67, 98)) for _ in range(2))

    assert [place.shape[2:] for place in ours.skips] == [
        (34, 49), (17, 25), (9, 13), (5, 7), (3, 4)
    ]  # fmt: skip
    moved = network.decode(ours._replace(skips=other.skips)).logits
    assert not torch.allclose(moved, network.decode(ours).logits)
