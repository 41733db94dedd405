"""CCM: layouts, prototypes, pixels and masks, against official numbers and by hand."""

from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from autoadapt.config.settings import TrainingSettings
from autoadapt.data.batches import IGNORE
from autoadapt.data.training import TrainingData
from autoadapt.networks.build import build
from autoadapt.space.architecture import Architecture
from autoadapt.training.fit import fit
from autoadapt.uda._losses import cross_entropy
from autoadapt.uda._matching import (
    Prototypes,
    centres_of,
    layout_distances,
    layouts,
    nearest,
    one_hot,
    over_threshold,
    similar_pixels,
    similarities,
    surest,
)
from autoadapt.uda._thresholds import class_thresholds
from autoadapt.uda.base import Context
from autoadapt.uda.ccm import Ccm, entropy

Case = dict[str, Tensor]


def load(folder: Path, name: str) -> Case:
    with np.load(folder / f"{name}.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


# Masks.


def test_any_class_over_its_threshold(vectors: Path) -> None:
    case = load(vectors, "ccm_any_class_mask")
    probabilities = case["in_logits"].softmax(dim=1)
    mask = over_threshold(probabilities, case["in_threshold"], any_class=True)[0]
    assert torch.equal(mask.long(), case["out_mask"].long())
    label = torch.where(mask, probabilities.argmax(dim=1)[0], IGNORE)
    assert torch.equal(label, case["out_plabel"].long())
    simpler = over_threshold(probabilities, case["in_threshold"], any_class=False)[0]
    assert int((mask != simpler).sum()) == 15  # as the case says
    assert not (simpler & ~mask).any()


def test_the_surest_pixels_of_an_image(vectors: Path) -> None:
    case = load(vectors, "ccm_quantile_mask")
    confidence = case["in_logits"].softmax(dim=1).amax(dim=1)
    mask = surest(confidence, float(case["in_prop"]))[0]
    assert torch.equal(mask.long(), case["out_mask"].long())


def test_either_mask_selects(vectors: Path) -> None:
    case = load(vectors, "ccm_mask_fusion")
    mask = case["in_mask1"].bool() | case["in_mask2"].bool()
    label = torch.where(mask, case["in_logits"].argmax(dim=1)[0], IGNORE)
    assert torch.equal(mask.long(), case["out_mask"].long())
    assert torch.equal(label, case["out_plabel"].long())


def test_class_thresholds(vectors: Path) -> None:
    """Officially every fifth of the ascending confidences of an image and class counts, and a
    class with fewer than ten of them gets its smallest; ours takes all, and lets none pass."""
    case = load(vectors, "ccm_class_thresholds")
    confidence, label = case["in_logits"].softmax(dim=1).max(dim=1)
    for number in range(19):
        wanted = float(case["out_threshold"][number])
        parts = [
            np.sort(one[own == number].numpy())[::5]
            for one, own in zip(confidence, label, strict=True)
        ]
        values = np.sort(np.concatenate(parts))
        if not len(values):
            assert wanted == -1
            continue
        counts = np.ones((1, len(values)), np.int64)
        found, rank = class_thresholds(values, counts, float(case["in_prop"]), cap=None)
        if rank[0] == 0:
            assert wanted == pytest.approx(values[0], rel=1e-6)
            assert found[0] == 1.0
        else:
            assert found[0] == pytest.approx(wanted, rel=1e-6)


# Prototypes and pixels.


def test_prototypes_of_one_map(vectors: Path) -> None:
    case = load(vectors, "ccm_prototype_pool")
    prototypes = Prototypes(19)
    prototypes.add(case["in_logits"][:1], case["in_mask"][:1].bool())
    wanted = case["out_prototype_first"]
    seen = wanted[:, 0] >= 0
    torch.testing.assert_close(prototypes.means[seen], wanted[seen], rtol=1e-5, atol=1e-6)
    assert torch.equal(prototypes.counts > 0, seen)


def test_prototypes_of_several_maps_are_means_over_all_pixels(vectors: Path) -> None:
    """The released code weighs the old mean with the new count: repeated here, not in ours."""
    case = load(vectors, "ccm_prototype_pool")
    prototypes, released = Prototypes(19), torch.full((19, 19), -1.0)
    counts = torch.zeros(19)
    for logits, mask in zip(case["in_logits"], case["in_mask"].bool(), strict=True):
        prototypes.add(logits[None], mask[None])
        soft = (logits / 2).softmax(dim=0)
        for number in range(19):
            own = mask & (soft.argmax(dim=0) == number)
            if not own.any():
                continue
            mean, new = soft[:, own].mean(dim=1), own.sum()
            if counts[number] == 0:
                released[number] = mean
            else:
                weight = counts[number] + new
                released[number] = (released[number] * weight + mean * new) / (weight + new)
            counts[number] += new
    torch.testing.assert_close(released, case["out_prototype"], rtol=1e-5, atol=1e-6)
    assert torch.equal(prototypes.counts, case["out_count"].long())
    soft = (case["in_logits"] / 2).softmax(dim=1)
    mask = case["in_mask"].bool()
    label = soft.argmax(dim=1)
    for number in torch.unique(label[mask]).tolist():
        own = soft.permute(0, 2, 3, 1)[mask & (label == number)]
        torch.testing.assert_close(prototypes.means[number], own.mean(dim=0))


def test_pixels_that_look_like_the_target(vectors: Path) -> None:
    case = load(vectors, "ccm_pixel_similarity")
    probabilities, prototypes = case["in_prob"][0], case["in_prototype"]
    found = similarities(probabilities, prototypes)
    torch.testing.assert_close(found, case["out_similarity"], rtol=1e-4, atol=1e-5)
    kept = similar_pixels(probabilities, case["in_label"][0], prototypes, float(case["in_prop"]))
    assert torch.equal(kept.long(), case["out_plabel"][0].long())


# Layouts.


def test_layout_distances(vectors: Path) -> None:
    case = load(vectors, "ccm_layout_score")
    found = layout_distances(case["in_centres"].numpy(), case["in_source"].numpy())
    np.testing.assert_allclose(found, case["out_score"], rtol=1e-4, atol=1e-4)


def test_layouts_by_hand() -> None:
    """Class 0: rows 2 and 1 of 3 pixels, columns 2, 1, 0; class 1: the others; void counts not."""
    labels = torch.tensor([[[0, 0, 1], [0, IGNORE, 1]]], dtype=torch.uint8)
    rows, columns = layouts(one_hot(labels, 3))
    by_row = [[2 / 3, 1 / 3], [1 / 2, 1 / 2], [0.0, 0.0]]
    by_column = [[2 / 3, 1 / 3, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    np.testing.assert_allclose(rows[0], np.array(by_row), rtol=1e-6)
    np.testing.assert_allclose(columns[0], np.array(by_column), rtol=1e-6)


def test_centres_find_groups_of_layouts() -> None:
    """Two groups of images; a class that no image has stays 0."""
    spread = np.zeros((6, 2, 3), np.float32)
    spread[:3, 0], spread[3:, 0] = (1, 0, 0), (0, 0.5, 0.5)
    found = centres_of(np.moveaxis(spread, 1, 0), 2, np.random.default_rng(1))
    assert found.shape == (2, 2, 3)
    assert sorted(found[:, 0].round(3).tolist()) == [[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]
    assert not found[:, 1].any()
    assert centres_of(np.moveaxis(spread, 1, 0), 10, np.random.default_rng(1)).shape == (6, 2, 3)


def test_the_nearest_in_their_order() -> None:
    assert nearest(np.array([3.0, 1.0, 2.0, 1.0]), 3) == [1, 2, 3]


# The loss and the rounds.


def test_cross_entropy_and_entropy(vectors: Path) -> None:
    """The released entropy applies softmax twice inside the logarithm: repeated here, not ours."""
    case = load(vectors, "ccm_entropy_and_total_loss")
    logits = case["in_logits"]
    loss = cross_entropy(logits, case["in_label"])
    torch.testing.assert_close(loss, case["out_loss_ce"], rtol=1e-5, atol=1e-6)
    p = logits.softmax(dim=1)
    released = -(p * p.log_softmax(dim=1)).sum(dim=1)
    torch.testing.assert_close(released, case["out_entropy_map"], rtol=1e-5, atol=1e-6)
    wanted = scipy.stats.entropy(p.numpy(), axis=1).mean()
    assert entropy(logits).item() == pytest.approx(wanted, rel=1e-5)


def test_rounds_keep_their_number_of_images(
    tiny_architecture: Architecture, toy_data: TrainingData, tmp_path: Path
) -> None:
    """Of five source images four are looked at, and half of these are kept."""
    method = Ccm(rounds=2, portion=0.5, source_pool=0.8, source_kept=0.5, warm_up=0.25)
    settings = TrainingSettings(steps=8, learning_rate=0.01)
    fit(
        method, build(tiny_architecture, 4, seed=5), toy_data, settings, seed=3,
        device=torch.device("cpu"), folder=tmp_path,
    )  # fmt: skip
    assert len(method.chosen) == 2
    context = Context(
        build(tiny_architecture, 4), 4, settings, torch.device("cpu"), seed=3, folder=tmp_path
    )
    assert set(method.chosen) <= set(method.pool(context, toy_data.source))
    assert len(method.pool(context, toy_data.source)) == 4


def test_a_round_trains_on_both_domains(
    tiny_architecture: Architecture, toy_data: TrainingData, tmp_path: Path
) -> None:
    method = Ccm(portion=0.5, source_pool=1.0, source_kept=0.4)
    settings = TrainingSettings(steps=4)
    context = Context(
        build(tiny_architecture, 4), 4, settings, torch.device("cpu"), seed=3, folder=tmp_path
    )
    phase = method.phases(4)[-1]
    method.begin_round(context, toy_data, phase, 0)
    view = method.view(context, toy_data, phase)
    assert view.source.ids[:2] == tuple(toy_data.source.ids[i] for i in method.chosen)
    assert view.source.ids[2:] == toy_data.target.ids
    kept = view.source.labels([0, 1])
    own = toy_data.source.labels(method.chosen)
    assert ((kept == own) | (kept == IGNORE)).all()
    assert 0.5 < (kept == own).mean() < 1
    assert context.notes["labelled_pixels"] == int((view.source.labels([2, 3, 4]) < 4).sum())


def test_the_horizon_outlasts_a_round() -> None:
    """5000 against 4164 steps as published."""
    phase = Ccm(warm_up=0.0).phases(6 * 4164)[0]
    assert (phase.steps, phase.rounds, phase.horizon) == (4164, 6, 5000)
    assert phase.rate_per_round == pytest.approx(1 / np.sqrt(2))


def test_one_hot_leaves_void_out() -> None:
    labels = torch.tensor([[[1, IGNORE]]])
    assert one_hot(labels, 3)[0, :, 0].T.tolist() == [[0, 1, 0], [0, 0, 0]]
