"""From settings to data sets: the only place where a label file is found and opened.

``open_target`` goes nowhere near labels: it lists images, decodes images, and returns a type
that has no labels.
"""

from dataclasses import replace

from autoadapt.config.settings import DatasetSettings, DataSettings
from autoadapt.data import folder, procedural
from autoadapt.data.cache import Recipe, cache_folder, open_rows
from autoadapt.data.classes import ClassTable, palette_for
from autoadapt.data.images import LabelledImages, Skipped, UnlabelledImages, check_disjoint
from autoadapt.data.mapping import (
    LabelMap,
    OwnClasses,
    check_all_present,
    label_map,
    task_names,
)
from autoadapt.data.rows import Rows
from autoadapt.errors import ConfigError, DataError

Found = folder.FolderImages | procedural.ProceduralImages


def class_names(settings: DataSettings) -> tuple[str, ...]:
    """Return the classes of the task: those of the settings, else those the source has.

    Raises:
        DataError: The class list of the source is missing or contradicts its settings.
    """
    own, _ = own_classes(settings.source)
    return settings.classes or task_names(own, settings.source)


def class_table(settings: DataSettings) -> ClassTable:
    """Return the classes of the task with their colours: the source's own where it has them.

    Raises:
        DataError: The class list of the source is missing or contradicts its settings.
    """
    names = class_names(settings)
    _, table = own_classes(settings.source)
    if set(names) <= set(table.names):
        return ClassTable(names, tuple(table.palette[table.names.index(name)] for name in names))
    return ClassTable(names, palette_for(names))


def open_source(settings: DataSettings) -> LabelledImages:
    """Return the labelled source images.

    Raises:
        DataError: Files are missing or broken, or classes do not match; all of it in one message.
        ConfigError: The root or the cache folder cannot be used.
    """
    check_taught(settings)
    return _open_labelled(settings, settings.source)


def open_further_sources(settings: DataSettings) -> dict[str, LabelledImages]:
    """Return the other labelled sources by name, at the size and with the classes of the first.

    Raises:
        DataError: Files are missing or broken, or classes do not match.
        ConfigError: A root or the cache folder cannot be used.
    """
    further = settings.further_sources
    return {name: _open_labelled(settings, dataset) for name, dataset in further.items()}


def check_taught(settings: DataSettings) -> None:
    """Refuse a class of the task that no source can teach.

    Raises:
        DataError: No source has it.
    """
    classes = class_names(settings)
    check_all_present(classes, [(own_classes(s)[0], s) for s in settings.sources.values()])


def open_target(settings: DataSettings) -> UnlabelledImages:
    """Return the target images. No label file is listed, opened or derived.

    Raises:
        DataError: Images are missing or broken.
        ConfigError: The root or the cache folder cannot be used.
    """
    found = find_images(settings.target)
    rows = open_rows(found.recipe(settings.size), cache_folder(settings.cache))
    return _pictures(found, rows, _broken(found, settings, rows))


def open_evaluation(settings: DataSettings) -> LabelledImages:
    """Return the labelled target images that evaluation and correlation may see.

    Raises:
        ConfigError: The settings name no evaluation set.
        DataError: Files are missing or broken, or classes do not match.
    """
    if settings.evaluation is None:
        raise ConfigError(
            "data.evaluation is not set: evaluation needs labelled target images; name a data "
            "set under data.evaluation"
        )
    return _open_labelled(settings, settings.evaluation)


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
    evaluation = open_target(replace(settings, target=settings.evaluation))
    check_disjoint(open_target(settings), evaluation)
    check_disjoint(open_source(settings).unlabelled(), evaluation, "source")
    for name, images in open_further_sources(settings).items():
        check_disjoint(images.unlabelled(), evaluation, f"further_sources.{name}")


def find_images(settings: DatasetSettings) -> Found:
    """List the images of a data set of either kind; nothing is decoded.

    Raises:
        DataError: Images are missing.
        ConfigError: The root cannot be used.
    """
    if settings.kind == "procedural":
        return procedural.find_images(settings)
    return folder.find_images(settings)


def own_classes(settings: DatasetSettings) -> tuple[OwnClasses, ClassTable]:
    """Return the classes as the data set itself numbers them.

    Raises:
        DataError: ``classes.json`` is missing or wrong.
    """
    if settings.kind == "procedural":
        return procedural.own_classes()
    return folder.read_classes(folder.find_root(settings.root))


def labels_of(found: Found, size: tuple[int, int], ids: LabelMap) -> Recipe:
    """Return how to make the label maps of images.

    Raises:
        DataError: Label files are missing.
    """
    if isinstance(found, procedural.ProceduralImages):
        return found.label_recipe(size, ids)
    return folder.label_recipe(found, folder.find_labels(found), size=size, ids=ids)


def _open_labelled(settings: DataSettings, dataset: DatasetSettings) -> LabelledImages:
    classes = class_names(settings)
    own, _ = own_classes(dataset)
    ids = label_map(own, classes, dataset)
    found = find_images(dataset)
    labels = labels_of(found, settings.size, ids)
    where = cache_folder(settings.cache)
    image_rows = open_rows(found.recipe(settings.size), where)
    label_rows = open_rows(labels, where)
    broken = _broken(found, settings, image_rows, label_rows)
    pictures = _pictures(found, image_rows, broken)
    return LabelledImages(classes, label_rows, pictures.positions, pictures)


def _broken(found: Found, settings: DataSettings, *sides: Rows) -> dict[int, str]:
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
    if len(broken) == len(found.ids):
        raise DataError(f"{_broken_text(found, broken)}; nothing is left to work with")
    return dict(sorted(broken.items()))


def _broken_text(found: Found, broken: dict[int, str]) -> str:
    shown = [f"{found.ids[position]} ({reason})" for position, reason in sorted(broken.items())]
    more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
    where = found.root if isinstance(found, folder.FolderImages) else found.style
    return (
        f"{len(broken)} of {len(found.ids)} images or labels of {where} cannot be used: "
        f"{', '.join(shown[:5])}{more}"
    )


def _pictures(found: Found, rows: Rows, broken: dict[int, str]) -> UnlabelledImages:
    kept = tuple(position for position in range(len(found.ids)) if position not in broken)
    skipped: Skipped = tuple((found.ids[position], reason) for position, reason in broken.items())
    origins = found.origins
    return UnlabelledImages(
        ids=tuple(found.ids[position] for position in kept),
        origins=tuple(origins[position] for position in kept),
        rows=rows,
        positions=kept,
        skipped=skipped,
    )
