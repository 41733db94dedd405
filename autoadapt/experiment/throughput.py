"""How fast this device trains, measured on a few steps."""

import statistics
import time

import torch

from autoadapt import cost
from autoadapt.config.settings import TrainingSettings
from autoadapt.data.batches import SourceBatch
from autoadapt.experiment.estimates import FORWARD_AND_BACKWARD
from autoadapt.networks.build import build
from autoadapt.space.architecture import Architecture
from autoadapt.uda.base import Context, network_optimizer

SIZE = (128, 256)
"""Height and width of the images that are timed: small, so that a processor can do it."""
WARM_UP, TIMED = 1, 3
"""Steps before the clock runs, and steps timed."""


def measured_throughput(
    architecture: Architecture, num_classes: int, training: TrainingSettings, device: torch.device
) -> float:
    """Return the multiply-adds per second of training steps: forward, backward, optimiser.

    The median of a few steps on noise at ``SIZE``, with batch size, precision and memory layout
    of the settings. Larger images keep a GPU busier, so estimates from here are on the safe side.
    """
    context = context_for(architecture, num_classes, training, device)
    batch = noise(num_classes, training, device)
    times = [seconds_of_step(context, batch) for _ in range(WARM_UP + TIMED)]
    macs = cost.count(architecture, num_classes, SIZE)["macs"] * training.batch_size
    return FORWARD_AND_BACKWARD * macs / statistics.median(times[WARM_UP:])


def context_for(
    architecture: Architecture, num_classes: int, training: TrainingSettings, device: torch.device
) -> Context:
    """Return a network ready to take supervised steps."""
    layout = torch.channels_last if training.channels_last else torch.contiguous_format
    network = build(architecture, num_classes)
    network.to(device=device, memory_format=layout)  # type: ignore[call-overload]
    scaler = torch.amp.GradScaler(device.type) if training.precision == "fp16" else None
    context = Context(network, num_classes, training, device, scaler=scaler)
    context.optimizers["network"] = network_optimizer(network, training)
    network.train()
    return context


def noise(num_classes: int, training: TrainingSettings, device: torch.device) -> SourceBatch:
    """Return a batch of noise with labels."""
    generator = torch.Generator().manual_seed(0)
    count = training.batch_size
    images = torch.randn(count, 3, *SIZE, generator=generator)
    labels = torch.randint(num_classes, (count, *SIZE), generator=generator)
    layout = torch.channels_last if training.channels_last else torch.contiguous_format
    images = images.to(device).contiguous(memory_format=layout)
    return SourceBatch(images, labels.to(device), tuple(map(str, range(count))))


def seconds_of_step(context: Context, batch: SourceBatch) -> float:
    """Return the wall time of one optimiser step, the work of a GPU included."""
    synchronise(context.device)
    started = time.perf_counter()
    context.optimizers["network"].zero_grad(set_to_none=True)
    context.supervised(batch, 0.1)
    context.update("network")
    if context.scaler is not None:
        context.scaler.update()
    synchronise(context.device)
    return time.perf_counter() - started


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
