"""Scores of models that are trained already: loaded, measured and scored as their trial would.

What is found of a model stands in its trial folder, beside the record of the training, which
stays as it is: ``scores/<sample>.json`` holds values by what they depend on, ``<sample>.npz`` the
predicted classes. <sample> is a hash of all images and of what is looked at in them. A score that
is asked for later, or again under another name, costs only what is not there yet.
"""

import dataclasses
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from autoadapt.config.settings import ExperimentSettings
from autoadapt.errors import RunError
from autoadapt.experiment.committee import committee_hashes
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.statistics_file import Detail, holds, write_statistics
from autoadapt.experiment.trial import (
    OnProgress,
    Task,
    domains_of,
    held_out_images,
    measured,
    needs_of,
    pick_device,
    record_of,
    scores_of,
    training_seed,
)
from autoadapt.files import digest, waiting_lock, write_json
from autoadapt.interrupts import heeding
from autoadapt.records import Record
from autoadapt.scores._compute import compute_timed
from autoadapt.scores.base import Need, Score
from autoadapt.training.model import load_model

SCORES = "scores"
"""Folder inside that of a trial."""
MAPS: frozenset[Need] = frozenset({"label_maps"})


@dataclass(frozen=True)
class Question:
    """What is to be known of every model of a bank, and what the answers depend on.

    Attributes:
        sample: Hash of all images and of what is looked at in them.
        keys: Hash of all else that the value of a score depends on, by the name of the score:
            which one it is, its options, and the models of a committee, wherever they lie.
        scores: By name; those that need all other models are not among them.
        detail: How much of the statistics is kept.
        held_out: Whether there are labelled source images that training does not see.
    """

    sample: str
    keys: Mapping[str, str]
    scores: Mapping[str, Score]
    detail: Detail
    held_out: bool

    @classmethod
    def of(cls, settings: ExperimentSettings) -> "Question":
        """Return what settings ask for.

        Raises:
            CheckpointError: A model of the committee is missing.
        """
        scores = {
            name: score for name, score in scores_of(settings).items() if "pool" not in score.needs
        }
        hashes = committee_hashes(settings) if "committee" in needs_of(scores) else ()
        return cls(
            sample=digest(sample_of(settings)),
            keys={
                name: key_of(settings.scoring.plugin(name).name, score, hashes)
                for name, score in scores.items()
            },
            scores=scores,
            detail=settings.bank.statistics if settings.bank else "maps",
            held_out=bool(settings.data.source.hold_out),
        )


def sample_of(settings: ExperimentSettings) -> dict[str, Any]:
    """Return what all measurements depend on besides the models and the options of scores."""
    domains, data, scoring = domains_of(settings.data), settings.data, settings.scoring
    held_out = held_out_images(data)
    return {
        "source": domains.source.fingerprint,
        "target": domains.target.fingerprint,
        "held_out": None if held_out is None else held_out.fingerprint,
        "classes": list(domains.classes),
        "normalisation": data.normalisation,
        "images": scoring.images,
        "pixels_per_image": scoring.pixels_per_image,
        "regions": dataclasses.asdict(scoring.regions),
        "batch_size": scoring.batch_size,
        "seed": settings.seed,
    }


def key_of(plugin: str, score: Score, committee: Sequence[str]) -> str:
    """Return a hash of what a value depends on besides model and sample."""
    asked = list(committee) if "committee" in score.needs else []
    return digest({"score": plugin, "options": options_of(score), "committee": asked})


def describe_scores(settings: ExperimentSettings) -> dict[str, dict[str, Any]]:
    """Return plug-in, options with their defaults, and needs of each score by name."""
    return {
        name: {
            "score": settings.scoring.plugin(name).name,
            "options": options_of(score),
            "needs": sorted(score.needs),
        }
        for name, score in scores_of(settings).items()
    }


def options_of(score: Score) -> dict[str, Any]:
    """Return all options of a score as plain values."""
    assert dataclasses.is_dataclass(score)
    return dataclasses.asdict(score)


@dataclass(frozen=True)
class Answers:
    """What is known of one model: files beside its trial, read once."""

    folder: Path
    question: Question

    @property
    def path(self) -> Path:
        """The file of values."""
        return self.folder / SCORES / f"{self.question.sample}.json"

    @property
    def statistics(self) -> Path:
        """The file of class maps, and of sums where they were asked for."""
        return self.folder / SCORES / f"{self.question.sample}.npz"

    @cached_property
    def known(self) -> dict[str, dict[str, Any]]:
        """Values, or reasons why there is none, by key.

        Raises:
            RunError: The file is damaged.
        """
        try:
            found: dict[str, dict[str, Any]] = json.loads(self.path.read_text())["scores"]
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{self.path} is damaged: {error!r}; delete it to score the model again"
            ) from error
        return found

    @property
    def missing(self) -> dict[str, Score]:
        """Scores that are not known yet, by name."""
        question = self.question
        return {n: one for n, one in question.scores.items() if question.keys[n] not in self.known}

    @property
    def whole(self) -> bool:
        """Whether nothing has to be measured."""
        return not self.missing and holds(self.statistics, self.question.detail)

    def values(self) -> dict[str, float]:
        """Return the scores that have a value, by name."""
        found = self._by_name("value")
        return {name: float(value) for name, value in found.items()}

    def errors(self) -> dict[str, str]:
        """Return why the others have none, by name."""
        return self._by_name("error")

    def seconds(self) -> dict[str, float]:
        """Return how long each took to compute, by name, as far as it was measured."""
        return self._by_name("seconds")

    def fields(self) -> dict[str, Any]:
        """Return all of this as a record has it, by field."""
        return {
            "scores": self.values(),
            "score_errors": self.errors(),
            "score_seconds": self.seconds(),
        }

    def _by_name(self, what: str) -> dict[str, Any]:
        entries = {name: self.known.get(key, {}) for name, key in self.question.keys.items()}
        return {name: entry[what] for name, entry in entries.items() if what in entry}

    def add(self, settings: ExperimentSettings, found: Mapping[str, Mapping[str, Any]]) -> None:
        """Take values, errors and seconds, each by name, into ``known``; nothing is written."""
        described = describe_scores(settings)
        for what, values in found.items():
            for name, value in values.items():
                entry = self.known.setdefault(self.question.keys[name], {**described[name]})
                entry[what] = value

    def write(self, settings: ExperimentSettings) -> None:
        """Replace the file of values by one that holds all that is known."""
        write_json(self.path, {"sample": sample_of(settings), "scores": self.known})


def score_again(
    task: Task, settings: ExperimentSettings, on_progress: OnProgress | None = None
) -> Record:
    """Load the model of a trial and find out what is not known of it yet.

    Returns:
        A record with the scores alone.

    Raises:
        CheckpointError: The model is missing or damaged.
    """
    with waiting_lock(task.folder / "lock"), heeding():
        answers = Answers(task.folder, Question.of(settings))
        if not answers.whole:
            measure_again(task, settings, answers)
    return record_of(task, settings, status="finished", **answers.fields())


def measure_again(task: Task, settings: ExperimentSettings, answers: Answers) -> None:
    """Measure a trained model as its trial did, and keep what was found."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    question, missing = answers.question, answers.missing
    model = load_model(task.folder, pick_device(settings))
    more: set[Need] = {"held_out"} if question.held_out else set()
    found = measured(
        model,
        settings,
        needs_of(missing) | MAPS | more,
        architecture=task.architecture,
        costs=task.costs,
        seed=training_seed(settings, task.number),
        device=model.device,
    )
    write_statistics(answers.statistics, found, question.detail)
    computed = compute_timed(missing, found)
    answers.add(
        settings,
        {"value": computed.values, "error": computed.errors, "seconds": computed.seconds},
    )
    answers.write(settings)


@dataclass
class Rescoring:
    """Hands trained models out to an executor and takes their scores, as a controller does.

    Attributes:
        folder: Of the cell whose models these are.
        settings: What they are to be measured with.
        waiting: Models that are left.
        told: Called with the number of models that are done and how many seconds may be left.
        running: Those handed out, by number.
        found: Records with scores alone, by number.
    """

    folder: RunFolder
    settings: ExperimentSettings
    waiting: list[Task]
    told: Callable[[int, float], None]
    running: dict[int, Task] = field(default_factory=dict, init=False)
    found: dict[int, Record] = field(default_factory=dict, init=False)
    lost: Counter[int] = field(default_factory=Counter, init=False)

    def __post_init__(self) -> None:
        self.total = len(self.waiting)
        self.started = time.monotonic()

    def next_task(self) -> Task | None:
        """Return the next model to score; nothing when none is left."""
        if not self.waiting:
            return None
        task = self.waiting.pop(0)
        self.running[task.number] = task
        return task

    def commit(self, record: Record) -> None:
        """Take the scores of a model."""
        del self.running[record.number]
        self.found[record.number] = record
        done = len(self.found)
        spent = time.monotonic() - self.started
        self.told(done, spent / done * (self.total - done))

    def give_back(self, number: int, why: str) -> None:
        """Take back a model whose worker was lost.

        Raises:
            RunError: It happened more than ``executor.retries`` times.
        """
        self.lost[number] += 1
        if self.lost[number] > self.settings.executor.retries:
            raise RunError(
                f"{self.running[number].folder}: the worker that scored this model died "
                f"{self.lost[number]} times, the last time: {why}"
            )
        self.waiting.insert(0, self.running.pop(number))


def duration(seconds: float) -> str:
    """Return a length of time in words."""
    return f"about {seconds:.0f} s" if seconds < 90 else f"about {seconds / 60:.0f} min"
