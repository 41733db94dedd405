"""TPLD by hand: voting, dense weights, ranking, the bootstrapped loss."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from autoadapt.config.settings import TrainingSettings
from autoadapt.data.batches import IGNORE
from autoadapt.data.batching import FULL
from autoadapt.data.training import TrainingData
from autoadapt.networks.build import build
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.space.architecture import Architecture
from autoadapt.training.fit import Loop, fit
from autoadapt.uda._pseudo_labels import ratios
from autoadapt.uda._voting import odd_window, voted, window_sums
from autoadapt.uda.tpld import Tpld, bootstrapped, image_confidence

CPU = torch.device("cpu")


def test_an_unsure_pixel_asks_the_sure_ones_around_it() -> None:
    """One row of five pixels, window 3, own share 0.7.

    Pixel 1: 0.9 for class 0; its neighbour 0 has 2.0: 0.7 * 0.9 + 0.3 * 2.0 = 1.23 > 1. For class
    1 nobody is sure: 0.7 * 0.5. It becomes 1.23.
    Pixel 2: 0.95 for class 0, both neighbours unsure at first: 0.665. Pixel 3: 0.8 for class 2,
    neighbour 4 has 1.5: 0.56 + 0.45 = 1.01. In the second pass pixel 2 asks pixel 1:
    0.665 + 0.3 * 1.23 = 1.034.
    """
    ratios_of = torch.tensor(
        [
            [2.0, 0.9, 0.95, 0.1, 0.2],
            [0.1, 0.5, 0.20, 0.3, 0.1],
            [0.1, 0.1, 0.10, 0.8, 1.5],
        ]
    )[None, :, None]
    once = voted(ratios_of, 3, own=0.7, times=1)[0, :, 0]
    assert once[0].tolist() == pytest.approx([2.0, 1.23, 0.95, 0.1, 0.2])
    assert once[2].tolist() == pytest.approx([0.1, 0.1, 0.1, 1.01, 1.5])
    twice = voted(ratios_of, 3, own=0.7, times=2)[0, :, 0]
    assert twice[0].tolist() == pytest.approx([2.0, 1.23, 1.034, 0.1, 0.2])
    assert torch.equal(twice[1], ratios_of[0, 1, 0])


def test_the_second_class_may_win_a_vote_and_the_third_may_not() -> None:
    """Centre: 0.9, 0.8, 0.7. Around it class 1 has 1.6 once and 2.0 once, class 2 has 9 once."""
    maps = torch.zeros(1, 3, 3, 3)
    maps[0, :, 1, 1] = torch.tensor([0.9, 0.8, 0.7])
    maps[0, 1, 0, 0], maps[0, 1, 2, 1], maps[0, 2, 0, 2] = 1.6, 2.0, 9.0
    found = voted(maps, 3, own=0.7, times=1)[0, :, 1, 1]
    # 0.7 * 0.8 + 0.3 * 1.8
    assert found.tolist() == pytest.approx([0.9, 1.1, 0.7])


def test_sure_pixels_and_those_that_nobody_helps_stay_as_they_are() -> None:
    maps = torch.rand(2, 4, 6, 7) * 0.99
    maps[0, 2, 3, 3] = 1.4
    found = voted(maps, 5, own=0.7, times=3)
    assert torch.equal(found[1], maps[1])
    assert found[0, 2, 3, 3] == maps[0, 2, 3, 3]


def test_window_sums_are_those_of_a_loop() -> None:
    maps = torch.rand(2, 3, 5, 8)
    for window in (3, 5, 19):
        reach = window // 2
        found = window_sums(maps, window)
        for row in range(5):
            for column in range(8):
                top, left = max(0, row - reach), max(0, column - reach)
                part = maps[..., top : row + reach + 1, left : column + reach + 1]
                torch.testing.assert_close(found[..., row, column], part.double().sum(dim=(-2, -1)))


def test_windows_are_odd_and_as_large_as_published() -> None:
    assert odd_window(0.111, 512) == 57
    assert odd_window(0.111, 120) == 13
    assert odd_window(0.111, 8) == 3


def test_the_bootstrapped_loss_of_a_hand_computed_pixel() -> None:
    """p = (0.5, 0.3, 0.2), thresholds (0.8, 0.4, 1), label 1, beta 0.8.

    0.8 * -ln 0.3 + 0.2 * (0.625 * -ln 0.5 + 0.75 * -ln 0.3 + 0.2 * -ln 0.2) = 0.963178
    + 0.2 * (0.433217 + 0.902980 + 0.321888)
    """
    logits = torch.tensor([0.5, 0.3, 0.2]).log()[None, :, None, None].repeat(1, 1, 1, 2)
    labels = torch.tensor([[[1, IGNORE]]])
    found = bootstrapped(logits, labels, torch.tensor([0.8, 0.4, 1.0]), beta=0.8)
    assert found.flatten().tolist() == pytest.approx([1.294795, 0.0], rel=1e-5)


def test_the_bootstrapped_loss_has_the_gradient_of_the_papers_formula() -> None:
    logits = torch.randn(2, 4, 3, 5, dtype=torch.float64, requires_grad=True)
    labels, bounds = torch.randint(0, 4, (2, 3, 5)), torch.rand(4).double() + 0.2
    probabilities = logits.softmax(dim=1)
    scaled = ratios(probabilities, bounds)
    one_hot = torch.nn.functional.one_hot(labels, 4).permute(0, 3, 1, 2)
    bracket = 0.7 * one_hot + 0.3 * scaled.detach()
    paper = -(bracket * scaled.log()).sum()
    (wanted,) = torch.autograd.grad(paper, logits)
    ours = bootstrapped(logits, labels, bounds, beta=0.7).sum()
    (found,) = torch.autograd.grad(ours, logits)
    torch.testing.assert_close(found, wanted)


def test_images_are_ranked_by_how_much_of_each_class_is_sure() -> None:
    """Thresholds 0.8, 0.5, 0.4.

    First image: class 0 twice, 0.9 and 0.7: 1/2 / 0.8; class 1 once, 0.6: 1 / 0.5; the mean of
    both is 1.3125. Second: class 2 four times, one above 0.4: 1/4 / 0.4 = 0.625.
    """
    first = [[0.9, 0.05, 0.05], [0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.81, 0.1, 0.09]]
    second = [[0.31, 0.3, 0.39], [0.3, 0.3, 0.4], [0.2, 0.35, 0.45], [0.31, 0.31, 0.38]]
    maps = torch.tensor([first, second]).permute(0, 2, 1)[:, :, None]
    found = image_confidence(maps[..., :3], torch.tensor([0.8, 0.5, 0.4]))
    assert found[0].item() == pytest.approx(1.3125)
    found = image_confidence(maps, torch.tensor([0.8, 0.5, 0.4]))
    assert found.tolist() == pytest.approx([(2 / 3 / 0.8 + 2) / 2, 0.625])


@pytest.fixture
def network(tiny_architecture: Architecture) -> SegmentationNetwork:
    return build(tiny_architecture, 4, seed=5)


def probabilities_of(method: Tpld, loop: Loop, data: TrainingData) -> Tensor:
    labelling = method.labelling(loop.context, data)
    sweep = labelling.sweep("looking", {})
    return torch.cat([labelling.probabilities(output) for _, output in sweep])


def test_the_first_phase_stores_denser_labels_than_the_thresholds_give(
    network: SegmentationNetwork, toy_data: TrainingData, tmp_path: Path
) -> None:
    settings = TrainingSettings(steps=9, learning_rate=0.01)
    method = Tpld(warm_up=0, discriminator_width=4, portion=0.5)
    loop = Loop(method, network, toy_data, settings, seed=11, device=CPU, scratch=tmp_path)
    loop.begin(loop.stretches[0])
    own = ratios(probabilities_of(method, loop, toy_data), torch.tensor(method.bounds))
    view = method.view(loop.context, toy_data, loop.stretches[0].phase)
    found = torch.from_numpy(view.further["pseudo"].labels(range(3)))
    sure = own.amax(dim=1) >= 1
    assert torch.equal(found[sure].long(), own.argmax(dim=1)[sure])
    assert (found != IGNORE).sum() > sure.sum() * 1.02
    assert (found == IGNORE).any()


def test_the_second_phase_weighs_dense_labels_of_easy_images(
    network: SegmentationNetwork, toy_data: TrainingData, tmp_path: Path
) -> None:
    settings = TrainingSettings(steps=9, learning_rate=0.01)
    method = Tpld(warm_up=0, discriminator_width=4)
    loop = Loop(method, network, toy_data, settings, seed=11, device=CPU, scratch=tmp_path)
    assert [s.phase.name for s in loop.stretches] == ["densify"] * 6 + ["easy_to_hard"] * 3
    for stretch in loop.stretches[:8]:
        loop.begin(stretch)
    assert loop.context.notes["portion"] == 0.5  # round 7 of 0.2 + 0.05 each
    probabilities = probabilities_of(method, loop, toy_data)
    bounds = torch.tensor(method.bounds)
    order = image_confidence(probabilities, bounds).argsort(descending=True).tolist()
    assert (method.easy, method.hard) == (order[:1], order[1:])  # floor(3 * 0.35) = 1
    view = method.view(loop.context, toy_data, loop.stretches[7].phase)
    assert view.target.ids == tuple(toy_data.target.ids[index] for index in order[1:])
    best, label = ratios(probabilities, bounds)[order[0]].max(dim=0)
    pseudo = view.further["pseudo"]
    assert (pseudo.labels([0])[0] == label.numpy()).all()
    weights = pseudo.weights([0])
    assert weights is not None
    wanted = best.clamp(max=1).square()
    assert (torch.from_numpy(weights[0]) / FULL - wanted).abs().max() < 0.51 / FULL
    assert (weights < FULL).any()
    seen = {name for step in range(4) for name in method.draw(view, step).target.ids}
    assert seen == set(view.target.ids)


def test_weights_scale_the_loss_of_their_pixels(toy_data: TrainingData) -> None:
    method = Tpld()
    method.bounds = [0.5] * 4
    batch = toy_data.draw(0).source
    logits = torch.randn(2, 4, 32, 48)
    whole = method.label_loss(logits, batch)
    weights = torch.zeros(2, 32, 48)
    weights[:, :16] = 0.5
    half = method.label_loss(logits, dataclasses.replace(batch, weights=weights))
    top = method.label_loss(
        logits[:, :, :16], dataclasses.replace(batch, labels=batch.labels[:, :16])
    )
    assert half.item() == pytest.approx(0.5 * top.item(), rel=1e-5)
    assert whole > half


def test_every_term_of_both_phases_is_active_and_the_rounds_are_noted(
    network: SegmentationNetwork, toy_data: TrainingData, tmp_path: Path
) -> None:
    settings = TrainingSettings(steps=12, learning_rate=0.01, checkpoint_every=1)
    method = Tpld(preset="quick", discriminator_width=4, source_per_target=1)
    fit(method, network, toy_data, settings, seed=11, device=CPU, folder=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
    first = {name for line in lines if line["phase"] == "densify" for name in line}
    second = {name for line in lines if line["phase"] == "easy_to_hard" for name in line}
    assert {"source", "pseudo", "regulariser"} <= first
    assert {"source", "pseudo", "tell_easy", "tell_hard", "fool_hard"} <= second
    assert "regulariser" not in second
    (ranked,) = [line for line in lines if "easy_images" in line]
    assert (ranked["easy_images"], ranked["hard_images"]) == (1, 2)  # never none: floor(0.9)
    assert ranked["labelled_share"] == 1.0


def test_the_discriminator_learns_at_its_own_rate(
    network: SegmentationNetwork, toy_data: TrainingData, tmp_path: Path
) -> None:
    settings = TrainingSettings(steps=3, learning_rate=0.01)
    method = Tpld(preset="quick", warm_up=0, discriminator_width=4, discriminator_rate=0.003)
    loop = Loop(method, network, toy_data, settings, seed=11, device=CPU, scratch=tmp_path)
    for stretch in loop.stretches:
        loop.run(stretch)
    (group,) = loop.context.optimizers["intra"].param_groups
    assert group["lr"] == pytest.approx(0.003)
    assert loop.context.optimizers["network"].param_groups[0]["lr"] == pytest.approx(0.002)
    assert not any(phase.name == "easy_to_hard" for phase in Tpld(second_rounds=0).phases(50))
