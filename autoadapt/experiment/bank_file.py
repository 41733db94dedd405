"""A bank as a portable folder: records with scores and true metrics; no images, no weights.

``bank.json`` says what all models have in common, ``models.jsonl`` has one line per model,
``image_samples.npz`` scores on choices of the target images, if the settings ask for them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from autoadapt.errors import RunError
from autoadapt.experiment.image_samples_file import (
    IMAGE_SAMPLES,
    ImageSamples,
    read_image_samples,
    write_image_samples,
)
from autoadapt.experiment.run_folder import differences
from autoadapt.files import JsonLines, digest, write_json, write_text
from autoadapt.metrics.evaluation import Evaluation
from autoadapt.records import Record

VERSION = 1
COMMON, MODELS = "bank.json", "models.jsonl"


@dataclass(frozen=True, kw_only=True)
class BankModel:
    """One trained model of a bank.

    Attributes:
        method: Name of the adaptation method.
        training_seed: Seed of the training.
        record: What a search would know of it.
        objective: Of the bank's settings; none where a score is missing.
        evaluation: Its comparison with labels of held-out target images; none where there are
            none.
        scored_evaluation: The same on the images that scores look at; none where it is not known.
    """

    method: str
    training_seed: int
    record: Record
    objective: float | None = None
    evaluation: Evaluation | None = None
    scored_evaluation: Evaluation | None = None

    @property
    def label(self) -> str:
        """What tables call it."""
        return f"{self.method} {self.record.architecture.id} seed {self.training_seed}"

    @property
    def miou(self) -> float | None:
        """True metric on labelled target images, in [0, 1]."""
        return None if self.evaluation is None else self.evaluation.headline

    @property
    def scored_miou(self) -> float | None:
        """The same on the target images that scores look at, in [0, 1]."""
        return None if self.scored_evaluation is None else self.scored_evaluation.headline

    def to_json(self) -> dict[str, Any]:
        """Return plain values; ``from_json`` undoes it."""
        scored = self.scored_evaluation
        further = {} if scored is None else {"scored_evaluation": scored.to_json()}
        return {
            "method": self.method,
            "training_seed": self.training_seed,
            "objective": self.objective,
            "record": self.record.to_json(),
            "evaluation": None if self.evaluation is None else self.evaluation.to_json(),
            **further,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "BankModel":
        """Undo ``to_json``.

        Raises:
            KeyError: A needed key is missing.
        """
        found, scored = raw["evaluation"], raw.get("scored_evaluation")
        return cls(
            method=raw["method"],
            training_seed=raw["training_seed"],
            objective=raw["objective"],
            record=Record.from_json(raw["record"]),
            evaluation=None if found is None else Evaluation.from_json(found),
            scored_evaluation=None if scored is None else Evaluation.from_json(scored),
        )


@dataclass(frozen=True, kw_only=True)
class Bank:
    """Many trained models that were measured on the same images in the same way.

    Attributes:
        fingerprint: What scores and metrics depend on besides the models: hashes of all images,
            the sample, options. Models of banks that differ here cannot be compared.
        reference_costs: Of the reference architecture of the space, which objectives refer to.
        facts: What a reader wants to know, by name.
        opened_labels: One note for each time target labels were opened.
        score_seconds: Median over the models of the processor time of each score, by name, as
            far as it was measured; models from a file do not say it one by one.
        scored_truth: How the labels of the scored images became classes; empty where they were
            not read. Banks that have it differently cannot be compared; one without it can.
        space: The search space, as the settings name it.
        seed: Of the bank, and of the resampling in its report.
        image_samples: Scores on choices of the target images; none where nobody asked.
    """

    name: str
    space: str
    seed: int
    fingerprint: Mapping[str, Any]
    models: tuple[BankModel, ...]
    reference_costs: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    opened_labels: tuple[str, ...] = ()
    score_seconds: Mapping[str, float] = field(default_factory=dict)
    scored_truth: Mapping[str, Any] = field(default_factory=dict)
    image_samples: ImageSamples | None = field(default=None, compare=False)

    @property
    def pooled(self) -> list[str]:
        """Names of the scores that need all models of the bank, which no search can compute."""
        described = self.fingerprint.get("scores", {})
        return [name for name, one in described.items() if "pool" in one["needs"]]

    def common(self) -> dict[str, Any]:
        """Return all but the models and their image samples as plain values."""
        bare = replace(self, models=(), image_samples=None)
        apart = ("models", "image_samples")
        known = {key: value for key, value in asdict(bare).items() if key not in apart}
        return {"version": VERSION, **known, "opened_labels": list(self.opened_labels)}


def write_bank(bank: Bank, folder: Path) -> None:
    """Write a bank into a folder; what is there of an earlier one is replaced.

    Raises:
        RunError: The disk is full.
    """
    lines = (json.dumps(model.to_json(), allow_nan=False) for model in bank.models)
    write_text(folder / MODELS, "".join(f"{line}\n" for line in lines))
    write_json(folder / COMMON, bank.common())
    samples, path = bank.image_samples, folder / IMAGE_SAMPLES
    if samples is None:
        path.unlink(missing_ok=True)
    else:
        write_image_samples(path, samples, marks=marks_of(bank, samples))


def find_bank(path: Path) -> Path | None:
    """Return the folder of a bank, given it or the folder it was made in; nothing else is one."""
    return next((place for place in (path, path / "bank") if (place / COMMON).is_file()), None)


def read_bank(path: Path) -> Bank:
    """Read a bank from its folder, or the one it was made in.

    Raises:
        RunError: There is none, it is damaged, or of another version.
    """
    folder = find_bank(path)
    if folder is None:
        raise RunError(f"{path} is not a bank: it has no {COMMON}; make one with 'autoadapt bank'")
    try:
        common = json.loads((folder / COMMON).read_text())
        version = common.pop("version")
        if version != VERSION:
            raise RunError(f"{folder}: expected a bank of version {VERSION}, found {version!r}")
        models = tuple(BankModel.from_json(line) for line in JsonLines(folder / MODELS).read())
        notes = tuple(common.pop("opened_labels"))
        bank = Bank(models=models, opened_labels=notes, **common)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{folder} is not a bank, or damaged: {error!r}") from error
    return replace(bank, image_samples=image_samples_of(bank, folder))


def image_samples_of(bank: Bank, folder: Path) -> ImageSamples | None:
    """Return the scores of a bank on choices of its target images, if its folder has them.

    Raises:
        RunError: They are damaged, or those of other models or images.
    """
    samples = read_image_samples(folder / IMAGE_SAMPLES)
    if samples is not None and samples.marks != marks_of(bank, samples):
        raise RunError(
            f"{folder / IMAGE_SAMPLES} belongs to other models, images or scores than those of "
            f"{folder / COMMON}; make it again with 'autoadapt bank', or delete it"
        )
    if samples is not None and samples.models != len(bank.models):
        raise RunError(
            f"{folder / IMAGE_SAMPLES} is damaged: {len(bank.models)} models but values of "
            f"{samples.models}; make it again with 'autoadapt bank', or delete it"
        )
    return samples


def marks_of(bank: Bank, samples: ImageSamples) -> str:
    """Return a hash of the models, images and scores that image samples belong to."""
    measured = ("source", "target", "held_out", "classes", "normalisation", "sample")
    described = bank.fingerprint.get("scores", {})
    models = [
        [model.label, {name: model.record.scores.get(name) for name in samples.values}]
        for model in bank.models
    ]
    return digest(
        {
            "images": {key: bank.fingerprint.get(key) for key in measured},
            "scores": {name: described.get(name) for name in samples.values},
            "models": models,
        }
    )


def check_same(banks: Sequence[Bank]) -> None:
    """Refuse to put banks together that were measured on other images or in another way.

    Raises:
        RunError: The first differences.
    """
    first, *others = banks
    for other in others:
        changed = list(differing(first, other))
        if changed:
            shown = "\n  ".join(changed[:8])
            raise RunError(
                f"the banks {first.name!r} and {other.name!r} cannot be compared, they were made "
                f"with different data or samples:\n  {shown}\n"
                "correlate each of them alone, or compare them with --side-by-side"
            )


def differing(first: Bank, second: Bank) -> Iterator[str]:
    """Yield each difference of two fingerprints, and of how labels of scored images were read."""
    one, other = ({**bank.fingerprint} for bank in (first, second))
    if first.scored_truth and second.scored_truth:
        one["scored_truth"], other["scored_truth"] = first.scored_truth, second.scored_truth
    for line in differences(one, other):
        name, _, values = line.partition(": ")
        old, _, new = values.partition(" in the folder, ")
        yield f"{name}: {old} and {new.removesuffix(' now')}"


def common_ground(first: Bank, second: Bank) -> list[str]:
    """Return what makes a test on the second bank none: shared target images, shared models."""
    found = [
        f"the same {what}"
        for key, what in (("target", "target images"), ("evaluation", "evaluation images"))
        if first.fingerprint.get(key) and first.fingerprint.get(key) == second.fingerprint.get(key)
    ]
    seen = {identity(model) for model in first.models}
    if both := sum(identity(model) in seen for model in second.models):
        found.append(f"{both} of the same models")
    return found


def identity(model: BankModel) -> tuple[Any, ...]:
    """Return what two entries of the same trained model have in common."""
    counts = () if model.evaluation is None else tuple(model.evaluation.confusion.ravel().tolist())
    return model.method, model.training_seed, model.record.architecture.id, counts


def check_apart(first: Bank, second: Bank) -> None:
    """Refuse to test on the bank that was fitted on, or on a part of it.

    Raises:
        RunError: They share target images or models.
    """
    if shared := common_ground(first, second):
        raise RunError(
            f"weights fitted on {first.name!r} cannot be tested on {second.name!r}: they have "
            f"{' and '.join(shared)}, so the test would only repeat the fit; give a bank of "
            "another target"
        )
