"""MMD of 4,000 x 256 samples in blocks, next to the full matrices as one writes them first.

Run: ``OMP_NUM_THREADS=1 python benchmarks/mmd.py``. Both take turns; the best processor time of
several rounds counts, so that a busy machine disturbs both alike. Peak memory is what
``tracemalloc`` sees of each in a call of its own. The plain form is in the same single precision
and in NumPy, from centred features, with one matrix of distances of the pooled sample and one
exponential per kernel; both are compared with double precision.

Exits with 1 if the blocks are less than 3 times as fast or differ by more than 1e-6.
"""

import sys
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from autoadapt.scores.mmd import BLOCK, median_distance, prepared, quadratic

SAMPLES, WIDTH, KERNELS, ROUNDS = 4000, 256, 5, 5
FACTORS = tuple(2.0**power for power in range(-2, 3))

Single = NDArray[np.float32]


def features() -> tuple[Single, Single]:
    """Return features behind a ReLU, with a small shift between the domains."""
    random = np.random.default_rng(0)
    mixing = random.normal(size=(WIDTH, WIDTH)) / np.sqrt(WIDTH)
    source, target = (random.normal(size=(SAMPLES, WIDTH)) @ mixing + s for s in (0.0, 0.05))
    return prepared(
        np.maximum(source, 0).astype(np.float32),
        np.maximum(target, 0).astype(np.float32),
        normalise=False,
    )


def plain(x: Single, y: Single, bandwidth: float) -> float:
    """Return the unbiased estimate from one matrix of all pairs of the pooled sample."""
    pooled = np.concatenate([x, y])
    squares = (pooled**2).sum(1)
    distances = np.maximum(squares[:, None] + squares[None] - 2.0 * pooled @ pooled.T, 0.0)
    kernel = np.zeros_like(distances)
    for factor in FACTORS:
        kernel += np.exp(-distances / np.float32(factor * bandwidth))
    kernel /= KERNELS
    n = len(x)
    np.fill_diagonal(kernel, 0.0)
    xx, yy, xy = kernel[:n, :n], kernel[n:, n:], kernel[:n, n:]
    within = xx.sum(dtype=np.float64) + yy.sum(dtype=np.float64)
    return float(within / (n * (n - 1)) - 2.0 * xy.sum(dtype=np.float64) / n**2)


def exact(x: Single, y: Single, bandwidth: float) -> float:
    """Return the same in double precision."""

    def total(a: Single, b: Single) -> float:
        result, b64 = 0.0, b.astype(np.float64)
        for start in range(0, len(a), 500):
            rows = a[start : start + 500].astype(np.float64)
            squared = (rows**2).sum(1)[:, None] + (b64**2).sum(1) - 2.0 * rows @ b64.T
            result += sum(float(np.exp(-squared / (f * bandwidth)).sum()) for f in FACTORS)
        return result / KERNELS

    n = len(x)
    within = total(x, x) + total(y, y) - 2 * n
    return within / (n * (n - 1)) - 2.0 * total(x, y) / n**2


def peak(call: Callable[[], float]) -> float:
    """Return the largest memory of a call in MiB."""
    tracemalloc.start()
    call()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 2**20


def main() -> int:
    """Print times, memory, differences and the ratio."""
    x, y = features()
    bandwidth = median_distance(x, y)
    calls: dict[str, Callable[[], float]] = {
        "plain": lambda: plain(x, y, bandwidth),
        "blocks": lambda: quadratic(x, y, bandwidth, KERNELS, "unbiased"),
    }
    true = exact(x, y, bandwidth)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    worst: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.process_time()
            worst[name] = abs(call() - true)
            seconds[name].append(time.process_time() - start)
    best = {name: min(times) for name, times in seconds.items()}
    print(f"{SAMPLES} x {WIDTH} per domain, {KERNELS} kernels, blocks of {BLOCK}; MMD^2 {true:.3e}")
    for name, call in calls.items():
        print(f"{name:8} {best[name]:7.2f} s   {peak(call):7.0f} MiB   error {worst[name]:.1e}")
    ratios = [a / b for a, b in zip(seconds["plain"], seconds["blocks"], strict=True)]
    ratio = best["plain"] / best["blocks"]
    print(
        f"plain / blocks {ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) (wanted: 3 or more)"
    )
    return 0 if ratio >= 3 and worst["blocks"] <= 1e-6 else 1


if __name__ == "__main__":
    sys.exit(main())
