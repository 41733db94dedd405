"""CRST's losses against the released code, closed forms and differences."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from autoadapt.data.batches import IGNORE
from autoadapt.uda._losses import counted, divisor, summed_cross_entropy
from autoadapt.uda.crst import Crst, Kind, overconfidence, summed_soft_cross_entropy

KINDS: tuple[Kind, ...] = ("mrkld", "mrl2", "mrent")


def case_of(folder: Path, name: str) -> dict[str, Tensor]:
    with np.load(folder / f"{name}.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def check(loss: Tensor, logits: Tensor, case: dict[str, Tensor]) -> None:
    (gradient,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(loss.detach(), case["out_loss"], rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(gradient, case["out_grad_logits"], rtol=1e-6, atol=1e-10)


def test_mrkld_with_the_squared_weight_of_the_released_code(vectors: Path) -> None:
    """The code weighs the regulariser twice: our one weight is the product."""
    case = case_of(vectors, "crst_reg_loss_kld")
    logits, labels = case["in_logits"].requires_grad_(), case["in_label"]
    target = (case["in_reg_weights"] > 0).nonzero().flatten()
    method = Crst(weight=(case["in_reg_weights"][target[0]] * case["in_mr_weight"]).item())
    loss = summed_cross_entropy(logits, labels) / divisor(counted(labels))
    loss = loss + method.regularised(logits[target], labels[target] != IGNORE)["regulariser"]
    check(loss, logits, case)


def test_the_soft_label_loss(vectors: Path) -> None:
    case = case_of(vectors, "crst_soft_label_loss")
    logits, soft = case["in_logits"].requires_grad_(), case["in_soft_label"]
    pixels = (soft.sum(dim=1) > 0).sum()
    assert 0 < pixels < soft[:, 0].numel()
    check(summed_soft_cross_entropy(logits, soft) / pixels, logits, case)


def test_the_regularisers_of_a_hand_computed_pixel() -> None:
    """p = (0.5, 0.3, 0.2)."""
    logits = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log()[None, :, None, None]
    found = [overconfidence(logits, kind).item() for kind in KINDS]
    # -(ln 0.5 + ln 0.3 + ln 0.2) / 3; 0.25 + 0.09 + 0.04; sum of p ln p = -1.029653 plus ln 3
    assert found == pytest.approx([1.168853, 0.38, 0.0689592], rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_regularisers_are_smallest_for_the_uniform_prediction(kind: Kind) -> None:
    uniform = torch.full((1, 5, 2, 3), 0.7, dtype=torch.float64, requires_grad=True)
    value = overconfidence(uniform, kind)
    least = {"mrkld": math.log(5), "mrl2": 1 / 5, "mrent": 0.0}[kind]
    torch.testing.assert_close(value, torch.full_like(value, least))
    (gradient,) = torch.autograd.grad(value.sum(), uniform)
    assert gradient.abs().max() < 1e-12
    assert (overconfidence(torch.randn(1, 5, 2, 3).double(), kind) > least).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_regularisers_have_the_gradients_of_their_differences(kind: Kind) -> None:
    logits = torch.randn(2, 4, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: overconfidence(z, kind), (logits,))


def test_the_regulariser_is_a_mean_over_labelled_target_pixels() -> None:
    logits = torch.randn(2, 4, 3, 5)
    labelled = torch.rand(2, 3, 5) > 0.5
    found = Crst(weight=0.3, kind="mrl2").regularised(logits, labelled)["regulariser"]
    squares = logits.softmax(dim=1).square().sum(dim=1)[labelled]
    assert found.item() == pytest.approx(0.3 * squares.mean().item())
    nothing = Crst(weight=0.3).regularised(logits, torch.zeros(2, 3, 5, dtype=torch.bool))
    assert nothing["regulariser"] == 0
    assert Crst(weight=0.0).regularised(logits, labelled) == {}
    assert Crst(kind="lrent").regularised(logits, labelled) == {}
