"""One trial: build, train, score, write down; the same code wherever it runs.

A trial never sees labelled target images: the settings it gets have no evaluation data, and the
target it opens is of a type without labels.
"""

import dataclasses
import functools
import json
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from torch import Tensor

from autoadapt.config.load import make, score_names, to_plain
from autoadapt.config.settings import (
    DataSettings,
    ExperimentSettings,
    Normalisation,
    PluginSettings,
    TrainingSettings,
    WeightsSettings,
)
from autoadapt.cost import latency
from autoadapt.data.batching import chunks
from autoadapt.data.cache import cache_folder
from autoadapt.data.images import LabelledImages, UnlabelledImages
from autoadapt.data.open import (
    class_names,
    open_further_sources,
    open_held_out,
    open_source,
    open_target,
)
from autoadapt.data.regions import RegionMaps
from autoadapt.data.training import TrainingData
from autoadapt.data.transforms import normalise
from autoadapt.data.views import joined
from autoadapt.errors import (
    AutoAdaptError,
    CheckpointError,
    ConfigError,
    ExecutorError,
    TrainingDivergedError,
)
from autoadapt.experiment.committee import committee_files, hash_of
from autoadapt.experiment.run_folder import snapshot_folder
from autoadapt.experiment.weights import start_of
from autoadapt.files import sweep, waiting_lock, write_json, write_text
from autoadapt.interrupts import heeding
from autoadapt.networks.build import build
from autoadapt.networks.contract import SegmentationNetwork
from autoadapt.records import Record
from autoadapt.scores._collect import Sample, collect
from autoadapt.scores._compute import Computed, compute_timed
from autoadapt.scores._compute import make as make_score
from autoadapt.scores._sums import label_statistics
from autoadapt.scores.base import Need, RegionStatistics, Score, Statistics
from autoadapt.seeding import derive
from autoadapt.space.architecture import Architecture
from autoadapt.training.fit import Fitted, Progress, fit, shares_of
from autoadapt.training.model import MODEL, Model, card_of, load_model, save_model
from autoadapt.training.step_log import STEPS, StepLog
from autoadapt.uda.base import Method

OnProgress = Callable[[int, Progress], None]


@dataclass(frozen=True)
class Task:
    """One trial to run: plain values, ready to be sent to another machine."""

    number: int
    architecture: Architecture
    origin: str
    parents: tuple[str, ...]
    costs: Mapping[str, float]
    folder: Path

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "number": self.number,
            "architecture": self.architecture.to_json(),
            "origin": self.origin,
            "parents": list(self.parents),
        }


@dataclass(frozen=True)
class Domains:
    """Both domains, opened once per process.

    Attributes:
        source: The images of all labelled sources as one set.
        target: Without labels.
        first: Those of ``data.source`` alone; the same as ``source`` where there is no other.
        further: Those of the other sources, by name.
    """

    classes: tuple[str, ...]
    source: LabelledImages
    target: UnlabelledImages
    first: LabelledImages
    further: Mapping[str, LabelledImages]


def without_evaluation(settings: ExperimentSettings) -> ExperimentSettings:
    """Return the settings as a trial may see them: no labelled target images, no adaptation.

    Nor what a bank compares once all models are trained. What is to choose among full models
    later is measured of candidates too.
    """
    data = dataclasses.replace(settings.data, evaluation=None)
    scoring = dataclasses.replace(settings.scoring, scores=score_names(settings))
    bank = settings.bank and dataclasses.replace(settings.bank, scored_truth=None)
    return dataclasses.replace(settings, data=data, scoring=scoring, adapt=None, bank=bank)


@functools.lru_cache(maxsize=2)
def open_domains(data: str) -> Domains:
    """Open source and target; the settings come as JSON so that equal ones are opened once."""
    settings = from_json_data(data)
    first, further = open_source(settings), open_further_sources(settings)
    return Domains(
        class_names(settings),
        source=joined(first, *further.values()),
        target=open_target(settings),
        first=first,
        further=further,
    )


def domains_of(settings: DataSettings) -> Domains:
    """Return both domains of an experiment, decoded once and shared by all trials."""
    return open_domains(unlabelled_key(settings))


def unlabelled_key(settings: DataSettings) -> str:
    """Return the settings of both domains as JSON, without labelled target images."""
    unlabelled = dataclasses.replace(settings, evaluation=None)
    return json.dumps(to_plain(unlabelled), sort_keys=True)


def from_json_data(data: str) -> DataSettings:
    """Undo the JSON form of data settings."""
    settings: DataSettings = TypeAdapter(DataSettings).validate_python(json.loads(data))
    return settings


@dataclass(frozen=True)
class Picked:
    """Some images of a domain, decoded when they are asked for."""

    images: UnlabelledImages
    indices: list[int]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> NDArray[np.uint8]:
        image: NDArray[np.uint8] = self.images.images([self.indices[position]])[0]
        return image

    def batches(self, size: int, normalisation: Normalisation) -> Iterator[Tensor]:
        """Yield normalised batches, (n, 3, H, W), in order."""
        for places in chunks(len(self), size):
            pixels = self.images.images([self.indices[place] for place in places])
            yield normalise(pixels, normalisation)


def picked(images: UnlabelledImages, settings: ExperimentSettings) -> Picked:
    """Return the images that every candidate is measured on."""
    return Picked(images, scored_images(len(images), settings.scoring.images))


def region_maps(settings: ExperimentSettings, domains: Domains) -> RegionMaps:
    """Return the regions of the measured target images, computed once and cached."""
    chosen = picked(domains.target, settings)
    key = f"{domains.target.fingerprint}-{len(chosen)}"
    folder = cache_folder(settings.data.cache) / "regions"
    return RegionMaps.open(chosen, key, settings.scoring.regions, folder)


def scored_images(available: int, wanted: int) -> list[int]:
    """Return ``wanted`` indices spread evenly over what is there; the same for every candidate."""
    number = min(available, wanted)
    return [int(index) for index in np.linspace(0, available - 1, number).round()]


def pick_device(settings: ExperimentSettings) -> torch.device:
    """Return the device of a trial, as ``device_named`` does for the name in the settings."""
    return device_named(settings.device)


def device_named(name: str) -> torch.device:
    """Return a device by name; ``auto`` is CUDA where there is one.

    Raises:
        ExecutorError: CUDA is asked for and is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ExecutorError(
            f"device is {name}, but PyTorch finds no CUDA device on this machine; "
            "use --set device=auto, or install a build of PyTorch with CUDA"
        )
    return torch.device(name)


def run_trial(
    task: Task, settings: ExperimentSettings, on_progress: OnProgress | None = None
) -> Record:
    """Run one trial, or take the result it already left in its folder.

    A candidate that diverges, runs out of memory or raises becomes a failed record with the
    reason. What would fail every trial alike (data, disk, config) is raised.

    Raises:
        AutoAdaptError: The data, the disk or the config is at fault, not this candidate.
    """
    result = task.folder / "result.json"
    with waiting_lock(task.folder / "lock"):  # a lost worker may still be running this trial
        sweep(task.folder)
        if not result.exists():
            started = time.perf_counter()
            record = attempt(task, without_evaluation(settings), on_progress)
            seconds = round(time.perf_counter() - started, 3)
            write_json(result, dataclasses.replace(record, seconds=seconds).to_json())
        (task.folder / "checkpoint.pt").unlink(missing_ok=True)
        return Record.from_json(json.loads(result.read_text()))


def attempt(task: Task, settings: ExperimentSettings, on_progress: OnProgress | None) -> Record:
    """Return the record of a trial, finished or failed."""
    try:
        with heeding():  # Ctrl-C is not the failure of a candidate, however it comes out
            return evaluate_candidate(task, settings, on_progress)
    except TrainingDivergedError as error:
        return failed(task, settings, "nan", error)
    except (MemoryError, torch.OutOfMemoryError) as error:
        return failed(task, settings, "out_of_memory", error)
    except AutoAdaptError:
        raise
    except Exception as error:
        reason = "out_of_memory" if "out of memory" in str(error).lower() else "error"
        return failed(task, settings, reason, error)


def failed(task: Task, settings: ExperimentSettings, reason: str, error: BaseException) -> Record:
    """Return the record of a failed trial; its whole traceback goes to ``error.txt``."""
    write_text(task.folder / "error.txt", "".join(traceback.format_exception(error)))
    line = str(error).strip().splitlines()
    detail = f"{type(error).__name__}: {line[0][:300] if line else 'no message'}"
    return record_of(task, settings, status="failed", reason=reason, detail=detail)


def record_of(task: Task, settings: ExperimentSettings, **known: Any) -> Record:
    """Return a record with what the task and the settings say."""
    return Record(
        number=task.number,
        architecture=task.architecture,
        seed=settings.seed,
        steps=settings.search.training.steps,
        costs=dict(task.costs),
        origin=task.origin,
        parents=task.parents,
        **known,
    )


def training_seed(settings: ExperimentSettings, number: int) -> int:
    """Return what the network and the batches of a trial follow from."""
    repetition = settings.search.training_seed
    purpose = ("training seed", repetition) if repetition else ()
    return derive(settings.seed, "trial", number, *purpose)


def evaluate_candidate(
    task: Task, settings: ExperimentSettings, on_progress: OnProgress | None
) -> Record:
    """Train a candidate and score it without labels."""
    domains = domains_of(settings.data)
    device = pick_device(settings)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    seed = training_seed(settings, task.number)
    scorers = scores_of(settings)
    if "committee" in needs_of(scorers):  # before training, which a missing file would have wasted
        committee_maps(settings, device)
    fitted = train(
        task.architecture,
        settings.search.method,
        settings.search.training,
        domains,
        settings.data,
        weights=settings.search.weights,
        seed=seed,
        device=device,
        folder=task.folder,
        on_progress=None if on_progress is None else functools.partial(on_progress, task.number),
    )
    found = score(
        fitted,
        settings,
        scorers,
        architecture=task.architecture,
        costs=task.costs,
        seed=seed,
        device=device,
    )
    return record_of(
        task,
        settings,
        status="finished",
        scores=found.values,
        score_errors=found.errors,
        score_seconds=found.seconds,
        losses=dict(fitted.losses),
        rounds=tuple(StepLog(task.folder / STEPS).rounds()),
    )


def train(
    architecture: Architecture,
    method: PluginSettings,
    training: TrainingSettings,
    domains: Domains,
    data: DataSettings,
    *,
    weights: WeightsSettings | None = None,
    seed: int,
    device: torch.device,
    folder: Path,
    on_progress: Callable[[Progress], None] | None = None,
    snapshots: Sequence[int] = (),
) -> Fitted:
    """Build a network, train it, and leave the model in the folder; resumes what was begun.

    What became of the weights it starts from, if any, is written to ``weights.json``, and the
    model as it is after some steps to ``snapshots/``.
    """
    network = build(architecture, len(domains.classes), seed=derive(seed, "network"))
    trainer: Method = make("uda", method)
    trainer.check_start(weights is not None)
    folder.mkdir(parents=True, exist_ok=True)
    start = None if weights is None else start_of(weights, data)
    if start is not None:
        write_json(folder / "weights.json", start.load_into(network).to_json())
    card = card_of(architecture, data, domains.classes, method)
    fitted = fit(
        trainer,
        network,
        training_data(trainer, domains, data, batch_size=training.batch_size, seed=seed),
        training,
        seed=seed,
        device=device,
        folder=folder,
        start={} if start is None else start.identity,
        on_progress=on_progress,
        snapshots=snapshots,
        on_snapshot=lambda now: save_model(snapshot_folder(folder, now.steps) / MODEL, now, card),
    )
    save_model(folder / MODEL, fitted, card)
    return fitted


def training_data(
    method: Method, domains: Domains, data: DataSettings, *, batch_size: int, seed: int
) -> TrainingData:
    """Return both domains as a method sees them: several sources as one set, or apart."""
    apart = method.keeps_sources_apart()
    return TrainingData(
        domains.first if apart else domains.source,
        domains.target,
        len(domains.classes),
        data,
        batch_size,
        seed,
        further=domains.further if apart else {},
    )


def scores_of(settings: ExperimentSettings) -> dict[str, Score]:
    """Return the scores of an experiment by name; costs among the terms are no scores."""
    plugins = {name: settings.scoring.plugin(name) for name in score_names(settings)}
    return {name: make_score(one.name, one.options) for name, one in plugins.items()}


def score_model(
    path: Path, settings: ExperimentSettings, *, costs: Mapping[str, float], seed: int
) -> Computed:
    """Score a model from its file, as a trial scores what it has just trained.

    Args:
        path: A model file, or its folder.
        settings: Say which scores, and on what; the model was trained with their ``data``.
        costs: Of its architecture.
        seed: With which it was trained; zero-cost proxies look at the network that it began as.

    Raises:
        CheckpointError: The model is missing, damaged, or made for other classes.
    """
    settings = without_evaluation(settings)
    device = pick_device(settings)
    model = load_model(path, device)
    classes = domains_of(settings.data).classes
    if model.card.classes != classes:
        raise CheckpointError(
            f"{path} knows the classes {', '.join(model.card.classes)}; this experiment has "
            f"{', '.join(classes)}: score it with the data settings it was trained with"
        )
    return score(
        model,
        settings,
        scores_of(settings),
        architecture=model.card.architecture,
        costs=costs,
        seed=seed,
        device=device,
    )


def score(
    trained: Fitted | Model,
    settings: ExperimentSettings,
    scorers: Mapping[str, Score],
    *,
    architecture: Architecture,
    costs: Mapping[str, float],
    seed: int,
    device: torch.device,
) -> Computed:
    """Return the scores of a network that is in memory, and the reasons of those missing."""
    statistics = measured(
        trained,
        settings,
        needs_of(scorers),
        architecture=architecture,
        costs=costs,
        seed=seed,
        device=device,
    )
    return compute_timed(scorers, statistics)


def measured(
    trained: Fitted | Model,
    settings: ExperimentSettings,
    needs: frozenset[Need],
    *,
    architecture: Architecture,
    costs: Mapping[str, float],
    seed: int,
    device: torch.device,
) -> Statistics:
    """Return the statistics of a network that is in memory; arguments as in ``score_model``."""
    domains = domains_of(settings.data)
    return measure(
        trained,
        domains,
        settings,
        device=device,
        costs=costs,
        needs=needs,
        untrained=lambda: build(architecture, len(domains.classes), seed=derive(seed, "network")),
    )


def needs_of(scorers: Mapping[str, Score]) -> frozenset[Need]:
    """Return what scores need, all together."""
    return frozenset[Need]().union(*(one.needs for one in scorers.values()))


def measure(
    fitted: Fitted | Model,
    domains: Domains,
    settings: ExperimentSettings,
    *,
    device: torch.device,
    costs: Mapping[str, float],
    needs: frozenset[Need] = frozenset(),
    untrained: Callable[[], SegmentationNetwork] | None = None,
) -> Statistics:
    """Collect the statistics of one candidate on the fixed sample of both domains.

    Args:
        fitted: The candidate.
        domains: Both, without labels of the target.
        settings: What is looked at.
        device: Where the candidate is.
        costs: Of its architecture.
        needs: Of all scores together.
        untrained: Builds the candidate as it was before training.
    """
    size, convention = settings.scoring.batch_size, settings.data.normalisation
    sample = Sample(
        source=picked(domains.source.unlabelled(), settings).batches(size, convention),
        target=picked(domains.target, settings).batches(size, convention),
        regions=region_maps(settings, domains),
        pixels_per_image=settings.scoring.pixels_per_image,
        seed=settings.seed,
        held_out=held_out_batches(settings) if "held_out" in needs else (),
        source_prior=source_prior(domains) if "source_prior" in needs else None,
        source_regions=source_regions(settings_key(settings)) if "source_regions" in needs else (),
        committee=committee_maps(settings, device) if "committee" in needs else (),
    )
    teacher = fitted.modules.get("teacher")
    measured = dict(costs)
    if "latency" in needs:
        measured["latency"] = latency(fitted.network, settings.data.size)
    return collect(
        fitted.predictor,
        sample,
        costs=measured,
        device=device,
        needs=needs,
        teacher=fitted.network if teacher is fitted.predictor else teacher,
        untrained=untrained,
    )


def source_prior(domains: Domains) -> NDArray[np.float64]:
    """Return the class shares of the source labels, (C,)."""
    return shares_of(domains.source, len(domains.classes)).double().numpy()


@functools.lru_cache(maxsize=2)
def source_regions(settings: str) -> tuple[RegionStatistics, ...]:
    """Return the sums of true labels over regions of source images, once per process."""
    experiment: ExperimentSettings = TypeAdapter(ExperimentSettings).validate_python(
        json.loads(settings)
    )
    domains = domains_of(experiment.data)
    chosen = picked(domains.source.unlabelled(), experiment)
    key = f"{domains.source.fingerprint}-{len(chosen)}"
    folder = cache_folder(experiment.data.cache) / "regions"
    maps = RegionMaps.open(chosen, key, experiment.scoring.regions, folder)
    return tuple(
        label_statistics(
            domains.source.labels([index])[0], maps[place], maps.count(place), len(domains.classes)
        )
        for place, index in enumerate(chosen.indices)
    )


def held_out_images(settings: DataSettings) -> LabelledImages | None:
    """Return the source images that training does not see, opened once; None if it sees all."""
    return opened_held_out(unlabelled_key(settings)) if settings.source.hold_out else None


@functools.lru_cache(maxsize=2)
def opened_held_out(data: str) -> LabelledImages:
    """Open the source images that training does not see; the settings come as JSON."""
    return open_held_out(from_json_data(data))


def held_out_batches(settings: ExperimentSettings) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield images and labels of the source that training does not see; nothing if all is seen."""
    labelled = held_out_images(settings.data)
    if labelled is None:
        return
    chosen = scored_images(len(labelled), settings.scoring.images)
    for places in chunks(len(chosen), settings.scoring.batch_size):
        indices = [chosen[place] for place in places]
        images = normalise(labelled.images(indices), settings.data.normalisation)
        yield images, torch.from_numpy(labelled.labels(indices).astype(np.int64))


def committee_maps(
    settings: ExperimentSettings, device: torch.device
) -> tuple[NDArray[np.uint8], ...]:
    """Return what each model of the committee predicts for the measured images, (N, H, W).

    Raises:
        CheckpointError: A model is missing or damaged.
        ConfigError: A model predicts other classes.
    """
    data = unlabelled_key(settings.data)
    images, batch_size = settings.scoring.images, settings.scoring.batch_size
    return tuple(
        member_maps(path, hash_of(path), data, images, batch_size, str(device))
        for path in committee_files(settings)
    )


def settings_key(settings: ExperimentSettings) -> str:
    """Return the settings as JSON, by which what depends on them alone is remembered."""
    return json.dumps(to_plain(settings), sort_keys=True)


@functools.lru_cache(maxsize=64)
def member_maps(
    path: Path, _content: str, data: str, images: int, batch_size: int, device: str
) -> NDArray[np.uint8]:
    """Return the class maps of one model of the committee, computed once per process."""
    domains = open_domains(data)
    model = load_model(path, torch.device(device))
    if model.card.classes != domains.classes:
        raise ConfigError(
            f"scoring.committee: {path} predicts {', '.join(model.card.classes)}, expected the "
            f"classes of this experiment: {', '.join(domains.classes)}"
        )
    chosen = scored_images(len(domains.target), images)
    size = domains.target.size
    return np.concatenate(
        [
            model.predict(domains.target.images([chosen[place] for place in places]), size)
            for places in chunks(len(chosen), batch_size)
        ]
    )
