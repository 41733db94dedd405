"""MinEnt's entropy range and class-ratio prior against arithmetic."""

import math
from pathlib import Path

import pytest
import torch

from autoadapt.config.settings import TrainingSettings
from autoadapt.data.priors import class_ratio
from autoadapt.data.training import TrainingData
from autoadapt.networks.build import build
from autoadapt.space.architecture import Architecture
from autoadapt.training.fit import Loop
from autoadapt.uda._losses import entropy
from autoadapt.uda.min_ent import MinEnt, highest_entropy, missing_mass


def logits_of(*images: list[list[float]]) -> torch.Tensor:
    """Pixels with these class probabilities, one row per image, as logits (N, C, 1, W)."""
    return torch.tensor(images).log().permute(0, 2, 1)[:, :, None]


def test_the_least_certain_pixels_of_each_image_count() -> None:
    """Entropies of (0.5, 0.5), (0.8, 0.2), (0.9, 0.1), (1, 0) in bits: 1, 0.7219, 0.4690, 0."""
    sure, unsure, half, even = [1 - 1e-7, 1e-7], [0.8, 0.2], [0.9, 0.1], [0.5, 0.5]
    logits = logits_of([half, sure, even, unsure], [sure, sure, half, sure])
    # the two highest of each: (1 + 0.7219 + 0.4690 + 0) / 4
    assert highest_entropy(logits, 0.5).item() == pytest.approx(0.547731, abs=1e-5)
    assert highest_entropy(logits, 0.3).item() == pytest.approx((1 + 0.468996) / 2, abs=1e-5)
    assert highest_entropy(logits, 0.01) == highest_entropy(logits, 0.25)
    assert highest_entropy(logits, 1.0) == entropy(logits)


def test_certain_pixels_get_no_gradient_from_the_range() -> None:
    logits = torch.randn(2, 5, 4, 7, requires_grad=True)
    (gradient,) = torch.autograd.grad(highest_entropy(logits, 0.3), logits)
    moved = gradient.abs().sum(dim=1).flatten(1) > 0
    assert moved.sum(dim=1).tolist() == [8, 8]  # floor(28 * 0.3)


def test_classes_below_their_least_mass_are_missed() -> None:
    """Means 0.8, 0.15, 0.05 and 0.2, 0.5, 0.3; least 0.3, 0.2, 0.1: 0.05 + 0.05, then 0.1."""
    logits = logits_of([[0.9, 0.05, 0.05], [0.7, 0.25, 0.05]], [[0.1, 0.6, 0.3], [0.3, 0.4, 0.3]])
    found = missing_mass(logits, torch.tensor([0.3, 0.2, 0.1]))
    assert found.item() == pytest.approx((0.1 + 0.1) / 2, abs=1e-6)
    assert missing_mass(logits, torch.tensor([0.2, 0.1, 0.05])).item() == pytest.approx(0, abs=1e-7)


def test_the_prior_is_that_of_the_source_and_lasts(
    tiny_architecture: Architecture, toy_data: TrainingData, tmp_path: Path
) -> None:
    method = MinEnt(prior_weight=2.0, prior_share=0.9)
    network = build(tiny_architecture, 4, seed=5)
    settings = TrainingSettings(steps=1)
    loop = Loop(
        method, network, toy_data, settings, seed=11, device=torch.device("cpu"), scratch=tmp_path
    )
    loop.begin(loop.stretches[0])
    ratio = class_ratio(toy_data.source, 4)
    assert method.ratio == pytest.approx(ratio.tolist())
    assert math.isclose(sum(method.ratio), 1)
    resumed = MinEnt(prior_weight=2.0, prior_share=0.9)
    resumed.load_state_dict(method.state_dict())
    batch = toy_data.draw(0)
    with torch.no_grad():
        logits = loop.context.forward(batch.target.images, "target").logits
    losses = resumed.step(loop.context, batch.source, batch.target)
    wanted = 2.0 * missing_mass(logits, 0.9 * torch.tensor(ratio).float())
    assert losses["prior"].item() == pytest.approx(wanted.item(), rel=1e-5)
    assert wanted > 0
    assert "prior" not in MinEnt().step(loop.context, batch.source, batch.target)
