"""The contract between an adaptation method and the one training loop.

A method owns its step: how many forward and backward passes it makes, in which order, and which
optimisers move. The loop (``training.fit``) owns everything around it: device, precision,
accumulation, schedules, data, checkpoints. ``Context`` is what stands between the two.

What a method may say, from the common to the rare:

=============================== =================================================================
``needs``                       what it asks for
``quick``, ``small``            options of a shorter training, and of small networks and images
``setup``                       extra modules and optimisers
``step``                        one step of adaptation
``phases``                      stretches of training, their rounds, rates, batch norm, restarts
``begin_round``                 passes over images, thresholds, pseudo-labels, before each round
``view``, ``draw``              what data a round sees; which images a step sees
``predictor``                   what predicts, where it is more than the network
``state_dict``                  whatever else decides later steps
=============================== =================================================================

Nothing random may be carried from step to step: derive it from ``context.seed``, ``step`` and
``micro_batch`` (``seeding.generator``), and a resumed run continues as the undisturbed one.
"""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import ConfigDict, ModelWrapValidatorHandler, model_validator
from torch import Tensor, nn

from autoadapt.config.settings import Fraction, Normalisation, NotNegative, TrainingSettings
from autoadapt.data.batches import SourceBatch, TargetBatch
from autoadapt.data.cache import GrowingRows, Rows, reopen
from autoadapt.data.images import UnlabelledImages
from autoadapt.data.training import StepBatch, TrainingData
from autoadapt.errors import ConfigError
from autoadapt.networks.batch_norm import Policy, set_policy, target_pass
from autoadapt.networks.contract import Features, Output, SegmentationNetwork, upsample
from autoadapt.uda._losses import cross_entropy
from autoadapt.uda._sweep import STATE, RunningStatistics, Seen, Sweep, Tally, digest

Domain = Literal["source", "target"]

Preset = Literal["published", "quick", "small"]

Restart = Literal["nothing", "schedule", "optimizers", "everything"]


@dataclass(frozen=True)
class Needs:
    """What a method asks for, for listings and to refuse what it cannot train.

    Attributes:
        aux: Whether an auxiliary output of the network is left alone (``unused``), trained where
            there is one (``optional``), or has to be there (``required``).
        sources: Smallest number of labelled sources. Above 1 they are kept apart, the others by
            name in ``TrainingData.further``; for all other methods they are one set.
        networks: Extra networks that live beside the segmentation network while it trains.
        rounds: Published number of rounds that begin with passes over whole sets of images.
        predictor: Whether prediction needs one of the extra networks too.
        one_size: Whether source and target images meet pixel by pixel, so that those of a batch
            must have one size.
        stage_one: Whether it begins with what a network trained on the source says: without
            ``warm_up`` it has to start from the weights of one.
    """

    aux: Literal["unused", "optional", "required"] = "optional"
    sources: int = 1
    networks: tuple[str, ...] = ()
    rounds: int = 0
    predictor: bool = False
    one_size: bool = False
    stage_one: bool = False

    def listed(self) -> tuple[str, ...]:
        """Return the needs that go beyond one network and one source, a few words each."""
        found = {
            "auxiliary output": self.aux == "required",
            f"{self.sources} sources": self.sources > 1,
            f"extra networks: {', '.join(self.networks)}": bool(self.networks),
            "extra network in prediction": self.predictor,
            f"rounds: {self.rounds}": self.rounds > 0,
            "one size of images": self.one_size,
            "warm-up, or a network trained on the source": self.stage_one,
        }
        return tuple(text for text, asked in found.items() if asked)


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one purpose.

    Attributes:
        steps: Optimiser steps per round; 0 for a phase that only prepares or measures.
        rounds: Times the phase is repeated; ``begin_round`` runs before each.
        batch_norm: What batch normalisation does with statistics in this phase.
        horizon: Length of the learning-rate schedule, apart from where training stops.
        restart: What starts anew with each round, after its ``begin_round``: the learning-rate
            ``schedule``; also the momenta of all ``optimizers``; or ``everything``: also the
            network and the modules, which return to the weights they had at the very beginning.
        power: Exponent of the polynomial decay; absent: that of the settings. 0 keeps the rate.
        rate: Factor on all learning rates of the phase.
        rate_per_round: Further factor for each round after the first, such as ``0.5 ** 0.5``.
        ramp: First steps of the schedule in which the rate rises linearly.
        longer: Number of first rounds that take one step more, so that any budget fits.
    """

    name: str
    steps: int
    rounds: int = 1
    batch_norm: Policy = "train"
    horizon: int | None = None
    restart: Restart = "nothing"
    power: float | None = None
    rate: float = 1.0
    rate_per_round: float = 1.0
    ramp: int = 0
    longer: int = 0

    @classmethod
    def of_rounds(cls, name: str, steps: int, rounds: int, **others: Any) -> Self:
        """Return a phase of at most ``rounds`` rounds over ``steps`` in all, none without one."""
        rounds = max(1, min(rounds, steps))
        return cls(name, steps // rounds, rounds, longer=steps % rounds, **others)

    def length(self, index: int) -> int:
        """Return the number of steps of one round."""
        return self.steps + (index < self.longer)


@dataclass
class Context:
    """What a method may use in a step: the network, its own modules, and how to learn.

    Attributes:
        normalisation: How images became network input.
        class_weights: (C,) weights of the supervised loss, or nothing.
        seed: Seed of the training, to derive random choices from.
        step: Number of the running optimiser step, from 0, over all phases.
        micro_batch: Number of the running micro-batch within the step, from 0.
        folder: Where passes over images put their files.
        identity: What tells the training from all others; passes of one without cannot be resumed.
        modules: Extra networks by name, such as discriminators or teachers; saved and restored.
        optimizers: By name; ``network`` is there from the start. ``setup`` may put in more, also
            such that move several modules.
        batch_norm: Policy of the running phase.
        stretch: Number of the running round, counted over all phases.
        moved: Names of the optimisers that moved in this step.
        before_move: Called in each micro-batch, before the network moves at its end.
        notes: What ``begin_round`` wants to be read later, such as the share of pixels that got
            a pseudo-label; one line of ``steps.jsonl`` per round.
        swept: What the passes of the round so far have done.
        on_images: Told by passes over images: what they do, how many are done, of how many.
    """

    network: SegmentationNetwork
    num_classes: int
    settings: TrainingSettings
    device: torch.device
    normalisation: Normalisation = "imagenet"
    class_weights: Tensor | None = None
    seed: int = 0
    step: int = 0
    micro_batch: int = 0
    folder: Path | None = None
    stretch: int = 0
    modules: dict[str, nn.Module] = field(default_factory=dict)
    optimizers: dict[str, torch.optim.Optimizer] = field(default_factory=dict)
    batch_norm: Policy = "train"
    scaler: torch.amp.GradScaler | None = None
    last_micro_batch: bool = True
    moved: list[str] = field(default_factory=list)
    before_move: Callable[[], None] | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    identity: str = ""
    swept: list[str] = field(default_factory=list)
    on_images: Callable[[str, int, int], None] = lambda *_: None

    def add(
        self, name: str, module: nn.Module, optimizer: torch.optim.Optimizer | None = None
    ) -> None:
        """Put a module under the care of the loop: saved, restored, its optimiser scheduled.

        A module without an optimiser of its own is a teacher, a frozen twin, or one of several
        that an entry of ``optimizers`` moves.
        """
        self.modules[name] = module.to(self.device)
        if optimizer is not None:
            self.optimizers[name] = optimizer

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Return the precision of the settings as a context; nothing for fp32."""
        if self.settings.precision == "fp32":
            return contextlib.nullcontext()
        kind = torch.bfloat16 if self.settings.precision == "bf16" else torch.float16
        return torch.autocast(self.device.type, dtype=kind)

    def forward(
        self,
        images: Tensor,
        domain: Domain,
        *,
        between: Callable[[Features], Features] | None = None,
    ) -> Output:
        """Run the network on one domain, with logits in fp32 at the size of the images.

        Where the batch-norm policy is ``source_only``, target images are normalised by their
        own batch but leave the running statistics alone.

        Args:
            images: (N, 3, H, W).
            domain: Where they come from.
            between: What happens to the features on their way to the heads, such as attention.
        """
        policy = self.batch_norm if domain == "target" else "train"
        with target_pass(self.network, policy), self.autocast():
            if between is None:
                output: Output = self.network(images)
            else:
                output = self.network.decode(between(self.network.encode(images)))
        return full_size(output, images)

    def observe(self, module: nn.Module, images: Tensor) -> Output:
        """Run another network, such as a teacher, without gradients and in the modes it is in.

        Args:
            module: Maps images to ``Output``.
            images: (N, 3, H, W).

        Returns:
            Its output, with logits in fp32 at the size of the images.
        """
        with torch.no_grad(), self.autocast():
            output: Output = module(images)
        return full_size(output, images)

    def backward(
        self, loss: Tensor, *, keep_graph: bool = False, only: Sequence[Tensor] | None = None
    ) -> None:
        """Add the gradients of a loss; safe with autocast and accumulation.

        Args:
            loss: A scalar.
            keep_graph: Whether another loss will go back through the same forward pass.
            only: The tensors that get gradients; absent: all that the loss depends on.
        """
        self.scaled(loss).backward(  # type: ignore[no-untyped-call]
            retain_graph=keep_graph, inputs=None if only is None else list(only)
        )

    def gradients(self, loss: Tensor, wanted: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the gradients of a loss that belong to tensors, and keep its graph.

        For ``torch.autograd.backward`` of what the tensors were cut from: two losses with
        different addressees may so share a pass. Safe with autocast and accumulation.
        """
        return torch.autograd.grad(self.scaled(loss), wanted, retain_graph=True)

    def scaled(self, loss: Tensor) -> Tensor:
        """Return a loss as it goes back: its part of the step, in the range of the precision."""
        loss = loss / self.settings.accumulate
        return loss if self.scaler is None else self.scaler.scale(loss)

    def update(self, *names: str) -> None:
        """Move the named optimisers, in this order, once the last micro-batch is in.

        Before the network moves, ``before_move`` may add gradients to those of the step.
        """
        if "network" in names and self.before_move is not None:
            self.before_move()
        if not self.last_micro_batch:
            return
        for name in names:
            optimizer = self.optimizers[name]
            if self.settings.gradient_clip and name == "network":
                if self.scaler is not None:
                    self.scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.gradient_clip)
            if self.scaler is None:
                optimizer.step()
            else:
                self.scaler.step(optimizer)
            self.moved.append(name)

    @contextlib.contextmanager
    def frozen(self, *names: str) -> Iterator[None]:
        """Let gradients flow through modules but not into them."""
        parameters = [
            parameter
            for name in names
            for parameter in self.modules[name].parameters()
            if parameter.requires_grad
        ]
        for parameter in parameters:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in parameters:
                parameter.requires_grad_(True)

    def supervised(
        self,
        batch: SourceBatch,
        aux_weight: float,
        *,
        also: Callable[[Output], Mapping[str, Tensor]] | None = None,
    ) -> tuple[Output, dict[str, Tensor]]:
        """Make the source forward and backward pass every method begins with.

        Args:
            batch: Images and labels.
            aux_weight: Weight of the loss of an auxiliary output, where there is one.
            also: Gives further weighted losses of the same pass.

        Returns:
            The source output, to be reused by discriminators, and the detached losses.
        """
        output = self.forward(batch.images, "source")
        losses = {"source": cross_entropy(output.logits, batch.labels, self.class_weights)}
        if output.aux_logits is not None:
            aux = cross_entropy(output.aux_logits, batch.labels, self.class_weights)
            losses["source_aux"] = aux_weight * aux
        if also is not None:
            losses |= also(output)
        self.backward(torch.stack(list(losses.values())).sum())
        return output, {name: loss.detach() for name, loss in losses.items()}

    def sweep(
        self,
        data: TrainingData,
        images: UnlabelledImages,
        doing: str = "looking at images",
        *,
        predictor: nn.Module | None = None,
        policy: Policy = "eval",
        tallies: Mapping[str, Tally] | None = None,
        shapes: Mapping[str, tuple[int, ...]] | None = None,
        given: Sequence[Any] = (),
    ) -> Sweep[Output]:
        """Predict images once, in order, without augmentation or gradients.

        Args:
            data: Says how images become network input, and how many at a time.
            images: Of either domain; ``data.source.unlabelled()`` for the source.
            doing: What is done, in words for whoever waits; another one for each sweep of a round.
            predictor: What predicts; absent: the network.
            policy: ``eval`` predicts with running statistics; ``train`` with those of the batch,
                which also move the running ones, and ``source_only`` without moving them.
            tallies: See ``go_through``.
            shapes: See ``go_through``.
            given: See ``go_through``.

        Returns:
            Pairs of indices into ``images`` and their output, logits in fp32 at the size of the
            images.
        """
        module = predictor or self.network
        moving = {"running statistics": RunningStatistics(self.network)}

        def see(batch: TargetBatch) -> Output:
            inputs = batch.images.to(self.device)
            with torch.no_grad(), target_pass(self.network, policy), self.autocast():
                output = module(inputs)
            return full_size(output, inputs)

        return self.go_through(
            data,
            images,
            doing,
            see,
            around=lambda: self._predicting(module, policy),
            tallies={**(tallies or {}), **(moving if policy == "train" else {})},
            shapes=shapes,
            given=(self.network, module, policy, *given),
        )

    def go_through(
        self,
        data: TrainingData,
        images: UnlabelledImages,
        doing: str,
        see: Callable[[TargetBatch], Seen],
        *,
        around: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext,
        tallies: Mapping[str, Tally] | None = None,
        shapes: Mapping[str, tuple[int, ...]] | None = None,
        given: Sequence[Any] = (),
    ) -> Sweep[Seen]:
        """See images once, in order, and go on behind the last safe one after an interruption.

        Args:
            data: Says how images become network input, and how many at a time.
            images: Of either domain.
            doing: What is done, in words; another one for each pass of a round.
            see: What is done with a batch.
            around: Makes the context that batches are seen in.
            tallies: All that the body of the loop adds up, by name.
            shapes: Of what it stores of each image, by name, such as (H, W) for ``labels``; it has
                to ``put`` these.
            given: What else the outcome depends on: modules, tensors, plain values.

        Returns:
            Pairs of indices into ``images`` and what is seen of them. Files of ``shapes`` are
            whole when they are exhausted; those of older rounds, of the same name, are removed
            once the round has begun for good.

        Raises:
            ValueError: Two passes of a round do the same, in words.
        """
        place: dict[str, Any] = {}
        key = ""
        if self.identity and (tallies or shapes):
            path = self._state_of(doing)
            key = digest(self.identity, path.stem, data.batch_size, images.fingerprint, *given)
            place = {"state": path, "key": key}
        rows = {
            name: GrowingRows(
                self._folder() / f"{name}-{self.stretch}.rows", key=f"{name} {key}", shape=shape
            )
            for name, shape in (shapes or {}).items()
        }
        return Sweep(
            len(images),
            lambda first: data.sweep(images, first=first),
            see,
            tallies=tallies or {},
            rows=rows,
            around=around,
            on_images=lambda done: self.on_images(doing, done, len(images)),
            **place,
        )

    def _state_of(self, doing: str) -> Path:
        """Return the file of the state of a pass, which no other of the round may have."""
        if doing in self.swept:
            raise ValueError(f"two passes of a round are called {doing!r}")
        self.swept.append(doing)
        return self._folder() / f"{doing.replace(' ', '_')}-{self.stretch}{STATE}"

    @contextlib.contextmanager
    def _predicting(self, module: nn.Module, policy: Policy) -> Iterator[None]:
        """Put network and predictor into the modes of a sweep, and back."""
        modes = [(part, part.training) for top in (self.network, module) for part in top.modules()]
        self.network.eval()
        module.eval()
        set_policy(self.network, policy)
        try:
            yield
        finally:
            for part, mode in modes:
                part.training = mode

    def stored(self, reference: str) -> Rows:
        """Open what a pass stored, in this run or before it was interrupted.

        Raises:
            DataError: It is missing or damaged.
        """
        return reopen(self._folder() / reference)

    def _folder(self) -> Path:
        if self.folder is None:
            raise ValueError("this context has no folder; only a training run has one")
        return self.folder


GIVEN = "_given"
"""Attribute with the names of the options that were given."""


@dataclass
class Method(ABC):
    """An unsupervised adaptation method: a dataclass whose fields are its options.

    Attributes:
        warm_up: Share of the steps with the source loss alone, before adaptation starts; for
            networks that begin without pretrained weights.
        aux_source_weight: Weight of the source loss on the auxiliary output, where there is one.
        batch_norm: Batch-norm policy while training.
        preset: ``quick`` shortens methods that take several rounds, ``small`` also suits small
            networks that begin with random weights, on small images: they set what ``quick`` and
            ``small`` of the class name, but no option that was given by its name.
        pretrained: Whether the network begins with given weights instead of random ones; set by
            the loop before it asks for anything.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    summary: ClassVar[str]
    paper: ClassVar[str]
    needs: ClassVar[Needs] = Needs()
    smoke_options: ClassVar[Mapping[str, Any]] = {}
    """Options under which a run of a few steps exercises every term."""
    quick: ClassVar[Mapping[str, Any]] = {}
    """Options that ``preset: quick`` sets."""
    small: ClassVar[Mapping[str, Any]] = {}
    """Options that ``preset: small`` sets, besides those of ``quick``."""

    warm_up: Fraction = 0.0
    aux_source_weight: NotNegative = 0.1
    batch_norm: Policy = "train"
    preset: Preset = "published"
    pretrained: bool = field(default=False, init=False)

    def __new__(cls, *values: Any, **options: Any) -> Self:
        """Remember which options were given, to keep presets from replacing them."""
        made = super().__new__(cls)
        places = (option.name for option in fields(cls) if option.init)
        vars(made)[GIVEN] = {*options, *(name for name, _ in zip(places, values, strict=False))}
        return made

    def __post_init__(self) -> None:
        if not self.is_given("preset"):  # also where pydantic makes one, see ``checked``
            return
        for name, value in self.options_of(self.preset).items():
            if not self.is_given(name):
                setattr(self, name, value)

    def is_given(self, option: str) -> bool:
        """Whether an option was given by whoever made the method."""
        return option in vars(self).get(GIVEN, ())

    @model_validator(mode="wrap")
    @classmethod
    def checked(cls, options: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Check and convert options, then make the method of those that were given."""
        known = handler(options)
        return cls(**{name: getattr(known, name) for name in options})

    @classmethod
    def options_of(cls, preset: Preset) -> Mapping[str, Any]:
        """Return the options that a preset sets."""
        known = {"quick": cls.quick, "small": {**cls.quick, **cls.small}}
        return known.get(preset, {})

    def check(self, network: SegmentationNetwork, data: TrainingData) -> None:
        """Refuse what the method cannot train, before anything is spent on it.

        Raises:
            ConfigError: Network or data lack something; says what, and what would help.
        """
        name = type(self).__name__
        if self.needs.aux == "required" and not network.has_aux:
            raise ConfigError(
                f"{name} trains on an auxiliary output, which this network does not have; "
                "choose an architecture with one ('aux: true'), or another method"
            )
        sources = 1 + len(data.further)
        if sources < self.needs.sources:
            raise ConfigError(
                f"{name} needs at least {self.needs.sources} labelled sources, the data has "
                f"{sources}; add sources, or choose another method"
            )
        own = data.source.size, data.target.size
        if self.needs.one_size and data.settings.crop is None and own[0] != own[1]:
            raise ConfigError(
                f"{name} needs source and target images of one size, got {own[0]} and {own[1]} "
                "(height, width); set data.crop, or one data.size for both"
            )

    def check_start(self, weights: bool) -> None:
        """Refuse to begin with labels of a network that knows nothing.

        Args:
            weights: Whether the network starts from weights of a file.

        Raises:
            ConfigError: The method needs a trained network, and neither trains one nor gets one.
        """
        if self.needs.stage_one and not weights and self.warm_up == 0:
            raise ConfigError(
                f"{type(self).__name__} labels images with the network that it starts from, which "
                "is untrained: warm_up is 0 and there are no weights; set warm_up above 0 (such as "
                "0.5), or 'weights' beside the method to a model trained on the source"
            )

    def kept_statistics(self, policy: Policy | None) -> Policy:
        """Return a batch-norm policy; absent: ``eval`` for pretrained networks, else ``train``.

        The running statistics of a network that learnt from scratch in few steps are those of
        weights that it has left behind; normalised with them it learns worse than on source alone.
        """
        return policy or ("eval" if self.pretrained else "train")

    def keeps_sources_apart(self) -> bool:
        """Whether several labelled sources are kept apart instead of being one set."""
        return self.needs.sources > 1

    def setup(self, context: Context) -> None:  # noqa: B027, a method may need none
        """Create extra modules and optimisers; called once, before a checkpoint is loaded."""

    def phases(self, steps: int) -> tuple[Phase, ...]:
        """Divide a budget of steps; the default is a warm-up and one phase of adaptation."""
        first = round(self.warm_up * steps)
        warm = Phase("warm_up", first, batch_norm=self.batch_norm)
        rest = Phase("adapt", steps - first, batch_norm=self.batch_norm)
        return tuple(phase for phase in (warm, rest) if phase.steps)

    def begin_round(  # noqa: B027, most methods prepare nothing
        self, context: Context, data: TrainingData, phase: Phase, index: int
    ) -> None:
        """Prepare a round: passes over images, pseudo-labels, subsets, statistics.

        A run that is interrupted here does it again, from the state before the round, but for the
        images that ``context.sweep`` has seen; one that is interrupted later does not.
        """

    def view(self, context: Context, data: TrainingData, phase: Phase) -> TrainingData:
        """Return the data as the running round sees it, a function of ``state_dict`` alone.

        Called after ``begin_round``, and again when an interrupted round is resumed.
        """
        return data

    def draw(self, data: TrainingData, step: int) -> StepBatch:
        """Choose the images of a step from the view; a function of step and ``state_dict``.

        On a GPU it runs while the step before is being taken.
        """
        return data.draw(step)

    def train_step(self, context: Context, phase: Phase, batch: StepBatch) -> dict[str, Tensor]:
        """Take one step of a phase and return each weighted loss, detached.

        A phase whose name ends in ``warm_up`` learns from the source alone.
        """
        if phase.name.endswith("warm_up"):
            _, losses = context.supervised(batch.source, self.aux_source_weight)
            context.update("network")
            return losses
        return self.step(context, batch.source, batch.target)

    @abstractmethod
    def step(self, context: Context, source: SourceBatch, target: TargetBatch) -> dict[str, Tensor]:
        """Take one step of adaptation and return each weighted loss, detached."""

    def predictor(
        self, network: SegmentationNetwork, modules: Mapping[str, nn.Module]
    ) -> nn.Module:
        """Return what predicts target images, as a module from images to ``Output``."""
        return network

    def state_dict(self) -> dict[str, Any]:
        """Return whatever decides later steps and is not a module or an optimiser.

        Tensors, numbers, texts, and lists and dictionaries of them.
        """
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027, often no state
        """Take back what ``state_dict`` returned."""


def network_optimizer(
    network: SegmentationNetwork, settings: TrainingSettings
) -> torch.optim.Optimizer:
    """Return the optimiser of the network; each parameter stands in exactly one group."""
    groups = network.parameter_groups(
        settings.learning_rate,
        settings.head_multiplier,
        backbone_multiplier=settings.backbone_multiplier,
    )
    decay = settings.weight_decay
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=decay)
    momentum = settings.momentum
    return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=momentum, weight_decay=decay)


def default_of(option: Field[Any]) -> Any:
    """Return the default of an option."""
    return option.default if option.default_factory is MISSING else option.default_factory()


def divided(steps: int, weights: Sequence[int]) -> list[int]:
    """Divide steps in proportion to weights, such as the lengths of a published schedule.

    The parts sum to ``steps``; where they cannot be exact, earlier parts get the larger share,
    so that any budget above 0 has a first part.

    Raises:
        ValueError: No weight is above 0.
    """
    total = sum(weights)
    if total <= 0:
        raise ValueError(f"cannot divide by the weights {list(weights)}")
    ends = [-(-steps * before // total) for before in accumulate(weights)]
    return [end - start for start, end in pairwise([0, *ends])]


def full_size(output: Output, images: Tensor) -> Output:
    """Return an output with logits in fp32 at the size of the images (N, 3, H, W)."""
    size = (images.shape[2], images.shape[3])
    aux = None if output.aux_logits is None else upsample(output.aux_logits.float(), size)
    return Output(upsample(output.logits.float(), size), output.features, aux)


def levels(output: Output) -> dict[str, Tensor]:
    """Return the logits of an output by level, ``main`` and, where there is one, ``aux``."""
    found = {"main": output.logits}
    return found if output.aux_logits is None else found | {"aux": output.aux_logits}
