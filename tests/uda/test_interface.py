"""What the interface between methods and the loop promises, tried with methods made for it."""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from autoadapt.config.load import make
from autoadapt.config.settings import PluginSettings, TrainingSettings
from autoadapt.data.batches import IGNORE, SourceBatch, TargetBatch
from autoadapt.data.training import StepBatch, TrainingData
from autoadapt.data.views import relabelled
from autoadapt.errors import ConfigError, TrainingDivergedError
from autoadapt.networks.batch_norm import Policy
from autoadapt.networks.build import build
from autoadapt.networks.contract import SegmentationNetwork, upsample
from autoadapt.plugins import available, find
from autoadapt.space.architecture import Architecture
from autoadapt.training.checkpoints import read_checkpoint
from autoadapt.training.fit import Fitted, fit
from autoadapt.uda._losses import cross_entropy, entropy
from autoadapt.uda._sweep import Numbers
from autoadapt.uda.adapt_seg_net import AdaptSegNet
from autoadapt.uda.advent import Advent
from autoadapt.uda.base import Context, Method, Needs, Phase, Preset, divided
from autoadapt.uda.source_only import SourceOnly

CPU = torch.device("cpu")


class CrashError(Exception):
    """Stands for a crash."""


@pytest.fixture
def network(tiny_architecture: Architecture) -> SegmentationNetwork:
    return build(tiny_architecture, 4, seed=5)


def train(
    method: Method,
    network: SegmentationNetwork,
    data: TrainingData,
    settings: TrainingSettings,
    folder: Path | None = None,
) -> Fitted:
    return fit(method, network, data, settings, seed=11, device=CPU, folder=folder)


def new_critic() -> nn.Conv2d:
    critic = nn.Conv2d(4, 1, 3, bias=False)
    nn.init.constant_(critic.weight, 0.01)
    return critic


@dataclass
class ThreePasses(Method):
    """Two optimisers; the network learns in two passes, a critic in a third, before it moves."""

    summary, paper = "three passes", "none"

    def setup(self, context: Context) -> None:
        critic = new_critic()
        context.add("critic", critic, torch.optim.Adam(critic.parameters(), lr=0.02))

    def step(self, context: Context, source: SourceBatch, target: TargetBatch) -> dict[str, Tensor]:
        output = context.forward(source.images, "source")
        supervised = cross_entropy(output.logits, source.labels)
        context.backward(supervised)
        aimed = context.forward(target.images, "target").logits
        with context.frozen("critic"):
            fooled = context.modules["critic"](aimed).square().mean()
        context.backward(fooled)
        told = (context.modules["critic"](aimed.detach()) - 1).square().mean()
        context.backward(told)
        context.update("critic", "network")
        return {"supervised": supervised.detach(), "told": told.detach()}


def by_hand(network: SegmentationNetwork, data: TrainingData, steps: int) -> nn.Conv2d:
    """The same training in plain PyTorch."""
    critic = new_critic()
    head = {id(p) for module in network.head_modules() for p in module.parameters()}
    backbone = [p for p in network.parameters() if p.requires_grad and id(p) not in head]
    heads = [p for p in network.parameters() if id(p) in head]
    sgd = torch.optim.SGD(
        [{"params": backbone}, {"params": heads}], lr=1.0, momentum=0.9, weight_decay=5e-4
    )
    adam = torch.optim.Adam(critic.parameters(), lr=1.0)
    network.train()
    for step in range(steps):
        decay = (1 - step / steps) ** 0.9
        sgd.param_groups[0]["lr"], sgd.param_groups[1]["lr"] = 0.01 * decay, 0.01 * 10 * decay
        adam.param_groups[0]["lr"] = 0.02 * decay
        sgd.zero_grad()
        adam.zero_grad()
        batch = data.draw(step)
        logits = upsample(network(batch.source.images).logits, (32, 48))
        loss = functional.cross_entropy(
            logits, batch.source.labels, ignore_index=IGNORE, reduction="sum"
        )
        (loss / (batch.source.labels != IGNORE).sum()).backward()  # type: ignore[no-untyped-call]
        aimed = upsample(network(batch.target.images).logits, (32, 48))
        critic.requires_grad_(False)
        fooled = critic(aimed).square().mean()
        critic.requires_grad_(True)
        fooled.backward()
        (critic(aimed.detach()) - 1).square().mean().backward()
        adam.step()
        sgd.step()
    return critic


def test_three_passes_and_two_optimisers_equal_a_loop_by_hand(
    network: SegmentationNetwork, tiny_architecture: Architecture, toy_data: TrainingData
) -> None:
    settings = TrainingSettings(steps=4, learning_rate=0.01)
    fitted = train(ThreePasses(), network, toy_data, settings)
    twin = build(tiny_architecture, 4, seed=5)
    critic = by_hand(twin, toy_data, 4)
    for name, tensor in twin.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor), name
    for name, tensor in critic.state_dict().items():
        assert torch.equal(fitted.modules["critic"].state_dict()[name], tensor), name


@dataclass
class SelfTaught(Method):
    """Everything a method may have: rounds, pseudo-labels, a teacher, restarts, randomness.

    Attributes:
        crash_in_round: Round of self-training whose preparation fails after its labels were
            written.
    """

    summary, paper = "self-training with a teacher", "none"

    crash_in_round: int = field(default=-1, init=False)
    crash_at: int = field(default=-1, init=False)
    crash_in_sweep: tuple[int, int] = field(default=(-1, -1), init=False)
    labels: str = field(default="", init=False)
    threshold: float = field(default=0.0, init=False)
    subset: list[int] = field(default_factory=list, init=False)

    def setup(self, context: Context) -> None:
        context.add("teacher", copy.deepcopy(context.network).requires_grad_(False))

    def phases(self, steps: int) -> tuple[Phase, ...]:
        return (
            Phase("statistics", 0),
            Phase("adapt", 2),
            Phase("teach", 2, rounds=3, restart="optimizers", rate_per_round=0.5**0.5),
            Phase("again", steps - 8, restart="everything", batch_norm="eval"),
        )

    def begin_round(self, context: Context, data: TrainingData, phase: Phase, index: int) -> None:
        if phase.name != "teach":
            return
        sure = Numbers()
        sweep = context.sweep(
            data,
            data.target,
            "labelling",
            predictor=context.modules["teacher"],
            tallies={"sure": sure},
            shapes={"labels": data.target.size},
        )
        for indices, output in sweep:
            if (context.stretch, indices[0]) == self.crash_in_sweep:
                raise CrashError
            probability, label = output.logits.softmax(dim=1).max(dim=1)
            sure.values += probability.flatten(1).median(dim=1).values.tolist()
            sweep.put(labels=label.to(torch.uint8))
        self.threshold = sum(sure.values) / len(data.target)
        self.labels = sweep.references["labels"]
        self.subset = [index % len(data.target)]
        context.notes |= {"threshold": self.threshold, "round": index}
        if index == self.crash_in_round:
            raise CrashError

    def view(self, context: Context, data: TrainingData, phase: Phase) -> TrainingData:
        if phase.name != "teach":
            return data
        pseudo = relabelled(data.target, context.stored(self.labels), data.source.classes)
        return dataclasses.replace(data, further={"pseudo": pseudo})

    def train_step(self, context: Context, phase: Phase, batch: StepBatch) -> dict[str, Tensor]:
        if context.step == self.crash_at:
            raise CrashError
        _, losses = context.supervised(batch.source, self.aux_source_weight)
        for name, pseudo in batch.further.items():
            dropped = functional.dropout(pseudo.images, 0.5)  # uses the global generator
            logits = context.forward(dropped, "target").logits
            loss = self.threshold * cross_entropy(logits, pseudo.labels)
            context.backward(loss)
            losses[name] = loss.detach()
        context.update("network")
        teacher = context.modules["teacher"]
        with torch.no_grad():
            for slow, fast in zip(teacher.parameters(), context.network.parameters(), strict=True):
                slow.lerp_(fast, 0.3)
        return losses

    def step(self, context: Context, source: SourceBatch, target: TargetBatch) -> dict[str, Tensor]:
        raise AssertionError("this method decides by phase")

    def predictor(
        self, network: SegmentationNetwork, modules: Mapping[str, nn.Module]
    ) -> nn.Module:
        return modules["teacher"]

    def state_dict(self) -> dict[str, Any]:
        return {"labels": self.labels, "threshold": self.threshold, "subset": self.subset}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.labels, self.threshold = state["labels"], state["threshold"]
        self.subset = state["subset"]


ARCHITECTURE: Architecture


@pytest.fixture(autouse=True)
def architecture(tiny_architecture: Architecture) -> None:
    global ARCHITECTURE
    ARCHITECTURE = tiny_architecture


def self_taught(
    folder: Path, data: TrainingData, *, every: int = 1, in_round: int = -1, at: int = -1
) -> Fitted:
    method = SelfTaught()
    method.crash_in_round, method.crash_at = in_round, at
    settings = TrainingSettings(steps=10, learning_rate=0.01, checkpoint_every=every)
    return train(method, build(ARCHITECTURE, 4, seed=5), data, settings, folder)


def flat(state: Any, where: str = "") -> dict[str, Any]:
    if isinstance(state, Mapping):
        parts = [flat(value, f"{where}.{key}") for key, value in state.items()]
    elif isinstance(state, Sequence) and not isinstance(state, str):
        parts = [flat(value, f"{where}.{index}") for index, value in enumerate(state)]
    else:
        return {where: state}
    return {name: value for part in parts for name, value in part.items()}


def check_same_end(first: Path, second: Path) -> None:
    one, other = (flat(read_checkpoint(folder / "checkpoint.pt")) for folder in (first, second))
    assert one.keys() == other.keys()
    for name, value in one.items():
        same = (
            torch.equal(value, other[name]) if isinstance(value, Tensor) else value == other[name]
        )
        assert same, name
    assert (first / "steps.jsonl").read_text() == (second / "steps.jsonl").read_text()


STOPS: dict[int, list[dict[str, int]]] = {
    1: [{"in_round": 1}, *({"at": step} for step in (0, 2, 3, 5, 6, 9))],
    3: [{"in_round": 2}, {"at": 5}, {"at": 8}],
    100: [{"in_round": 0}, {"at": 7}],
}
"""By steps between checkpoints: in the preparation of a round, or at a step."""


@pytest.mark.parametrize("every", STOPS)
def test_rounds_resume_bit_exactly_wherever_they_stop(
    every: int, toy_data: TrainingData, tmp_path: Path
) -> None:
    """Steps 0-1 adapt, 2-3, 4-5, 6-7 are rounds, 8-9 start again; crashes at any, and between."""
    self_taught(tmp_path / "whole", toy_data, every=every)
    for stop in STOPS[every]:
        folder = tmp_path / "-".join(f"{k}{v}" for k, v in stop.items())
        with pytest.raises(CrashError):
            self_taught(folder, toy_data, every=every, **stop)
        torch.rand(5)
        self_taught(folder, toy_data, every=every)
        check_same_end(tmp_path / "whole", folder)


def test_only_the_labels_of_the_last_round_are_kept(toy_data: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(CrashError):
        self_taught(tmp_path, toy_data, at=7)
    assert [path.name for path in tmp_path.glob("*.rows")] == ["labels-4.rows"]
    self_taught(tmp_path, toy_data)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.pt", "steps.jsonl"]


def test_without_a_folder_nothing_is_left_and_the_result_is_the_same(
    toy_data: TrainingData, tmp_path: Path
) -> None:
    kept = self_taught(tmp_path, toy_data)
    settings = TrainingSettings(steps=10, learning_rate=0.01)
    loose = train(SelfTaught(), build(ARCHITECTURE, 4, seed=5), toy_data, settings)
    for name, tensor in kept.network.state_dict().items():
        assert torch.equal(loose.network.state_dict()[name], tensor), name


def test_the_predictor_may_be_a_module(toy_data: TrainingData, tmp_path: Path) -> None:
    fitted = self_taught(tmp_path, toy_data)
    assert fitted.predictor is fitted.modules["teacher"]
    assert not fitted.predictor.training


def test_restarting_everything_forgets_what_was_learnt(toy_data: TrainingData) -> None:
    """After a restart, training equals that of a new network, but for the steps' data."""

    @dataclass
    class Twice(SourceOnly):
        def phases(self, steps: int) -> tuple[Phase, ...]:
            half = steps // 2
            return (Phase("one", half, restart="everything", rounds=2),)

        def draw(self, data: TrainingData, step: int) -> StepBatch:
            return data.draw(step % 3)

    @dataclass
    class Once(SourceOnly):
        def draw(self, data: TrainingData, step: int) -> StepBatch:
            return data.draw(step % 3)

    six, three = (TrainingSettings(steps=steps, learning_rate=0.01) for steps in (6, 3))
    twice = train(Twice(), build(ARCHITECTURE, 4, seed=5), toy_data, six)
    once = train(Once(), build(ARCHITECTURE, 4, seed=5), toy_data, three)
    assert twice.losses["source"] == once.losses["source"]
    for name, tensor in once.network.state_dict().items():
        assert torch.equal(twice.network.state_dict()[name], tensor), name


def test_a_sweep_sees_each_image_once_in_order_and_restores_modes(
    network: SegmentationNetwork, toy_data: TrainingData, tmp_path: Path
) -> None:
    settings = TrainingSettings(steps=1)
    context = Context(network, 4, settings, CPU, folder=tmp_path)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.train()
    network.head_modules()[0].eval()
    modes = [module.training for module in network.modules()]
    policies: tuple[Policy, ...] = ("eval", "source_only")
    for policy in policies:
        found = list(context.sweep(toy_data, toy_data.target, policy=policy))
        assert [list(indices) for indices, _ in found] == [[0, 1], [2]]
        assert [output.logits.shape for _, output in found] == [(2, 4, 32, 48), (1, 4, 32, 48)]
        assert not any(output.logits.requires_grad for _, output in found)
        assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())
    next(iter(context.sweep(toy_data, toy_data.target, policy="train")))
    moved = [n for n, value in before.items() if not torch.equal(network.state_dict()[n], value)]
    assert moved
    assert all("running" in name or "num_batches" in name for name in moved)


def test_features_may_be_changed_between_encoder_and_heads(
    network: SegmentationNetwork, toy_data: TrainingData
) -> None:
    context = Context(network, 4, TrainingSettings(steps=1), CPU)
    network.eval()
    images = toy_data.draw(0).target.images
    plain = context.forward(images, "target")
    kept = context.forward(images, "target", between=lambda features: features)
    assert torch.equal(plain.logits, kept.logits)
    silenced = context.forward(
        images, "target", between=lambda features: features._replace(deep=0 * features.deep)
    )
    assert silenced.logits.std(dim=(2, 3)).max() < 1e-7  # nothing but the main head's bias
    assert plain.aux_logits is not None
    assert silenced.aux_logits is not None
    assert torch.equal(silenced.aux_logits, plain.aux_logits)


def test_every_micro_batch_has_its_number(
    network: SegmentationNetwork, toy_data: TrainingData
) -> None:
    seen = []

    @dataclass
    class Counting(SourceOnly):
        def step(
            self, context: Context, source: SourceBatch, target: TargetBatch
        ) -> dict[str, Tensor]:
            seen.append((context.step, context.micro_batch, context.last_micro_batch))
            return super().step(context, source, target)

    train(Counting(), network, toy_data, TrainingSettings(steps=2, accumulate=2))
    assert seen == [(0, 0, False), (0, 1, True), (1, 0, False), (1, 1, True)]


@pytest.mark.parametrize(
    ("policy", "same"), [("train", False), ("source_only", True), ("eval", True)]
)
def test_target_passes_without_weight_are_adaptation_only_through_batch_norm(
    policy: Policy, same: bool, toy_data: TrainingData
) -> None:
    settings = TrainingSettings(steps=3, learning_rate=0.01)
    states = []
    for method in (
        Advent(main_weight=0, aux_weight=0, discriminator_width=4, batch_norm=policy),
        SourceOnly(batch_norm=policy),
        SourceOnly(batch_norm=policy, target_statistics=True),
    ):
        network = build(ARCHITECTURE, 4, seed=5)
        train(method, network, toy_data, settings)
        states.append(network.state_dict())
    adversarial, source_only, passing = states
    for name, tensor in source_only.items():
        if "running" in name:
            assert torch.equal(adversarial[name], tensor) == same, name
            assert torch.equal(passing[name], tensor) == same, name
        if "num_batches" not in name and "running" not in name:
            assert torch.equal(adversarial[name], tensor), name


def test_local_weights_need_two_outputs_and_change_the_loss(
    network: SegmentationNetwork, tiny_architecture: Architecture, toy_data: TrainingData
) -> None:
    """The weight of a place is 0.4 at least, and 40 times a disagreement more."""
    settings = TrainingSettings(steps=1)
    plain = Architecture.of("elastic_deeplab", {**tiny_architecture.values, "aux": False})
    local = AdaptSegNet(local_weight=40.0, discriminator_width=4)
    with pytest.raises(ConfigError, match=r"adapt_seg_net\.local_weight .* auxiliary one"):
        train(local, build(plain, 4), toy_data, settings)
    weighted = train(local, network, toy_data, settings).losses
    without = AdaptSegNet(discriminator_width=4)
    equal = train(without, build(tiny_architecture, 4, seed=5), toy_data, settings).losses
    assert weighted["source"] == equal["source"]
    for name in ("fool_main", "fool_aux"):
        assert weighted[name] > 0.4 * equal[name]
        assert weighted[name] != pytest.approx(equal[name], rel=0.01)


@dataclass
class Diverging(SourceOnly):
    """Entropy of target turns NaN in step 4."""

    def step(self, context: Context, source: SourceBatch, target: TargetBatch) -> dict[str, Tensor]:
        losses = super().step(context, source, target)
        uncertain = entropy(context.forward(target.images, "target").logits).detach()
        return losses | {"entropy": uncertain * (float("nan") if context.step == 3 else 1.0)}


def test_a_nan_loss_stops_the_training_and_is_named(
    network: SegmentationNetwork, toy_data: TrainingData, tmp_path: Path
) -> None:
    settings = TrainingSettings(steps=30, checkpoint_every=2)
    with pytest.raises(TrainingDivergedError, match=r"'entropy' became nan at step 4 .*'adapt'"):
        train(Diverging(), network, toy_data, settings, tmp_path)
    assert read_checkpoint(tmp_path / "checkpoint.pt")["step"] == 2


@dataclass
class Demanding(SourceOnly):
    """Needs two outputs and two sources, and has something to shorten."""

    needs = Needs(aux="required", sources=2, networks=("teacher", "critic"), rounds=3)
    quick: ClassVar[Mapping[str, Any]] = {"rounds": 1, "names": ["one"]}
    small: ClassVar[Mapping[str, Any]] = {"rounds": 2, "warm_up": 0.5}

    rounds: int = 3
    names: list[str] = field(default_factory=lambda: ["one", "two"])


def test_a_method_says_before_training_what_is_missing(
    network: SegmentationNetwork, tiny_architecture: Architecture, toy_data: TrainingData
) -> None:
    settings = TrainingSettings(steps=1)
    with pytest.raises(ConfigError, match="needs at least 2 labelled sources, the data has 1"):
        train(Demanding(), network, toy_data, settings)
    plain = Architecture.of("elastic_deeplab", {**tiny_architecture.values, "aux": False})
    two = dataclasses.replace(toy_data, further={"second": toy_data.source})
    with pytest.raises(ConfigError, match="auxiliary output, which this network does not have"):
        train(Demanding(), build(plain, 4), two, settings)
    assert train(Demanding(), network, two, settings).steps == 1


def test_needs_are_listed_in_words() -> None:
    assert Demanding.needs.listed() == (
        "auxiliary output",
        "2 sources",
        "extra networks: teacher, critic",
        "rounds: 3",
    )
    assert SourceOnly.needs.listed() == ()


@pytest.mark.parametrize(
    ("preset", "rounds", "names", "warm_up"),
    [
        ("published", 3, ["one", "two"], 0.0),
        ("quick", 1, ["one"], 0.0),
        ("small", 2, ["one"], 0.5),
    ],
)
def test_a_preset_changes_what_was_left_at_its_default(
    preset: Preset, rounds: int, names: list[str], warm_up: float
) -> None:
    method = Demanding(preset=preset)
    assert (method.rounds, method.names, method.warm_up) == (rounds, names, warm_up)
    assert Demanding(preset=preset, rounds=4).rounds == 4


@pytest.mark.parametrize("host", [{}, {"name": "mic", "options": {"host": "dacs"}}])
def test_a_preset_leaves_an_option_that_is_given_its_default(host: dict[str, Any]) -> None:
    """``preset: small`` sets ``warm_up`` to 0.3 here; 0 is the default, and what is asked for."""
    name, options = host.get("name", "dacs"), host.get("options", {})
    small = options | {"preset": "small"}
    made = make("uda", PluginSettings(name=name, options=small))
    asked = make("uda", PluginSettings(name=name, options=small | {"warm_up": 0}))
    assert (made.warm_up, asked.warm_up) == (0.3, 0.0)
    if host:
        assert (made.guest.warm_up, asked.guest.warm_up) == (0.3, 0.0)


@pytest.mark.parametrize("name", available("uda"))
def test_presets_name_options_with_values_that_pass(name: str) -> None:
    """What a preset sets is checked as if it stood in the config."""
    method: type[Method] = find("uda", name)
    options = dict(method.options_of("small"))
    asked = vars(make("uda", PluginSettings(name=name, options=options)))
    preset = vars(make("uda", PluginSettings(name=name, options={"preset": "small"})))
    names = {option.name for option in fields(method) if option.init}
    differing = {name for name in names if asked[name] != preset[name]}
    assert differing <= {"preset"}


@pytest.mark.parametrize(
    ("steps", "weights", "parts"),
    [
        (10, [2, 3], [4, 6]),
        (7, [1, 1, 1], [3, 2, 2]),  # ends at 7/3 and 14/3, rounded up: 3, 5, 7
        (1, [150, 20, 20, 20], [1, 0, 0, 0]),
        (210_000, [150, 20, 20, 20], [150_000, 20_000, 20_000, 20_000]),
        (4, [0, 3, 0], [0, 4, 0]),
    ],
)
def test_steps_are_divided_as_published(steps: int, weights: list[int], parts: list[int]) -> None:
    assert divided(steps, weights) == parts


def test_steps_cannot_be_divided_among_nobody() -> None:
    with pytest.raises(ValueError, match=r"weights \[0, 0\]"):
        divided(3, [0, 0])
