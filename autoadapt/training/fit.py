"""The only training loop: device, precision, schedules, phases and rounds, checkpoints, resume.

What a method does in a step is its own affair (``uda``). Interrupted at any step and called again
with the same arguments, the loop continues bit for bit on CPU: all state is in one checkpoint,
and images and augmentations are functions of the step number.
"""

import contextlib
import dataclasses
import functools
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autoadapt import interrupts
from autoadapt.config.settings import TrainingSettings
from autoadapt.data.images import LabelledImages
from autoadapt.data.priors import class_ratio
from autoadapt.data.rows import checksum
from autoadapt.data.training import StepBatch, TrainingData
from autoadapt.data.views import joined
from autoadapt.errors import CheckpointError
from autoadapt.networks.batch_norm import freeze_norm_affine, set_policy
from autoadapt.networks.checkpoints import load_weights
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.seeding import derive
from autoadapt.training.checkpoints import read_checkpoint, write_checkpoint
from autoadapt.training.schedule import Stretch, stretches
from autoadapt.training.step_log import STEPS, Losses, StepLog
from autoadapt.uda._sweep import digest, remove_left
from autoadapt.uda._teacher import TEACHER, average, teacher_of
from autoadapt.uda.base import Context, Method, network_optimizer

REPORT_EVERY = 10
"""Steps between two looks at the losses; each look waits for the device."""


@dataclass(frozen=True)
class Progress:
    """Where a training run stands: steps done, of how many, and the latest losses.

    Attributes:
        losses: Mean of each loss over the steps since the last report.
        doing: What goes on between the steps, such as "round 2 of 3: labelling 120 of 500".
    """

    step: int
    steps: int
    phase: str
    losses: Mapping[str, float]
    doing: str = ""


@dataclass(frozen=True)
class Fitted:
    """A trained network and what predicts with it.

    Attributes:
        predictor: Module from normalised images to ``Output``; often the network itself.
        losses: The losses of the last report.
    """

    network: SegmentationNetwork
    modules: Mapping[str, nn.Module]
    predictor: nn.Module
    steps: int
    losses: Mapping[str, float]


def fit(
    method: Method,
    network: SegmentationNetwork,
    data: TrainingData,
    settings: TrainingSettings,
    *,
    seed: int,
    device: torch.device,
    folder: Path | None = None,
    start: Mapping[str, Any] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    snapshots: Collection[int] = (),
    on_snapshot: Callable[[Fitted], None] | None = None,
) -> Fitted:
    """Train a network with a method, or continue where the checkpoint in ``folder`` stands.

    Args:
        method: A fresh method; its state is part of the checkpoint.
        network: With the weights to start from; to continue, build it the same way again.
        data: Both domains.
        settings: Of the loop.
        seed: Decides everything random that the data does not decide.
        device: Where to train; the network is moved there.
        folder: Of ``checkpoint.pt``, ``steps.jsonl`` and what the method stores; without
            one nothing is left behind.
        start: What identifies the weights that the network has, if they are not of the seed.
        on_progress: Called every few steps; may raise to stop the training.
        snapshots: Numbers of steps after which ``on_snapshot`` is called.
        on_snapshot: Gets the training as it stands, to be looked at and not to be changed. A
            training that is continued may call it again for the same step, with equal weights;
            it never skips one.

    Raises:
        TrainingDivergedError: A loss is NaN or infinite; says which and when.
        CheckpointError: The checkpoint in ``folder`` is damaged or belongs to other settings.
        ConfigError: The method needs what network or data do not have.
    """
    with own_randomness(seed, device), tried_kernels(device), place(folder) as scratch:
        begins = dict(start or {})
        loop = Loop(method, network, data, settings, seed, device, scratch, start=begins)
        if folder is not None:
            loop.log = StepLog(folder / STEPS)
            loop.checkpoint = folder / "checkpoint.pt"
        loop.on_progress = on_progress
        loop.snapshots, loop.on_snapshot = frozenset(snapshots), on_snapshot
        loop.restore()
        for stretch in loop.stretches:
            loop.run(stretch)
        return loop.finish()


@contextlib.contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Seed PyTorch's global generators (dropout uses them) and give them back afterwards."""
    cuda = device.type == "cuda"
    start = derive(seed, "training")
    with torch.random.fork_rng([device] if cuda else []):
        # Not torch.manual_seed: that one would also reseed every other GPU of the caller.
        torch.default_generator.manual_seed(start)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(start)
        yield


@contextlib.contextmanager
def tried_kernels(device: torch.device) -> Iterator[None]:
    """Let a GPU choose convolution kernels by trying them: the images of a phase have one size."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = before or device.type == "cuda"
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@contextlib.contextmanager
def place(folder: Path | None) -> Iterator[Path]:
    """Return the folder of the run, or a temporary one."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="autoadapt-") as temporary:
        yield Path(temporary)


@dataclass
class Loop:
    """The state of one training run.

    Attributes:
        step: Number of optimiser steps taken.
        begun: Number of the stretch that has begun last; -1 before the first.
        losses: The losses of the last report.
    """

    method: Method
    network: SegmentationNetwork
    data: TrainingData
    settings: TrainingSettings
    seed: int
    device: torch.device
    scratch: Path
    log: StepLog | None = None
    checkpoint: Path | None = None
    on_progress: Callable[[Progress], None] | None = None
    snapshots: frozenset[int] = frozenset()
    on_snapshot: Callable[[Fitted], None] | None = None
    start: dict[str, Any] = field(default_factory=dict)
    step: int = 0
    begun: int = -1
    losses: dict[str, float] = field(default_factory=dict)
    latest: Losses = field(default_factory=Losses)
    saved: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self.method.pretrained = bool(self.start)
        self.method.check(self.network, self.data)
        layout = torch.channels_last if self.settings.channels_last else torch.contiguous_format
        self.network.to(device=self.device, memory_format=layout)  # type: ignore[call-overload]
        if self.settings.norm_affine == "frozen":
            freeze_norm_affine(self.network)
        half = self.settings.precision == "fp16"
        self.context = Context(
            self.network,
            self.data.num_classes,
            self.settings,
            self.device,
            normalisation=self.data.settings.normalisation,
            class_weights=self.class_weights(),
            seed=self.seed,
            folder=self.scratch,
            scaler=torch.amp.GradScaler(self.device.type) if half else None,
        )
        self.context.optimizers["network"] = network_optimizer(self.network, self.settings)
        if self.settings.compile:
            self.network.compile()  # in place: names of weights stay as they are
        self.method.setup(self.context)
        self.averages = self.settings.ema is not None and TEACHER not in self.context.modules
        if self.averages:
            self.context.add(TEACHER, teacher_of(self.network).eval())
        for group in self.groups():
            group["initial_lr"] = group["lr"]
        phases = self.method.phases(self.settings.steps)
        self.stretches = stretches(phases, self.settings)
        wanted = any(phase.restart == "everything" for phase in phases)
        self.beginning = copied(self.weights()) if wanted else None

    def class_weights(self) -> Tensor | None:
        """Return (C,) weights of the supervised loss with mean 1 over the present classes."""
        if self.settings.class_weights == "none":
            return None
        labelled = joined(self.data.source, *self.data.further.values())
        shares = shares_of(labelled, self.data.num_classes)
        weights = torch.where(shares > 0, shares.clamp(min=1e-12).rsqrt(), 0.0)
        weights = weights * (weights > 0).sum() / weights.sum()
        return weights.float().to(self.device)

    def groups(self) -> Iterator[dict[str, Any]]:
        """Yield the parameter groups of all optimisers."""
        for optimizer in self.context.optimizers.values():
            yield from optimizer.param_groups

    def weights(self) -> dict[str, dict[str, Tensor]]:
        """Return the state of the network, under the empty name, and of the modules."""
        modules = self.context.modules.items()
        return {"": self.network.state_dict()} | {name: m.state_dict() for name, m in modules}

    def run(self, stretch: Stretch) -> None:
        """Train one round, or the part of it that is left."""
        if stretch.number > self.begun:
            self.begin(stretch)
        if self.step >= stretch.stop:
            return
        self.enter(stretch)
        view = self.method.view(self.context, self.data, stretch.phase)
        for batches in self.batches(view, self.step, stretch.stop):
            self.take_step(stretch, batches)
            self.show()  # before a checkpoint says that this step is done
            self.look(stretch)
            interrupts.check()

    def enter(self, stretch: Stretch) -> None:
        """Put network and context into the modes of a phase."""
        self.context.batch_norm = stretch.phase.batch_norm
        self.context.stretch, self.context.step = stretch.number, self.step
        self.network.train()
        set_policy(self.network, stretch.phase.batch_norm)

    def begin(self, stretch: Stretch) -> None:
        """Let the method prepare a round, restart what the phase says, and save the result."""
        prepares = type(self.method).begin_round is not Method.begin_round
        if prepares and self.saved != (self.step, self.begun):
            self.save()  # what prepares the round may take longer than the steps before it
        self.enter(stretch)
        self.context.notes, self.context.swept = {}, []
        self.context.on_images = functools.partial(self.tell, stretch)
        self.method.begin_round(self.context, self.data, stretch.phase, stretch.round)
        self.restart(stretch)
        if self.log is not None and self.context.notes:
            name, notes = stretch.phase.name, self.context.notes
            self.log.append_round(self.step, name, stretch.number, notes)
        self.begun = stretch.number
        if prepares:
            self.save()
            self.remove_older_rows(stretch)
            remove_left(self.scratch)

    def tell(self, stretch: Stretch, doing: str, done: int, count: int) -> None:
        """Report how far a pass over images has come."""
        if self.on_progress is not None:
            phase = stretch.phase
            place = f"round {stretch.round + 1} of {phase.rounds}: " if phase.rounds > 1 else ""
            text = f"{place}{doing} {done} of {count}"
            steps = self.stretches[-1].stop
            self.on_progress(Progress(self.step, steps, phase.name, self.losses, text))

    def restart(self, stretch: Stretch) -> None:
        """Forget momenta, and weights too, where the phase says so."""
        if stretch.phase.restart in ("optimizers", "everything"):
            for optimizer in self.context.optimizers.values():
                optimizer.state.clear()
        if stretch.phase.restart == "everything" and self.beginning is not None:
            for name, state in self.beginning.items():
                (self.context.modules[name] if name else self.network).load_state_dict(state)

    def remove_older_rows(self, stretch: Stretch) -> None:
        """Remove stored rows that this round has replaced; the checkpoint no longer names them."""
        found = self.stored_rows()
        replaced = {name for name, number, _ in found if number == stretch.number}
        for name, number, path in found:
            if name in replaced and number < stretch.number:
                path.unlink()

    def stored_rows(self) -> list[tuple[str, int, Path]]:
        """Return what the method stored: name, number of the stretch, file."""
        parts = [(path.stem.rpartition("-"), path) for path in self.scratch.glob("*-*.rows")]
        return [(name, int(number), path) for (name, _, number), path in parts]

    def take_step(self, stretch: Stretch, batches: list[StepBatch]) -> None:
        """Take one optimiser step: schedule, micro-batches, moves."""
        context, rate = self.context, stretch.rate(self.step)
        for group in self.groups():
            group["lr"] = group["initial_lr"] * rate
        for optimizer in context.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        context.step, context.moved = self.step, []
        for index, batch in enumerate(batches):
            context.micro_batch, context.last_micro_batch = index, index == len(batches) - 1
            self.latest.add(self.step + 1, self.method.train_step(context, stretch.phase, batch))
        if context.scaler is not None and context.moved:
            context.scaler.update()
        if self.averages and self.settings.ema is not None:
            average(context.modules[TEACHER], self.network, self.step, self.settings.ema)
        self.step += 1

    def batches(self, view: TrainingData, start: int, stop: int) -> Iterator[list[StepBatch]]:
        """Yield the micro-batches of each step; on a GPU the next ones are made meanwhile."""
        draw = functools.partial(self.draw, view)
        if self.device.type == "cpu":
            yield from map(self.moved, map(draw, range(start, stop)))
            return
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(draw, start)
            for step in range(start, stop):
                batches = coming.result()
                if step + 1 < stop:
                    coming = ahead.submit(draw, step + 1)
                yield self.moved(batches)

    def draw(self, view: TrainingData, step: int) -> list[StepBatch]:
        """Return the micro-batches of one step, ready to be moved to the device."""
        count = self.settings.accumulate
        drawn = [self.method.draw(view, step * count + index) for index in range(count)]
        return [batch.pinned() for batch in drawn] if self.device.type == "cuda" else drawn

    def moved(self, batches: list[StepBatch]) -> list[StepBatch]:
        """Return the micro-batches on the device."""
        return [batch.to(self.device, self.settings.channels_last) for batch in batches]

    def show(self) -> None:
        """Hand the training over as it stands, after the steps that were asked for."""
        if self.on_snapshot is not None and self.step in self.snapshots:
            self.on_snapshot(self.fitted())

    def look(self, stretch: Stretch) -> None:
        """Every few steps: read the losses, stop on NaN, report, save."""
        saving = self.step % self.settings.checkpoint_every == 0
        if self.step % REPORT_EVERY and not saving and self.step < stretch.stop:
            return
        self.losses = self.latest.read(stretch.phase.name)
        if self.log is not None:
            self.log.append(self.step, stretch.phase.name, self.losses)
        if saving:
            self.save()
        if self.on_progress is not None:
            steps = self.stretches[-1].stop
            self.on_progress(Progress(self.step, steps, stretch.phase.name, self.losses))

    def identity(self) -> dict[str, Any]:
        """Return what has to be the same for a checkpoint to be continued."""
        options = {f.name: getattr(self.method, f.name) for f in fields_of(self.method)}
        training = dataclasses.asdict(self.settings)
        del training["checkpoint_every"]  # changes nothing that is computed
        method = type(self.method).__name__
        own = {"method": method, "classes": self.data.num_classes, "seed": self.seed}
        started = {f"weights.{key}": value for key, value in self.start.items()}
        return own | {f"training.{k}": v for k, v in training.items()} | started | options

    def fingerprint(self) -> str:
        """Return a hash of ``identity`` and of the data: what passes over images depend on."""
        data = self.data
        sets = [data.source, *data.further.values()]
        seen = [[images.fingerprint, checksum(images.rows)] for images in sets]
        options = {key: repr(value) for key, value in self.identity().items()}
        return digest(options, seen, data.target.fingerprint)

    def save(self) -> None:
        """Write everything that decides the steps to come."""
        if self.checkpoint is None:
            return
        context = self.context
        state = {
            "identity": self.identity(),
            "step": self.step,
            "begun": self.begun,
            "weights": self.weights(),
            "optimizers": {name: o.state_dict() for name, o in context.optimizers.items()},
            "scaler": context.scaler.state_dict() if context.scaler else None,
            "method": self.method.state_dict(),
            "rng": rng_state(self.device),
            "losses": self.losses,
        }
        write_checkpoint(self.checkpoint, state)
        self.saved = (self.step, self.begun)

    def restore(self) -> None:
        """Continue from the checkpoint of the folder, if there is one."""
        self.context.identity = self.fingerprint()
        if self.checkpoint is not None and self.checkpoint.exists():
            state = read_checkpoint(self.checkpoint)
            check_identity(self.checkpoint, state, self.identity())
            self.load(state)
        if self.log is not None:
            self.log.cut(self.step, self.begun)

    def load(self, state: dict[str, Any]) -> None:
        """Take back what ``save`` wrote."""
        context = self.context
        load_weights(self.network, state["weights"][""])
        for name, module in context.modules.items():
            module.load_state_dict(state["weights"][name])
        for name, optimizer in context.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        if context.scaler is not None:
            context.scaler.load_state_dict(state["scaler"])
        self.method.load_state_dict(state["method"])
        self.step, self.begun, self.losses = state["step"], state["begun"], state["losses"]
        self.saved = (self.step, self.begun)
        set_rng_state(state["rng"], self.device)

    def finish(self) -> Fitted:
        """Return the result, ready to predict, and leave a checkpoint that says "done"."""
        if self.saved != (self.step, self.begun):
            self.save()
        for *_, path in self.stored_rows():
            path.unlink()
        remove_left(self.scratch)
        self.network.eval()
        fitted = self.fitted()
        fitted.predictor.eval()
        return fitted

    def fitted(self) -> Fitted:
        """Return network and modules as they are."""
        modules = self.context.modules
        predictor = self.method.predictor(self.network, modules)
        return Fitted(self.network, modules, predictor, self.step, self.losses)


@functools.lru_cache(maxsize=4)
def shares_of(source: LabelledImages, num_classes: int) -> Tensor:
    """Return the class shares of a source, (C,); counted once for all trials of a process."""
    return torch.from_numpy(class_ratio(source, num_classes))


def fields_of(method: Method) -> list[dataclasses.Field[Any]]:
    """Return the options of a method."""
    return [option for option in dataclasses.fields(method) if option.init]


def copied(weights: dict[str, dict[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
    """Return a copy that training does not change."""
    return {
        name: {key: tensor.detach().clone() for key, tensor in state.items()}
        for name, state in weights.items()
    }


def check_identity(path: Path, state: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Refuse to continue another run.

    Raises:
        CheckpointError: The file is no checkpoint of a training, or of another one.
    """
    theirs = state.get("identity")
    if not isinstance(theirs, dict):
        raise CheckpointError(f"{path} is not a checkpoint of a training run; remove it")
    different = [
        f"{key} {theirs.get(key)!r} instead of {own.get(key)!r}"
        for key in sorted(theirs.keys() | own.keys())
        if theirs.get(key) != own.get(key)
    ]
    if different:
        raise CheckpointError(
            f"{path} belongs to another run: {', '.join(different[:4])}; remove the folder "
            f"{path.parent} or use another"
        )


def rng_state(device: torch.device) -> dict[str, Tensor]:
    """Return the state of PyTorch's global generators."""
    state = {"cpu": torch.get_rng_state()}
    return state | {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else state


def set_rng_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    """Take back what ``rng_state`` returned."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
