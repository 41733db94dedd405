"""How fast this device trains, measured on a few steps of the method."""

import statistics
import time
from collections.abc import Callable

import torch

from autoadapt import cost
from autoadapt.config.load import make
from autoadapt.config.settings import ExperimentSettings, TrainingSettings
from autoadapt.data.batches import SourceBatch, TargetBatch
from autoadapt.data.training import StepBatch
from autoadapt.experiment.estimates import FORWARD_AND_BACKWARD
from autoadapt.networks.batch_norm import set_policy
from autoadapt.networks.build import build
from autoadapt.space.architecture import Architecture
from autoadapt.uda.base import Context, Method, network_optimizer
from autoadapt.uda.source_only import SourceOnly

SIZE = (128, 256)
"""Height and width of the images that are timed: small, so that a processor can do it."""
WARM_UP, TIMED = 1, 3
"""Steps before the clock runs, and steps timed."""


def measured_throughput(
    architecture: Architecture,
    num_classes: int,
    settings: ExperimentSettings,
    device: torch.device,
) -> float:
    """Return the multiply-adds of the network per second of training with the search's method.

    What the method does besides, such as moving discriminators, makes the number smaller. The
    median of a few steps on noise at ``SIZE``, with batch size, precision and memory layout of the
    settings. Larger images keep a GPU busier, so estimates from here are on the safe side.

    Methods that prepare rounds cannot take a step without one: a supervised step stands for
    theirs.
    """
    training = settings.search.training
    method: Method = make("uda", settings.search.method)
    context = context_for(architecture, num_classes, training, device)
    batch = noise(num_classes, training, device)
    step, domains = step_of(method, context, batch)
    times = [seconds_of(step, context) for _ in range(WARM_UP + TIMED)]
    macs = cost.count(architecture, num_classes, SIZE)["macs"] * training.batch_size * domains
    return FORWARD_AND_BACKWARD * macs / statistics.median(times[WARM_UP:])


def context_for(
    architecture: Architecture, num_classes: int, training: TrainingSettings, device: torch.device
) -> Context:
    """Return a network ready to take steps."""
    layout = torch.channels_last if training.channels_last else torch.contiguous_format
    network = build(architecture, num_classes)
    network.to(device=device, memory_format=layout)  # type: ignore[call-overload]
    scaler = torch.amp.GradScaler(device.type) if training.precision == "fp16" else None
    context = Context(network, num_classes, training, device, scaler=scaler)
    context.optimizers["network"] = network_optimizer(network, training)
    network.train()
    return context


def noise(num_classes: int, training: TrainingSettings, device: torch.device) -> StepBatch:
    """Return a batch of noise, its source with labels."""
    generator = torch.Generator().manual_seed(0)
    count = training.batch_size
    images = torch.randn(2 * count, 3, *SIZE, generator=generator)
    labels = torch.randint(num_classes, (count, *SIZE), generator=generator)
    names = tuple(map(str, range(2 * count)))
    source = SourceBatch(images[:count], labels, names[:count])
    batch = StepBatch(source, TargetBatch(images[count:], names[count:]))
    return batch.to(device, training.channels_last)


def step_of(method: Method, context: Context, batch: StepBatch) -> tuple[Callable[[], object], int]:
    """Return one optimiser step, and how many domains go through the network in it."""
    prepares = type(method).begin_round is not Method.begin_round
    if prepares or method.keeps_sources_apart():
        return lambda: supervised(context, batch.source), 1
    method.setup(context)
    phase = method.phases(context.settings.steps)[-1]
    context.batch_norm = phase.batch_norm
    set_policy(context.network, phase.batch_norm)
    domains = 1 if isinstance(method, SourceOnly) else 2
    return lambda: method.train_step(context, phase, batch), domains


def supervised(context: Context, batch: SourceBatch) -> None:
    """Take a step on labelled images."""
    context.supervised(batch, 0.1)
    context.update("network")


def seconds_of(step: Callable[[], object], context: Context) -> float:
    """Return the wall time of a step, the work of a GPU included."""
    synchronise(context.device)
    started = time.perf_counter()
    for optimizer in context.optimizers.values():
        optimizer.zero_grad(set_to_none=True)
    step()
    if context.scaler is not None:
        context.scaler.update()
    synchronise(context.device)
    return time.perf_counter() - started


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
