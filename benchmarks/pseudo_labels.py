"""What labelling the target costs over plain inference: ``python benchmarks/pseudo_labels.py``.

A round of self-training goes through the target twice: once to fill the histograms of the class
thresholds, once to write the labels. Each pass is compared with inference alone, which predicts
class probabilities of the same images with the same network and batches and keeps nothing.
Measured is processor time on one thread, with interleaved repeats; the median of the pairwise
ratios counts (target: 1.2 at most). Then peak memory of a round over a small set and one four
times as large (target: equal up to noise).
"""

import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from autoadapt.config.settings import DatasetSettings, DataSettings, TrainingSettings
from autoadapt.data.cache import write_rows
from autoadapt.data.images import LabelledImages, UnlabelledImages
from autoadapt.data.training import TrainingData
from autoadapt.networks.build import build
from autoadapt.space import load
from autoadapt.uda._labelling import Labelling
from autoadapt.uda._sweep import remove_left
from autoadapt.uda.base import Context
from autoadapt.uda.crst import Crst

CLASSES, SIZE, BATCH, IMAGES, REPEATS = 19, (128, 256), 4, 24, 7


def noise(folder: Path, count: int) -> TrainingData:
    """Return a target of ``count`` images of noise, and one source image."""
    rng = np.random.default_rng(0)

    def pictures(name: str, number: int) -> UnlabelledImages:
        made = (rng.integers(0, 256, (*SIZE, 3), np.uint8) for _ in range(number))
        rows = write_rows(folder / f"{name}.rows", made, key=name, shape=(*SIZE, 3))
        ids = tuple(f"{name}{index}" for index in range(number))
        return UnlabelledImages(ids, ids, rows, tuple(range(number)))

    maps = [np.zeros(SIZE, np.uint8)]
    labels = write_rows(folder / "labels.rows", maps, key="labels", shape=SIZE)
    source = LabelledImages(tuple(map(str, range(CLASSES))), labels, (0,), pictures("source", 1))
    unused = DatasetSettings(kind="procedural")
    settings = DataSettings(source=unused, target=unused, size=SIZE)
    target = pictures("target", count)
    return TrainingData(source, target, CLASSES, settings, batch_size=BATCH, seed=0)


def prepared(folder: Path, count: int) -> tuple[Context, TrainingData, Crst]:
    """Return a network of deeplab_tiny and what a round needs; labels of the plain image."""
    network = build(load("deeplab_tiny").reference, CLASSES, seed=0)
    settings = TrainingSettings(steps=1, batch_size=BATCH)
    context = Context(network, CLASSES, settings, torch.device("cpu"), folder=folder, identity="b")
    return context, noise(folder, count), Crst(mirror=False)


def passes(folder: Path) -> dict[str, Callable[[], object]]:
    """Return plain inference, the pass for thresholds and the pass for labels."""
    context, data, method = prepared(folder, IMAGES)
    thresholds = torch.full((CLASSES,), 0.1)

    def plain() -> object:
        sweep = context.sweep(data, data.target, policy=method.batch_norm)
        return [float(output.logits.softmax(dim=1)[0, 0, 0, 0]) for _, output in sweep]

    def labelling() -> Labelling:
        remove_left(folder)  # or it would go on where the last one ended
        context.swept = []
        return method.labelling(context, data)

    def thresholds_pass() -> object:
        return labelling().confidences().thresholds(0.2)

    def labels_pass() -> object:
        return labelling().store_balanced(thresholds)

    return {"inference": plain, "thresholds": thresholds_pass, "labels": labels_pass}


def seconds(call: Callable[[], object]) -> float:
    """Return the processor time of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def peak_of_round(count: int) -> float:
    """Return the peak memory of a process that labels ``count`` images, in MiB."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        context, data, method = prepared(Path(folder), count)
        method.begin_round(context, data, method.phases(10)[-1], 0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print the ratios of both passes and the peak memories."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        calls = passes(Path(folder))
        for call in calls.values():
            call()
        times = [{name: seconds(call) for name, call in calls.items()} for _ in range(REPEATS)]
    for name in ("thresholds", "labels"):
        ratios = sorted(time[name] / time["inference"] for time in times)
        took = statistics.median(time[name] for time in times) / IMAGES * 1000
        print(
            f"{name:<11} {took:6.1f} ms per image, {statistics.median(ratios):.2f} of inference "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        small, large = pool.map(peak_of_round, (50, 200), chunksize=1)
    print(f"peak memory {small:.0f} MiB with 50 images, {large:.0f} MiB with 200")


if __name__ == "__main__":
    main()
