"""What the one training loop costs over bare PyTorch: ``python benchmarks/training_step.py``.

Each method trains the reference of deeplab_tiny at 96 x 128 with batches of 4, by the loop and by
the same lines without it, on batches drawn the same way. Measured is processor time on one
thread, with interleaved repeats, so that a busy machine slows both alike; the median of the
pairwise ratios is what counts (target: 1.05 at most).
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from autoadapt.config.settings import DatasetSettings, DataSettings, TrainingSettings
from autoadapt.data.batches import IGNORE
from autoadapt.data.cache import Rows, write_rows
from autoadapt.data.images import LabelledImages, UnlabelledImages
from autoadapt.data.training import TrainingData
from autoadapt.networks.build import build
from autoadapt.networks.contract import SegmentationNetwork, upsample
from autoadapt.space import load
from autoadapt.training.fit import fit
from autoadapt.uda._discriminator import output_discriminator
from autoadapt.uda.advent import Advent
from autoadapt.uda.base import Method
from autoadapt.uda.source_only import SourceOnly

CLASSES, SIZE, BATCH, STEPS, REPEATS = 11, (96, 128), 4, 10, 9
RATE = 2.5e-4


def noise(folder: Path) -> TrainingData:
    """Return both domains, 32 images of noise each."""
    rng = np.random.default_rng(0)

    def rows(name: str, shape: tuple[int, ...], values: int) -> Rows:
        made = (rng.integers(0, values, shape, np.uint8) for _ in range(32))
        return write_rows(folder / f"{name}.rows", made, key=name, shape=shape)

    def pictures(name: str) -> UnlabelledImages:
        ids = tuple(f"{name}{number}" for number in range(32))
        return UnlabelledImages(ids, ids, rows(name, (*SIZE, 3), 256), tuple(range(32)))

    names = tuple(map(str, range(CLASSES)))
    labels = rows("labels", SIZE, CLASSES)
    source = LabelledImages(names, labels, tuple(range(32)), pictures("source"))
    unused = DatasetSettings(kind="procedural")
    settings = DataSettings(source=unused, target=unused, size=SIZE)
    return TrainingData(source, pictures("target"), CLASSES, settings, batch_size=BATCH, seed=0)


def supervised(network: SegmentationNetwork, images: Tensor, labels: Tensor) -> list[Tensor]:
    """Make the source pass and return both upsampled outputs."""
    output = network(images)
    assert output.aux_logits is not None
    maps = [upsample(z, SIZE) for z in (output.logits, output.aux_logits)]
    main, aux = (functional.cross_entropy(z, labels, ignore_index=IGNORE) for z in maps)
    (main + 0.1 * aux).backward()  # type: ignore[no-untyped-call]
    return maps


def information(logits: Tensor) -> Tensor:
    """Return weighted self-information maps."""
    log_prob = logits.log_softmax(dim=1)
    return -(log_prob.exp() * log_prob) / float(np.log(CLASSES))


def verdict(scores: Tensor, label: float) -> Tensor:
    """Return the loss of a discriminator."""
    return functional.binary_cross_entropy_with_logits(scores, torch.full_like(scores, label))


def bare(network: SegmentationNetwork, data: TrainingData, adversarial: bool) -> None:
    """Train as the loop does, in the fewest lines."""
    groups = network.parameter_groups(RATE, 10.0)
    sgd = torch.optim.SGD(groups, lr=RATE, momentum=0.9, weight_decay=5e-4)
    judges = [output_discriminator(CLASSES) for _ in range(2)] if adversarial else []
    adams = [torch.optim.Adam(j.parameters(), lr=1e-4, betas=(0.9, 0.99)) for j in judges]
    network.train()
    for step in range(STEPS):
        batch = data.draw(step)
        for optimizer in (sgd, *adams):
            optimizer.zero_grad()
        for group, first in zip(sgd.param_groups, (RATE, 10 * RATE), strict=True):
            group["lr"] = first * (1 - step / STEPS) ** 0.9
        for adam in adams:
            adam.param_groups[0]["lr"] = 1e-4 * (1 - step / STEPS) ** 0.9
        source = supervised(network, batch.source.images, batch.source.labels)
        if judges:
            align(network, judges, [information(z) for z in source], batch.target.images)
        sgd.step()
        for adam in adams:
            adam.step()


def align(
    network: SegmentationNetwork,
    judges: list[torch.nn.Sequential],
    source: list[Tensor],
    images: Tensor,
) -> None:
    """Fool the discriminators, then train them."""
    output = network(images)
    assert output.aux_logits is not None
    target = [information(upsample(z, SIZE)) for z in (output.logits, output.aux_logits)]
    for judge in judges:
        judge.requires_grad_(False)
    main, aux = (verdict(judge(z), 0.0) for judge, z in zip(judges, target, strict=True))
    (0.001 * main + 0.0002 * aux).backward()  # type: ignore[no-untyped-call]
    for judge, ours, theirs in zip(judges, source, target, strict=True):
        judge.requires_grad_(True)
        loss = verdict(judge(ours.detach()), 0.0) + verdict(judge(theirs.detach()), 1.0)
        (loss / 2).backward()  # type: ignore[no-untyped-call]


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time of a call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(name: str, method: Callable[[], Method], data: TrainingData) -> float:
    """Print the time of a step on both sides and return the ratio."""
    reference = load("deeplab_tiny").reference
    settings = TrainingSettings(steps=STEPS, batch_size=BATCH, learning_rate=RATE)
    loop_times, bare_times = [], []
    for repeat in range(REPEATS + 1):
        ours, theirs = build(reference, CLASSES), build(reference, CLASSES)

        def loop(network: SegmentationNetwork = ours) -> object:
            return fit(method(), network, data, settings, seed=0, device=torch.device("cpu"))

        def plain(network: SegmentationNetwork = theirs) -> None:
            bare(network, data, adversarial=name == "advent")

        # Who comes first changes, and the first repeat warms up.
        pair = [seconds(loop), seconds(plain)] if repeat % 2 else [seconds(plain), seconds(loop)]
        if repeat:
            loop_times.append(pair[0 if repeat % 2 else 1])
            bare_times.append(pair[1 if repeat % 2 else 0])
    ratios = [a / b for a, b in zip(loop_times, bare_times, strict=True)]
    ours_ms, bare_ms = (statistics.median(t) * 1e3 / STEPS for t in (loop_times, bare_times))
    ratio = statistics.median(ratios)
    print(f"{name:12} loop {ours_ms:7.1f} ms  bare {bare_ms:7.1f} ms per step  ratio {ratio:.3f}")
    print(f"{'':12} fastest: loop {min(loop_times) * 1e3 / STEPS:.1f} ms, ", end="")
    print(
        f"bare {min(bare_times) * 1e3 / STEPS:.1f} ms; ratios {min(ratios):.3f}..{max(ratios):.3f}"
    )
    return ratio


def main() -> int:
    """Compare both methods; 1 if the loop costs more than five per cent."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        data = noise(Path(folder))
        ratios = [compare("source_only", SourceOnly, data), compare("advent", Advent, data)]
    return int(max(ratios) > 1.05)


if __name__ == "__main__":
    sys.exit(main())
