"""A step of AdvEnt on DeepLabV2-ResNet101 on a GPU: ``python benchmarks/gpu_step.py``.

One source and one target image of 512 x 1024, 19 classes, both levels. The baseline is the step of
the released code in its order of operations: fp32, eager, each loss and each discriminator pass by
itself. Against it stands the loop of this package in bf16, in bf16 with channels-last tensors, and
compiled on top. Each runs alone on fresh weights; printed are the median time of a step, peak
memory, and both over the baseline (aims: at most a third of the time and 0.6 of the memory).

fp32 is real fp32. A baseline whose convolutions may use TF32, which PyTorch allows by default and
the papers did not have, is shown as well.

Without CUDA nothing is measured. ``--rehearse`` runs all of it on a tiny network and small images
on the CPU, to see that it works; its numbers mean nothing.
"""

import argparse
import contextlib
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from autoadapt.config.settings import DatasetSettings, DataSettings, Size, TrainingSettings
from autoadapt.data.batches import IGNORE
from autoadapt.data.cache import Rows, write_rows
from autoadapt.data.images import LabelledImages, UnlabelledImages
from autoadapt.data.training import StepBatch, TrainingData
from autoadapt.networks.batch_norm import freeze_norm_affine
from autoadapt.networks.build import build, find_family
from autoadapt.networks.contract import SegmentationNetwork, upsample
from autoadapt.space import Architecture
from autoadapt.space.named import named
from autoadapt.training.fit import Loop
from autoadapt.uda._discriminator import output_discriminator
from autoadapt.uda.advent import Advent

CLASSES, IMAGES, RATE = 19, 4, 2.5e-4
SOURCE, TARGET = 0.0, 1.0
Step = Callable[[], object]


@dataclass(frozen=True)
class Scene:
    """What is trained, on what, and how often.

    Attributes:
        warm_up: Steps before the clock starts; compilation and the choice of kernels fall here.
        steps: Timed steps.
    """

    architecture: Architecture
    size: Size
    device: torch.device
    warm_up: int
    steps: int


@dataclass(frozen=True)
class Measured:
    """Median seconds of a step, and peak memory in bytes (NaN on a CPU)."""

    seconds: float
    memory: float


def noise(folder: Path, size: Size) -> TrainingData:
    """Return both domains, a few images of noise each."""
    rng = np.random.default_rng(0)

    def rows(name: str, shape: tuple[int, ...], values: int) -> Rows:
        made = (rng.integers(0, values, shape, np.uint8) for _ in range(IMAGES))
        return write_rows(folder / f"{name}.rows", made, key=name, shape=shape)

    def pictures(name: str) -> UnlabelledImages:
        ids = tuple(f"{name}{number}" for number in range(IMAGES))
        return UnlabelledImages(ids, ids, rows(name, (*size, 3), 256), tuple(range(IMAGES)))

    names, indices = tuple(map(str, range(CLASSES))), tuple(range(IMAGES))
    source = LabelledImages(names, rows("labels", size, CLASSES), indices, pictures("source"))
    unused = DatasetSettings(kind="procedural")
    settings = DataSettings(source=unused, target=unused, size=size, normalisation="caffe_bgr")
    return TrainingData(source, pictures("target"), CLASSES, settings, batch_size=1, seed=0)


class Released:
    """A step of AdvEnt as its authors released it, except that each parameter is listed once."""

    def __init__(self, scene: Scene) -> None:
        self.size = scene.size
        self.network = build(scene.architecture, CLASSES).to(scene.device).train()
        freeze_norm_affine(self.network)
        self.judges = nn.ModuleDict(
            {level: output_discriminator(CLASSES) for level in ("aux", "main")}
        ).to(scene.device)
        groups = self.network.parameter_groups(RATE, 10.0)
        self.sgd = torch.optim.SGD(groups, lr=RATE, momentum=0.9, weight_decay=5e-4)
        self.adams = [
            torch.optim.Adam(judge.parameters(), lr=1e-4, betas=(0.9, 0.99))
            for judge in self.judges.values()
        ]

    def step(self, batch: StepBatch) -> dict[str, Tensor]:
        """Source loss, adversarial loss, both discriminators on both domains, all moves.

        Returns the weighted losses under the names that the loop gives them.
        """
        for optimizer in (self.sgd, *self.adams):
            optimizer.zero_grad()
        self.judges.requires_grad_(False)
        source = self.levels(batch.source.images)
        taught = {name: self.supervised(z, batch.source.labels) for name, z in source.items()}
        losses = {"source": taught["main"], "source_aux": 0.1 * taught["aux"]}
        back(losses["source"] + losses["source_aux"])
        target = self.levels(batch.target.images)
        fooled = {name: self.judge(name, information(z), SOURCE) for name, z in target.items()}
        losses |= {"fool_main": 0.001 * fooled["main"], "fool_aux": 0.0002 * fooled["aux"]}
        back(losses["fool_main"] + losses["fool_aux"])
        self.judges.requires_grad_(True)
        for maps, label in ((source, SOURCE), (target, TARGET)):
            for name, logits in maps.items():
                told = self.judge(name, information(logits.detach()), label) / 2
                back(told)
                losses[f"tell_{name}"] = losses.get(f"tell_{name}", 0.0) + told
        for optimizer in (self.sgd, *self.adams):
            optimizer.step()
        return {name: loss.detach() for name, loss in losses.items()}

    def levels(self, images: Tensor) -> dict[str, Tensor]:
        """Return both outputs at the size of the images."""
        output = self.network(images)
        assert output.aux_logits is not None
        return {
            "aux": upsample(output.aux_logits, self.size),
            "main": upsample(output.logits, self.size),
        }

    def supervised(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the source loss of one level."""
        return functional.cross_entropy(logits, labels, ignore_index=IGNORE)

    def judge(self, name: str, maps: Tensor, label: float) -> Tensor:
        """Return the loss of one discriminator."""
        scores = self.judges[name](maps)
        wanted = torch.full_like(scores, label)
        return functional.binary_cross_entropy_with_logits(scores, wanted)


def back(loss: Tensor) -> None:
    """Add the gradients of a loss."""
    loss.backward()  # type: ignore[no-untyped-call]


def information(logits: Tensor) -> Tensor:
    """Return self-information maps as released: softmax first, then a logarithm to base 2."""
    prob = functional.softmax(logits, dim=1)
    return -prob * torch.log2(prob + 1e-30) / math.log2(CLASSES)


@contextlib.contextmanager
def convolutions(*, tf32: bool) -> Iterator[None]:
    """Let convolutions round to TF32, or not; kernels are chosen by trying them, as released."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=tf32):
        yield


def time_steps(step: Step, scene: Scene) -> Measured:
    """Warm up, then time steps one by one."""
    for _ in range(scene.warm_up):
        step()
    cuda = scene.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(scene.device)
    seconds = []
    for _ in range(scene.steps):
        wait(scene.device)
        start = time.perf_counter()
        step()
        wait(scene.device)
        seconds.append(time.perf_counter() - start)
    memory = torch.cuda.max_memory_allocated(scene.device) if cuda else math.nan
    return Measured(statistics.median(seconds), memory)


def wait(device: torch.device) -> None:
    """Wait until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def released(scene: Scene, data: TrainingData, *, tf32: bool) -> Measured:
    """Measure the released order of operations in fp32."""
    with convolutions(tf32=tf32):
        bench, batch = Released(scene), data.draw(0).to(scene.device)
        return time_steps(lambda: bench.step(batch), scene)


def ours(
    scene: Scene,
    data: TrainingData,
    folder: Path,
    *,
    channels_last: bool = False,
    compiled: bool = False,
) -> Measured:
    """Measure a step of the loop in bf16."""
    settings = TrainingSettings(
        steps=scene.warm_up + scene.steps,
        batch_size=1,
        learning_rate=RATE,
        norm_affine="frozen",
        precision="bf16",
        channels_last=channels_last,
        compile=compiled,
    )
    with convolutions(tf32=True):
        network: SegmentationNetwork = build(scene.architecture, CLASSES)
        loop = Loop(Advent(), network, data, settings, 0, scene.device, folder)
        (stretch,) = loop.stretches
        loop.begin(stretch)
        batches = loop.moved(loop.draw(data, 0))

        def step() -> None:
            loop.take_step(stretch, batches)
            loop.latest.pending.clear()

        return time_steps(step, scene)


def scene_on(device: torch.device, *, rehearse: bool) -> Scene:
    """Return what is measured, or its miniature."""
    if not rehearse:
        return Scene(named("deeplabv2_resnet101"), (512, 1024), device, warm_up=10, steps=30)
    values = find_family("elastic_deeplab").smoke_values
    return Scene(Architecture.of("elastic_deeplab", values), (64, 96), device, warm_up=1, steps=2)


def report(name: str, found: Measured, baseline: Measured) -> None:
    """Print one line."""
    print(
        f"{name:36} {found.seconds * 1e3:8.1f} ms {found.memory / 2**30:7.2f} GiB   "
        f"time x{found.seconds / baseline.seconds:.2f}  "
        f"speed x{baseline.seconds / found.seconds:.2f}  "
        f"memory x{found.memory / baseline.memory:.2f}",
        flush=True,
    )


def measure(scene: Scene) -> None:
    """Print all variants."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = noise(folder, scene.size)
        baseline = released(scene, data, tf32=False)
        report("released order, fp32, eager", baseline, baseline)
        report("released order, TF32, eager", released(scene, data, tf32=True), baseline)
        for title, last, compiled in (
            ("loop, bf16", False, False),
            ("loop, bf16, channels last", True, False),
            ("loop, bf16, channels last, compiled", True, True),
        ):
            if scene.device.type == "cuda":
                torch.cuda.empty_cache()
            found = ours(scene, data, folder, channels_last=last, compiled=compiled)
            report(title, found, baseline)


def main(arguments: list[str] | None = None) -> int:
    """Measure where there is a GPU; elsewhere say that there is none."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rehearse", action="store_true", help="tiny, also without a GPU")
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available() and not options.rehearse:
        print("no CUDA device here: nothing is measured (--rehearse runs it in miniature)")
        return 0
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU, a rehearsal"
    print(f"{name}, PyTorch {torch.__version__}")
    measure(scene_on(device, rehearse=options.rehearse))
    return 0


if __name__ == "__main__":
    sys.exit(main())
