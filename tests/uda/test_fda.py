"""FDA's entropy, pseudo-labels and translation, against official numbers and by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from autoadapt.config.settings import TrainingSettings
from autoadapt.data.batches import IGNORE
from autoadapt.data.training import TrainingData
from autoadapt.data.transforms import to_pixels
from autoadapt.errors import ConfigError
from autoadapt.networks.build import build
from autoadapt.space.architecture import Architecture
from autoadapt.training.fit import fit
from autoadapt.uda._ensemble import Ensemble, mean_probabilities
from autoadapt.uda._losses import robust_entropy
from autoadapt.uda._thresholds import class_thresholds
from autoadapt.uda.base import Context
from autoadapt.uda.fda import Fda, sure_labels


def test_robust_entropy(vectors: Path) -> None:
    """Officially divided by 2.9444 instead of ln 19: 1.3e-5 off, to the power of 2 eta."""
    with np.load(vectors / "fda_entropy_term.npz") as case:
        logits = torch.from_numpy(case["in_logits"]).requires_grad_()
        for eta, wanted in zip(case["in_eta"], case["out_loss"], strict=True):
            found = robust_entropy(logits, float(eta))
            assert found.item() == pytest.approx(float(wanted), rel=1e-4)
        (gradient,) = torch.autograd.grad(robust_entropy(logits, 2.0), logits)
        np.testing.assert_allclose(gradient, case["out_grad_logits_eta2"], rtol=1e-3, atol=1e-7)


def official_thresholds(best: Tensor, label: Tensor) -> list[float]:
    """The round(0.66 n)-th of the ascending confidences of each class, 0 for an empty one.

    That is rank n - round(0.66 n) from above, where the method has floor(0.34 n): handing over
    this rank as a portion shows that everything else is the same.
    """
    found = []
    for number in range(19):
        values = np.sort(best[label == number].numpy())
        if not len(values):
            found.append(0.0)
            continue
        rank = len(values) - int(np.round(0.66 * len(values)))
        counts = np.ones((1, len(values)), np.int64)
        threshold, _ = class_thresholds(values, counts, (rank + 0.5) / len(values), cap=None)
        found.append(float(threshold[0]))
    return found


def test_pseudo_labels_of_the_ensemble(vectors: Path) -> None:
    with np.load(vectors / "fda_ensemble_pseudo_labels.npz") as case:
        logits = [torch.from_numpy(case[f"in_logits{number}"]) for number in (1, 2, 3)]
        height, width = (int(side) for side in case["in_out_size"])
        mean = mean_probabilities(logits, (height, width), (0.3333, 0.3333, 0.3334))
        raw = np.array(official_thresholds(*mean.max(dim=1)))
        np.testing.assert_allclose(raw, case["out_threshold_raw"], rtol=1e-5, atol=1e-6)
        found = sure_labels(mean, torch.from_numpy(np.minimum(raw, 0.9)).float())
        different = (found.numpy() != case["out_plabel"]).sum(axis=(1, 2))
        assert (different <= 2).all()  # within 1e-6 of a threshold, as the case says
        assert (found != IGNORE).any()


def test_sure_labels_by_hand() -> None:
    probabilities = torch.tensor([[[[0.6, 0.4, 0.5]], [[0.4, 0.6, 0.5]]]])
    found = sure_labels(probabilities, torch.tensor([0.6, 0.7]))
    assert found.tolist() == [[[0, IGNORE, IGNORE]]]


def test_an_ensemble_averages_probabilities_not_logits(tiny_architecture: Architecture) -> None:
    members = [build(tiny_architecture, 4, seed=seed).eval() for seed in (1, 2)]
    images = torch.randn(2, 3, 32, 48)
    with torch.inference_mode():
        found = Ensemble(members)(images).logits.softmax(dim=1)
        parts = [member(images).logits.softmax(dim=1) for member in members]
        wanted = torch.nn.functional.interpolate(
            (parts[0] + parts[1]) / 2, size=(32, 48), mode="bilinear", align_corners=True
        )
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def context_of(architecture: Architecture) -> Context:
    network = build(architecture, 4, seed=5)
    return Context(network, 4, TrainingSettings(steps=1), torch.device("cpu"))


def test_translation_moves_the_mean_colour(
    tiny_architecture: Architecture, toy_data: TrainingData
) -> None:
    """The target of the toy data is 100 grey levels brighter."""
    batch = toy_data.draw(0)
    context = context_of(tiny_architecture)
    made = Fda().translated(context, batch.source.images, batch.target.images, 0.0)
    colours = [to_pixels(images, "imagenet").mean() for images in (made, batch.target.images)]
    torch.testing.assert_close(colours[0], colours[1], rtol=0, atol=1e-2)


def test_images_of_two_sizes_are_refused(tiny_architecture: Architecture) -> None:
    context = context_of(tiny_architecture)
    with pytest.raises(ConfigError, match=r"of one size, got \(32, 48\) and \(32, 40\)"):
        Fda().translated(context, torch.zeros(1, 3, 32, 48), torch.zeros(1, 3, 32, 40), 0.1)


def test_no_band_at_all_is_refused(tiny_architecture: Architecture, toy_data: TrainingData) -> None:
    with pytest.raises(ConfigError, match="bands is empty"):
        fit(
            Fda(bands=()), build(tiny_architecture, 4), toy_data, TrainingSettings(steps=1),
            seed=0, device=torch.device("cpu"),
        )  # fmt: skip


def test_entropy_counts_from_its_share_of_the_steps(
    tiny_architecture: Architecture, toy_data: TrainingData
) -> None:
    seen: list[bool] = []
    settings = TrainingSettings(steps=6, checkpoint_every=1)
    fit(
        Fda(entropy_from=0.5), build(tiny_architecture, 4), replace(toy_data, batch_size=1),
        settings, seed=0, device=torch.device("cpu"),
        on_progress=lambda progress: seen.append("entropy" in progress.losses),
    )  # fmt: skip
    assert seen == [False] * 3 + [True] * 3


def test_bands_begin_alike_and_learn_apart(
    tiny_architecture: Architecture, toy_data: TrainingData
) -> None:
    settings = TrainingSettings(steps=1, learning_rate=0.1)
    fitted = fit(
        Fda(bands=(0.0, 0.0, 0.3)), build(tiny_architecture, 4), toy_data, settings,
        seed=0, device=torch.device("cpu"),
    )  # fmt: skip
    name = "layer6.conv2d_list.0.weight"
    first = fitted.network.get_parameter(name)
    same, other = (fitted.modules[band].get_parameter(name) for band in ("band1", "band2"))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
