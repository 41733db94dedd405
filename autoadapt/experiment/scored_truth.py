"""True mIoU on the very target images that scores look at, beside that on held-out ones.

For analysis alone: once every model of a bank is trained and scored, the labels of these images
are opened and compared with the class maps kept of each model, so no model is run again. Nothing
but reports reads what is found.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoadapt.config.conventions import WORKING, Convention
from autoadapt.config.load import to_plain
from autoadapt.config.settings import DataSettings, ExperimentSettings
from autoadapt.data.batches import IGNORE
from autoadapt.data.open import find_evaluation_labels, open_evaluation
from autoadapt.errors import ConfigError, DataError
from autoadapt.experiment.bank_file import BankModel
from autoadapt.experiment.pool import trial_of
from autoadapt.experiment.rescoring import Answers, Question
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.statistics_file import read_class_maps
from autoadapt.experiment.trial import domains_of, scored_images
from autoadapt.experiment.watching import Watcher
from autoadapt.files import digest, write_json
from autoadapt.metrics.evaluation import Evaluation
from autoadapt.metrics.segmentation import ConfusionMatrix

COUNTING = ("measure", "absent", "subset", "outside", "background", "rare", "digits")
"""Parts of a convention that say how pixels are counted, not at which size and by which views."""


def check_scored_truth(settings: ExperimentSettings) -> None:
    """Refuse a bank whose scored images have no labels; they are looked for and not opened.

    Raises:
        ConfigError: Labels are missing, or have classes that the task does not have.
    """
    if settings.bank is None or settings.bank.scored_truth is None:
        return
    try:
        find_evaluation_labels(labelled_target(settings))
    except (DataError, ConfigError) as error:
        raise ConfigError(
            "bank.scored_truth needs labels of the images of data.target, for analysis after all "
            f"training and scoring: {error}; mend it (bank.scored_truth has its own merge and "
            "ignore) or leave bank.scored_truth out"
        ) from error


def labelled_target(settings: ExperimentSettings) -> DataSettings:
    """Return data settings whose evaluation set is the target itself."""
    data, truth = settings.data, settings.bank.scored_truth if settings.bank else None
    assert truth is not None
    target = replace(
        data.target,
        size=data.size_of("target"),
        merge={**data.target.merge, **truth.merge},
        ignore=(*data.target.ignore, *truth.ignore),
    )
    return replace(data, evaluation=target)


def reading(settings: ExperimentSettings) -> dict[str, Any]:
    """Return how the labels of the scored images become classes; empty if they are not read."""
    if settings.bank is None or settings.bank.scored_truth is None:
        return {}
    target = labelled_target(settings).evaluation
    assert target is not None
    return {"merge": dict(target.merge), "ignore": sorted(target.ignore)}


def with_scored_truth(
    models: Sequence[BankModel], settings: ExperimentSettings, folder: RunFolder, watcher: Watcher
) -> list[BankModel]:
    """Return trained and scored models with their comparison on the scored images, if asked for.

    It is kept beside the class maps; labels are opened for models that have none, which
    the run folder notes.

    Raises:
        DataError: No scored image has a label that can be used.
        RunError: The class maps of a model are missing.
    """
    if settings.bank is None or settings.bank.scored_truth is None:
        return list(models)
    question = Question.of(settings)
    answers = [Answers(trial_of(model, folder.path), question) for model in models]
    paths = [truth_path(one, settings) for one in answers]
    if not all(path.is_file() for path in paths):
        folder.note_labels_opened(f"{len(models)} models", "true mIoU on the scored images")
        watcher.stage(f"comparing {len(models)} models with the labels of the scored images")
        labels, classes = scored_labels(settings), domains_of(settings.data).classes
        for one, path in zip(answers, paths, strict=True):
            maps = read_class_maps(one.statistics).target
            found = compared(maps, labels, classes, settings.evaluation.convention)
            write_json(path, found.to_json())
    return [
        replace(model, scored_evaluation=Evaluation.from_json(json.loads(path.read_text())))
        for model, path in zip(models, paths, strict=True)
    ]


def truth_path(answers: Answers, settings: ExperimentSettings) -> Path:
    """Return where the comparison of a model is kept, by what it depends on."""
    key = digest({**reading(settings), "convention": to_plain(settings.evaluation.convention)})
    return answers.path.with_stem(f"{answers.path.stem}-truth-{key}")


def scored_labels(settings: ExperimentSettings) -> NDArray[np.uint8]:
    """Return the label maps of the images that scores look at, (N, H, W), in their order.

    An image whose label cannot be used, where ``data.broken`` says skip, is all void.

    Raises:
        DataError: No image has a label that can be used.
    """
    target = domains_of(settings.data).target
    labelled = open_evaluation(labelled_target(settings))
    places = {origin: place for place, origin in enumerate(labelled.unlabelled().origins)}
    chosen = scored_images(len(target), settings.scoring.images)
    found = [places.get(target.origins[index]) for index in chosen]
    maps = np.full((len(chosen), *target.size), IGNORE, np.uint8)
    for row, place in zip(maps, found, strict=True):
        if place is not None:
            row[:] = labelled.labels([place])[0]
    if np.all(maps == IGNORE):
        raise DataError(
            f"bank.scored_truth: none of the {len(chosen)} images that scores look at has a "
            "labelled pixel"
        )
    return maps


def compared(
    maps: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    classes: tuple[str, ...],
    convention: Convention,
) -> Evaluation:
    """Compare class maps with label maps, both (N, H, W) at the working size.

    Args:
        maps: Predicted classes.
        labels: Classes, or void. An image without a labelled pixel counts as no image.
        classes: Their names.
        convention: Says how pixels are counted; its sizes and views do not apply.
    """
    matrix = ConfusionMatrix(len(classes))
    matrix.update(maps, labels)
    counting = {part: getattr(convention, part) for part in COUNTING}
    images = int((labels != IGNORE).any(axis=(1, 2)).sum())
    return Evaluation(classes, matrix.counts, images, replace(WORKING, **counting))
