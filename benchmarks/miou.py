"""How fast a confusion matrix is filled, beside torchmetrics.

    python benchmarks/miou.py [--images 4]

Both count the same predictions and labels of 1024x2048 pixels, 19 classes, a tenth of the pixels
void, as int64 and as uint8, image by image. torchmetrics is measured as it comes and with its
checks of the values switched off; ours always checks. Exits with 1 if the counts differ, or if
ours is less than 3 times as fast as the faster of the two.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from autoadapt.metrics.segmentation import ConfusionMatrix

CLASSES, VOID, SIZE = 19, 255, (1024, 2048)
AIM = 3.0
Pairs = Sequence[tuple[Tensor, Tensor]]


def pairs(count: int, kind: torch.dtype) -> Pairs:
    """Return predictions and labels of street-like blocks, about four pixels in five right."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(count):
        label, other = (
            rng.integers(0, CLASSES, (32, 64)).repeat(32, 0).repeat(32, 1) for _ in range(2)
        )
        predicted = np.where(rng.random(SIZE) < 0.8, label, other)
        label = np.where(rng.random(SIZE) < 0.1, VOID, label)
        made.append((torch.from_numpy(predicted).to(kind), torch.from_numpy(label).to(kind)))
    return made


def ours(data: Pairs) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Fill our matrix."""
    matrix = ConfusionMatrix(CLASSES)
    for predicted, label in data:
        matrix.update(predicted, label)
    return matrix.counts


def theirs(data: Pairs, checked: bool) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Fill the matrix of torchmetrics."""
    metric = MulticlassConfusionMatrix(CLASSES, ignore_index=VOID, validate_args=checked)
    for predicted, label in data:
        metric.update(predicted, label)
    counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]] = metric.compute().numpy()
    return counts


def milliseconds(calls: Sequence[Callable[[], object]], images: int) -> list[float]:
    """Return the best time of each per image, over rounds in which all take turns.

    A job that runs beside the benchmark for a while then slows all of them alike.
    """
    best = [float("inf")] * len(calls)
    for _ in range(7):
        for place, call in enumerate(calls):
            start = time.perf_counter()
            call()
            best[place] = min(best[place], time.perf_counter() - start)
    return [1000 * seconds / images for seconds in best]


def main() -> int:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=4, help="number of label maps")
    count = parser.parse_args().images
    slowest = float("inf")
    for kind in (torch.int64, torch.uint8):
        data = pairs(count, kind)
        if not (
            np.array_equal(ours(data), theirs(data, True))
            and np.array_equal(ours(data), theirs(data, False))
        ):
            print(f"{kind}: the counts differ")
            return 1
        calls = [partial(ours, data), partial(theirs, data, True), partial(theirs, data, False)]
        own, full, bare = milliseconds(calls, count)
        slowest = min(slowest, bare / own)
        print(
            f"{kind}: ours {own:.1f} ms, torchmetrics {full:.1f} ms ({full / own:.1f} times), "
            f"without its checks {bare:.1f} ms ({bare / own:.1f} times); equal counts"
        )
    print(f"at least {slowest:.1f} times as fast (aim: at least {AIM:.0f})")
    return 0 if slowest >= AIM else 1


if __name__ == "__main__":
    sys.exit(main())
