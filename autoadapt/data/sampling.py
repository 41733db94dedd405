"""Which images a step sees: a pure function of seed and step, so that resuming needs no state."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from autoadapt.seeding import generator


@lru_cache(maxsize=8)
def epoch_order(seed: int, purpose: str, epoch: int, n: int) -> NDArray[np.int64]:
    """Return the order of ``n`` images in one epoch, a read-only permutation of 0..n-1.

    Args:
        seed: Seed of the training.
        purpose: What the images are for, e.g. ``source``: other purposes have other orders.
        epoch: Number of the pass over the images, from 0.
        n: Number of images.
    """
    order = generator(seed, purpose, "epoch", epoch).permutation(n)
    order.setflags(write=False)
    return order


def batch_indices(seed: int, purpose: str, step: int, *, batch_size: int, n: int) -> list[int]:
    """Return the images of one step.

    The epochs' orders stand end to end and step ``s`` takes the images from ``s * batch_size``
    on: each epoch shows each image once, whether or not the batch size divides ``n``.

    Raises:
        ValueError: ``step`` is negative, or ``batch_size`` or ``n`` not positive.
    """
    if step < 0 or batch_size < 1 or n < 1:
        raise ValueError(f"no batch for step {step}, batch size {batch_size}, {n} images")
    places = range(step * batch_size, (step + 1) * batch_size)
    return [int(epoch_order(seed, purpose, place // n, n)[place % n]) for place in places]
