"""Structure enhancement: sizes, weights, and its two ablations."""

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import nn

from autoadapt.config.settings import TrainingSettings
from autoadapt.data.training import TrainingData
from autoadapt.data.transforms import from_pixels
from autoadapt.networks.build import build
from autoadapt.networks.contract import Features, Output, Tap
from autoadapt.space.architecture import Architecture
from autoadapt.training.fit import fit
from autoadapt.uda._aspp_discriminator import AsppDiscriminator
from autoadapt.uda._decoder import ImageDecoder
from autoadapt.uda.base import Context
from autoadapt.uda.structure_enhancement import StructureEnhancement


def small(**options: Any) -> StructureEnhancement:
    return StructureEnhancement(**{"decoder_width": 8, "discriminator_width": 4, **options})


def test_the_decoder_doubles_up_to_the_image() -> None:
    """Stride 8: 1x1 to 512, blocks of 512, then 256, 128 and 64 channels, then 3."""
    decoder = ImageDecoder(Tap(2048, 8))
    shapes = [tuple(p.shape) for name, p in decoder.named_parameters() if "weight" in name]
    blocks = [(512, 512, 3, 3)] * 6
    ups = [(512, 256, 4, 4), (256, 128, 4, 4), (128, 64, 4, 4)]
    assert shapes == [(512, 2048, 1, 1), *blocks, *ups, (3, 64, 1, 1)]


@pytest.mark.parametrize(("stride", "size"), [(8, (40, 56)), (16, (37, 50)), (4, (20, 24))])
def test_the_decoder_returns_the_size_asked_for(stride: int, size: tuple[int, int]) -> None:
    height, width = (math.ceil(side / stride) for side in size)
    images = ImageDecoder(Tap(6, stride), width=16)(torch.randn(2, 6, height, width), size)
    assert images.shape == (2, 3, *size)
    assert images.abs().max() <= 1


def test_the_discriminator_sees_four_scales() -> None:
    """19 classes, 128 channels: 4 x (19 x 9 x 128 + 128) + 4 x 128 + 1 parameters."""
    judge = AsppDiscriminator(19)
    assert sum(p.numel() for p in judge.parameters()) == 4 * (19 * 9 * 128 + 128) + 513
    assert judge(torch.randn(2, 19, 9, 13)).shape == (2, 1, 9, 13)
    # The largest rate reaches four positions to each side, and no further.
    maps = torch.randn(1, 19, 20, 20, requires_grad=True)
    judge(maps)[0, 0, 10, 10].backward()
    assert maps.grad is not None
    rows = maps.grad.abs().sum(dim=(0, 1, 3)).nonzero()[:, 0].tolist()
    assert rows == list(range(6, 15))


class Constant(nn.Module):
    """A decoder that always draws the same grey."""

    def forward(self, features: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        return torch.full((len(features), 3, *size), 0.5)


@pytest.mark.parametrize(
    ("reduction", "numbers"), [("mean", 1), ("sum", 3 * 4 * 6), ("size_free", 3 * 512 * 1024)]
)
def test_the_distance_by_hand(
    reduction: str, numbers: int, tiny_architecture: Architecture
) -> None:
    """Black images are -1, the decoder says 0.5: 1.5 apart everywhere."""
    network = build(tiny_architecture, 4)
    context = Context(network, 4, TrainingSettings(steps=1), torch.device("cpu"))
    context.modules["decoder"] = Constant()
    images = from_pixels(torch.zeros(2, 3, 4, 6), "imagenet")
    none = torch.zeros(2, 8, 1, 1)
    output = Output(torch.zeros(2, 4, 4, 6), Features(none, none, none), None)
    method = small(reduction=reduction, reconstruction_weight=0.01)
    found = method.drawn(context, output, images, "source")["reconstruct_source"]
    assert found.item() == pytest.approx(0.01 * 1.5 * numbers, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "modules", "terms"),
    [
        (
            {},
            {"decoder", "discriminator"},
            {"reconstruct_source", "reconstruct_target", "fool", "tell"},
        ),
        ({"adversarial_weight": 0.0}, {"decoder"}, {"reconstruct_source", "reconstruct_target"}),
        ({"reconstruction_weight": 0.0}, {"discriminator"}, {"fool", "tell"}),
    ],
)
def test_a_weight_of_0_leaves_a_part_out(
    options: dict[str, float],
    modules: set[str],
    terms: set[str],
    tiny_architecture: Architecture,
    toy_data: TrainingData,
) -> None:
    fitted = fit(
        small(**options), build(tiny_architecture, 4), toy_data, TrainingSettings(steps=1),
        seed=0, device=torch.device("cpu"),
    )  # fmt: skip
    assert set(fitted.modules) == modules
    assert set(fitted.losses) == terms | {"source", "source_aux"}


def test_with_nothing_left_it_is_training_on_the_source_with_a_target_pass(
    tiny_architecture: Architecture, toy_data: TrainingData
) -> None:
    data = dataclasses.replace(toy_data, batch_size=1)
    fitted = fit(
        small(adversarial_weight=0.0, reconstruction_weight=0.0), build(tiny_architecture, 4), data,
        TrainingSettings(steps=1), seed=0, device=torch.device("cpu"),
    )  # fmt: skip
    assert set(fitted.losses) == {"source", "source_aux"}


def test_the_saturating_loss_is_the_other_side_of_the_coin(
    tiny_architecture: Architecture,
) -> None:
    """With D = sigmoid(s) the probability of the target: log(1 - D_source) = log(D)."""
    network = build(tiny_architecture, 4)
    context = Context(network, 4, TrainingSettings(steps=1), torch.device("cpu"))
    judge = AsppDiscriminator(4, 4)
    context.modules["discriminator"] = judge
    logits = torch.randn(1, 4, 6, 7)
    none = torch.zeros(1, 8, 1, 1)
    output = Output(logits, Features(none, none, none), None)
    target = judge(logits.softmax(dim=1)).sigmoid()
    found = {
        saturating: small(saturating=saturating, adversarial_weight=1.0).fooled(context, output)
        for saturating in (True, False)
    }
    torch.testing.assert_close(found[True]["fool"], target.log().mean())
    torch.testing.assert_close(found[False]["fool"], -(1 - target).log().mean())
