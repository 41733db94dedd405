"""What scoring a candidate of the quickstart costs: all default scores, and each score alone.

Run: ``OMP_NUM_THREADS=1 python benchmarks/default_scores.py``. The reference of ``deeplab_tiny`` is
trained as a trial of ``configs/quickstart.yaml`` and then scored as a trial is. Default scores are
those of the default objective and those that shipped configs list. Two ratios follow: their time
over that of the training, and over that of the forward passes of both domains with upsampled
logits, which nobody can do without. Then, for every score, what it adds to the pass over the sample
and what it takes to compute. All is processor time on one thread, so that a busy machine slows all
parts alike; scoring takes turns with the forward passes, and medians count. Images, regions and the
predictions of the committee are there beforehand, as for all candidates but the first.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from autoadapt.config.load import load
from autoadapt.config.settings import ExperimentSettings
from autoadapt.experiment.trial import domains_of, measure, picked, train
from autoadapt.networks.build import build
from autoadapt.networks.contract import SegmentationNetwork, upsample
from autoadapt.plugins import available
from autoadapt.scores._compute import make
from autoadapt.scores.base import Need, Statistics
from autoadapt.space import load as load_space
from autoadapt.training.model import MODEL

CPU = torch.device("cpu")
COSTS = {"macs": 1.0, "params": 1.0}
DEFAULT = ("mmd", "reent", "entropy", "regim", "softmax_corr")
"""Of the default objective, and listed in ``configs/day_to_dusk.yaml``."""
ROUNDS = 7


def seconds(call: Callable[[], object]) -> float:
    """Return the processor time of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def needs_of(names: Iterable[str]) -> frozenset[Need]:
    """Return what scores need together."""
    return frozenset[Need]().union(*(make(name, {}).needs for name in names))


class Candidate:
    """A trained network of the quickstart, ready to be scored."""

    def __init__(self, folder: Path) -> None:
        changes = ["data.source.hold_out=40", f"data.cache={folder}", "device=cpu"]
        settings = load("quickstart", [*changes, f"scoring.committee=['{folder / MODEL}']"])
        self.settings: ExperimentSettings = settings
        self.domains = domains_of(settings.data)
        architecture = load_space("deeplab_tiny").reference
        classes = len(self.domains.classes)
        self.untrained: Callable[[], SegmentationNetwork] = lambda: build(
            architecture, classes, seed=1
        )
        for image in (self.domains.source.unlabelled(), self.domains.target):  # decode them
            image.images(range(len(image)))
        self.trained = 0.0
        start = time.process_time()
        self.fitted = train(
            architecture,
            settings.search.method,
            settings.search.training,
            self.domains,
            settings.data,
            seed=1,
            device=CPU,
            folder=folder,
        )
        self.trained = time.process_time() - start
        self.batches: list[Tensor] = [
            batch
            for images in (self.domains.source.unlabelled(), self.domains.target)
            for batch in picked(images, settings).batches(
                settings.scoring.batch_size, settings.data.normalisation
            )
        ]

    def forward(self) -> None:
        """Run the network over both domains."""
        with torch.inference_mode():
            for images in self.batches:
                upsample(self.fitted.network(images).logits, self.settings.data.size)

    def collect(self, needs: frozenset[Need] = frozenset()) -> Statistics:
        """Read the sample as a trial does."""
        return measure(
            self.fitted,
            self.domains,
            self.settings,
            device=CPU,
            costs=COSTS,
            needs=needs,
            untrained=self.untrained,
        )

    def score(self) -> None:
        """Collect and compute the default scores."""
        found = self.collect(needs_of(DEFAULT))
        for name in DEFAULT:
            make(name, {})(found)


def compare(candidate: Candidate) -> None:
    """Print both ratios of the default scores."""
    candidate.score()
    candidate.forward()
    turns = [(seconds(candidate.score), seconds(candidate.forward)) for _ in range(ROUNDS)]
    scoring = statistics.median(score for score, _ in turns)
    ratios = sorted(score / forward for score, forward in turns)
    steps = candidate.settings.search.training.steps
    print(f"training, {steps} steps of {candidate.settings.search.method.name}: ", end="")
    print(f"{candidate.trained:.2f} s; scores {', '.join(DEFAULT)}: {scoring:.3f} s")
    print(f"scores / training: {scoring / candidate.trained:.3f} (wanted: below 0.10)")
    print(
        f"scores / forward passes: {statistics.median(ratios):.2f} "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f}; wanted: 1.5 or less)"
    )


def each(candidate: Candidate) -> None:
    """Print what each score adds to the pass over the sample, and what it takes to compute."""
    every = needs_of(available("scores")) - {"pool", "teacher"}
    full = candidate.collect(every)
    calls = {need: partial(candidate.collect, frozenset({need})) for need in sorted(every)}
    turns = [
        (seconds(candidate.collect), {need: seconds(call) for need, call in calls.items()})
        for _ in range(3)
    ]
    plain = min(alone for alone, _ in turns)
    extra = {need: max(0.0, min(more[need] for _, more in turns) - plain) for need in calls}
    print(
        f"pass over the sample {plain:.3f} s, everything measured {sum(extra.values()):.3f} s more"
    )
    rows = []
    for name in available("scores"):
        score = make(name, {})
        try:
            took = min(seconds(partial(score, full)) for _ in range(3))
        except ValueError as error:
            print(f"{name:28} missing: {error}")
            continue
        rows.append((sum(extra.get(need, 0.0) for need in score.needs) + took, name, took))
    for total, name, took in sorted(rows, reverse=True):
        print(f"{name:28} {1e3 * total:8.1f} ms, of which to compute {1e3 * took:6.1f} ms")
    print(f"{'all to compute':28} {1e3 * sum(took for *_, took in rows):8.1f} ms")


def main() -> None:
    """Print ratios and the table."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        candidate = Candidate(Path(folder))
        compare(candidate)
        each(candidate)


if __name__ == "__main__":
    main()
