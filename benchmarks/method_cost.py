"""What each method costs over source-only training: ``python benchmarks/method_cost.py``.

The reference of deeplab_tiny is trained from scratch for 40 steps at 96 x 128, with batches of 4
out of 32 rendered images per domain, by each method with ``preset: quick``. Measured is processor
time on one thread, the median ratio of three trainings, each next to one of source-only, so that
a busy machine slows both alike. Prints the table of ``autoadapt/uda/_cost_factors.py``, and how
far the three ratios lie apart.
"""

import statistics
import sys
import time
from dataclasses import replace

import torch

from autoadapt.config.load import load as load_config
from autoadapt.config.load import make
from autoadapt.config.settings import PluginSettings, TrainingSettings
from autoadapt.data.training import TrainingData
from autoadapt.data.views import subset
from autoadapt.experiment.trial import domains_of
from autoadapt.networks.build import build
from autoadapt.plugins import available, find
from autoadapt.space import load
from autoadapt.training.fit import fit

STEPS, IMAGES, REPEATS = 40, 32, 3


def rendered() -> TrainingData:
    """Return both domains of the quickstart, few images of each."""
    counts = [f"data.{domain}.count={IMAGES}" for domain in ("source", "target")]
    settings = load_config("quickstart", counts).data
    domains = domains_of(settings)
    classes = len(domains.classes)
    return TrainingData(domains.source, domains.target, classes, settings, batch_size=4, seed=0)


def seconds(name: str, data: TrainingData) -> float:
    """Return the processor time of one training."""
    method = make("uda", PluginSettings(name=name, options={"preset": "quick"}))
    network = build(load("deeplab_tiny").reference, data.num_classes)
    start = time.process_time()
    fit(method, network, data, TrainingSettings(steps=STEPS), seed=0, device=torch.device("cpu"))
    return time.process_time() - start


def data_for(name: str, data: TrainingData) -> TrainingData:
    """Return the data, with a second source for methods that keep several apart."""
    if find("uda", name).needs.sources == 1:
        return data
    half = len(data.source) // 2
    return replace(data, further={"second": subset(data.source, range(half))})


def ratios(name: str, data: TrainingData) -> list[float]:
    """Return the ratios of a method to source-only training beside it, in ascending order."""
    found = []
    for _ in range(REPEATS):
        baseline = seconds("source_only", data)
        found.append(seconds(name, data_for(name, data)) / baseline)
    return sorted(found)


def main(names: list[str]) -> None:
    """Measure the named methods, or all."""
    torch.set_num_threads(1)
    data = rendered()
    for name in names or available("uda"):
        found = ratios(name, data)
        factor = statistics.median(found)
        print(f'    "{name}": {factor:.1f},  # {found[0]:.2f} to {found[-1]:.2f}', flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
