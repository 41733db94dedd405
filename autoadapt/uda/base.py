"""The contract between an adaptation method and the one training loop.

A method owns its step: how many forward and backward passes it makes, in which order, and which
optimisers move. The loop (``training.fit``) owns everything around it: device, precision,
accumulation, schedules, data, checkpoints. ``Context`` is what stands between the two.
"""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from pydantic import ConfigDict
from torch import Tensor, nn

from autoadapt.config.settings import Fraction, TrainingSettings
from autoadapt.data.batches import SourceBatch, TargetBatch
from autoadapt.data.training import StepBatch, TrainingData
from autoadapt.networks.batch_norm import Policy, target_pass
from autoadapt.networks.contract import Output, SegmentationNetwork, upsample
from autoadapt.uda._losses import cross_entropy

Domain = Literal["source", "target"]


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one purpose.

    Attributes:
        steps: Optimiser steps per round.
        rounds: Times the phase is repeated; ``begin_round`` runs before each.
        batch_norm: What batch normalisation does with statistics in this phase.
        horizon: Length of the learning-rate schedule, apart from where training stops.
        restart: Whether the schedule starts again with this phase.
    """

    name: str
    steps: int
    rounds: int = 1
    batch_norm: Policy = "train"
    horizon: int | None = None
    restart: bool = False


@dataclass
class Context:
    """What a method may use in a step: the network, its own modules, and how to learn.

    Attributes:
        class_weights: (C,) weights of the supervised loss, or nothing.
        modules: Extra networks by name, such as discriminators; saved and restored.
        optimizers: By name; ``network`` is there from the start.
        batch_norm: Policy of the running phase.
    """

    network: SegmentationNetwork
    num_classes: int
    settings: TrainingSettings
    device: torch.device
    class_weights: Tensor | None = None
    modules: dict[str, nn.Module] = field(default_factory=dict)
    optimizers: dict[str, torch.optim.Optimizer] = field(default_factory=dict)
    batch_norm: Policy = "train"
    scaler: torch.amp.GradScaler | None = None
    last_micro_batch: bool = True

    def add(self, name: str, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Put a trainable module under the care of the loop (saved, restored, scheduled)."""
        self.modules[name] = module
        self.optimizers[name] = optimizer

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Return the precision of the settings as a context; nothing for fp32."""
        if self.settings.precision == "fp32":
            return contextlib.nullcontext()
        kind = torch.bfloat16 if self.settings.precision == "bf16" else torch.float16
        return torch.autocast(self.device.type, dtype=kind)

    def forward(self, images: Tensor, domain: Domain) -> Output:
        """Run the network on one domain, with logits in fp32 at the size of the images.

        Where the batch-norm policy is ``source_only``, target images are normalised by their
        own batch but leave the running statistics alone.
        """
        size = (images.shape[2], images.shape[3])
        policy = self.batch_norm if domain == "target" else "train"
        with target_pass(self.network, policy), self.autocast():
            output = self.network(images)
        aux = None if output.aux_logits is None else upsample(output.aux_logits.float(), size)
        return Output(upsample(output.logits.float(), size), output.features, aux)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss; safe with autocast and accumulation."""
        loss = loss / self.settings.accumulate
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()

    def update(self, *names: str) -> None:
        """Move the named optimisers, in this order, once the last micro-batch is in."""
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

    @contextlib.contextmanager
    def frozen(self, *names: str) -> Iterator[None]:
        """Let gradients flow through modules but not into them."""
        parameters = [p for name in names for p in self.modules[name].parameters()]
        for parameter in parameters:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in parameters:
                parameter.requires_grad_(True)

    def supervised(self, batch: SourceBatch, aux_weight: float) -> tuple[Output, dict[str, Tensor]]:
        """Make the source forward and backward pass every method begins with.

        Returns:
            The source output, to be reused by discriminators, and the detached losses.
        """
        output = self.forward(batch.images, "source")
        losses = {"source": cross_entropy(output.logits, batch.labels, self.class_weights)}
        if output.aux_logits is not None:
            aux = cross_entropy(output.aux_logits, batch.labels, self.class_weights)
            losses["source_aux"] = aux_weight * aux
        self.backward(torch.stack(list(losses.values())).sum())
        return output, {name: loss.detach() for name, loss in losses.items()}


@dataclass
class Method(ABC):
    """An unsupervised adaptation method: a dataclass whose fields are its options.

    Attributes:
        warm_up: Share of the steps with the source loss alone, before adaptation starts; for
            networks that begin without pretrained weights.
        aux_source_weight: Weight of the source loss on the auxiliary output, where there is one.
        batch_norm: Batch-norm policy while training.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    summary: ClassVar[str]
    paper: ClassVar[str]
    smoke_options: ClassVar[Mapping[str, Any]] = {}
    """Options under which a run of a few steps exercises every term."""

    warm_up: Fraction = 0.0
    aux_source_weight: float = 0.1
    batch_norm: Policy = "train"

    def setup(self, context: Context) -> None:
        """Create extra modules and optimisers; called once, before a checkpoint is loaded."""

    def phases(self, steps: int) -> tuple[Phase, ...]:
        """Divide a budget of steps; the default is a warm-up and one phase of adaptation."""
        first = round(self.warm_up * steps)
        warm = Phase("warm_up", first, batch_norm=self.batch_norm)
        rest = Phase("adapt", steps - first, batch_norm=self.batch_norm)
        return tuple(phase for phase in (warm, rest) if phase.steps)

    def begin_round(self, context: Context, data: TrainingData, phase: Phase, index: int) -> None:
        """Prepare a round: passes over target, pseudo-labels, subsets. Must be repeatable."""

    def draw(self, data: TrainingData, step: int) -> StepBatch:
        """Choose the images of a step; a pure function of the step and of ``state_dict``."""
        return data.draw(step)

    def train_step(self, context: Context, phase: Phase, batch: StepBatch) -> dict[str, Tensor]:
        """Take one step of a phase and return each weighted loss, detached."""
        if phase.name == "warm_up":
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
        """Return whatever decides later steps and is not a module or an optimiser."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` returned."""


def levels(output: Output) -> dict[str, Tensor]:
    """Return the logits of an output by level, ``main`` and, where there is one, ``aux``."""
    found = {"main": output.logits}
    return found if output.aux_logits is None else found | {"aux": output.aux_logits}
