"""The loop itself; what it owes to methods is tested with them."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autoadapt.config.settings import TrainingSettings
from autoadapt.data.training import TrainingData
from autoadapt.errors import CheckpointError
from autoadapt.networks.build import build
from autoadapt.space.architecture import Architecture
from autoadapt.training.checkpoints import read_checkpoint, write_checkpoint
from autoadapt.training.fit import Fitted, Loop, Progress, fit, shares_of, tried_kernels
from autoadapt.uda._teacher import average
from autoadapt.uda.advent import Advent
from autoadapt.uda.base import Method
from autoadapt.uda.dacs import Dacs
from autoadapt.uda.min_ent import MinEnt
from autoadapt.uda.source_only import SourceOnly

CPU = torch.device("cpu")


class CrashError(Exception):
    """Raised by a callback to stop a training."""


@dataclasses.dataclass
class Bench:
    """Trains the same small network again and again."""

    architecture: Architecture
    data: TrainingData

    def fit(self, method: Method | None = None, seed: int = 11, **options: Any) -> Fitted:
        own = ("folder", "on_progress", "snapshots", "on_snapshot")
        places = {key: options.pop(key) for key in own if key in options}
        settings = TrainingSettings(**{"steps": 4, "learning_rate": 0.01, **options})
        network = build(self.architecture, 4, seed=5)
        chosen = method or SourceOnly()
        return fit(chosen, network, self.data, settings, seed=seed, device=CPU, **places)


@pytest.fixture
def bench(tiny_architecture: Architecture, toy_data: TrainingData) -> Bench:
    return Bench(tiny_architecture, toy_data)


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]


def test_steps_are_logged_once_however_often_it_stops(bench: Bench, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.step >= stops[0]:
            stops.pop(0)
            raise CrashError

    stops = [10, 14, 20, 25]
    for _ in range(4):
        with pytest.raises(CrashError):
            bench.fit(folder=tmp_path, on_progress=stop, steps=25, checkpoint_every=7)
    assert [line["step"] for line in lines_of(tmp_path)] == [7, 10, 14, 20, 21, 25]
    bench.fit(folder=tmp_path, steps=25, checkpoint_every=7)
    assert [line["step"] for line in lines_of(tmp_path)] == [7, 10, 14, 20, 21, 25]


def test_a_torn_line_of_the_log_is_dropped(bench: Bench, tmp_path: Path) -> None:
    bench.fit(folder=tmp_path)
    with (tmp_path / "steps.jsonl").open("a") as file:
        file.write('{"step": 4, "pha')
    bench.fit(folder=tmp_path)
    assert [line["step"] for line in lines_of(tmp_path)] == [4]


def test_reported_losses_are_means_since_the_last_report(bench: Bench, tmp_path: Path) -> None:
    bench.fit(folder=tmp_path / "each", steps=12, checkpoint_every=1)
    bench.fit(folder=tmp_path / "tens", steps=12)
    each = [line["source"] for line in lines_of(tmp_path / "each")]
    tens = [line["source"] for line in lines_of(tmp_path / "tens")]
    assert tens == pytest.approx([sum(each[:10]) / 10, sum(each[10:]) / 2])


def test_a_finished_run_is_not_trained_again(bench: Bench, tmp_path: Path) -> None:
    first = bench.fit(folder=tmp_path)
    before = (tmp_path / "checkpoint.pt").stat().st_mtime_ns
    again = bench.fit(folder=tmp_path)
    assert (tmp_path / "checkpoint.pt").stat().st_mtime_ns == before
    assert (again.steps, again.losses) == (first.steps, first.losses)
    for name, tensor in first.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[name], tensor)


def test_snapshots_are_the_training_at_their_steps_also_after_a_crash(
    bench: Bench, tmp_path: Path
) -> None:
    """The third step is shown before the crash, whose checkpoint is of the second."""

    def keep(into: dict[int, torch.Tensor], now: Fitted) -> None:
        weights = now.network.state_dict().values()
        into[now.steps] = torch.cat([one.detach().flatten().double() for one in weights])

    def crash(now: Fitted) -> None:
        keep(broken, now)
        if now.steps == 3:
            raise CrashError

    whole: dict[int, torch.Tensor] = {}
    broken: dict[int, torch.Tensor] = {}
    places: dict[str, Any] = {"steps": 5, "checkpoint_every": 2, "snapshots": (1, 3, 4)}
    last = bench.fit(folder=tmp_path / "a", on_snapshot=lambda now: keep(whole, now), **places)
    with pytest.raises(CrashError):
        bench.fit(folder=tmp_path / "b", on_snapshot=crash, **places)
    assert torch.equal(broken.pop(3), whole[3])
    bench.fit(folder=tmp_path / "b", on_snapshot=lambda now: keep(broken, now), **places)
    assert set(whole) == set(broken) == {1, 3, 4}
    assert all(torch.equal(whole[step], broken[step]) for step in whole)
    assert not torch.equal(whole[3], whole[4])
    plain = bench.fit(steps=5).network.state_dict()
    assert all(torch.equal(plain[name], one) for name, one in last.network.state_dict().items())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"method": MinEnt()}, "method 'SourceOnly' instead of 'MinEnt'"),
        ({"method": SourceOnly(aux_source_weight=0.2)}, "aux_source_weight 0.1 instead of 0.2"),
        ({"steps": 5}, "training.steps 4 instead of 5"),
        ({"learning_rate": 0.02}, "training.learning_rate 0.01 instead of 0.02"),
        ({"seed": 12}, "seed 11 instead of 12"),
    ],
)
def test_the_checkpoint_of_another_run_is_refused(
    bench: Bench, tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    bench.fit(folder=tmp_path)
    with pytest.raises(CheckpointError, match=named):
        bench.fit(folder=tmp_path, **change)


def test_another_interval_of_checkpoints_is_the_same_run(bench: Bench, tmp_path: Path) -> None:
    bench.fit(folder=tmp_path)
    assert bench.fit(folder=tmp_path, checkpoint_every=3).steps == 4


def test_a_file_that_is_no_checkpoint_of_a_training_is_refused(
    bench: Bench, tmp_path: Path
) -> None:
    write_checkpoint(tmp_path / "checkpoint.pt", {"network": {}})
    with pytest.raises(CheckpointError, match="not a checkpoint of a training run"):
        bench.fit(folder=tmp_path)


def test_a_damaged_checkpoint_is_refused(bench: Bench, tmp_path: Path) -> None:
    bench.fit(folder=tmp_path)
    whole = (tmp_path / "checkpoint.pt").read_bytes()
    (tmp_path / "checkpoint.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="damaged"):
        bench.fit(folder=tmp_path)


@pytest.mark.parametrize("method", [SourceOnly(), Advent(discriminator_width=4)])
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains_close_to_full_precision(
    bench: Bench, method: Method, precision: str
) -> None:
    full = bench.fit(method).losses
    half = bench.fit(method, precision=precision).losses
    assert half == pytest.approx(full, rel=0.05)
    assert half != full


@pytest.mark.parametrize(("device", "tried"), [("cuda", True), ("cpu", False)])
def test_kernels_are_tried_on_a_gpu_alone(device: str, tried: bool) -> None:
    with tried_kernels(torch.device(device)):
        assert torch.backends.cudnn.benchmark == tried
    assert not torch.backends.cudnn.benchmark


def test_a_compiled_network_trains_as_an_eager_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced as always, but run without generating code, which takes a minute."""
    compiled = []

    def traced(network: torch.nn.Module) -> None:
        compiled.append(network)
        real(network, backend="eager")

    real = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", traced)
    found, wanted = bench.fit(compile=True).network, bench.fit().network
    assert compiled == [found]
    for (name, one), other in zip(
        found.state_dict().items(), wanted.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, other, msg=name)


def test_channels_last_trains_as_contiguous(bench: Bench) -> None:
    # Momentum multiplies the difference of orders of summation; three steps stay close.
    first, second = bench.fit(steps=3), bench.fit(steps=3, channels_last=True)
    weight = second.network.state_dict()["layer1.0.conv1.weight"]
    assert weight.is_contiguous(memory_format=torch.channels_last)
    for name, tensor in first.network.state_dict().items():
        torch.testing.assert_close(second.network.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)


def test_gradients_are_clipped(bench: Bench) -> None:
    def moved(**options: Any) -> float:
        trained = bench.fit(steps=1, momentum=0, weight_decay=0, **options).network
        fresh = build(bench.architecture, 4, seed=5)
        pairs = zip(trained.parameters(), fresh.parameters(), strict=True)
        return float(sum((a - b).square().sum().item() for a, b in pairs) ** 0.5)

    # One step of SGD moves by rate times gradient; with one rate the norm is rate times clip.
    rates = {"learning_rate": 0.01, "head_multiplier": 1.0}
    assert moved(gradient_clip=0.1, **rates) == pytest.approx(0.001, rel=1e-3)
    assert moved(**rates) > 0.0011


def test_the_backbone_multiplier_scales_the_first_step_of_the_backbone_alone(bench: Bench) -> None:
    start = build(bench.architecture, 4, seed=5)
    options: dict[str, Any] = {"steps": 1, "weight_decay": 0.0, "power": 0.0}
    plain, tripled = (
        bench.fit(**options, backbone_multiplier=factor).network for factor in (1.0, 3.0)
    )
    heads = {id(p) for module in start.head_modules() for p in module.parameters()}

    moved = 0
    for (name, before), one, other in zip(
        start.named_parameters(), plain.parameters(), tripled.parameters(), strict=True
    ):
        factor = 1.0 if id(before) in heads else 3.0
        torch.testing.assert_close(other - before, factor * (one - before), msg=name)
        moved += int(not torch.equal(one, before))
    assert moved > 20


def test_frozen_scales_and_shifts_stay_while_statistics_move(bench: Bench) -> None:
    start = build(bench.architecture, 4, seed=5).state_dict()
    frozen = bench.fit(norm_affine="frozen").network
    affine = {
        f"{name}.{part}"
        for name, module in frozen.named_modules()
        if isinstance(module, torch.nn.BatchNorm2d)
        for part in ("weight", "bias")
    }

    learning = {name for name, p in frozen.named_parameters() if p.requires_grad}
    assert learning == {name for name, _ in frozen.named_parameters()} - affine
    for name, tensor in frozen.state_dict().items():
        assert torch.equal(tensor, start[name]) == (name in affine), name


def test_class_weights_have_mean_one_and_follow_the_inverse_root(
    bench: Bench, tmp_path: Path
) -> None:
    settings = TrainingSettings(steps=1, class_weights="sqrt_inverse")
    network = build(bench.architecture, 4, seed=5)
    loop = Loop(SourceOnly(), network, bench.data, settings, 0, CPU, tmp_path)
    weights = loop.context.class_weights
    shares = shares_of(bench.data.source, 4)
    assert weights is not None
    assert weights.mean().item() == pytest.approx(1)
    ratio = (shares[1] / shares[0]) ** 0.5
    assert (weights[0] / weights[1]).item() == pytest.approx(ratio.item())


def test_other_seeds_give_other_discriminators(bench: Bench) -> None:
    first, second = (bench.fit(Advent(discriminator_width=4), seed=seed) for seed in (1, 2))
    assert not torch.equal(
        first.modules["main"].state_dict()["0.weight"],
        second.modules["main"].state_dict()["0.weight"],
    )


def test_adamw_resumes(bench: Bench, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        raise CrashError

    common: dict[str, Any] = {"optimizer": "adamw", "checkpoint_every": 2}
    with pytest.raises(CrashError):
        bench.fit(folder=tmp_path, on_progress=stop, **common)
    assert read_checkpoint(tmp_path / "checkpoint.pt")["step"] == 2
    resumed, whole = bench.fit(folder=tmp_path, **common), bench.fit(**common)
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[name], tensor)


def states(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def test_an_average_of_weights_and_statistics_by_hand() -> None:
    teacher, student = nn.BatchNorm2d(1), nn.BatchNorm2d(1)

    def set_all(module: nn.BatchNorm2d, value: float) -> None:
        with torch.no_grad():
            for tensor in (*module.parameters(), module.running_mean, module.running_var):
                assert tensor is not None
                tensor.fill_(value)
            assert module.num_batches_tracked is not None
            module.num_batches_tracked.fill_(int(value))

    set_all(teacher, 100.0)
    found = []
    for step, value in enumerate((8.0, 4.0, 2.0, 0.0)):
        set_all(student, value)
        average(teacher, student, step, 0.6)
        assert teacher.num_batches_tracked == int(value)
        found.append([v.item() for v in (*teacher.parameters(), *list(teacher.buffers())[:2])])

    # Copied; (8 + 4) / 2; then 0.6 of what was: 3.6 + 0.8, and 0.6 of that.
    for values, expected in zip(found, (8.0, 6.0, 4.4, 2.64), strict=True):
        assert values == pytest.approx([expected] * 4)


@pytest.mark.parametrize("method", [SourceOnly, Advent])
def test_a_teacher_follows_any_method_and_changes_nothing(
    bench: Bench, method: type[Method]
) -> None:
    students = [states(bench.fit(method(), steps=steps, horizon=3).network) for steps in (1, 2, 3)]
    kept = bench.fit(method(), steps=3, horizon=3, ema=0.4)

    for name, tensor in states(kept.network).items():
        torch.testing.assert_close(tensor, students[2][name], rtol=0, atol=0)
    assert "teacher" not in bench.fit(method()).modules
    teacher = kept.modules["teacher"]
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    for name, tensor in states(teacher).items():
        one, two, three = (state[name] for state in students)
        wanted = three if not tensor.is_floating_point() else 0.6 * three + 0.4 * (
            0.6 * two + 0.4 * one
        )  # fmt: skip
        torch.testing.assert_close(tensor, wanted)


def test_a_teacher_resumes_bit_for_bit(bench: Bench, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == 10 and not stopped:
            stopped.append(True)
            raise CrashError

    stopped: list[bool] = []
    options: dict[str, Any] = {"steps": 14, "ema": 0.9, "checkpoint_every": 5}
    with pytest.raises(CrashError):
        bench.fit(Advent(), folder=tmp_path, on_progress=stop, **options)
    resumed = bench.fit(Advent(), folder=tmp_path, **options)
    undisturbed = bench.fit(Advent(), **options)

    for name, tensor in states(undisturbed.modules["teacher"]).items():
        torch.testing.assert_close(
            resumed.modules["teacher"].state_dict()[name], tensor, rtol=0, atol=0
        )


def test_a_method_with_a_teacher_keeps_its_own(bench: Bench) -> None:
    alone, asked = bench.fit(Dacs()), bench.fit(Dacs(), ema=0.5)

    for name, tensor in states(alone.modules["teacher"]).items():
        torch.testing.assert_close(
            asked.modules["teacher"].state_dict()[name], tensor, rtol=0, atol=0
        )
