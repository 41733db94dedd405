"""What is in a data set: a check of every original file."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from autoadapt.config.settings import DatasetSettings, DataSettings
from autoadapt.data.batches import IGNORE
from autoadapt.data.cache import cache_folder
from autoadapt.data.counting import Counting, silent
from autoadapt.data.decode import Size
from autoadapt.data.looks import Look, look_at_all
from autoadapt.data.mapping import LabelMap, label_map, task_names
from autoadapt.data.open import (
    check_evaluation,
    check_taught,
    class_names,
    map_of,
    own_classes,
)
from autoadapt.data.originals import Originals, find_images, find_labels
from autoadapt.data.prepare import prepare
from autoadapt.errors import AutoAdaptError, DataError


@dataclass(frozen=True)
class SetReport:
    """One data set, as its original files are.

    Attributes:
        role: Its key below ``data``: ``source``, ``target``, ``further_sources.synthia``, …
        images: Number of listed images.
        sizes: Number of images per (height, width) of the original files.
        broken: Name and reason of each image or label that cannot be used.
        outside: Pixels per raw label id that the data set does not declare.
        frequencies: Share of each class of the task in the labelled pixels, before resizing;
            empty for the target, whose labels are not opened.
        void: Share of the pixels that belong to no class; NaN for the target.
        remarks: What else a user should know, such as images that the published set has.
        resized_apart: Number of labels of another size than their images, in a format where
            each is resized on its own.
        problem: Why the data set cannot be opened at all, if so.
    """

    role: str
    images: int = 0
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)
    broken: tuple[tuple[str, str], ...] = ()
    outside: dict[int, int] = field(default_factory=dict)
    frequencies: dict[str, float] = field(default_factory=dict)
    void: float = float("nan")
    remarks: tuple[str, ...] = ()
    resized_apart: int = 0
    problem: str | None = None

    @property
    def absent(self) -> tuple[str, ...]:
        """Classes without a single pixel."""
        return tuple(name for name, share in self.frequencies.items() if share == 0)

    @property
    def sound(self) -> bool:
        """Whether the set can be used as it is."""
        return self.problem is None and not self.broken and not self.outside


@dataclass(frozen=True)
class DataReport:
    """All data sets of an experiment.

    Attributes:
        classes: Classes of the task; empty if they cannot be determined.
        sets: One report per role.
        overlap: Why evaluation and target are not disjoint, if so.
    """

    classes: tuple[str, ...]
    sets: tuple[SetReport, ...]
    overlap: str | None = None

    @property
    def sound(self) -> bool:
        """Whether nothing was found that stops a run."""
        return self.overlap is None and all(report.sound for report in self.sets)


def check(settings: DataSettings, counting: Counting = silent) -> DataReport:
    """Open every original file once and say what is there; label files of the target are not.

    Problems become part of the report instead of errors, so that all are seen at once. What was
    seen of a file is kept in the cache folder: a check that was interrupted goes on.

    Args:
        settings: The data sets.
        counting: Told how far it is with each of them.

    Raises:
        ConfigError: The cache folder cannot be used.
        RunError: The disk is full.
    """
    try:
        classes = class_names(settings)
    except AutoAdaptError as error:
        return DataReport((), (SetReport("source", problem=str(error)),))
    walk = _Walk(classes, cache_folder(settings.cache), counting)
    sets = tuple(
        walk.look(
            role,
            dataset,
            size=settings.size_of(role),
            ids_of=None if role == "target" else partial(map_of, settings, dataset),
        )
        for role, dataset in settings.datasets.items()
    )
    usable = all(report.problem is None and not report.outside for report in sets)
    if usable:
        sets = (_with_untaught(sets[0], settings), *sets[1:])
    usable = usable and sets[0].problem is None
    overlap = _overlap(settings, counting) if usable and settings.evaluation is not None else None
    return DataReport(classes, sets, overlap)


def check_alone(
    dataset: DatasetSettings, *, labels: bool, counting: Counting = silent
) -> DataReport:
    """Do the same for one data set outside any experiment, with all of its own classes.

    Args:
        dataset: The data set.
        labels: Whether its labels are looked at too.
        counting: Told how far it is.

    Raises:
        ConfigError: The cache folder cannot be used.
        RunError: The disk is full.
    """
    try:
        own = own_classes(dataset)
        classes = task_names(own, dataset)
    except AutoAdaptError as error:
        return DataReport((), (SetReport(dataset.kind, problem=str(error)),))
    walk = _Walk(classes, cache_folder(None), counting)
    ids_of = partial(label_map, own, classes, dataset) if labels else None
    size = dataset.size or DataSettings(source=dataset, target=dataset).size
    return DataReport(classes, (walk.look(dataset.kind, dataset, size=size, ids_of=ids_of),))


def _with_untaught(report: SetReport, settings: DataSettings) -> SetReport:
    try:
        check_taught(settings)
    except DataError as error:
        return replace(report, problem=str(error))
    return report


@dataclass(frozen=True)
class _Walk:
    """What is the same for all data sets that are checked together."""

    classes: tuple[str, ...]
    folder: Path
    counting: Counting

    def look(
        self,
        role: str,
        dataset: DatasetSettings,
        *,
        size: Size,
        ids_of: Callable[[], LabelMap] | None,
    ) -> SetReport:
        """Look at one data set; without a way to its ids its labels stay closed."""
        try:
            found = find_images(dataset)
            ids = None if ids_of is None else ids_of()
            labels = None if ids is None else find_labels(found, ids)
        except AutoAdaptError as error:
            return SetReport(role, problem=str(error))
        told = self.counting(f"checking {role}")
        try:
            looks = look_at_all(found, labels, size=size, folder=self.folder, on_image=told)
        except DataError as error:
            return SetReport(role, problem=str(error))
        report = _reported(role, found, looks)
        return report if ids is None else _with_classes(report, looks, ids, self.classes)


def _reported(role: str, found: Originals, looks: Sequence[Look]) -> SetReport:
    return SetReport(
        role,
        images=len(looks),
        sizes=dict(Counter(look.size for look in looks if look.size is not None)),
        broken=tuple(
            (name, look.broken)
            for name, look in zip(found.listing.ids, looks, strict=True)
            if look.broken is not None
        ),
        remarks=found.listing.remarks,
        resized_apart=sum(look.differs for look in looks),
    )


def _with_classes(
    report: SetReport, looks: Sequence[Look], ids: LabelMap, classes: tuple[str, ...]
) -> SetReport:
    raw = np.zeros(256, np.int64)
    for look in looks:
        for label, count in look.pixels.items():
            raw[label] += count
    pixels = np.zeros(256, np.int64)
    np.add.at(pixels, ids.table, raw * ids.known)
    shares = pixels[: len(classes)] / max(1, int(pixels[: len(classes)].sum()))
    return replace(
        report,
        outside={int(label): int(raw[label]) for label in np.flatnonzero(raw * ~ids.known)},
        frequencies={name: float(share) for name, share in zip(classes, shares, strict=True)},
        void=float(pixels[IGNORE] / max(1, int(pixels.sum()))),
    )


def _overlap(settings: DataSettings, counting: Counting) -> str | None:
    lenient = replace(settings, broken="skip")
    try:
        # Pixels are compared at the working size; the few of the evaluation set come last.
        prepare(replace(lenient, evaluation=None), counting)
        check_evaluation(lenient)
    except DataError as error:
        return str(error)
    return None
