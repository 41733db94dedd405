"""The only training loop: device, precision, schedules, phases and rounds, checkpoints, resume.

What a method does in a step is its own affair (``uda``). Interrupted at any step and called again
with the same folder, the loop continues bit for bit on CPU: all state is in one checkpoint, and
images and augmentations are functions of the step number.
"""

import contextlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autoadapt.config.settings import TrainingSettings
from autoadapt.data.statistics import class_frequencies
from autoadapt.data.training import StepBatch, TrainingData
from autoadapt.errors import CheckpointError, TrainingDivergedError
from autoadapt.networks.batch_norm import set_policy
from autoadapt.networks.checkpoints import load_weights
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.seeding import derive
from autoadapt.training.checkpoints import read_checkpoint, write_checkpoint
from autoadapt.uda.base import Context, Method, Phase

REPORT_EVERY = 10
"""Steps between two looks at the losses; each look waits for the device."""


@dataclass(frozen=True)
class Progress:
    """Where a training run stands: steps done, of how many, and the latest losses."""

    step: int
    steps: int
    phase: str
    losses: Mapping[str, float]


@dataclass(frozen=True)
class Fitted:
    """A trained network and what predicts with it.

    Attributes:
        predictor: Module from normalised images to ``Output``; often the network itself.
        losses: The last reported value of each loss.
    """

    network: SegmentationNetwork
    modules: Mapping[str, nn.Module]
    predictor: nn.Module
    steps: int
    losses: Mapping[str, float]


@dataclass(frozen=True)
class Stretch:
    """One round of one phase, as a range of global steps."""

    phase: Phase
    round: int
    start: int
    stop: int
    origin: int
    horizon: int


def stretches(phases: tuple[Phase, ...], settings: TrainingSettings) -> list[Stretch]:
    """Lay phases and rounds out on one axis of steps, with the schedule that rules each."""
    total = sum(phase.steps * phase.rounds for phase in phases)
    laid: list[Stretch] = []
    start = origin = 0
    for phase in phases:
        if phase.restart:
            origin = start
        horizon = phase.horizon or settings.horizon or total - origin
        for index in range(phase.rounds):
            laid.append(Stretch(phase, index, start, start + phase.steps, origin, horizon))
            start += phase.steps
    return laid


def polynomial(step: int, horizon: int, power: float) -> float:
    """Return the factor ``(1 - step / horizon) ** power`` of the learning rate, 0 past the end."""
    return float(max(0.0, 1 - step / horizon) ** power)


def fit(
    method: Method,
    network: SegmentationNetwork,
    data: TrainingData,
    settings: TrainingSettings,
    *,
    seed: int,
    device: torch.device,
    folder: Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Fitted:
    """Train a network with a method, or continue where the checkpoint in ``folder`` stands.

    Raises:
        TrainingDivergedError: A loss is NaN or infinite; says which and when.
        CheckpointError: The checkpoint in ``folder`` belongs to other settings.
    """
    with own_randomness(seed, device):
        loop = Loop(method, network, data, settings, device, folder, on_progress)
        loop.restore()
        for stretch in stretches(method.phases(settings.steps), settings):
            loop.run(stretch)
        loop.finish()
    modules = loop.context.modules
    predictor = method.predictor(network, modules)
    return Fitted(network, modules, predictor, loop.step, loop.losses)


@contextlib.contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Seed PyTorch's global generators (dropout uses them) and give them back afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(derive(seed, "training") % 2**63)
        yield


@dataclass
class Loop:
    """The state of one training run."""

    method: Method
    network: SegmentationNetwork
    data: TrainingData
    settings: TrainingSettings
    device: torch.device
    folder: Path | None
    on_progress: Callable[[Progress], None] | None
    step: int = 0
    begun: int = -1
    losses: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        layout = torch.channels_last if self.settings.channels_last else torch.contiguous_format
        self.network.to(self.device, memory_format=layout)  # type: ignore[call-overload]
        self.context = Context(
            self.network,
            self.data.num_classes,
            self.settings,
            self.device,
            class_weights=self.class_weights(),
            scaler=torch.amp.GradScaler() if self.settings.precision == "fp16" else None,
        )
        self.context.optimizers["network"] = network_optimizer(self.network, self.settings)
        self.method.setup(self.context)
        for group in self.groups():
            group["initial_lr"] = group["lr"]

    def class_weights(self) -> Tensor | None:
        """Return (C,) weights of the supervised loss with mean 1 over the present classes."""
        if self.settings.class_weights == "none":
            return None
        shares = torch.from_numpy(class_frequencies(self.data.source, self.data.num_classes))
        weights = torch.where(shares > 0, shares.clamp(min=1e-12).rsqrt(), 0.0)
        weights = weights * (weights > 0).sum() / weights.sum()
        return weights.float().to(self.device)

    def groups(self) -> Iterator[dict[str, Any]]:
        """Yield the parameter groups of all optimisers."""
        for optimizer in self.context.optimizers.values():
            yield from optimizer.param_groups

    def run(self, stretch: Stretch) -> None:
        """Train one round, or the part of it that is left."""
        if self.step >= stretch.stop:
            return
        self.context.batch_norm = stretch.phase.batch_norm
        if self.begun < stretch.start:
            self.method.begin_round(self.context, self.data, stretch.phase, stretch.round)
            self.begun = stretch.start
        self.network.train()
        set_policy(self.network, stretch.phase.batch_norm)
        for batches in self.batches(self.step, stretch.stop):
            self.take_step(stretch, batches)
            self.look(stretch)

    def take_step(self, stretch: Stretch, batches: list[StepBatch]) -> None:
        """Take one optimiser step: schedule, micro-batches, moves."""
        factor = polynomial(self.step - stretch.origin, stretch.horizon, self.settings.power)
        for group in self.groups():
            group["lr"] = group["initial_lr"] * factor
        for optimizer in self.context.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        for index, batch in enumerate(batches):
            self.context.last_micro_batch = index == len(batches) - 1
            self.latest = self.method.train_step(self.context, stretch.phase, batch)
        if self.context.scaler is not None:
            self.context.scaler.update()
        self.step += 1

    def batches(self, start: int, stop: int) -> Iterator[list[StepBatch]]:
        """Yield the micro-batches of each step; on a GPU the next ones are made meanwhile."""
        if self.device.type == "cpu":
            yield from map(self.draw, range(start, stop))
            return
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(self.draw, start)
            for step in range(start, stop):
                batches = coming.result()
                if step + 1 < stop:
                    coming = ahead.submit(self.draw, step + 1)
                yield batches

    def draw(self, step: int) -> list[StepBatch]:
        """Return the micro-batches of one step, on the device."""
        count = self.settings.accumulate
        drawn = (self.method.draw(self.data, step * count + index) for index in range(count))
        return [batch.to(self.device, self.settings.channels_last) for batch in drawn]

    def look(self, stretch: Stretch) -> None:
        """Every few steps: read the losses, stop on NaN, report, save."""
        saving = self.step % self.settings.checkpoint_every == 0
        if self.step % REPORT_EVERY and not saving and self.step < stretch.stop:
            return
        self.losses = {name: float(loss) for name, loss in self.latest.items()}
        broken = [name for name, loss in self.losses.items() if not math.isfinite(loss)]
        if broken:
            raise TrainingDivergedError(
                f"the loss {broken[0]!r} became {self.losses[broken[0]]} at step {self.step} of "
                f"phase {stretch.phase.name!r}; a smaller learning rate usually helps"
            )
        if self.folder is not None:
            line = {"step": self.step, "phase": stretch.phase.name, **self.losses}
            with (self.folder / "steps.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")
        if saving:
            self.save()
        if self.on_progress:
            self.on_progress(
                Progress(self.step, self.settings.steps, stretch.phase.name, self.losses)
            )

    def save(self) -> None:
        """Write everything that decides the steps to come."""
        if self.folder is None:
            return
        state = {
            "steps": self.settings.steps,
            "step": self.step,
            "begun": self.begun,
            "network": self.network.state_dict(),
            "modules": {name: m.state_dict() for name, m in self.context.modules.items()},
            "optimizers": {name: o.state_dict() for name, o in self.context.optimizers.items()},
            "scaler": self.context.scaler.state_dict() if self.context.scaler else None,
            "method": {"name": type(self.method).__name__, "state": self.method.state_dict()},
            "rng": rng_state(self.device),
            "losses": self.losses,
        }
        write_checkpoint(self.folder / "checkpoint.pt", state)

    def restore(self) -> None:
        """Continue from the checkpoint of the folder, if there is one."""
        path = None if self.folder is None else self.folder / "checkpoint.pt"
        if path is None or not path.exists():
            drop_lines_after(self.folder, 0)
            return
        state = read_checkpoint(path, self.device)
        expected = (type(self.method).__name__, self.settings.steps)
        found = (state["method"]["name"], state["steps"])
        if found != expected:
            raise CheckpointError(
                f"{path} belongs to {found[0]} over {found[1]} steps, this run is "
                f"{expected[0]} over {expected[1]}; remove the folder {self.folder} or use another"
            )
        load_weights(self.network, state["network"])
        for name, module in self.context.modules.items():
            module.load_state_dict(state["modules"][name])
        for name, optimizer in self.context.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        if self.context.scaler is not None:
            self.context.scaler.load_state_dict(state["scaler"])
        self.method.load_state_dict(state["method"]["state"])
        self.step, self.begun, self.losses = state["step"], state["begun"], state["losses"]
        set_rng_state(state["rng"], self.device)
        drop_lines_after(self.folder, self.step)

    def finish(self) -> None:
        """Leave the network ready to predict and a checkpoint that says "done"."""
        if self.step % self.settings.checkpoint_every:
            self.save()
        self.network.eval()


def network_optimizer(
    network: SegmentationNetwork, settings: TrainingSettings
) -> torch.optim.Optimizer:
    """Return the optimiser of the network; each parameter stands in exactly one group."""
    groups = network.parameter_groups(settings.learning_rate, settings.head_multiplier)
    decay = settings.weight_decay
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=decay)
    momentum = settings.momentum
    return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=momentum, weight_decay=decay)


def rng_state(device: torch.device) -> dict[str, Tensor]:
    """Return the state of PyTorch's global generators."""
    state = {"cpu": torch.get_rng_state()}
    return state | {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else state


def set_rng_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    """Take back what ``rng_state`` returned."""
    torch.set_rng_state(state["cpu"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)


def drop_lines_after(folder: Path | None, step: int) -> None:
    """Remove log lines of steps that are about to be taken again."""
    path = None if folder is None else folder / "steps.jsonl"
    if path is None or not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        with contextlib.suppress(ValueError):  # a line cut by the crash
            if json.loads(line)["step"] <= step:
                kept.append(line)
    path.write_text("".join(f"{line}\n" for line in kept))
