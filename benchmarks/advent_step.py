"""A step of AdvEnt against the order of the released code: ``python -m benchmarks.advent_step``.

Both take the same step from the same weights on the same images: each domain passes the network by
itself, with batch statistics that both move. The released order asks each discriminator three
times, for the source, for the target and once more for the target that is to fool it, and computes
the maps of the target twice; every operation on maps goes through memory by itself. The loop asks
about the target once, computes its maps once, those of the source without a graph, and has a
derivative of its own for them.

First both are compared: losses, gradients, and network and running statistics after a step; they
differ by rounding alone (``TOLERANCE``, as vectors: the released maps come from a softmax and a
logarithm to base 2). Weights of discriminators are not: the first step of
Adam goes by the signs of gradients, also of those that are nearly 0.

Then processor time on one thread, interleaved, the median of the pairwise ratios (aim: 1.3 at
least). On a GPU ``gpu_step.py`` measures bf16, channels last and compilation.
"""

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from autoadapt.config.settings import TrainingSettings
from autoadapt.data.training import StepBatch, TrainingData
from autoadapt.networks.build import build
from autoadapt.space import load
from autoadapt.training.fit import Loop
from autoadapt.uda.advent import Advent
from benchmarks.gpu_step import Released, Scene, noise

CPU = torch.device("cpu")
TOLERANCE = 5e-3
STEPS = 1000
"""Of the schedule: the first step has nearly the full rate on both sides."""


@dataclass
class Ours:
    """The step of the loop."""

    loop: Loop
    channels_last: bool = False

    def step(self, batch: StepBatch) -> dict[str, Tensor]:
        """Take the first step, again and again, and return its losses."""
        self.loop.step = 0
        self.loop.latest.pending.clear()
        self.loop.take_step(self.loop.stretches[0], [batch.to(CPU, self.channels_last)])
        return {name: loss for _, name, loss in self.loop.latest.pending}

    def modules(self) -> dict[str, nn.Module]:
        """Return network and discriminators by name."""
        return {"network": self.loop.network, **self.loop.context.modules}


def ours(scene: Scene, data: TrainingData, folder: Path, *, channels_last: bool) -> Ours:
    """Return the loop with fresh weights."""
    settings = TrainingSettings(
        steps=STEPS, learning_rate=2.5e-4, norm_affine="frozen", channels_last=channels_last
    )
    network = build(scene.architecture, data.num_classes, seed=0)
    loop = Loop(Advent(), network, data, settings, 0, CPU, folder)
    loop.begin(loop.stretches[0])
    return Ours(loop, channels_last)


def modules_of(released: Released) -> dict[str, nn.Module]:
    """Return network and discriminators by name, as ``Ours.modules``."""
    return {"network": released.network, **dict(released.judges.items())}


def align(mine: Ours, theirs: Released) -> None:
    """Give both sides the same weights."""
    for name, module in modules_of(theirs).items():
        mine.modules()[name].load_state_dict(module.state_dict())


def difference(mine: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    """Return how far two vectors are apart, in units of the second, the worst of each module.

    As vectors, since rounding that carries one number across the kink of a rectifier changes the
    gradients of a few weights by more than itself.
    """
    if mine.keys() != theirs.keys():
        raise SystemExit(f"different names: {sorted(mine.keys() ^ theirs.keys())}")
    found = []
    for module in {name.partition(".")[0] for name in theirs}:
        names = [name for name in theirs if name.partition(".")[0] == module]
        apart = math.sqrt(sum(float((mine[n] - theirs[n]).double().square().sum()) for n in names))
        found.append(
            apart / math.sqrt(sum(float(theirs[n].double().square().sum()) for n in names))
        )
    return max(found)


def gradients(modules: dict[str, nn.Module]) -> dict[str, Tensor]:
    """Return the gradients by name."""
    return {
        f"{module}.{name}": parameter.grad
        for module, part in modules.items()
        for name, parameter in part.named_parameters()
        if parameter.grad is not None
    }


def floating(network: nn.Module) -> dict[str, Tensor]:
    """Return weights and running statistics by name."""
    return {name: t for name, t in network.state_dict().items() if t.is_floating_point()}


def check_same(mine: Ours, theirs: Released, batch: StepBatch) -> str:
    """Take a step on both sides and return how far they differ, in words."""
    losses = mine.step(batch), theirs.step(batch)
    networks = mine.loop.network, theirs.network
    found = {
        "losses": difference(*losses),
        "gradients": difference(gradients(mine.modules()), gradients(modules_of(theirs))),
        "network": difference(floating(networks[0]), floating(networks[1])),
    }
    if max(found.values()) > TOLERANCE:
        raise SystemExit(f"not the same step: {found}, expected at most {TOLERANCE}")
    return ", ".join(f"{name} differ by {value:.1e}" for name, value in found.items())


def seconds(step: Callable[[StepBatch], object], batch: StepBatch) -> float:
    """Return the processor time of a step."""
    start = time.process_time()
    step(batch)
    return time.process_time() - start


def compare(scene: Scene, batch_size: int, repeats: int) -> None:
    """Print differences, then the ratio of times, without and with channels last."""
    with tempfile.TemporaryDirectory() as name:
        data = replace(noise(Path(name), scene.size), batch_size=batch_size)
        batch = data.draw(0)
        for channels_last in (False, True):
            mine = ours(scene, data, Path(name), channels_last=channels_last)
            theirs = Released(scene)
            align(mine, theirs)
            title = "channels last" if channels_last else "as it comes"
            print(f"{title}: {check_same(mine, theirs, batch)}")
            times = [
                (seconds(mine.step, batch), seconds(theirs.step, batch)) for _ in range(repeats)
            ]
            ratios = sorted(their / own for own, their in times)
            own, their = (statistics.median(side) for side in zip(*times, strict=True))
            print(
                f"  released order {their * 1e3:.0f} ms, loop {own * 1e3:.0f} ms, ratio "
                f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            )


def main() -> None:
    """Compare on the reference of deeplab_tiny."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, nargs=2, default=(120, 160), help="height and width")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    size = (options.size[0], options.size[1])
    scene = Scene(load("deeplab_tiny").reference, size, CPU, warm_up=0, steps=0)
    compare(scene, options.batch, options.repeats)


if __name__ == "__main__":
    main()
