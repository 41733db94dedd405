"""Losses against arithmetic, laws, and numbers recorded from the official functions."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from autoadapt.data.batches import IGNORE
from autoadapt.networks.contract import Features, Output
from autoadapt.uda._discriminator import output_discriminator
from autoadapt.uda._losses import (
    SOURCE_LABEL,
    TARGET_LABEL,
    cross_entropy,
    disagreement,
    domain_loss,
    entropy,
    self_information,
)
from autoadapt.uda.adapt_seg_net import AdaptSegNet


def logits_of(probabilities: list[list[float]]) -> Tensor:
    """One row of pixels with these class probabilities, as logits (1, C, 1, W)."""
    return torch.tensor(probabilities).log().T[None, :, None, :]


def golden(folder: Path, name: str) -> dict[str, Tensor]:
    with np.load(folder / f"{name}.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def test_cross_entropy_is_the_mean_over_labelled_pixels() -> None:
    logits = logits_of([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])
    labels = torch.tensor([[[0, 1, IGNORE]]])
    # (-ln 0.5 - ln 0.8) / 2 = (0.693147 + 0.223144) / 2; the third pixel does not count
    assert cross_entropy(logits, labels).item() == pytest.approx(0.4581454, rel=1e-6)


def test_class_weights_weigh_numerator_and_denominator() -> None:
    logits = logits_of([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])
    labels = torch.tensor([[[0, 1, IGNORE]]])
    # (3 * 0.693147 + 1 * 0.223144) / (3 + 1)
    weighted = cross_entropy(logits, labels, torch.tensor([3.0, 1.0, 7.0]))
    assert weighted.item() == pytest.approx(0.5756463, rel=1e-6)


@pytest.mark.parametrize("weights", [None, torch.tensor([3.0, 1.0, 7.0])])
def test_cross_entropy_without_labelled_pixels_is_zero_with_zero_gradient(
    weights: Tensor | None,
) -> None:
    logits = torch.randn(2, 3, 4, 5, requires_grad=True)
    loss = cross_entropy(logits, torch.full((2, 4, 5), IGNORE), weights)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


def test_a_class_of_weight_zero_alone_costs_nothing() -> None:
    logits, labels = torch.randn(1, 3, 4, 5), torch.zeros(1, 4, 5, dtype=torch.int64)
    assert cross_entropy(logits, labels, torch.tensor([0.0, 1.0, 1.0])).item() == 0


def test_entropy_by_hand() -> None:
    logits = logits_of([[0.5, 0.25, 0.125, 0.125], [0.25, 0.25, 0.25, 0.25]])
    # bits: 0.5*1 + 0.25*2 + 2*0.125*3 = 1.75 of log2(4) = 2, and 2 of 2: (0.875 + 1) / 2
    assert entropy(logits).item() == pytest.approx(0.9375, rel=1e-6)
    maps = self_information(logits)
    # 0.5 * 1 / 2, 0.25 * 2 / 2, 0.125 * 3 / 2
    assert maps[0, :, 0, 0].tolist() == pytest.approx([0.25, 0.25, 0.1875, 0.1875], rel=1e-6)


@given(st.integers(2, 20), st.floats(0.01, 30), st.integers(0, 2**31))
def test_entropy_lies_between_zero_and_one_and_its_maps_below_their_bound(
    classes: int, scale: float, seed: int
) -> None:
    logits = scale * torch.randn(2, classes, 3, 4, generator=torch.Generator().manual_seed(seed))
    maps = self_information(logits)
    assert maps.min() >= 0
    assert maps.max() <= 1 / (math.e * math.log(classes)) + 1e-6  # -p ln p is largest at 1 / e
    assert 0 <= entropy(logits) <= 1 + 1e-6
    assert torch.allclose(entropy(logits + 5), entropy(logits), atol=1e-5)  # softmax shift


def test_entropy_of_a_certain_prediction_is_zero_with_finite_gradient() -> None:
    logits = torch.tensor([0.0, 500.0, -500.0]).view(1, 3, 1, 1).requires_grad_()
    loss = entropy(logits)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_domain_loss_by_hand() -> None:
    scores = torch.tensor([[[[0.0, math.log(3)]]]])  # sigmoid: 1/2, 3/4
    # label 0: -(ln 1/2 + ln 1/4) / 2; label 1: -(ln 1/2 + ln 3/4) / 2
    assert domain_loss(scores, SOURCE_LABEL).item() == pytest.approx(1.0397208, rel=1e-6)
    assert domain_loss(scores, TARGET_LABEL).item() == pytest.approx(0.4904146, rel=1e-6)
    # squares: (0 + 1.0986123 ** 2) / 2 and (1 + 0.0986123 ** 2) / 2
    assert domain_loss(scores, SOURCE_LABEL, "mse").item() == pytest.approx(0.6034745, rel=1e-6)
    assert domain_loss(scores, TARGET_LABEL, "mse").item() == pytest.approx(0.5048622, rel=1e-6)


def test_official_cross_entropy(vectors: Path) -> None:
    case = golden(vectors, "advent_cross_entropy")
    logits = case["in_logits"].requires_grad_()
    loss = cross_entropy(logits, case["in_label"])
    loss.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(loss.detach(), case["out_loss"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(logits.grad, case["out_grad_logits"], rtol=1e-4, atol=1e-8)


def test_official_weighted_cross_entropy(vectors: Path) -> None:
    case = golden(vectors, "adaptsegnet_cross_entropy")
    logits = case["in_logits"].requires_grad_()
    plain = cross_entropy(logits, case["in_label"])
    torch.testing.assert_close(plain.detach(), case["out_loss"], rtol=1e-5, atol=1e-6)
    weighted = cross_entropy(logits, case["in_label"], case["in_class_weight"])
    weighted.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(weighted.detach(), case["out_loss_weighted"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(logits.grad, case["out_grad_logits_weighted"], rtol=1e-4, atol=1e-8)


def test_official_entropy_loss(vectors: Path) -> None:
    case = golden(vectors, "advent_entropy_loss")
    logits = case["in_logits"].requires_grad_()
    loss = entropy(logits)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(loss.detach(), case["out_loss"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(logits.grad, case["out_grad_logits"], rtol=1e-4, atol=1e-8)


def test_official_self_information(vectors: Path) -> None:
    case = golden(vectors, "advent_self_information")
    # Ours takes logits; a probability of exactly 0 has none, the smallest number stands for it.
    logits = case["in_prob"].clamp(min=1e-38).log()
    torch.testing.assert_close(self_information(logits), case["out_map"], rtol=1e-6, atol=1e-7)


def test_official_discriminator_loss(vectors: Path) -> None:
    case = golden(vectors, "advent_bce")
    for label, wanted in ((SOURCE_LABEL, "label0"), (TARGET_LABEL, "label1")):
        scores = case["in_d_logits"].clone().requires_grad_()
        loss = domain_loss(scores, label)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.testing.assert_close(loss.detach(), case[f"out_loss_{wanted}"], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(scores.grad, case[f"out_grad_{wanted}"], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("domain", "label"), [("source", 1.0), ("target", 0.0)])
def test_adversarial_entropy_of_another_library(vectors: Path, domain: str, label: float) -> None:
    """Its domain labels are the opposite of ours: there the source is 1."""
    case = golden(vectors, "tllib_domain_adversarial_entropy")
    discriminator = output_discriminator(5, 2)
    weights = [value for key, value in case.items() if key.startswith("w_")]
    with torch.no_grad():
        for parameter, weight in zip(discriminator.parameters(), weights, strict=True):
            parameter.copy_(weight)
    logits = case["in_logits"].requires_grad_()

    loss = domain_loss(discriminator(self_information(logits)), label)

    assert float(loss.detach()) == pytest.approx(float(case[f"out_loss_{domain}"]), rel=1e-5)
    if domain == "source":
        (gradient,) = torch.autograd.grad(loss, logits)
        expected = case["out_grad_logits_source"]
        torch.testing.assert_close(gradient[..., ::4, ::4], expected, rtol=1e-3, atol=1e-8)


def test_locally_weighted_adversarial_loss(vectors: Path) -> None:
    """Of CLAN: the option ``local_weight`` of AdaptSegNet."""
    case = golden(vectors, "clan_weightmap_and_weighted_bce")
    judged = case["in_d_logits"].requires_grad_()
    plain = domain_loss(judged, 0.0)
    assert float(plain.detach()) == pytest.approx(float(case["out_loss_plain_label0"]), rel=1e-5)
    weights = disagreement(case["in_p1"], case["in_p2"])
    torch.testing.assert_close(weights, case["out_weightmap"], rtol=1e-5, atol=1e-6)

    floor, weight = float(case["in_alpha"]), float(case["in_beta"])
    method = AdaptSegNet(local_weight=weight, local_floor=floor)
    logits = [case[name].log() for name in ("in_p1", "in_p2")]
    factors = method.factors(
        Output(logits[0], Features(logits[0], logits[1], logits[0]), logits[1])
    )
    loss = domain_loss(judged, 1.0, factors=factors)

    assert float(loss.detach()) == pytest.approx(float(case["out_loss_weighted_label1"]), rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, judged)
    torch.testing.assert_close(gradient, case["out_grad_d_weighted_label1"], rtol=1e-4, atol=1e-7)


def test_scores_are_enlarged_to_the_size_of_the_factors() -> None:
    scores, factors = torch.randn(2, 1, 3, 4), torch.rand(2, 1, 6, 9)
    enlarged = functional.interpolate(scores, (6, 9), mode="bilinear", align_corners=True)
    wanted = (factors * functional.softplus(-enlarged)).mean()  # label 1
    torch.testing.assert_close(domain_loss(scores, 1.0, factors=factors), wanted)


def test_the_derivative_of_self_information_is_that_of_its_formula() -> None:
    logits = torch.randn(2, 5, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(self_information, logits)
    sure = torch.tensor([0.0, -1e4, 800.0]).reshape(1, 3, 1, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(self_information(sure).sum(), sure)
    assert gradient.eq(0).all()
