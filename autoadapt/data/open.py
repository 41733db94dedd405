"""From settings to data sets: the only place where a label file is found and opened.

``open_target`` goes nowhere near labels: it lists images, decodes images, and returns a type
that has no labels.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from autoadapt.config.load import make_format
from autoadapt.config.settings import DatasetSettings, DataSettings, Size
from autoadapt.data.cache import cache_folder, open_rows
from autoadapt.data.classes import ClassTable
from autoadapt.data.images import (
    LabelledImages,
    Skipped,
    UnlabelledImages,
    check_disjoint,
    refuse_shared,
)
from autoadapt.data.mapping import (
    LabelMap,
    OwnClasses,
    check_all_present,
    label_map,
    protocol_map,
    task_names,
    task_table,
)
from autoadapt.data.originals import Originals, find_images, find_labels
from autoadapt.data.protocols import PROTOCOLS
from autoadapt.data.rows import Rows
from autoadapt.data.streaming import LabelledFiles
from autoadapt.errors import ConfigError, DataError

logger = logging.getLogger(__name__)


def class_table(settings: DataSettings) -> ClassTable:
    """Return the classes of the task with their colours.

    They are those of the protocol, else those of the settings, else those the source has.

    Raises:
        DataError: The class list of the source is missing or contradicts its settings.
    """
    if settings.protocol is not None:
        return PROTOCOLS[settings.protocol].table
    own = own_classes(settings.source)
    return task_table(own, settings.classes or task_names(own, settings.source))


def class_names(settings: DataSettings) -> tuple[str, ...]:
    """Return the classes of the task.

    Raises:
        DataError: The class list of the source is missing or contradicts its settings.
    """
    return class_table(settings).names


def own_classes(dataset: DatasetSettings) -> OwnClasses:
    """Return the classes as a data set itself numbers them.

    Raises:
        DataError: Its class list is missing or wrong.
    """
    own: OwnClasses = make_format(dataset).own_classes()
    return own


def map_of(settings: DataSettings, dataset: DatasetSettings) -> LabelMap:
    """Return the way from a data set's ids to the classes of the task.

    Raises:
        DataError: A class of the data set has no place in the task, or options contradict it.
    """
    own = own_classes(dataset)
    if settings.protocol is not None:
        return protocol_map(own, PROTOCOLS[settings.protocol], dataset)
    return label_map(own, class_names(settings), dataset)


def open_source(settings: DataSettings) -> LabelledImages:
    """Return the labelled source images.

    Raises:
        DataError: Files are missing or broken, or classes do not match; all of it in one message.
        ConfigError: The root or the cache folder cannot be used.
    """
    check_taught(settings)
    return _open_labelled(settings, "source")


def open_held_out(data: DataSettings) -> LabelledImages:
    """Return the source images that ``data.source.hold_out`` keeps out of training.

    Raises:
        ConfigError: It keeps none.
    """
    if not data.source.hold_out:
        raise ConfigError(
            "data.source.hold_out is 0, so every source image was trained on; set it (DAST: 500 of "
            "GTA5, 400 of SYNTHIA), train with it, and validate with the same config"
        )
    return open_source(replace(data, source=replace(data.source, side="validation")))


def open_further_sources(settings: DataSettings) -> dict[str, LabelledImages]:
    """Return the other labelled sources by name, at the size and with the classes of the first.

    Raises:
        DataError: Files are missing or broken, or classes do not match.
        ConfigError: A root or the cache folder cannot be used.
    """
    names = settings.further_sources
    return {name: _open_labelled(settings, f"further_sources.{name}") for name in names}


def check_taught(settings: DataSettings) -> None:
    """Refuse a class of the task that no source can teach.

    Raises:
        DataError: No source has it.
    """
    maps = [map_of(settings, dataset) for dataset in settings.sources.values()]
    check_all_present(class_names(settings), maps)


def open_target(settings: DataSettings) -> UnlabelledImages:
    """Return the target images. No label file is listed, opened or derived.

    Raises:
        DataError: Images are missing or broken.
        ConfigError: The root or the cache folder cannot be used.
    """
    found = _found(settings.target)
    recipe = found.recipe(settings.size_of("target"), settings.resampling)
    rows = open_rows(recipe, cache_folder(settings.cache))
    return _pictures(found, rows, _broken(found, settings, rows))


def open_evaluation(settings: DataSettings) -> LabelledImages:
    """Return the labelled target images that evaluation and correlation may see.

    Raises:
        ConfigError: The settings name no evaluation set.
        DataError: Files are missing or broken, or classes do not match.
    """
    _evaluation(settings)
    return _open_labelled(settings, "evaluation")


def open_evaluation_files(settings: DataSettings) -> LabelledFiles:
    """Return the same images and labels, to be read from their files at any size.

    Raises:
        ConfigError: The settings name no evaluation set.
        DataError: Files are missing, or classes do not match.
    """
    dataset = _evaluation(settings)
    found = _found(dataset)
    labels = find_labels(found, map_of(settings, dataset))
    rendered = settings.size_of("evaluation")

    def own(index: int) -> Size:
        return found.size(index) or rendered

    return LabelledFiles(
        classes=class_names(settings),
        ids=found.listing.ids,
        image=lambda i, size: found.image(i, size or own(i), settings.resampling),
        label=lambda i, size: labels.classes(i, size or own(i)),
        broken=settings.broken,
    )


def find_evaluation_labels(settings: DataSettings) -> None:
    """Look for the label of each evaluation image, and for its classes; no label is opened.

    Raises:
        ConfigError: The settings name no evaluation set, or a root cannot be used.
        DataError: Labels are missing, or classes do not match.
    """
    dataset = _evaluation(settings)
    find_labels(_found(dataset), map_of(settings, dataset))


def check_evaluation(settings: DataSettings) -> None:
    """Refuse an evaluation on images that are adapted to or trained on.

    The evaluation images are compared as images alone; their labels stay closed.

    Raises:
        DataError: Something is missing or broken, or the evaluation shares images with a source
            or with the target.
        ConfigError: A root or the cache folder cannot be used.
    """
    if settings.evaluation is None:
        return
    sized = replace(settings.evaluation, size=settings.size_of("evaluation"))
    evaluation = open_target(replace(settings, target=sized))
    check_disjoint(open_target(settings), evaluation)
    check_disjoint(open_source(settings).unlabelled(), evaluation, "source")
    for name, images in open_further_sources(settings).items():
        check_disjoint(images.unlabelled(), evaluation, f"further_sources.{name}")


def count_images(settings: DataSettings) -> dict[str, int]:
    """Return the number of images of each data set, by key below ``data``; nothing is decoded.

    Labels of sources and of the evaluation are looked for, those of the target are not. An
    evaluation on images from the same place as others is refused; copies are found only when
    images are decoded.

    Raises:
        DataError: Images or labels are missing, or classes do not match.
        ConfigError: A root cannot be used.
    """
    check_taught(settings)
    found = {key: _found(dataset) for key, dataset in settings.datasets.items()}
    for key, dataset in settings.datasets.items():
        if key != "target":
            find_labels(found[key], map_of(settings, dataset))
    if "evaluation" in found:
        _check_places(found)
    return {key: len(images) for key, images in found.items()}


def _check_places(found: Mapping[str, Originals]) -> None:
    evaluation = found["evaluation"].listing
    for key, images in found.items():
        if key != "evaluation":
            places = set(images.listing.origins)
            pairs = zip(evaluation.ids, evaluation.origins, strict=True)
            shared = [name for name, origin in pairs if origin in places]
            refuse_shared(shared, len(evaluation), len(images), key)


def _evaluation(settings: DataSettings) -> DatasetSettings:
    if settings.evaluation is None:
        raise ConfigError(
            "data.evaluation is not set: evaluation needs labelled target images; name a data "
            "set under data.evaluation"
        )
    return settings.evaluation


def _found(dataset: DatasetSettings) -> Originals:
    found = find_images(dataset)
    for remark in found.listing.remarks:
        _warn_once(f"{found.listing.where}: {remark}")
    return found


@cache
def _warn_once(text: str) -> None:
    """Tell it when a data set is opened first, not at every opening."""
    logger.warning("%s", text)


def _open_labelled(settings: DataSettings, key: str) -> LabelledImages:
    dataset, size = settings.datasets[key], settings.size_of(key)
    ids = map_of(settings, dataset)
    found = _found(dataset)
    labels = find_labels(found, ids)
    where = cache_folder(settings.cache)
    image_rows = open_rows(found.recipe(size, settings.resampling), where)
    label_rows = open_rows(labels.recipe(size), where)
    broken = _broken(found, settings, image_rows, label_rows)
    pictures = _pictures(found, image_rows, broken)
    return LabelledImages(class_names(settings), label_rows, pictures.positions, pictures)


def _broken(found: Originals, settings: DataSettings, *sides: Rows) -> dict[int, str]:
    """Return the positions that cannot be used, with the reason.

    Raises:
        DataError: There are some and the settings say stop, or nothing else is left.
    """
    kinds = ("image", "label")
    broken: dict[int, str] = {}
    for kind, rows in zip(kinds, sides, strict=False):
        for position, reason in rows.broken.items():
            broken.setdefault(position, f"{kind}: {reason}")
    if broken and settings.broken == "stop":
        raise DataError(
            f"{_broken_text(found, broken)}; mend or remove them, or set data.broken: skip"
        )
    if len(broken) == len(found):
        raise DataError(f"{_broken_text(found, broken)}; nothing is left to work with")
    return dict(sorted(broken.items()))


def _broken_text(found: Originals, broken: dict[int, str]) -> str:
    shown = [
        f"{found.listing.ids[position]} ({reason})" for position, reason in sorted(broken.items())
    ]
    more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
    return (
        f"{len(broken)} of {len(found)} images or labels of {found.listing.where} cannot be used: "
        f"{', '.join(shown[:5])}{more}"
    )


def _pictures(found: Originals, rows: Rows, broken: dict[int, str]) -> UnlabelledImages:
    kept = tuple(position for position in range(len(found)) if position not in broken)
    skipped: Skipped = tuple(
        (found.listing.ids[position], reason) for position, reason in broken.items()
    )
    origins = found.listing.origins
    return UnlabelledImages(
        ids=tuple(found.listing.ids[position] for position in kept),
        origins=tuple(origins[position] for position in kept),
        rows=rows,
        positions=kept,
        skipped=skipped,
    )
