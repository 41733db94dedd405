"""Time to collect and compute scores of a candidate, next to the forward passes they need.

Run: ``OMP_NUM_THREADS=1 python benchmarks/scoring_pass.py``. The reference of ``deeplab_tiny`` at
96x128, 40 images per domain, as in the quickstart. The baseline runs the network over both domains
and upsamples the logits; the scores of the default objective, those that need nothing more, and
those with one further view of the target follow, each with what it needs. All take turns; the
median of the ratios of processor time within a round counts, so that a busy machine disturbs all
alike. Images and regions are there beforehand, as they are for all candidates but the first.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from autoadapt.networks.build import build
from autoadapt.networks.contract import upsample
from autoadapt.plugins import available
from autoadapt.scores._collect import Sample, collect
from autoadapt.scores._compute import compute, make
from autoadapt.scores.base import Need, Score
from autoadapt.space import load

HEIGHT, WIDTH, CLASSES, IMAGES, BATCH, ROUNDS = 96, 128, 11, 40, 8, 15


class Grid:
    """Regions of 16 x 16 pixels."""

    def __len__(self) -> int:
        return IMAGES

    def __getitem__(self, index: int) -> NDArray[np.uint16]:
        rows, columns = np.arange(HEIGHT) // 16, np.arange(WIDTH) // 16
        return (rows[:, None] * (WIDTH // 16) + columns).astype(np.uint16)

    def count(self, index: int) -> int:
        """Return their number."""
        return (HEIGHT // 16) * (WIDTH // 16)


def scores(*names: str) -> dict[str, Score]:
    """Return scores by name."""
    return {name: make(name, {}) for name in names}


def main() -> None:
    """Print times and ratios."""
    network = build(load("deeplab_tiny").reference, CLASSES, seed=1).eval()
    generator = torch.Generator().manual_seed(0)
    batches = [
        [torch.randn(BATCH, 3, HEIGHT, WIDTH, generator=generator) for _ in range(IMAGES // BATCH)]
        for _ in range(2)
    ]
    sample = Sample(
        source=batches[0], target=batches[1], regions=Grid(), pixels_per_image=16, seed=0
    )

    def forward() -> None:
        with torch.inference_mode():
            for images in (*batches[0], *batches[1]):
                upsample(network(images).logits, (HEIGHT, WIDTH))

    def scoring(chosen: dict[str, Score]) -> Callable[[], None]:
        needs = frozenset[Need]().union(*(score.needs for score in chosen.values()))

        def run() -> None:
            found = collect(network, sample, costs={"macs": 1.0, "params": 1.0}, needs=needs)
            compute(chosen, found)

        return run

    free = [name for name in available("scores") if not make(name, {}).needs]
    calls = {
        "forward": forward,
        "mmd, reent, entropy": scoring(scores("mmd", "reent", "entropy")),
        f"all {len(free)} that need no more": scoring(scores(*free)),
        "mmd, reent, flip_agreement": scoring(scores("mmd", "reent", "flip_agreement")),
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.process_time()
            call()
            seconds[name].append(time.process_time() - start)
    print(f"{IMAGES} images of {WIDTH}x{HEIGHT} per domain, {CLASSES} classes, {ROUNDS} rounds")
    for name, times in seconds.items():
        ratios = [a / b for a, b in zip(times, seconds["forward"], strict=True)]
        print(
            f"{name:28} {1e3 * statistics.median(times):8.0f} ms   over forward "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )
    print("wanted for the default scores: 1.5 or less")


if __name__ == "__main__":
    main()
