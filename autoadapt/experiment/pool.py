"""Scores that compare every model of a bank with all others, from their class maps."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from autoadapt.config.settings import ExperimentSettings
from autoadapt.data.batching import chunks
from autoadapt.data.transforms import normalise
from autoadapt.experiment.bank_file import BankModel
from autoadapt.experiment.committee import hash_of
from autoadapt.experiment.rescoring import Answers, Question
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.statistics_file import ClassMaps, read_arrays, read_class_maps
from autoadapt.experiment.trial import domains_of, pick_device, scored_images, scores_of
from autoadapt.experiment.watching import Watcher
from autoadapt.files import digest, replacing
from autoadapt.networks.contract import upsample
from autoadapt.scores._compute import compute
from autoadapt.scores._pool import pool_of
from autoadapt.scores.base import Pool, Statistics
from autoadapt.scores.ensv import Ensv
from autoadapt.training.model import load_model, locate

LARGEST_SUM = 2**30
"""Bytes of summed class probabilities held at once; more images take another round of loading."""
NOTHING = np.empty((0, 0), np.float32)

ClassMap = NDArray[np.uint8]


def with_pool_scores(
    models: Sequence[BankModel], settings: ExperimentSettings, folder: Path, watcher: Watcher
) -> list[BankModel]:
    """Return the models of a bank with the scores that need all of them, if any is asked for.

    Raises:
        RunError: The class maps of a model are missing, or have several sizes.
    """
    scores = {name: one for name, one in scores_of(settings).items() if "pool" in one.needs}
    if not scores:
        return list(models)
    if len(models) < 2:
        reason = f"a pool has at least 2 models, found {len(models)}"
        return [with_scores(model, {}, dict.fromkeys(scores, reason)) for model in models]
    watcher.stage(f"comparing {len(models)} models with each other")
    wants_ensemble = any(isinstance(score, Ensv) for score in scores.values())
    pool = pool_among(models, settings, folder, watcher, ensemble=wants_ensemble)
    bare = Statistics((), NOTHING, NOTHING, NOTHING, NOTHING, costs={}, pool=pool)
    return [
        with_scores(model, *compute(scores, replace(bare, place=place)))
        for place, model in enumerate(models)
    ]


def with_scores(model: BankModel, values: dict[str, float], errors: dict[str, str]) -> BankModel:
    """Return a model with more scores."""
    record = model.record
    return replace(
        model,
        record=replace(
            record,
            scores={**record.scores, **values},
            score_errors={**record.score_errors, **errors},
        ),
    )


def trial_of(model: BankModel, folder: Path) -> Path:
    """Return the folder of the trial that trained a model of the bank in a run folder."""
    cell = RunFolder(folder / "cells" / f"{model.method}-seed-{model.training_seed}")
    return cell.trial(model.record.number, model.record.architecture)


def pool_among(
    models: Sequence[BankModel],
    settings: ExperimentSettings,
    folder: Path,
    watcher: Watcher,
    *,
    ensemble: bool,
) -> Pool:
    """Return how far the models of a bank agree on the measured images."""
    question = Question.of(settings)
    trials = [trial_of(model, folder) for model in models]
    maps = [read_class_maps(Answers(trial, question).statistics) for trial in trials]
    together = ensemble_of(trials, settings, folder, question.sample, watcher) if ensemble else None
    return pool_of(
        [one.target for one in maps],
        len(domains_of(settings.data).classes),
        ensemble=together,
        held_out=[one.held_out for one in maps if one.held_out is not None],
        held_out_accuracy=[accuracy_of(one) for one in maps if one.held_out is not None],
    )


def accuracy_of(maps: ClassMaps) -> float:
    """Return the share of labelled held-out pixels that a model gets right."""
    counts = maps.held_out_counts
    assert counts is not None
    return float(np.trace(counts) / counts.sum())


def ensemble_of(
    trials: Sequence[Path],
    settings: ExperimentSettings,
    folder: Path,
    sample: str,
    watcher: Watcher,
) -> ClassMap:
    """Return the most probable class under the mean class probabilities of models, (N, H, W).

    All models run once over the measured images; the result is kept in ``pool/``, by the weights
    of the models and the sample.
    """
    key = digest({"sample": sample, "models": [hash_of(locate(trial)) for trial in trials]})
    path = folder / "pool" / f"{key}.npz"
    if not path.is_file():
        found = voted(trials, settings, watcher)
        with replacing(path) as file:
            np.savez_compressed(file, target=found)
    maps: ClassMap = read_arrays(path)["target"]
    return maps


def voted(trials: Sequence[Path], settings: ExperimentSettings, watcher: Watcher) -> ClassMap:
    """Compute what ``ensemble_of`` returns."""
    domains = domains_of(settings.data)
    chosen = scored_images(len(domains.target), settings.scoring.images)
    height, width = domains.target.size
    at_once = max(1, LARGEST_SUM // (4 * len(domains.classes) * height * width))
    maps = []
    for places in chunks(len(chosen), at_once):
        pixels = domains.target.images([chosen[place] for place in places])
        images = normalise(pixels, settings.data.normalisation)
        total = torch.zeros(len(images), len(domains.classes), height, width)
        for position, trial in enumerate(trials, start=1):
            watcher.stage(f"ensemble of all models: {position} of {len(trials)}")
            add_probabilities(total, images, trial, settings)
        maps.append(total.max(1).indices.to(torch.uint8).numpy())
    return np.concatenate(maps)


def add_probabilities(
    total: torch.Tensor, images: torch.Tensor, trial: Path, settings: ExperimentSettings
) -> None:
    """Add the class probabilities of a model, (N, C, H, W), for normalised images."""
    model = load_model(trial, pick_device(settings))
    for places in chunks(len(images), settings.scoring.batch_size):
        here = slice(places.start, places.stop)
        logits = model.forward(images[here]).logits.float()
        total[here] += upsample(logits, (images.shape[2], images.shape[3])).softmax(1).cpu()
