"""What every adaptation method must do; a new file in ``uda`` is tested from its first day."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autoadapt.config.load import make
from autoadapt.config.settings import PluginSettings, TrainingSettings
from autoadapt.data.batches import SourceBatch, TargetBatch
from autoadapt.data.cache import Rows as CachedRows
from autoadapt.data.images import LabelledImages, UnlabelledImages
from autoadapt.data.rows import JoinedRows
from autoadapt.data.training import StepBatch, TrainingData
from autoadapt.data.views import subset
from autoadapt.errors import DataError
from autoadapt.networks.build import build
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.plugins import available, find
from autoadapt.seeding import generator
from autoadapt.space.architecture import Architecture
from autoadapt.training.checkpoints import read_checkpoint
from autoadapt.training.fit import Fitted, Loop, Progress, fit
from autoadapt.training.model import card_of, load_model, save_model
from autoadapt.uda import _sweep
from autoadapt.uda.base import Context, Method, Phase

CPU = torch.device("cpu")
SETTINGS = TrainingSettings(steps=6, learning_rate=0.01, checkpoint_every=1)

every_method = pytest.mark.parametrize("name", available("uda"))


class CrashError(Exception):
    """Stands for a crash."""


def plugin(name: str, **options: Any) -> PluginSettings:
    return PluginSettings(name=name, options={**find("uda", name).smoke_options, **options})


def new(name: str, **options: Any) -> Method:
    method: Method = make("uda", plugin(name, **options))
    return method


@pytest.fixture
def toy_data(request: pytest.FixtureRequest, toy_data: TrainingData) -> TrainingData:
    """The toy data, with another source for methods that keep several apart."""
    callspec = getattr(request.node, "callspec", None)
    name = callspec.params.get("name") if callspec else None
    if name is None or find("uda", name).needs.sources == 1:
        return toy_data
    return dataclasses.replace(toy_data, further={"other": subset(toy_data.source, [3, 0, 4])})


@pytest.fixture
def network(tiny_architecture: Architecture) -> SegmentationNetwork:
    return build(tiny_architecture, 4, seed=5)


@pytest.fixture
def plain_network(tiny_architecture: Architecture) -> SegmentationNetwork:
    values = {**tiny_architecture.values, "aux": False}
    return build(Architecture.of(tiny_architecture.family, values), 4, seed=5)


def train(
    method: Method,
    network: SegmentationNetwork,
    data: TrainingData,
    settings: TrainingSettings = SETTINGS,
    **places: Any,
) -> Fitted:
    return fit(method, network, data, settings, seed=11, device=CPU, **places)


def reports_of(
    method: Method, network: SegmentationNetwork, data: TrainingData
) -> list[Mapping[str, float]]:
    seen: list[Mapping[str, float]] = []

    def look(progress: Progress) -> None:
        if not progress.doing:
            seen.append(progress.losses)

    train(method, network, data, on_progress=look)
    return seen


def check_same(first: Any, second: Any, where: str = "") -> None:
    """Assert that two nests of plain values and tensors are equal to the last bit."""
    assert type(first) is type(second), where
    if isinstance(first, Tensor):
        assert torch.equal(first, second), where
    elif isinstance(first, Mapping):
        assert first.keys() == second.keys(), where
        for key in first:
            check_same(first[key], second[key], f"{where}.{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), where
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            check_same(one, other, f"{where}[{index}]")
    else:
        assert first == second, where


@every_method
def test_it_says_what_it_is(name: str) -> None:
    method = find("uda", name)
    assert method.summary
    assert method.paper
    assert dataclasses.is_dataclass(method)


@every_method
def test_every_loss_is_active_and_every_gradient_finite(
    name: str, network: SegmentationNetwork, toy_data: TrainingData
) -> None:
    fitted_losses = reports_of(new(name), network, toy_data)
    names = set().union(*fitted_losses)
    assert {"source", "source_aux"} <= names
    for loss in names:
        assert max(losses.get(loss, 0.0) for losses in fitted_losses) > 0, loss
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


@every_method
def test_modules_learn_and_get_finite_gradients(
    name: str, network: SegmentationNetwork, toy_data: TrainingData
) -> None:
    fitted = train(new(name), network, toy_data)
    for module in fitted.modules.values():
        gradients = [p.grad for p in module.parameters() if p.requires_grad]
        assert all(g is None or bool(g.isfinite().all()) for g in gradients)
        assert all(p.requires_grad for p in module.parameters()) or not any(
            p.requires_grad for p in module.parameters()
        )


@every_method
def test_it_works_without_auxiliary_output(
    name: str, plain_network: SegmentationNetwork, toy_data: TrainingData
) -> None:
    seen = reports_of(new(name), plain_network, toy_data)
    assert not any(loss.endswith("aux") for losses in seen for loss in losses)


@every_method
def test_it_works_with_one_image_per_step(
    name: str, network: SegmentationNetwork, toy_data: TrainingData
) -> None:
    seen = reports_of(new(name), network, dataclasses.replace(toy_data, batch_size=1))
    assert len(seen) == 6


@every_method
@pytest.mark.parametrize("every", [1, 4])
def test_resumed_training_equals_undisturbed_training(
    name: str,
    every: int,
    tiny_architecture: Architecture,
    toy_data: TrainingData,
    tmp_path: Path,
) -> None:
    """Warm-up lasts two steps, so crashes fall into both phases and on their border."""
    settings = dataclasses.replace(SETTINGS, checkpoint_every=every)

    def run(folder: Path, method: Method) -> Fitted:
        fresh = build(tiny_architecture, 4, seed=5)
        return train(method, fresh, toy_data, settings, folder=folder)

    run(tmp_path / "whole", new(name, warm_up=0.3))
    whole = read_checkpoint(tmp_path / "whole" / "checkpoint.pt")
    lines = (tmp_path / "whole" / "steps.jsonl").read_text()
    for crash in range(6) if every == 1 else (2, 5):
        folder = tmp_path / f"halves{crash}"
        with pytest.raises(CrashError):
            run(folder, crashing(new(name, warm_up=0.3), crash))
        torch.rand(3)  # whatever happens in between
        run(folder, new(name, warm_up=0.3))
        check_same(whole, read_checkpoint(folder / "checkpoint.pt"), f"crash {crash}")
        assert (folder / "steps.jsonl").read_text() == lines


@every_method
def test_a_pass_over_images_goes_on_behind_the_last_safe_one(
    name: str,
    tiny_architecture: Architecture,
    toy_data: TrainingData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Crashes at images drawn by chance, in the passes of all rounds; a batch is one image."""
    monkeypatch.setattr(_sweep, "SAVE_EVERY", 0.0)
    settings = dataclasses.replace(SETTINGS, checkpoint_every=100)
    data = dataclasses.replace(toy_data, batch_size=1)

    def run(folder: Path, crash: int = -1) -> list[str]:
        told: list[str] = []

        def look(progress: Progress) -> None:
            if progress.doing:
                if len(told) == crash:
                    raise CrashError
                told.append(f"{progress.step} {progress.phase} {progress.doing}")

        fresh = build(tiny_architecture, 4, seed=5)
        train(new(name, warm_up=0.3), fresh, data, settings, folder=folder, on_progress=look)
        return told

    told = run(tmp_path / "whole")
    assert bool(told) == (name in PASSING)
    wanted = ended(tmp_path / "whole")
    for crash in generator(1, name).permutation(len(told))[:2].tolist():
        folder = tmp_path / f"crash{crash}"
        with pytest.raises(CrashError):
            run(folder, crash)
        again = run(folder)
        assert [text for text in again if text in told[crash:]] == told[crash:]
        assert len(again) <= len(told) - crash + PASSES  # those that are over only say so
        check_same(wanted, ended(folder), f"crash at {told[crash]}")


PASSING = {"cbst", "ccm", "crst", "cycada", "dast", "fcan", "fda", "intra_da", "madan", "tpld"}
"""Methods that pass over images between their steps, with the options of the smoke test."""

PASSES = 3
"""Most passes in a round."""


def ended(folder: Path) -> list[Any]:
    """Return what a training has left: checkpoint, log, and no other file."""
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint.pt", "steps.jsonl"]
    return [read_checkpoint(folder / "checkpoint.pt"), (folder / "steps.jsonl").read_text()]


def crashing(method: Method, crash: int) -> Method:
    """Return the method with a step that raises at one step, before it does anything."""
    step: Callable[[Context, Phase, StepBatch], dict[str, Tensor]] = method.train_step

    def train_step(context: Context, phase: Phase, batch: StepBatch) -> dict[str, Tensor]:
        if context.step == crash:
            raise CrashError
        return step(context, phase, batch)

    method.train_step = train_step  # type: ignore[method-assign]
    return method


@every_method
def test_a_saved_model_predicts_as_the_trained_one(
    name: str,
    network: SegmentationNetwork,
    tiny_architecture: Architecture,
    toy_data: TrainingData,
    tmp_path: Path,
) -> None:
    fitted = train(new(name), network, toy_data)
    card = card_of(tiny_architecture, toy_data.settings, toy_data.source.classes, plugin(name))
    save_model(tmp_path / "model.safetensors", fitted, card)
    model = load_model(tmp_path / "model.safetensors", CPU)
    images = toy_data.draw(0).target.images
    with torch.inference_mode():
        wanted = fitted.predictor(images)
    assert torch.equal(model.forward(images).logits, wanted.logits)
    assert model.card.to_json() == json.loads(json.dumps(card.to_json()))
    assert not any(module.training for module in model.predictor.modules())


@every_method
def test_prediction_depends_on_extra_networks_only_where_the_method_says_so(
    name: str, network: SegmentationNetwork, toy_data: TrainingData
) -> None:
    method, settings = new(name), dataclasses.replace(SETTINGS, steps=1)
    fitted = train(method, network, toy_data, settings)
    images = toy_data.draw(0).target.images
    with torch.inference_mode():
        before = fitted.predictor(images).logits
        for module in fitted.modules.values():
            for parameter in module.parameters():
                parameter.add_(0.1)
        after = fitted.predictor(images).logits
    assert torch.equal(before, after) == (not method.needs.predictor)


@every_method
def test_labels_of_target_images_are_those_that_the_method_made(
    name: str, network: SegmentationNetwork, toy_data: TrainingData, tmp_path: Path
) -> None:
    """Whatever a round trains on: labels lie in a file of the source or in one of the run."""
    method = new(name)
    seen: list[Path] = []
    known = {path for part in (toy_data.source, *toy_data.further.values()) for path in files(part)}

    def view(context: Context, data: TrainingData, phase: Phase) -> TrainingData:
        found: TrainingData = original(context, data, phase)
        assert type(found.target) is UnlabelledImages
        seen.extend(
            path for part in (found.source, *found.further.values()) for path in files(part)
        )
        return found

    original, method.view = method.view, view  # type: ignore[method-assign]
    train(method, network, toy_data, folder=tmp_path)
    made = {path for path in seen if path not in known}
    assert {path.parent for path in made} <= {tmp_path}
    assert bool(made) == (name in PASSING - {"cycada", "fcan", "madan"})  # these paint images


def files(labelled: LabelledImages) -> set[Path]:
    """Return the files that the labels of a set come from."""
    rows = labelled.rows
    parts = rows.parts if isinstance(rows, JoinedRows) else (rows,)
    assert all(isinstance(part, CachedRows) for part in parts)
    return {part.path for part in parts if isinstance(part, CachedRows)}


@every_method
def test_optimizers_hold_each_parameter_once(
    name: str, network: SegmentationNetwork, toy_data: TrainingData, tmp_path: Path
) -> None:
    context = loop_of(new(name), network, toy_data, SETTINGS, tmp_path).context
    listed = [
        id(parameter)
        for optimizer in context.optimizers.values()
        for group in optimizer.param_groups
        for parameter in group["params"]
    ]
    assert len(listed) == len(set(listed))
    modules: list[nn.Module] = [network, *context.modules.values()]
    learning = {id(p) for module in modules for p in module.parameters() if p.requires_grad}
    assert learning == set(listed)


def loop_of(
    method: Method,
    network: SegmentationNetwork,
    data: TrainingData,
    settings: TrainingSettings,
    folder: Path,
) -> Loop:
    return Loop(method, network, data, settings, seed=11, device=CPU, scratch=folder)


@every_method
def test_accumulated_gradients_are_the_mean_over_micro_batches(
    name: str, tiny_architecture: Architecture, toy_data: TrainingData, tmp_path: Path
) -> None:
    one_step = dataclasses.replace(SETTINGS, steps=1)
    loops = [
        loop_of(
            new(name),
            build(tiny_architecture, 4, seed=5),
            toy_data,
            dataclasses.replace(one_step, accumulate=accumulate),
            tmp_path,
        )
        for accumulate in (2, 1)
    ]
    accumulated, by_hand = loops
    for module, twin in zip(modules_of(accumulated), modules_of(by_hand), strict=True):
        twin.load_state_dict(module.state_dict())
    for loop in loops:
        loop.begin(loop.stretches[0])
    accumulated.run(accumulated.stretches[0])
    phase, context = by_hand.stretches[0].phase, by_hand.context
    context.last_micro_batch = False  # gradients pile up, nothing moves
    view = by_hand.method.view(context, toy_data, phase)
    for number in range(2):
        context.micro_batch = number
        by_hand.method.train_step(context, phase, by_hand.method.draw(view, number))
    pairs = [
        pair
        for module, twin in zip(modules_of(accumulated), modules_of(by_hand), strict=True)
        for pair in gradient_pairs(module, twin)
    ]
    assert len(pairs) > 20
    for ours, summed in pairs:
        torch.testing.assert_close(ours, summed / 2, rtol=1e-6, atol=1e-10)


def modules_of(loop: Loop) -> list[nn.Module]:
    return [loop.network, *loop.context.modules.values()]


def gradient_pairs(first: nn.Module, second: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None)
        if one.grad is not None and other.grad is not None:
            yield one.grad, other.grad


@every_method
def test_training_leaves_no_trace_in_global_randomness(
    name: str, network: SegmentationNetwork, toy_data: TrainingData
) -> None:
    before = torch.get_rng_state()
    train(new(name), network, toy_data)
    assert torch.equal(torch.get_rng_state(), before)


@every_method
def test_progress_goes_from_the_first_to_the_last_step(
    name: str, network: SegmentationNetwork, toy_data: TrainingData
) -> None:
    seen: list[Progress] = []
    fitted = train(new(name), network, toy_data, on_progress=seen.append)
    steps = [progress for progress in seen if not progress.doing]
    assert [progress.step for progress in steps] == [1, 2, 3, 4, 5, 6]
    assert [progress.step for progress in seen] == sorted(progress.step for progress in seen)
    assert {progress.steps for progress in seen} == {6}
    assert fitted.steps == 6
    assert fitted.losses == seen[-1].losses


def test_a_target_batch_has_no_place_for_labels() -> None:
    assert {field.name for field in dataclasses.fields(TargetBatch)} == {"images", "ids"}


def test_labelled_images_are_refused_as_target(toy_data: TrainingData) -> None:
    with pytest.raises(DataError, match=r"LabelledImages.*images.unlabelled"):
        dataclasses.replace(toy_data, target=toy_data.source)  # type: ignore[arg-type]


def test_a_labelled_batch_is_refused_as_target(toy_data: TrainingData) -> None:
    batch = toy_data.draw(0)

    class Smuggler(TargetBatch):
        labels: Tensor

    smuggled = Smuggler(batch.target.images, batch.target.ids)
    for target in (batch.source, smuggled):
        with pytest.raises(TypeError, match="expected a TargetBatch"):
            StepBatch(batch.source, target)  # type: ignore[arg-type]
    assert isinstance(batch.source, SourceBatch)
