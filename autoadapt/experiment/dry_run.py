"""What a search would do and what it would take, without training or decoding anything.

Whatever would stop the real run before its first trial stops this one with the same message:
mistakes in the config, missing data or weights, classes that do not fit, a method that lacks
something, limits that nothing meets, a run folder of another config, a device or a cluster that is
not there.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from autoadapt.config.conventions import convention_words
from autoadapt.config.settings import ExperimentSettings, Size, TrainingSettings
from autoadapt.data.open import count_images
from autoadapt.experiment import estimates
from autoadapt.experiment.blank import check_methods
from autoadapt.experiment.estimates import Machine
from autoadapt.experiment.outlook import (
    Costs,
    Need,
    Outlook,
    domains_in_a_step,
    images_seen,
    training_size,
)
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.selection import check_selection
from autoadapt.experiment.throughput import measured_throughput
from autoadapt.experiment.trial import device_named
from autoadapt.experiment.weights import planned_starts
from autoadapt.networks.build import skeleton


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that a dry run has to say.

    Attributes:
        images: Number of images per data set, by key below ``data``.
        sizes: Height and width that they are resized to.
        cache_bytes: Disk space of the decoded images.
        architectures: Size of the space, limits not considered.
        trials: All trials of the search, named networks included.
        done: Those that are over in an existing run folder.
        costs: The cheapest and the dearest sampled architecture, the reference, named networks.
        images_per_trial: Images that one trial looks at while it trains, both domains.
        weights: What networks start from, a sentence each; nothing: random weights.
        scored: Images per domain that each trial is scored on.
        contenders: What is trained fully after the search, and the seeds of each.
        convention: How models are evaluated, in words; absent without evaluation data.
        device: Where a trial trains: on a cluster, where it would on this machine.
        cpus: Asked for by each trial on a cluster, as ``gpus``.
        parallel: Trials at the same time.
        needs: This machine first, then known GPUs.
        assumptions: What the estimates rest on.
    """

    name: str
    images: Mapping[str, int]
    sizes: Mapping[str, Size]
    classes: int
    cache_bytes: int
    space: str
    architectures: int
    limits: Mapping[str, tuple[float, float]]
    trials: int
    done: int
    named: tuple[str, ...]
    costs: tuple[Costs, ...]
    method: str
    training: TrainingSettings
    images_per_trial: int
    scored: int
    weights: tuple[str, ...]
    contenders: tuple[str, ...]
    seeds: tuple[int, ...]
    adapt_training: TrainingSettings | None
    convention: str | None
    executor: str
    device: str
    cpus: float
    gpus: float
    parallel: int
    needs: tuple[Need, ...]
    assumptions: tuple[str, ...]


def plan_of(settings: ExperimentSettings, folder: Path, *, measure: bool = False) -> Plan:
    """Return what a search with these settings into this folder would do.

    Args:
        settings: Of the experiment.
        folder: Run folder; need not exist.
        measure: Whether a few training steps of the reference are timed on this device.

    Raises:
        AutoAdaptError: What would stop the real run before its first trial.
    """
    run = RunFolder(folder)
    run.check(settings)
    parallel = parallel_trials(settings)
    device = device_named(settings.device)
    images = count_images(settings.data)
    outlook = Outlook(settings, images, parallel)
    search, adapt = settings.search, settings.adapt
    network = skeleton(outlook.reference, len(outlook.classes))
    check_methods(settings, network, outlook.classes)
    check_selection(settings, settings.adapt)
    measured = None
    if measure:
        classes = len(outlook.classes)
        measured = measured_throughput(outlook.reference, classes, settings, device)
    return Plan(
        name=settings.name,
        images=images,
        sizes={key: settings.data.size_of(key) for key in images},
        classes=len(outlook.classes),
        cache_bytes=outlook.cache_bytes,
        space=outlook.space.name,
        architectures=outlook.space.count(),
        limits=outlook.limits,
        trials=outlook.trials,
        done=len(run.records()),
        named=tuple(outlook.named),
        costs=tuple(outlook.costs()),
        method=search.method.name,
        training=search.training,
        images_per_trial=len(domains_in_a_step(search.method)) * images_seen(search.training),
        scored=min(settings.scoring.images, images["target"]),
        weights=tuple(planned_starts(settings, len(outlook.classes))),
        contenders=tuple(contender.name for contender in outlook.contenders),
        seeds=adapt.seeds if adapt else (),
        adapt_training=adapt.training if adapt else None,
        convention=evaluated(settings),
        executor=settings.executor.kind,
        device=str(device),
        cpus=settings.executor.cpus,
        gpus=settings.executor.gpus,
        parallel=parallel,
        needs=tuple(outlook.needs(this_machine(settings, device), measured)),
        assumptions=tuple(assumptions(settings, measured is not None)),
    )


def evaluated(settings: ExperimentSettings) -> str | None:
    """Return how models are evaluated, in words; nothing where there are no images for it."""
    if settings.data.evaluation is None:
        return None
    return convention_words(settings.evaluation.convention)


def parallel_trials(settings: ExperimentSettings) -> int:
    """Return how many trials run at the same time, as far as this machine can tell.

    Raises:
        ExecutorError: This machine cannot run a trial.
    """
    executor = settings.executor
    if executor.kind != "ray":
        return 1
    from autoadapt.experiment.executors import ray

    ray.check_request(settings)
    if executor.address is not None:
        return executor.parallel or 1
    own = {"CPU": float(os.cpu_count() or 1), "GPU": float(torch.cuda.device_count())}
    return ray.trials_at_once(executor, [own])


def this_machine(settings: ExperimentSettings, device: torch.device) -> Machine | None:
    """Return this device as a data sheet would; nothing for a GPU that has none here."""
    if device.type == "cpu":
        return estimates.processor(settings.threads or torch.get_num_threads())
    own = torch.cuda.get_device_properties(device)
    known = (one for one in estimates.MACHINES if one.name.rsplit(" ", 2)[0] in own.name)
    found = next(known, None)
    return found and replace(found, name=f"this machine, {own.name}", memory=own.total_memory)


def assumptions(settings: ExperimentSettings, measured: bool) -> Iterator[str]:
    """Yield what the estimates rest on, one sentence each."""
    sizes = {training_size(settings.data, key): None for key in ("source", "target")}
    where = " and ".join(f"{width}x{height}" for height, width in sizes)
    yield (
        f"time: 3 x multiply-adds x images at {where}; a backward pass costs two forward passes; "
        "each domain goes through the network once per step"
    )
    if measured:
        yield (
            "this machine: throughput of timed training steps of the reference with the method, "
            "scaled by size"
        )
    yield (
        f"throughput, where it is not measured: {estimates.MATRIX:.0%} of the peak of matrix "
        f"units, {estimates.PLAIN:.0%} of ordinary units, {estimates.PROCESSOR:.0%} on a "
        "processor; extra networks of the method are not counted"
    )
    yield (
        "not counted: rounds of the method, decoding, loading, reports; each trial is taken to "
        "cost what the reference costs"
    )
    yield (
        f"memory: weights, gradients, optimiser state; {estimates.KEPT:g} tensors per convolution "
        f"kept for one domain; {estimates.MAPS} class maps per output; 1 GiB for the device"
    )
    if settings.executor.kind == "ray" and settings.executor.address is not None:
        yield "trials at a time: the cluster is not asked, executor.parallel is taken (else 1)"
