"""Pseudo-labels against the released code of CRST, and their way through bytes."""

from pathlib import Path

import numpy as np
import torch

from autoadapt.data.batches import IGNORE
from autoadapt.data.batching import FULL
from autoadapt.data.images import spread_out
from autoadapt.networks.build import build
from autoadapt.networks.contract import upsample
from autoadapt.space.architecture import Architecture
from autoadapt.uda._pseudo_labels import (
    MirrorAverage,
    balanced_labels,
    soft_labels,
    strongest,
)


def case_of(folder: Path, name: str) -> dict[str, torch.Tensor]:
    with np.load(folder / f"{name}.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def test_hard_labels_of_crst(vectors: Path) -> None:
    case = case_of(vectors, "crst_label_selection_hard")
    probabilities = case["in_prob"].permute(0, 3, 1, 2)
    found = balanced_labels(probabilities, case["in_threshold"])
    assert found.dtype == torch.uint8
    assert torch.equal(found, case["out_train_id"])
    everywhere = balanced_labels(probabilities, case["in_threshold"] * 1e-3)
    assert torch.equal(everywhere, case["out_argmax_ratio"])
    table = torch.zeros(256, dtype=torch.uint8)
    table[: len(case["in_id_to_label"])] = case["in_id_to_label"].byte()
    assert torch.equal(table[found.long()], case["out_label_id"])


def test_soft_labels_of_lrent(vectors: Path) -> None:
    case = case_of(vectors, "crst_label_selection_lrent")
    probabilities = case["in_prob"].permute(0, 3, 1, 2)
    soft, selected = soft_labels(probabilities, case["in_threshold"], float(case["in_alpha"]))
    torch.testing.assert_close(soft.permute(0, 2, 3, 1), case["out_soft"], rtol=1e-4, atol=1e-6)
    hard = soft.argmax(dim=1).masked_fill(~selected, IGNORE).byte()
    assert torch.equal(hard, case["out_train_id"])
    assert 0.1 < selected.float().mean() < 0.9


def test_a_rare_class_wins_over_the_most_probable_one() -> None:
    """Ratios: 0.6 / 0.9 = 0.67 and 0.4 / 0.2 = 2; then 0.8 / 0.9 and 0.1 / 0.2, both below 1."""
    probabilities = torch.tensor([[[[0.6, 0.8]], [[0.4, 0.1]], [[0.0, 0.1]]]])
    labels = balanced_labels(probabilities, torch.tensor([0.9, 0.2, 1.0]))
    assert labels.tolist() == [[[1, IGNORE]]]


def test_the_largest_shares_of_soft_labels_are_kept_as_bytes() -> None:
    soft = torch.rand(2, 7, 3, 5).pow(4)
    soft /= soft.sum(dim=1, keepdim=True)
    found = strongest(soft)
    assert found.dtype == torch.uint8
    assert found.shape == (2, 3, 5, 2, 3)
    assert (found[..., 1, :].long().sum(dim=-1) == FULL).all()
    shares = torch.from_numpy(spread_out(found.numpy(), 7)).float() / FULL
    wanted, classes = soft.permute(0, 2, 3, 1).sort(dim=-1, descending=True)
    assert torch.equal(found[..., 0, :].long(), classes[..., :3])
    kept = shares.gather(-1, classes)
    assert (kept[..., 1:3] - wanted[..., 1:3]).abs().max() <= 0.501 / FULL
    assert kept[..., 3:].eq(0).all()
    lost = wanted[..., 3:].sum(dim=-1)
    assert (kept[..., 0] - wanted[..., 0] - lost).abs().max() <= 1.01 / FULL


def test_of_two_classes_both_are_kept() -> None:
    soft = torch.tensor([0.2, 0.8]).reshape(1, 2, 1, 1)
    assert strongest(soft).tolist() == [[[[[1, 0], [204, 51]]]]]  # 0.8 and 0.2 of 255


def test_the_mirror_average_is_symmetric(tiny_architecture: Architecture) -> None:
    network = build(tiny_architecture, 4, seed=5).eval()
    images = torch.rand(2, 3, 32, 48)
    average = MirrorAverage(network)
    with torch.inference_mode():
        plain = average(images).logits.softmax(dim=1)
        mirrored = average(images.flip(-1)).logits.softmax(dim=1)
        own = upsample(network(images).logits, (32, 48)).softmax(dim=1)
        other = upsample(network(images.flip(-1)).logits, (32, 48)).softmax(dim=1).flip(-1)
    torch.testing.assert_close(plain, mirrored.flip(-1))
    torch.testing.assert_close(plain, (own + other) / 2)
    assert not torch.allclose(own, other, atol=1e-4)
