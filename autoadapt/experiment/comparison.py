"""Several model files evaluated alike and laid side by side."""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from autoadapt.analysis.results import AdaptationResult
from autoadapt.analysis.selection import ANALYSIS, LABELLED
from autoadapt.analysis.tables import (
    percent,
    results_csv,
    results_latex,
    results_markdown,
    results_text,
)
from autoadapt.config.conventions import convention_words
from autoadapt.config.settings import ExperimentSettings, Normalisation, Resampling, Size
from autoadapt.data.counting import Counting
from autoadapt.errors import CheckpointError, ConfigError
from autoadapt.experiment.adapt import contender_folders, title_of
from autoadapt.experiment.evaluate import Labelled, evaluate, open_labelled
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.selection import BEST_BY_LABELS, LAST, SNAPSHOTS, models_in
from autoadapt.experiment.trial import pick_device
from autoadapt.metrics.evaluation import Evaluation
from autoadapt.training.model import (
    MODEL,
    SELECTED,
    ensembled,
    find_model,
    load_model,
    locate,
)

FORMATS = ("text", "csv", "latex", "markdown", "json")
MEASURES = {"iou": "IoU", "dice": "Dice"}
KINDS = {"": "", LAST: " (last)", SELECTED: " (selected)", BEST_BY_LABELS: f" ({LABELLED})"}
"""What a table adds to the name of a contender, by snapshot."""


@dataclass(frozen=True)
class ModelFile:
    """A model file and its place in a comparison.

    Attributes:
        contender: What the table calls it; model files that differ in the seed alone share it.
        place: The folder of all its seeds; the file itself where it has none.
        seed: With which it was trained, where its folder says so.
        run: The run folder it lies in, if it does.
        snapshot: ``last``, ``selected`` or ``best_by_labels`` of a training that has them.
    """

    path: Path
    contender: str
    place: Path
    seed: int = 0
    run: RunFolder | None = None
    snapshot: str = ""


def find_models(paths: Sequence[Path], snapshot: str | None = None) -> list[ModelFile]:
    """Return the model files that paths stand for.

    A run folder stands for all models that were fully adapted in it, any other folder for the
    model in it. ``seed-<n>`` folders beside each other are seeds of one contender.

    Args:
        paths: Files and folders.
        snapshot: Which of the models of a training: ``last``, ``selected``, or ``all`` side by
            side; absent: the selected one where there is one.

    Raises:
        CheckpointError: There is no model at a path, or the same one twice.
        ConfigError: There is no such kind of snapshot.
    """
    if snapshot not in (None, "all", *SNAPSHOTS):
        known = ", ".join(("all", *SNAPSHOTS))
        raise ConfigError(f"no snapshot named {snapshot!r}; expected one of {known}")
    files = [file for path in paths for file in _files_at(path, snapshot)]
    files = [file.absolute() for file in files]
    twice = sorted({str(file) for file in files if files.count(file) > 1})
    if twice:
        raise CheckpointError(f"named more than once: {', '.join(twice)}; name each model once")
    return _with_distinct_names([_model_file(file) for file in files])


def _files_at(path: Path, snapshot: str | None) -> list[Path]:
    if path.is_file():
        return [locate(path)]
    adapted = [
        file
        for folder in contender_folders(path / "adapted")
        for seed in sorted(folder.glob("seed-*"))
        if find_model(seed) is not None
        for file in models_in(seed, snapshot)
    ]
    if adapted:
        return adapted
    alone = models_in(path, snapshot)
    if not alone:
        raise CheckpointError(
            f"no model at {path}; expected a {MODEL}, its folder, or a run folder with adapted "
            "models"
        )
    return alone


def _model_file(path: Path) -> ModelFile:
    path = path.absolute()
    snapshot, folder = _snapshot_of(path.parent)
    run = next((RunFolder(p) for p in path.parents if (p / "records.jsonl").is_file()), None)
    seed = folder.name.removeprefix("seed-")
    if path.stem == "model" and seed != folder.name and seed.isdecimal():
        home = folder.parent
        name = title_of(home.name) if home.parent.name == "adapted" else home.name
        return ModelFile(path, name + KINDS[snapshot], home, int(seed), run, snapshot)
    return ModelFile(path, folder.name if path.stem == "model" else path.stem, path, 0, run)


def _snapshot_of(folder: Path) -> tuple[str, Path]:
    """Return which snapshot of a training lies in a folder, and the folder of the training."""
    if folder.name in (SELECTED, BEST_BY_LABELS):
        return folder.name, folder.parent
    return LAST if find_model(folder / SELECTED) else "", folder


def _with_distinct_names(models: Sequence[ModelFile]) -> list[ModelFile]:
    """Put where it lies in front of a name that stands for models of several places."""
    places: dict[str, set[Path]] = {}
    for model in models:
        places.setdefault(model.contender, set()).add(model.place)
    named = [
        replace(model, contender=f"{_home(model)}: {model.contender}")
        if len(places[model.contender]) > 1
        else model
        for model in models
    ]
    if len({(model.contender, model.place) for model in named}) == len(
        {model.contender for model in named}
    ):
        return named
    return [replace(model, contender=str(model.place)) for model in models]


def _home(model: ModelFile) -> str:
    return (model.run.path if model.run else model.place.parent).name


def note_opened(model: ModelFile, settings: ExperimentSettings) -> None:
    """Let the run folder of a model note that labels are opened."""
    if model.run is not None:
        name = settings.evaluation.convention.name
        what = str(model.path.relative_to(model.run.path.absolute()))
        model.run.note_labels_opened(what, f"evaluation on demand, convention {name}")


def evaluate_models(
    models: Sequence[ModelFile],
    settings: ExperimentSettings,
    counting: Counting,
    *,
    ensemble: bool = False,
) -> list[tuple[ModelFile, Evaluation]]:
    """Compare each model, or the mean of their logits, with the labelled target images.

    Every run folder that a model lies in notes that labels were opened.

    Raises:
        CheckpointError: Unreadable, or made for other classes.
    """

    @functools.cache
    def labelled(size: Size, normalisation: Normalisation, resampling: Resampling) -> Labelled:
        data = settings.data.for_model(size, normalisation, resampling)
        return open_labelled(data, settings.evaluation.convention)

    groups = [list(models)] if ensemble else [[model] for model in models]
    found = []
    for number, members in enumerate(groups, start=1):
        model = replace(members[0], contender=" + ".join(one.contender for one in members))
        count = counting(f"evaluating {model.contender}, model {number} of {len(groups)}")
        loaded = ensembled([load_model(one.path, pick_device(settings)) for one in members])
        for one in members:
            note_opened(one, settings)
        card = loaded.card
        images = labelled(card.size, card.normalisation, card.resampling)
        found.append((model, evaluate(loaded, images, settings.evaluation, count)))
    return found


def result_of(name: str, description: str, found: Mapping[int, Evaluation]) -> AdaptationResult:
    """Turn the evaluations of one contender, by seed, into rows of a table."""
    evaluations = list(found.values())
    first = evaluations[0]
    summaries = [evaluation.summary() for evaluation in evaluations]
    return AdaptationResult(
        name=name,
        description=description,
        values=np.stack([evaluation.values for evaluation in evaluations]),
        classes=first.classes,
        seeds=tuple(found),
        measure=MEASURES[first.convention.measure],
        means={
            title: np.array([summary.get(title, np.nan) for summary in summaries])
            for title in summaries[0]
        },
        digits=first.convention.digits,
        confusion=np.sum([evaluation.confusion for evaluation in evaluations], axis=0),
    )


def results_of(found: Sequence[tuple[ModelFile, Evaluation]]) -> list[AdaptationResult]:
    """Return one result per contender, in the order in which they were named."""
    grouped: dict[str, dict[int, Evaluation]] = {}
    for model, evaluation in found:
        grouped.setdefault(model.contender, {})[model.seed] = evaluation
    return [result_of(name, "", dict(sorted(seeds.items()))) for name, seeds in grouped.items()]


def comparison_as(form: str, found: Sequence[tuple[ModelFile, Evaluation]]) -> str:
    """Return a comparison in one of ``FORMATS``; all but JSON and CSV say how it was made."""
    if form == "json":
        return json.dumps([_values(*one) for one in found], indent=2)
    results, words = results_of(found), "\n".join([_words(found[0][1]), *regrets(found)])
    if form == "csv":
        return results_csv(results).rstrip("\n")
    if form == "latex":
        comments = "\n".join(f"% {line}" for line in words.splitlines())
        return f"{comments}\n{results_latex(results)}"
    if form == "markdown":
        paragraphs = words.replace("\n", "\n\n")
        return f"{results_markdown(results)}\n\n{paragraphs}"
    return f"{results_text(results)}\n\n{words}"


def regrets(found: Sequence[tuple[ModelFile, Evaluation]]) -> list[str]:
    """Say of each contender how far its snapshots are below the best by labels, if that is there.

    The best by labels was found by the convention of the run, so by another one it may be beaten.
    """
    results = {result.name: result for result in results_of(found)}
    lines = []
    for name, result in results.items():
        contender = name.removesuffix(KINDS[BEST_BY_LABELS])
        if contender == name:
            continue
        others = {kind: results.get(contender + KINDS[kind]) for kind in (SELECTED, LAST)}
        below = [
            f"{kind} {percent(result.headline_mean - other.headline_mean)}"
            for kind, other in others.items()
            if other is not None
        ]
        lines.append(
            f"{contender}: points of {result.headline} below the best by labels: "
            f"{', '.join(below)} ({ANALYSIS})."
        )
    return lines


def _words(evaluation: Evaluation) -> str:
    rare = ", ".join(evaluation.rare_classes)
    words = f"{evaluation.images} images. {convention_words(evaluation.convention)}"
    return f"{words} Rare: {rare}." if rare else words


def _values(model: ModelFile, evaluation: Evaluation) -> dict[str, Any]:
    place = {"checkpoint": str(model.path), "contender": model.contender, "seed": model.seed}
    if model.snapshot:
        place["snapshot"] = model.snapshot
    return place | evaluation.to_json()
