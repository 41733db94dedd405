"""IntraDA's ranking against the released code; its second stage."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from autoadapt.config.settings import TrainingSettings
from autoadapt.data.training import TrainingData
from autoadapt.data.views import subset
from autoadapt.networks.build import build
from autoadapt.networks.contract import SegmentationNetwork, upsample
from autoadapt.space.architecture import Architecture
from autoadapt.training.fit import Loop, fit
from autoadapt.uda._losses import self_information
from autoadapt.uda._ranking import split
from autoadapt.uda.intra_da import RARE_IN_CITYSCAPES, IntraDa, image_scores, rare_factor

CPU = torch.device("cpu")


def case_of(folder: Path, name: str) -> dict[str, Tensor]:
    with np.load(folder / f"{name}.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def test_the_ranking_of_the_released_code(vectors: Path) -> None:
    case = case_of(vectors, "intrada_ranking")
    height, width = case["in_out_size"].tolist()
    logits = upsample(case["in_logits"], (height, width))
    labels, scores = logits.argmax(dim=1), image_scores(logits).double()
    factor = rare_factor(labels, RARE_IN_CITYSCAPES).double()
    torch.testing.assert_close(scores, case["out_score"], rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(factor, case["out_normaliser"], rtol=1e-4, atol=1e-6)
    normalised = scores * factor
    torch.testing.assert_close(normalised, case["out_score_normalised"], rtol=1e-5, atol=1e-7)
    assert torch.equal(labels.byte(), case["out_pseudo_label"])
    share = float(case["in_lambda"])
    for values, ending in ((scores, ""), (normalised, "_normalised")):
        easy, hard = split(values.tolist(), share)
        assert easy == case[f"out_easy{ending}"].tolist()
        assert hard == case[f"out_hard{ending}"].tolist()


def test_the_split_of_the_released_code_with_equal_scores(vectors: Path) -> None:
    case = case_of(vectors, "intrada_split")
    assert len(set(case["in_score"].tolist())) < len(case["in_score"])
    easy, hard = split(case["in_score"].tolist(), float(case["in_lambda"]))
    assert (easy, hard) == (case["out_easy"].tolist(), case["out_hard"].tolist())


@pytest.fixture
def network(tiny_architecture: Architecture) -> SegmentationNetwork:
    return build(tiny_architecture, 4, seed=5)


def test_easy_images_are_labelled_and_hard_ones_are_the_target(
    network: SegmentationNetwork, toy_data: TrainingData, tmp_path: Path
) -> None:
    settings = TrainingSettings(steps=4, learning_rate=0.01)
    method = IntraDa(discriminator_width=4)
    loop = Loop(method, network, toy_data, settings, seed=11, device=CPU, scratch=tmp_path)
    start = {name: value.clone() for name, value in network.state_dict().items()}
    discriminator = loop.context.modules["main"]
    first = next(discriminator.parameters()).detach().clone()
    adapt, intra = loop.stretches
    loop.run(adapt)
    network.eval()
    with torch.no_grad():
        sweep = toy_data.sweep(toy_data.target, 1)
        logits = torch.cat([upsample(network(b.images).logits, (32, 48)) for _, b in sweep])
    assert not torch.equal(next(discriminator.parameters()), first)
    loop.begin(intra)
    order = self_information(logits).mean(dim=(1, 2, 3)).argsort().tolist()
    assert (method.easy, method.hard) == (order[:2], order[2:])  # floor(3 * 0.67) = 2
    view = method.view(loop.context, toy_data, intra.phase)
    assert view.source.ids == subset(toy_data.target, method.easy).ids
    assert view.target.ids == subset(toy_data.target, method.hard).ids
    labels = torch.from_numpy(view.source.labels([0, 1]))
    assert torch.equal(labels.long(), logits.argmax(dim=1)[method.easy])
    # all starts from where the first stage started
    assert all(torch.equal(network.state_dict()[name], value) for name, value in start.items())
    assert torch.equal(next(discriminator.parameters()), first)


def test_a_second_stage_may_continue_the_first(
    network: SegmentationNetwork, toy_data: TrainingData, tmp_path: Path
) -> None:
    settings = TrainingSettings(steps=6, learning_rate=0.01)
    method = IntraDa(discriminator_width=4, preset="quick")
    loop = Loop(method, network, toy_data, settings, seed=11, device=CPU, scratch=tmp_path)
    assert [s.stop - s.start for s in loop.stretches] == [5, 1]
    loop.run(loop.stretches[0])
    before = {name: value.clone() for name, value in network.state_dict().items()}
    loop.begin(loop.stretches[1])
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())


def test_both_stages_have_a_warm_up_of_their_own() -> None:
    phases = IntraDa(warm_up=0.25).phases(80)
    assert [(phase.name, phase.steps, phase.restart) for phase in phases] == [
        ("warm_up", 10, "nothing"),
        ("adapt", 30, "nothing"),
        ("intra_warm_up", 10, "everything"),
        ("intra", 30, "nothing"),
    ]
    assert [phase.name for phase in IntraDa().phases(1)] == ["adapt"]


def test_a_split_leaves_neither_side_empty() -> None:
    scores = [0.3, 0.1, 0.3, 0.2]
    assert split(scores, 0.5) == ([1, 3], [0, 2])
    assert split(scores, 0.0) == ([1], [3, 0, 2])
    assert split(scores, 1.0) == ([1, 3, 0], [2])
    assert split([0.3], 0.67) == ([0], [0])
    many = [0.5] * 400 + [0.1] * 400
    assert split(many, 0.75) == ([*range(400, 800), *range(200)], [*range(200, 400)])
    with pytest.raises(ValueError, match="no images"):
        split([], 0.5)


@pytest.mark.parametrize(("share", "easy"), [(0.0, 1), (1.0, 2), (0.67, 2)])
def test_both_sides_are_trained_on(
    share: float,
    easy: int,
    network: SegmentationNetwork,
    toy_data: TrainingData,
    tmp_path: Path,
) -> None:
    settings = TrainingSettings(steps=3, learning_rate=0.01)
    method = IntraDa(easy_share=share, warm_up=0.5, discriminator_width=4)
    fit(method, network, toy_data, settings, seed=11, device=CPU, folder=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
    (noted,) = [line for line in lines if "easy_images" in line]
    assert noted["easy_images"] == easy
    assert noted["hard_images"] == 3 - easy
