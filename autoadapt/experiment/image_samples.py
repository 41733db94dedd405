"""How scores depend on the target images: trained models scored on choices of them.

Nothing is run through a network: scores are computed again from the full statistics of a model.
What is found of a model stands in its trial folder, in ``image_samples/<sample>.json``, by score
and by choice, so that a score, a size or a choice that is added later costs only itself.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from autoadapt import seeding
from autoadapt.config.settings import ExperimentSettings, ImageSampleSettings
from autoadapt.errors import ConfigError, RunError
from autoadapt.experiment.bank_file import BankModel
from autoadapt.experiment.executors import execute
from autoadapt.experiment.image_samples_file import Choice, ImageSamples
from autoadapt.experiment.pool import trial_of
from autoadapt.experiment.rescoring import (
    SCORES,
    Rescoring,
    duration,
    key_of,
    options_of,
    sample_of,
)
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.statistics_file import read_statistics
from autoadapt.experiment.trial import (
    OnProgress,
    Task,
    domains_of,
    needs_of,
    record_of,
    scored_images,
    scores_of,
    settings_key,
    source_prior,
    source_regions,
)
from autoadapt.experiment.watching import Watcher
from autoadapt.files import digest, sha256_of, waiting_lock, write_json
from autoadapt.interrupts import check, heeding
from autoadapt.plugins import suggestion
from autoadapt.records import Record
from autoadapt.scores._compute import compute
from autoadapt.scores._images import DERIVABLE, of_images
from autoadapt.scores.base import HOW, Score, Statistics

FOLDER = "image_samples"
"""Folder inside that of a trial."""
TYPICAL = (
    "softmax_corr", "mmd", "reent", "entropy", "regent", "regim", "rsi", "im", "bnm", "mcc",
    "max_prob", "ac_miou", "ts_miou", "collapse", "source_miou",
)  # fmt: skip
"""Scores that are looked at where none are listed: cheap ones, and what objectives are made of."""


@dataclass(frozen=True)
class ImageQuestion:
    """What is to be known of every model of a bank.

    Attributes:
        sample: Hash of all images and of what is looked at in them.
        scores: By name.
        keys: Hash of all else that a score depends on, by its name.
        choices: Of the target images, the same for all models; the first has all of them.
    """

    sample: str
    scores: Mapping[str, Score]
    keys: Mapping[str, str]
    choices: tuple[Choice, ...]

    @classmethod
    def of(cls, settings: ExperimentSettings) -> "ImageQuestion":
        """Return what settings ask for, which must have ``bank.image_samples``.

        Raises:
            ConfigError: A score cannot be had.
        """
        scores = image_scores(settings)
        plugins = {name: settings.scoring.plugin(name).name for name in scores}
        images = len(scored_images(len(domains_of(settings.data).target), settings.scoring.images))
        return cls(
            sample=digest(sample_of(settings)),
            scores=scores,
            keys={name: key_of(plugins[name], score, ()) for name, score in scores.items()},
            choices=choices_of(asked_of(settings), images, seed=settings.seed),
        )


def asked_of(settings: ExperimentSettings) -> ImageSampleSettings:
    """Return the section of the settings, which must be there."""
    assert settings.bank is not None
    assert settings.bank.image_samples is not None
    return settings.bank.image_samples


def choices_of(asked: ImageSampleSettings, images: int, *, seed: int) -> tuple[Choice, ...]:
    """Return the choices of images: all, subsets of each size, then resamples.

    Sizes that are not below the number of images are left out. More subsets or resamples of the
    same seed begin with those of fewer.

    Args:
        asked: How many of each.
        images: Number of images that are scored.
        seed: Of the bank.
    """
    found = [np.arange(images)]
    for size in sorted(size for size in asked.sizes if size < images):
        random = seeding.generator(seed, "image subsets", images, size)
        found += [random.permutation(images)[:size] for _ in range(asked.subsets)]
    random = seeding.generator(seed, "image resamples", images)
    found += [random.integers(images, size=images) for _ in range(asked.resamples)]
    return tuple(tuple(np.sort(choice).tolist()) for choice in found)


def image_scores(settings: ExperimentSettings) -> dict[str, Score]:
    """Return the scores that are computed on choices of images, by name.

    Raises:
        ConfigError: One is none of the bank's, or takes more than what is kept of a model.
    """
    known, listed = scores_of(settings), asked_of(settings).scores
    where = "bank.image_samples.scores"
    for name in listed:
        if name not in known:
            raise ConfigError(
                f"{where}: the bank has no score {name!r}{suggestion(name, list(known))}; list it "
                "under scoring.scores too"
            )
        if lacking := sorted(known[name].needs - DERIVABLE):
            raise ConfigError(
                f"{where}: {name!r} cannot be computed from what is kept of a model: it needs "
                f"{HOW[lacking[0]]}"
            )
    usual = [name for name in TYPICAL if name in known and known[name].needs <= DERIVABLE]
    if not listed and not usual:
        raise ConfigError(
            f"{where}: none is listed, and the bank has none of the usual ones "
            f"({', '.join(TYPICAL)}); list some of its scores: {', '.join(known) or 'it has none'}"
        )
    return {name: known[name] for name in listed or usual}


@dataclass(frozen=True)
class ImageAnswers:
    """What is known of one model: a file beside its trial, read once."""

    folder: Path
    question: ImageQuestion

    @property
    def path(self) -> Path:
        """The file of values."""
        return self.folder / FOLDER / f"{self.question.sample}.json"

    @property
    def statistics(self) -> Path:
        """The file of statistics that the values are computed from."""
        return self.folder / SCORES / f"{self.question.sample}.npz"

    @cached_property
    def origin(self) -> str:
        """Hash of the statistics."""
        return sha256_of(self.statistics)

    @cached_property
    def known(self) -> dict[str, dict[str, Any]]:
        """By key of the score, values and reasons by hash of the choice.

        Nothing is known where the file is of other statistics.

        Raises:
            RunError: The file is damaged.
        """
        try:
            content = json.loads(self.path.read_text())
            found: dict[str, dict[str, Any]] = content["scores"]
            return found if content["statistics"] == self.origin else {}
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{self.path} is damaged: {error!r}; delete it to compute it again"
            ) from error

    def missing(self, choice: Choice) -> dict[str, Score]:
        """Return the scores that are not known on a choice, by name."""
        place = digest(choice)
        return {
            name: score
            for name, score in self.question.scores.items()
            if place not in self.entry(name)["values"] and place not in self.entry(name)["errors"]
        }

    @property
    def whole(self) -> bool:
        """Whether nothing has to be computed."""
        return not any(map(self.missing, self.question.choices))

    def entry(self, name: str) -> dict[str, Any]:
        """Return what is known of a score."""
        score = self.question.scores[name]
        empty = {"name": name, "options": options_of(score), "values": {}, "errors": {}}
        return self.known.setdefault(self.question.keys[name], empty)

    def complete(self, statistics: Statistics) -> None:
        """Compute what is missing, and replace the file by one that holds all that is known."""
        for choice in self.question.choices:
            if missing := self.missing(choice):
                check()
                values, errors = compute(missing, of_images(statistics, choice))
                for what, found in (("values", values), ("errors", errors)):
                    for name, value in found.items():
                        self.entry(name)[what][digest(choice)] = value
        write_json(self.path, {"statistics": self.origin, "scores": self.known})

    def column(self, name: str) -> list[float]:
        """Return a score on all choices; NaN where it is undefined."""
        values = self.entry(name)["values"]
        return [values.get(digest(choice), np.nan) for choice in self.question.choices]


def sample_models(
    folder: RunFolder, tasks: Sequence[Task], settings: ExperimentSettings, watcher: Watcher
) -> None:
    """Compute what is not known yet of the trained models of a cell, if anything is asked.

    Interrupted, it goes on with the next model.

    Args:
        folder: Of the cell.
        tasks: Its models, whose statistics are there.
        settings: Of the cell, with the section of the bank.
        watcher: Told how it goes.
    """
    if settings.bank is None or settings.bank.image_samples is None:
        return
    question = ImageQuestion.of(settings)
    waiting = [task for task in tasks if not ImageAnswers(task.folder, question).whole]
    if not waiting:
        return
    name, total = settings.name, len(waiting)
    watcher.stage(f"{name}: {len(question.choices)} choices of images for {total} models")

    def told(done: int, left: float) -> None:
        watcher.stage(
            f"{name}: choices of images for {done} of {total} models, {duration(left)} left"
        )

    execute(Rescoring(folder, settings, waiting, told), watcher, sample_again)


def sample_again(
    task: Task, settings: ExperimentSettings, on_progress: OnProgress | None = None
) -> Record:
    """Compute the scores of a trained model on all choices of images, as far as they are missing.

    Returns:
        A record that says nothing but that it is done.

    Raises:
        RunError: The statistics of the model are missing, damaged, or class maps only.
    """
    with waiting_lock(task.folder / "lock"), heeding():
        answers = ImageAnswers(task.folder, ImageQuestion.of(settings))
        if not answers.whole:
            answers.complete(with_source(read_statistics(answers.statistics, task.costs), settings))
    return record_of(task, settings, status="finished")


def with_source(statistics: Statistics, settings: ExperimentSettings) -> Statistics:
    """Add what scores need of the labelled source, which is no part of a model's statistics."""
    needs = needs_of(image_scores(settings))
    prior = source_prior(domains_of(settings.data)) if "source_prior" in needs else None
    regions = source_regions(settings_key(settings)) if "source_regions" in needs else ()
    return replace(statistics, source_prior=prior, source_regions=regions)


def gathered(
    models: Sequence[BankModel], settings: ExperimentSettings, path: Path
) -> ImageSamples | None:
    """Return what was computed of all models of a bank; none where nothing is asked."""
    if settings.bank is None or settings.bank.image_samples is None or not models:
        return None
    question = ImageQuestion.of(settings)
    answers = [ImageAnswers(trial_of(model, path), question) for model in models]
    reasons = {
        name: next(iter(one.entry(name)["errors"].values()))
        for one in reversed(answers)
        for name in question.scores
        if one.entry(name)["errors"]
    }
    return ImageSamples(
        choices=question.choices,
        values={name: np.array([one.column(name) for one in answers]) for name in question.scores},
        reasons=reasons,
    )
