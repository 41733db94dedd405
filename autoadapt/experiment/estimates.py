"""How long a training takes and what it needs, from counts and a few stated assumptions.

Everything here is a formula over numbers: nothing is built or trained. ``dry_run`` gathers the
numbers, ``throughput`` can measure the one that matters most.

Time of training::

    3 * macs * images per step * steps / throughput

A backward pass costs twice a forward one. Throughput is in multiply-adds per second: half of the
peak in a data sheet, which counts two operations for each, times the share of it that training is
taken to reach (``MATRIX``, ``PLAIN``, ``PROCESSOR``); or measured.

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
MATRIX, PLAIN, PROCESSOR = 0.15, 0.4, 0.25
"""Share of the peak that training of a ResNet reaches on matrix units (TF32, bfloat16, float16),
on ordinary units of a GPU, and on a processor."""
KEPT = 2.0
"""Tensors kept for the backward pass per output element of a convolution."""
MAPS = 6
"""Full-size class maps per output while a loss is taken: resized, softmax, logarithm, a product of
the two, and two gradients."""
RESERVED = 1.0 * GIB
"""Context, libraries and workspaces on a GPU."""


@dataclass(frozen=True)
class Machine:
    """A device as an estimate sees it.

    Attributes:
        macs_per_second: What training is taken to reach, by precision.
        memory: Bytes; unknown for a processor.
    """

    name: str
    macs_per_second: Mapping[str, float]
    memory: float | None


def gpu(
    name: str, memory: int, *, fp32: float, fp16: float, tf32: float = 0.0, bf16: float = 0.0
) -> Machine:
    """Return a GPU by its data sheet.

    Args:
        name: Of the model.
        memory: GiB.
        fp32: Peak of its ordinary units, operations per second.
        fp16: Peak of its matrix units without sparsity, in 16 bits.
        tf32: The same for TF32, which PyTorch uses for convolutions in fp32; 0: there is none.
        bf16: The same for bfloat16; 0: there is none.
    """
    plain = fp32 / 2 * PLAIN
    return Machine(
        f"{name} {memory} GB",
        {
            "fp32": max(plain, tf32 / 2 * MATRIX),
            "bf16": max(plain, bf16 / 2 * MATRIX),
            "fp16": max(plain, fp16 / 2 * MATRIX),
        },
        memory * GIB,
    )


def processor(cores: int) -> Machine:
    """Return a processor; 16 bits are not faster there."""
    speed = cores * CORE_PEAK / 2 * PROCESSOR
    name = f"this machine, {cores} CPU core{'s' * (cores != 1)}"
    return Machine(name, dict.fromkeys(("fp32", "bf16", "fp16"), speed), None)


CORE_PEAK = 100e9
"""Floating-point operations per second of one core: 3 GHz, two fused units of eight numbers."""

MACHINES = (
    gpu("RTX 3090", 24, fp32=35.6e12, tf32=35.6e12, bf16=71e12, fp16=71e12),
    gpu("V100", 32, fp32=15.7e12, fp16=125e12),
    gpu("A100", 80, fp32=19.5e12, tf32=156e12, bf16=312e12, fp16=312e12),
    gpu("H100", 80, fp32=67e12, tf32=494e12, bf16=989e12, fp16=989e12),
    gpu("H200", 141, fp32=67e12, tf32=494e12, bf16=989e12, fp16=989e12),
)
"""By the data sheets of the vendor."""


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
