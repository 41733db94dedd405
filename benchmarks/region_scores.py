"""How long the regional scores of one image take, next to a loop over regions and a plain sum.

Run: ``python benchmarks/region_scores.py``. All are timed in turns, on the same tensor and on one
thread. The processor time of that thread counts, not the time on the clock, and of many rounds the
median: jobs that wait for the same core are left out, those that use its caches are not.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from autoadapt.config.settings import RegionSettings
from autoadapt.data.regions import partition
from autoadapt.scores._compute import compute, make
from autoadapt.scores._kernel import region_statistics
from autoadapt.scores.base import RegionStatistics, Statistics

HEIGHT, WIDTH, CLASSES = 256, 512, 19
ROUNDS, LOOP_ROUNDS = 200, 5
NAMES = ("entropy", "reent", "regent", "jsd", "div", "im", "regim", "rsi")
SCORES = {name: make(name, {}) for name in NAMES}


def scene() -> tuple[Tensor, NDArray[np.uint16]]:
    """Return smooth logits, as a network gives them, and SLIC regions of a smooth image."""
    random = np.random.default_rng(0)
    logits = gaussian_filter(random.normal(size=(CLASSES, HEIGHT, WIDTH)), (0, 6, 6))
    logits += 0.02 * random.normal(size=logits.shape)
    image = gaussian_filter(random.normal(size=(HEIGHT, WIDTH, 3)), (5, 5, 0))
    pixels = np.clip(128 + 900 * image, 0, 255).astype(np.uint8)
    return torch.from_numpy((40 * logits).astype(np.float32)), partition(
        pixels, RegionSettings(segments=250)
    )


def by_loop(logits: Tensor, regions: Tensor, count: int) -> RegionStatistics:
    """Sum region by region with masks, as one writes it first."""
    log_p = torch.log_softmax(logits, 0)
    p = log_p.exp()
    plogp, best = p * log_p, p.argmax(0)
    rows = []
    for region in range(count):
        mask = regions == region
        hard = torch.bincount(best[mask], minlength=len(p))
        rows.append((mask.sum(), p[:, mask].sum(1), plogp[:, mask].sum(1), hard))
    columns = [torch.stack(parts).double().numpy() for parts in zip(*rows, strict=True)]
    return RegionStatistics(*columns)


def scores_of(image: RegionStatistics) -> dict[str, float]:
    """Compute all scores over regions."""
    nothing = np.zeros((0, 0), np.float32)
    statistics = Statistics((image,), nothing, nothing, nothing, nothing, {})
    values, _ = compute(SCORES, statistics)
    return values


def median_times(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median processor time of each call in milliseconds; the calls take turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.thread_time()
            call()
            times[name].append(1e3 * (time.thread_time() - start))
    return {name: float(np.median(found)) for name, found in times.items()}


def main() -> None:
    """Print times and ratios."""
    torch.set_num_threads(1)
    logits, regions = scene()
    count = int(regions.max()) + 1
    as_tensor = torch.from_numpy(regions.astype(np.int64))
    fused = region_statistics(logits, regions, count)
    looped = scores_of(by_loop(logits, as_tensor, count))
    for name, value in scores_of(fused).items():
        assert abs(value - looped[name]) < 1e-5, (name, value, looped[name])

    calls: dict[str, Callable[[], object]] = {
        "sum": logits.sum,
        "statistics": lambda: region_statistics(logits, regions, count),
        "statistics and scores": lambda: scores_of(region_statistics(logits, regions, count)),
    }
    times = median_times(calls, ROUNDS)
    times |= median_times(
        {"loop and scores": lambda: scores_of(by_loop(logits, as_tensor, count))}, LOOP_ROUNDS
    )
    print(f"{WIDTH}x{HEIGHT}, {CLASSES} classes, {count} regions, one thread, processor time")
    for name, milliseconds in times.items():
        print(f"{name:24} {milliseconds:9.3f} ms")
    ours = times["statistics and scores"]
    print(f"loop / ours              {times['loop and scores'] / ours:9.1f}   (wanted: 50 or more)")
    print(f"ours / sum               {ours / times['sum']:9.1f}   (wanted: 5 or less)")


if __name__ == "__main__":
    main()
