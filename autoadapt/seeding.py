"""One seed per purpose, derived from the seed of the run.

Nothing random is ever carried from one step to the next: whatever needs randomness at step 17
of trial 4 derives it from ``(seed, "trial", 4, "crop", 17)``. A resumed run therefore continues
exactly as the undisturbed one, without storing the state of any generator.
"""

import hashlib
import random

import numpy as np


def derive(seed: int, *purpose: int | str) -> int:
    """Return a seed in [0, 2**63) for one purpose; equal on every machine and Python version."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(seed: int, *purpose: int | str) -> np.random.Generator:
    """Return a NumPy generator for one purpose."""
    return np.random.Generator(np.random.PCG64(derive(seed, *purpose)))


def python_random(seed: int, *purpose: int | str) -> random.Random:
    """Return a standard-library generator for one purpose (no NumPy needed to sample a space)."""
    return random.Random(derive(seed, *purpose))
