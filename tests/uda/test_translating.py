"""CyCADA and MADAN: who judges what, what replaces the source, when the network moves."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autoadapt.config.settings import TrainingSettings
from autoadapt.data.training import TrainingData
from autoadapt.data.views import subset
from autoadapt.errors import ConfigError
from autoadapt.networks.build import build
from autoadapt.space.architecture import Architecture
from autoadapt.training.fit import Fitted, fit
from autoadapt.uda._translating import Made, Translating, domain_classifier
from autoadapt.uda.base import Context, Phase
from autoadapt.uda.cycada import Cycada
from autoadapt.uda.madan import Madan

TINY: dict[str, Any] = {"generator_width": 2, "generator_blocks": 1, "judge_width": 2}
CPU = torch.device("cpu")


def context_of(architecture: Architecture, folder: Path | None = None) -> Context:
    network = build(architecture, 4, seed=5).eval()
    return Context(network, 4, TrainingSettings(steps=1), CPU, folder=folder)


def fitted(
    method: Translating, architecture: Architecture, data: TrainingData, steps: int = 10
) -> Fitted:
    settings = TrainingSettings(steps=steps, learning_rate=0.01)
    return fit(method, build(architecture, 4, seed=5), data, settings, seed=3, device=CPU)


def test_steps_are_divided_by_the_shares() -> None:
    phases = Cycada(warm_up=0.2, translate_share=0.4, feature_share=0.1).phases(100)
    assert [(phase.name, phase.steps) for phase in phases] == [
        ("warm_up", 20), ("translate", 40), ("task", 30), ("feature", 10),
    ]  # fmt: skip
    assert [phase.name for phase in Cycada(feature_share=0.0).phases(100)] == [
        "warm_up", "translate", "task",
    ]  # fmt: skip


class Brighter(nn.Module):
    """A generator that adds a tenth of the range."""

    def forward(self, images: Tensor) -> Tensor:
        return images + 0.2


def test_the_task_is_learned_on_translated_images_with_their_labels(
    tiny_architecture: Architecture, toy_data: TrainingData, tmp_path: Path
) -> None:
    """0.2 of [-1, 1] are 25.5 of 0 to 255, rounded; the toy source is below 120."""
    method, context = Cycada(**TINY), context_of(tiny_architecture, tmp_path)
    context.modules["to_target1"] = Brighter()
    task = Phase("task", 1)
    method.begin_round(context, toy_data, task, 0)
    view = method.view(context, toy_data, task)
    every = range(len(toy_data.source))
    before, after = toy_data.source.images(every), view.source.images(every)
    assert np.abs(after.astype(int) - before.astype(int) - 25.5).max() <= 0.5
    assert np.array_equal(view.source.labels(every), toy_data.source.labels(every))
    assert method.view(context, toy_data, Phase("translate", 1)) is toy_data


def test_several_sources_become_one_translated_set(
    tiny_architecture: Architecture, toy_data: TrainingData, tmp_path: Path
) -> None:
    other = subset(toy_data.source, [2, 0])
    data = replace(toy_data, further={"other": other})
    method, context = Madan(**TINY), context_of(tiny_architecture, tmp_path)
    context.modules["to_target1"], context.modules["to_target2"] = nn.Identity(), Brighter()
    method.begin_round(context, data, Phase("task", 1), 0)
    view = method.view(context, data, Phase("task", 1))
    assert not view.further
    assert view.source.ids == toy_data.source.ids + other.ids
    same, brighter = view.source.images([0]), view.source.images([5]).astype(int)
    assert np.array_equal(same, toy_data.source.images([0]))
    assert np.abs(brighter - other.images([0]) - 25.5).max() <= 0.5


@pytest.mark.parametrize("moves", [True, False])
def test_the_network_moves_only_while_the_classifier_is_good(
    moves: bool, tiny_architecture: Architecture, toy_data: TrainingData
) -> None:
    """No classifier is right more often than always."""
    method = Cycada(
        **TINY, warm_up=0.0, translate_share=0.0, feature_share=1.0,
        accuracy_from=0.0 if moves else 1.0,
    )  # fmt: skip
    method.translations = []
    found = fitted(method, tiny_architecture, toy_data, steps=3)
    start = build(tiny_architecture, 4, seed=5)
    name = "layer6.conv2d_list.0.weight"
    changed = not torch.equal(found.network.get_parameter(name), start.get_parameter(name))
    assert changed == moves
    assert ("fool_domain" in found.losses) == moves
    assert len(method.accuracies) == 3


def test_the_classifier_has_the_published_form() -> None:
    """C -> 512 -> 256 -> 2 with 1x1 kernels: (C + 1) 512 + 513 x 256 + 257 x 2 parameters."""
    found = sum(p.numel() for p in domain_classifier(19).parameters())
    assert found == 20 * 512 + 513 * 256 + 257 * 2


def made(number: int) -> Made:
    value = torch.full((1, 3, 4, 4), float(number))
    return Made(number, value, value + 10, value + 20, value + 30, value + 40, value + 50)


def test_contests_of_cycada(tiny_architecture: Architecture) -> None:
    found = Cycada().contests(context_of(tiny_architecture), [made(1)])
    listed = [(c.judge, c.real.mean().item(), c.fake.mean().item(), c.weight) for c in found]
    assert listed == [("judge_target", 11, 21, 1.0), ("judge_source1", 1, 31, 1.0)]


@pytest.mark.parametrize(
    ("step", "apart", "cycles"), [(4, False, False), (5, True, False), (10, True, True)]
)
def test_contests_of_madan(
    step: int, apart: bool, cycles: bool, tiny_architecture: Architecture
) -> None:
    """40 steps of translation: sub-domains from the 5th, cycles from the 10th."""
    method, context = Madan(), context_of(tiny_architecture)
    method.translating_for, context.step = 40, step
    for name in ("to_source1", "to_source2"):
        context.modules[name] = nn.Identity()
    found = method.contests(context, [made(1), made(2)])
    listed = [(c.judge, c.real.mean().item(), c.fake.mean().item(), c.weight) for c in found]
    wanted = [
        ("judge_target", 11, 21, 2.0), ("judge_source1", 1, 31, 1.0),
        ("judge_target", 12, 22, 2.0), ("judge_source2", 2, 32, 1.0),
    ]  # fmt: skip
    wanted += [("judge_apart12", 22, 21, 1.0)] * apart
    wanted += [("judge_cycle12", 1, 22, 0.2), ("judge_cycle21", 2, 21, 0.2)] * cycles
    assert listed == wanted


def test_semantic_losses_are_0_where_nothing_changes(tiny_architecture: Architecture) -> None:
    """And the KL divergence is that of scipy where something does."""
    context = context_of(tiny_architecture)
    context.modules["segmenter"] = context.network
    source, other = torch.rand(2, 1, 3, 32, 40)
    same = Made(1, source, other, source, other, source, other)
    assert Madan().semantic(context, same).item() == pytest.approx(0, abs=1e-7)
    changed = replace(same, translated=other)
    p, q = (
        Madan().segmented(context, images).softmax(dim=1).detach().double().numpy()
        for images in (source, other)
    )
    wanted = (p * np.log(p / q)).mean()
    assert Madan().semantic(context, changed).item() == pytest.approx(wanted, rel=1e-4)
    label = torch.from_numpy(p).argmax(dim=1)
    known = torch.from_numpy(p).gather(1, label[:, None]).log().mean()
    target = Cycada().segmented(context, other).log_softmax(dim=1)
    back = target.gather(1, target.argmax(dim=1, keepdim=True)).mean()
    found = Cycada().semantic(context, same).item()
    assert found == pytest.approx(-(float(known) + float(back.detach())), rel=1e-4)


def test_another_number_of_sources_is_refused(
    tiny_architecture: Architecture, toy_data: TrainingData
) -> None:
    data = replace(toy_data, further={"other": subset(toy_data.source, [0])})
    with pytest.raises(ConfigError, match="sources_apart is 3, but the data has 2"):
        fitted(Madan(**TINY, sources_apart=3), tiny_architecture, data)
