"""Rounds of labelling and training: what is stored, mixed, cropped and written down."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from autoadapt.config.settings import TrainingSettings
from autoadapt.data.batches import IGNORE
from autoadapt.data.batching import FULL
from autoadapt.data.cache import write_rows
from autoadapt.data.priors import spatial_prior
from autoadapt.data.training import TrainingData
from autoadapt.networks.build import build
from autoadapt.networks.contract import SegmentationNetwork, upsample
from autoadapt.space.architecture import Architecture
from autoadapt.training.fit import Loop, fit
from autoadapt.uda._mining import mined_centres
from autoadapt.uda._pseudo_labels import balanced_labels, soft_labels
from autoadapt.uda._self_training import SelfTraining
from autoadapt.uda.cbst import Cbst
from autoadapt.uda.crst import Crst

CPU = torch.device("cpu")


@pytest.fixture
def network(tiny_architecture: Architecture) -> SegmentationNetwork:
    return build(tiny_architecture, 4, seed=5)


def loop_in_round(
    method: SelfTraining,
    network: SegmentationNetwork,
    data: TrainingData,
    folder: Path,
    *,
    number: int = 0,
    steps: int = 6,
) -> Loop:
    """A loop that has just begun one round of a pretrained network, without warm-up."""
    settings = TrainingSettings(steps=steps, learning_rate=0.01)
    start = {"file": "known"}  # labels of running statistics do not depend on batches
    loop = Loop(method, network, data, settings, 11, CPU, folder, start=start)
    for stretch in loop.stretches[: number + 1]:
        loop.begin(stretch)
    return loop


def probabilities_of(network: SegmentationNetwork, data: TrainingData, mirror: bool) -> Tensor:
    """Class probabilities of all target images, computed another way, one image at a time."""
    network.eval()
    found = []
    with torch.no_grad():
        for _, batch in data.sweep(data.target, 1):
            size = data.target.size
            plain = upsample(network(batch.images).logits, size).softmax(dim=1)
            if mirror:
                other = upsample(network(batch.images.flip(3)).logits, size).softmax(dim=1)
                plain = (plain + other.flip(3)) / 2
            found.append(plain)
    return torch.cat(found)


def labels_of(method: SelfTraining, loop: Loop, data: TrainingData, number: int = 0) -> Tensor:
    view = method.view(loop.context, data, loop.stretches[number].phase)
    return torch.from_numpy(view.further["pseudo"].labels(range(len(data.target))))


@pytest.mark.parametrize("mirror", [True, False])
def test_the_labels_of_a_round_are_those_of_sorted_lists(
    mirror: bool, network: SegmentationNetwork, toy_data: TrainingData, tmp_path: Path
) -> None:
    """Thresholds may differ by a bin, so few pixels may differ; none may change its class."""
    method = Crst(warm_up=0, mirror=mirror)
    loop = loop_in_round(method, network, toy_data, tmp_path)
    found = labels_of(method, loop, toy_data)
    probabilities = probabilities_of(network, toy_data, mirror)
    confidence, label = probabilities.max(dim=1)
    thresholds = torch.ones(4)
    for index in range(4):
        own = confidence[label == index].sort(descending=True).values
        count = int(len(own) * 0.2)
        thresholds[index] = own[count - 1] if count else 1.0
    wanted = balanced_labels(probabilities, thresholds)
    assert 0.1 < (wanted != IGNORE).float().mean() < 0.6
    differing = found != wanted
    assert differing.float().mean() < 0.01
    assert ((wanted == IGNORE) | (found == wanted)).all()  # thresholds are never too high


def test_the_number_of_labelled_pixels_is_written_down_once_per_round(
    network: SegmentationNetwork, toy_data: TrainingData, tmp_path: Path
) -> None:
    settings = TrainingSettings(steps=8, learning_rate=0.01)
    fit(Crst(), network, toy_data, settings, seed=11, device=CPU, folder=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
    rounds = [line for line in lines if "stretch" in line]
    assert [line["phase"] for line in rounds] == ["self_training"] * 3
    assert [line["step"] for line in rounds] == [4, 6, 7]
    assert [round(line["portion"], 6) for line in rounds] == [0.2, 0.25, 0.3]
    pixels = 3 * 32 * 48
    for line in rounds:
        assert line["labelled_pixels"] == sum(line["labelled_per_class"])
        assert line["labelled_share"] == pytest.approx(line["labelled_pixels"] / pixels)
        assert len(line["thresholds"]) == 4


@pytest.mark.parametrize("method", [Crst, Cbst])
def test_a_portion_that_selects_nothing_leaves_the_source_alone(
    method: type[SelfTraining],
    network: SegmentationNetwork,
    toy_data: TrainingData,
    tmp_path: Path,
) -> None:
    settings = TrainingSettings(steps=6, learning_rate=0.01)
    nothing = method(portion=0, portion_growth=0, source_per_target=2)
    fitted = fit(nothing, network, toy_data, settings, seed=11, device=CPU, folder=tmp_path)
    assert fitted.steps == 6
    lines = [json.loads(line) for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
    assert {line["labelled_pixels"] for line in lines if "stretch" in line} == {0}
    assert {line["pseudo"] for line in lines if "pseudo" in line} == {0}
    assert all(p.isfinite().all() for p in network.parameters())


def test_a_mixed_batch_is_one_mean_over_all_its_labelled_pixels(
    network: SegmentationNetwork, toy_data: TrainingData, tmp_path: Path
) -> None:
    method = Crst(warm_up=0, weight=0.5, kind="mrl2", source_per_target=1, mirror=False)
    loop = loop_in_round(method, network, toy_data, tmp_path)
    context = loop.context
    loop.enter(loop.stretches[0])
    view = method.view(context, toy_data, loop.stretches[0].phase)
    batch = next(
        batch
        for batch in (method.draw(view, step) for step in range(20))
        if len(batch.source.ids) == 1 and len(batch.further["pseudo"].ids) == 3
    )
    pseudo = batch.further["pseudo"]
    losses = method.learn(context, batch.source, pseudo)
    found = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    network.zero_grad()

    # The same with plain PyTorch in one pass over the joined batch, as the released code goes.
    images = torch.cat([batch.source.images, pseudo.images])
    labels = torch.cat([batch.source.labels, pseudo.labels])
    output = network(images)
    main, aux = upsample(output.logits, (32, 48)), upsample(output.aux_logits, (32, 48))
    squares = main[1:].softmax(dim=1).square().sum(dim=1)[pseudo.labels != IGNORE].mean()
    loss = functional.cross_entropy(main, labels, ignore_index=IGNORE) + 0.5 * squares
    loss = loss + 0.1 * functional.cross_entropy(aux, labels, ignore_index=IGNORE)
    assert torch.stack(list(losses.values())).sum().item() == pytest.approx(loss.item(), rel=1e-5)
    torch.autograd.backward(loss)
    for name, parameter in network.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-6)


def test_draws_go_through_the_mixture_image_by_image(
    network: SegmentationNetwork, toy_data: TrainingData, tmp_path: Path
) -> None:
    """Two source and three target images: five draws of four show each four times."""
    method = Crst(warm_up=0, source_per_target=0.6)
    loop = loop_in_round(method, network, toy_data, tmp_path)
    view = method.view(loop.context, toy_data, loop.stretches[0].phase)
    assert len(view.source) == 2
    seen: list[str] = []
    for step in range(5):
        batch = method.draw(view, step)
        pseudo = batch.further["pseudo"]
        assert torch.equal(batch.target.images, pseudo.images)
        assert len(batch.source.ids) + len(pseudo.ids) == 4
        seen += batch.source.ids + pseudo.ids
    assert {name: seen.count(name) for name in seen} == dict.fromkeys(
        view.source.ids + toy_data.target.ids, 4
    )


def test_cbst_keeps_its_source_images_and_crst_draws_new_ones(
    network: SegmentationNetwork, toy_data: TrainingData, tmp_path: Path
) -> None:
    parts: dict[str, list[tuple[str, ...]]] = {}
    for method in (Cbst, Crst):
        own = method(warm_up=0, source_per_target=0.34, source_growth=0.34, source_limit=9)
        loop = loop_in_round(own, network, toy_data, tmp_path, number=2)
        parts[method.__name__] = []
        for number in range(3):
            own.round = number
            parts[method.__name__].append(own.source_part(loop.context, toy_data).ids)
    assert [len(ids) for ids in parts["Cbst"]] == [1, 2, 3]
    assert parts["Cbst"][2][:2] == parts["Cbst"][1]
    assert parts["Cbst"][1][:1] == parts["Cbst"][0]
    assert [len(ids) for ids in parts["Crst"]] == [1, 2, 3]
    assert parts["Crst"][2][:2] != parts["Crst"][1]


def test_spatial_priors_weigh_predictions_by_place(
    network: SegmentationNetwork, toy_data: TrainingData, tmp_path: Path
) -> None:
    method = Cbst(warm_up=0, spatial_priors=True, mirror=False, portion=0.5, prior_kernel=0.1)
    loop = loop_in_round(method, network, toy_data, tmp_path)
    prior = spatial_prior(toy_data.source, 4, size=(32, 48), kernel=3)
    weighed = probabilities_of(network, toy_data, False) * torch.from_numpy(prior) * 32 * 48
    confidences, label = weighed.max(dim=1)
    thresholds = torch.full((4,), 1e9)
    for index in range(4):
        own = confidences[label == index].sort(descending=True).values
        if int(len(own) * 0.5):
            thresholds[index] = own[int(len(own) * 0.5) - 1]
    found, wanted = labels_of(method, loop, toy_data), balanced_labels(weighed, thresholds)
    assert (found != wanted).float().mean() < 0.02
    without = Cbst(warm_up=0, mirror=False, portion=0.5)
    plain = labels_of(without, loop_in_round(without, network, toy_data, tmp_path), toy_data)
    assert (plain != found).float().mean() > 0.02


def test_soft_labels_reach_a_batch_with_its_crop_and_mirroring(
    network: SegmentationNetwork, toy_data: TrainingData, tmp_path: Path
) -> None:
    cropped = dataclasses.replace(toy_data.settings, crop=(16, 20))
    data = dataclasses.replace(toy_data, settings=cropped)
    softness = 0.02  # so low that an untrained network leaves pixels out
    method = Crst(kind="lrent", warm_up=0, mirror=False, softness=softness)
    loop = loop_in_round(method, network, data, tmp_path)
    view = method.view(loop.context, data, loop.stretches[0].phase)
    thresholds = torch.tensor(loop.context.notes["thresholds"])
    probabilities = probabilities_of(network, data, False)
    soft, selected = soft_labels(probabilities, thresholds, softness)
    assert 0.1 < selected.float().mean() < 0.9
    stored = view.further["pseudo"].soft(range(3))
    assert stored is not None
    wanted = torch.where(selected[:, None], soft, 0.0).permute(0, 2, 3, 1)
    assert (torch.from_numpy(stored) / FULL - wanted).abs().max() < 2.1 / FULL
    batch = method.draw(view, 3).further["pseudo"]
    assert batch.soft is not None
    assert batch.soft.shape == (len(batch.ids), 4, 16, 20)
    labelled = batch.labels != IGNORE
    assert torch.equal(batch.soft.sum(dim=1) > 0, labelled)
    own = batch.soft.gather(1, (batch.labels * labelled)[:, None])[:, 0]
    behind = batch.soft.amax(dim=1) - own  # shares that are nearly equal may round apart
    assert behind[labelled].max() < 3 / FULL


def test_mined_crops_are_centred_on_a_pixel_of_a_rare_class() -> None:
    labels = np.zeros((3, 20, 30), np.uint8)
    labels[0, 12, 17] = 5  # the rare class
    labels[0, 1, 1] = 3
    labels[1, 0, 29] = 3  # none of it, but one of the second group
    found = mined_centres(labels, [[5], [3, 4]], rng=np.random.default_rng(0), share=1.0)
    assert found.tolist() == [[12, 17], [0, 29], [-1, -1]]


def test_mined_crops_are_a_share_of_all() -> None:
    labels = np.zeros((400, 8, 9), np.uint8)
    labels[:, 7, 8] = 2
    found = mined_centres(labels, [[2]], rng=np.random.default_rng(1), share=0.8)
    assert 290 < (found == [7, 8]).all(axis=1).sum() < 350


def test_a_training_batch_shows_the_rare_class(
    network: SegmentationNetwork, toy_data: TrainingData, tmp_path: Path
) -> None:
    """One pixel of class 2 in 32 x 48: with mining every crop of 16 x 16 has it."""
    cropped = dataclasses.replace(toy_data.settings, crop=(16, 16))
    data = dataclasses.replace(toy_data, settings=cropped)
    method = Crst(warm_up=0, mining=1.0)
    loop = loop_in_round(method, network, data, tmp_path)
    maps = np.zeros((3, 32, 48), np.uint8)
    maps[:, 20, 30] = 2
    stored = write_rows(tmp_path / "labels-0.rows", maps, key="labels", shape=(32, 48))
    method.rows = {"labels": stored.path.name}
    method.shares = [0.9, 0.05, 0.0005, 0.04]
    view = method.view(loop.context, data, loop.stretches[0].phase)
    batches = [method.draw(view, step).further["pseudo"] for step in range(4)]
    assert all((batch.labels == 2).sum(dim=(1, 2)).eq(1).all() for batch in batches)
    method.shares = [0.9, 0.05, 0.01, 0.04]
    batches = [method.draw(view, step).further["pseudo"] for step in range(4)]
    assert not all((batch.labels == 2).any() for batch in batches)


@pytest.mark.parametrize(
    ("method", "steps", "lengths"),
    [
        (Crst(), 20, [10, 4, 3, 3]),
        (Crst(warm_up=0), 2, [1, 1]),  # fewer rounds than published: none without a step
        (Crst(preset="quick"), 20, [10, 10]),
        (Cbst(warm_up=0.25), 40, [10, 5, 5, 5, 5, 5, 5]),
        (Crst(warm_up=1), 5, [5]),
    ],
)
def test_any_budget_of_steps_is_divided(
    method: SelfTraining, steps: int, lengths: list[int]
) -> None:
    phases = method.phases(steps)
    found = [phase.length(index) for phase in phases for index in range(phase.rounds)]
    assert found == lengths
    method.pretrained = True
    for known, policy in ((phases, "train"), (method.phases(steps), "eval")):
        assert all(phase.batch_norm == policy for phase in known if phase.name != "warm_up")


def test_the_statistics_of_the_warm_up_stay(
    network: SegmentationNetwork, toy_data: TrainingData, tmp_path: Path
) -> None:
    settings = TrainingSettings(steps=4, learning_rate=0.01)
    method = Crst(self_training_batch_norm="eval")
    loop = Loop(method, network, toy_data, settings, seed=11, device=CPU, scratch=tmp_path)
    loop.run(loop.stretches[0])
    warm = {k: v.clone() for k, v in network.state_dict().items() if "running" in k}
    for stretch in loop.stretches[1:]:
        loop.run(stretch)
    assert all(torch.equal(network.state_dict()[key], value) for key, value in warm.items())


@pytest.mark.parametrize(
    "method", [Crst(kind=kind) for kind in ("mrl2", "mrent", "lrent")] + [Cbst(preset="quick")]
)
def test_every_form_learns(
    method: SelfTraining, network: SegmentationNetwork, toy_data: TrainingData
) -> None:
    seen: dict[str, float] = {}
    settings = TrainingSettings(steps=6, learning_rate=0.01, checkpoint_every=1)

    def look(progress: Any) -> None:
        for name, loss in progress.losses.items():
            seen[name] = max(loss, seen.get(name, 0.0))

    fit(method, network, toy_data, settings, seed=11, device=CPU, on_progress=look)
    regularised = isinstance(method, Crst) and method.kind != "lrent"
    wanted = {"source", "source_aux", "pseudo", "pseudo_aux"}
    assert seen.keys() == wanted | ({"regulariser"} if regularised else set())
    assert min(seen.values()) > 0
