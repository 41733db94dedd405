"""FCAN: statistics of features, painting, and who sees what."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autoadapt.config.settings import TrainingSettings
from autoadapt.data.training import TrainingData
from autoadapt.networks.build import build
from autoadapt.space.architecture import Architecture
from autoadapt.training.fit import fit
from autoadapt.uda.base import Context, Phase
from autoadapt.uda.fcan import EPSILON, Fcan, moments, restyled

SMALL: dict[str, Any] = {"decoder_width": 8, "discriminator_width": 4}
CPU = torch.device("cpu")


def test_moments_by_hand() -> None:
    features = torch.tensor([[[[1.0, 3.0], [5.0, 7.0]], [[2.0, 2.0], [2.0, 2.0]]]])
    mean, deviation = moments(features)
    assert mean.tolist() == [[4.0, 2.0]]
    # variance ((-3)^2 + 1 + 1 + 3^2) / 4 = 5
    torch.testing.assert_close(deviation**2, torch.tensor([[5 + EPSILON, EPSILON]]))


def test_restyled_features_have_the_wanted_moments() -> None:
    features = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(1)) * 4 + 1
    mean, deviation = torch.tensor([0.0, -2.0, 5.0]), torch.tensor([1.0, 0.5, 3.0])
    found = moments(restyled(features, mean, deviation, share=1.0))
    for got, wanted in zip(found, (mean, deviation), strict=True):
        torch.testing.assert_close(got, wanted.expand(2, 3), rtol=1e-3, atol=1e-3)
    assert torch.equal(restyled(features, mean, deviation, share=0.0), features)
    half = moments(restyled(features, mean, deviation, share=0.5))[0]
    torch.testing.assert_close(half, (moments(features)[0] + mean) / 2, rtol=1e-4, atol=1e-4)


class FirstChannels(nn.Module):
    """A decoder that draws the mean of the first feature channel as a grey."""

    def forward(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        grey = features[:, :1].mean(dim=(2, 3), keepdim=True)
        return grey.expand(-1, 3, *size).clamp(-1, 1)


def context_of(architecture: Architecture, folder: Path) -> Context:
    network = build(architecture, 4, seed=5).eval()
    context = Context(network, 4, TrainingSettings(steps=1), CPU, folder=folder)
    Fcan(**SMALL).setup(context)
    return context


def test_painted_images_have_the_style_of_the_target_and_their_labels(
    tiny_architecture: Architecture, toy_data: TrainingData, tmp_path: Path
) -> None:
    context, method = context_of(tiny_architecture, tmp_path), Fcan(**SMALL)
    context.modules["decoder"] = FirstChannels()
    mean, _ = method.style_of(context, toy_data)
    method.begin_round(context, toy_data, Phase("adapt", 1), 0)
    view = method.view(context, toy_data, Phase("adapt", 1))
    every = range(len(toy_data.source))
    wanted = (mean[0].clamp(-1, 1).item() + 1) * 127.5
    assert np.abs(view.source.images(every).astype(float) - wanted).max() <= 0.51
    assert np.array_equal(view.source.labels(every), toy_data.source.labels(every))
    assert view.target is toy_data.target


def test_the_style_is_the_mean_over_all_target_images(
    tiny_architecture: Architecture, toy_data: TrainingData, tmp_path: Path
) -> None:
    """Batches of two and one; each image counts the same."""
    context, method = context_of(tiny_architecture, tmp_path), Fcan(**SMALL)
    mean, deviation = method.style_of(context, toy_data)
    batches = [batch.images for _, batch in toy_data.sweep(toy_data.target)]
    parts = [moments(method.low(context, images)) for images in batches]
    assert [len(part[0]) for part in parts] == [2, 1]
    for got, place in ((mean, 0), (deviation, 1)):
        wanted = torch.cat([part[place] for part in parts]).mean(dim=0)
        torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_without_appearance_images_stay(
    share: float, tiny_architecture: Architecture, toy_data: TrainingData
) -> None:
    method = Fcan(**SMALL, appearance_share=share)
    settings = TrainingSettings(steps=10, learning_rate=0.01)
    fitted = fit(method, build(tiny_architecture, 4), toy_data, settings, seed=1, device=CPU)
    assert bool(method.painted) == bool(share)
    assert ("decoder" in fitted.modules) == bool(share)
    assert {"fool", "tell"} <= fitted.losses.keys()


def test_the_decoder_learns_to_draw(
    tiny_architecture: Architecture, toy_data: TrainingData
) -> None:
    """Noise of 100 levels is 25 from its middle in the mean: 0.196 is the best one grey can do."""
    seen: list[float] = []
    method = Fcan(**SMALL, warm_up=0.0, appearance_share=1.0, decoder_rate=0.01)
    settings = TrainingSettings(steps=40, checkpoint_every=1)
    fit(
        method, build(tiny_architecture, 4), toy_data, settings, seed=1, device=CPU,
        on_progress=lambda progress: seen.append(progress.losses["draw_target"]),
    )  # fmt: skip
    assert seen[0] > 0.3
    assert 0.19 < seen[-1] < 0.22
