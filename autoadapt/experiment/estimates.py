"""How long a training takes and what it needs, from counts and a few stated assumptions.

Everything here is a formula over numbers: nothing is built or trained. ``dry_run`` gathers the
numbers, ``throughput`` can measure the one that matters most.

Time of training::

    3 * macs * images per step * steps / throughput

A backward pass costs twice a forward one. Throughput is in multiply-adds per second: half of the
peak in a data sheet, which counts two operations for each, times ``UTILISATION``; or measured.

Memory of training: weights, gradients and the state of the optimiser; what the forward pass of one
domain keeps for its backward pass (``KEPT`` tensors for each counted output element, since a
normalisation keeps what a convolution puts out and the next convolution keeps what was rectified);
class maps at full size (``MAPS`` for each output); and what the device needs for itself.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from autoadapt.config.settings import Size, TrainingSettings

GIB = 1024**3

FORWARD_AND_BACKWARD = 3
"""Passes that one training image costs, in forward passes."""
UTILISATION = 0.3
"""Share of a device's peak that training is taken to reach."""
KEPT = 2.0
"""Tensors kept for the backward pass per output element of a convolution."""
MAPS = 6
"""Full-size class maps per output while a loss is taken: resized, softmax, logarithm, a product of
the two, and two gradients."""
RESERVED = 1.0 * GIB
"""Context, libraries and workspaces on a GPU."""


@dataclass(frozen=True)
class Machine:
    """A device as its data sheet describes it.

    Attributes:
        peak: Floating-point operations per second, dense, by precision. PyTorch runs the
            convolutions of ``fp32`` in TF32 where there is one.
        memory: Bytes; unknown for a processor.
    """

    name: str
    peak: Mapping[str, float]
    memory: float | None

    def macs_per_second(self, precision: str) -> float:
        """Return the multiply-adds per second that training is taken to reach."""
        return self.peak[precision] / 2 * UTILISATION


MACHINES = (
    Machine("RTX 3090 24 GB", {"fp32": 35.6e12, "bf16": 71e12, "fp16": 71e12}, 24 * GIB),
    Machine("V100 32 GB", {"fp32": 15.7e12, "bf16": 15.7e12, "fp16": 125e12}, 32 * GIB),
    Machine("A100 80 GB", {"fp32": 156e12, "bf16": 312e12, "fp16": 312e12}, 80 * GIB),
    Machine("H100 80 GB", {"fp32": 494e12, "bf16": 989e12, "fp16": 989e12}, 80 * GIB),
    Machine("H200 141 GB", {"fp32": 494e12, "bf16": 989e12, "fp16": 989e12}, 141 * GIB),
)
"""Data sheets of the vendor. A V100 has no bfloat16 units."""

CPU_CORE_PEAK = 100e9
"""Floating-point operations per second of one core: 3 GHz, two units of eight, fused."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What is known of a network at the size it is trained at.

    Attributes:
        params: Parameters.
        activations: Output elements of its convolutions and linear layers, one image.
        pixels: Height times width of the input.
        classes: Number of classes.
        outputs: Outputs with a loss: 2 with an auxiliary one.
    """

    params: float
    activations: float
    pixels: int
    classes: int
    outputs: int = 2


def training_seconds(macs: float, images: int, macs_per_second: float) -> float:
    """Return the time of a training.

    Args:
        macs: Multiply-adds of a forward pass of one image, of all domains together.
        images: Images of one domain that the training looks at.
        macs_per_second: Throughput.
    """
    return FORWARD_AND_BACKWARD * macs * images / macs_per_second


def training_bytes(counts: Counts, training: TrainingSettings) -> float:
    """Return the peak memory of a training on a GPU, in bytes.

    With autocast, weights stay in 32 bits and what is kept is in 16.
    """
    half = training.precision != "fp32"
    states = 2 if training.optimizer == "adamw" else 1
    fixed = 4 * counts.params * (2 + states) + (2 * counts.params if half else 0)
    kept = (2 if half else 4) * KEPT * counts.activations * training.batch_size
    maps = 4 * MAPS * counts.outputs * counts.classes * counts.pixels * training.batch_size
    return fixed + kept + maps + RESERVED


def inference_seconds(macs: float, images: int, macs_per_second: float) -> float:
    """Return the time of forward passes alone."""
    return macs * images / macs_per_second


def search_seconds(per_trial: float, trials: int, parallel: int) -> float:
    """Return the time of a search whose trials run side by side, in whole rounds."""
    return per_trial * math.ceil(trials / parallel)


def decoded_bytes(images: int, size: Size, *, labelled: bool) -> int:
    """Return the disk space of decoded images: three bytes per pixel, and one for a label."""
    height, width = size
    return (4 if labelled else 3) * images * height * width
