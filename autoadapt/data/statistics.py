"""What is in a data set: a check of every original file."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoadapt.config.settings import DatasetSettings, DataSettings
from autoadapt.data.batches import IGNORE
from autoadapt.data.decode import (
    BrokenFileError,
    Size,
    image_size,
    raw_ids,
    read_image,
)
from autoadapt.data.folder import FolderImages, find_labels
from autoadapt.data.mapping import LabelMap, label_map
from autoadapt.data.open import (
    Found,
    check_evaluation,
    check_taught,
    class_names,
    find_images,
    own_classes,
)
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
        problem: Why the data set cannot be opened at all, if so.
    """

    role: str
    images: int = 0
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)
    broken: tuple[tuple[str, str], ...] = ()
    outside: dict[int, int] = field(default_factory=dict)
    frequencies: dict[str, float] = field(default_factory=dict)
    void: float = float("nan")
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


def check(settings: DataSettings) -> DataReport:
    """Open every original file once and say what is there; label files of the target are not.

    Problems become part of the report instead of errors, so that all are seen at once.

    Raises:
        ConfigError: The cache folder cannot be used.
        RunError: The disk is full.
    """
    try:
        classes = class_names(settings)
    except AutoAdaptError as error:
        return DataReport((), (SetReport("source", problem=str(error)),))
    sets = tuple(
        _check_set(role, dataset, classes=classes, size=settings.size)
        for role, dataset in settings.datasets.items()
    )
    usable = all(report.problem is None and not report.outside for report in sets)
    if usable:
        sets = (_with_untaught(sets[0], settings), *sets[1:])
    usable = usable and sets[0].problem is None
    overlap = _overlap(settings) if usable and settings.evaluation is not None else None
    return DataReport(classes, sets, overlap)


def _with_untaught(report: SetReport, settings: DataSettings) -> SetReport:
    try:
        check_taught(settings)
    except DataError as error:
        return replace(report, problem=str(error))
    return report


@dataclass(frozen=True)
class _Look:
    """What one image and its label showed.

    Attributes:
        pixels: Number of pixels per class of the task, (256,), void last.
    """

    size: Size | None
    broken: str | None = None
    pixels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    outside: dict[int, int] = field(default_factory=dict)


def _check_set(
    role: str, dataset: DatasetSettings, *, classes: tuple[str, ...], size: Size
) -> SetReport:
    try:
        found = find_images(dataset)
        ids = None if role == "target" else _map(dataset, classes)
        look = _looker(found, ids, size)
        with ThreadPoolExecutor() as pool:
            looks = list(pool.map(look, range(len(found.ids))))
    except AutoAdaptError as error:
        return SetReport(role, problem=str(error))
    report = SetReport(
        role,
        images=len(looks),
        sizes=dict(Counter(look.size for look in looks if look.size is not None)),
        broken=tuple(
            (name, look.broken)
            for name, look in zip(found.ids, looks, strict=True)
            if look.broken is not None
        ),
    )
    return report if ids is None else _with_classes(report, looks, classes)


def _map(dataset: DatasetSettings, classes: tuple[str, ...]) -> LabelMap:
    own, _ = own_classes(dataset)
    return label_map(own, classes, dataset)


def _looker(found: Found, ids: LabelMap | None, size: Size) -> Callable[[int], _Look]:
    if isinstance(found, FolderImages):
        labels = None if ids is None else find_labels(found)
        return partial(_look_at_files, found.files, labels, ids)
    if ids is None:
        return lambda _: _Look(size)
    made = found.label_recipe(size, ids).make
    return lambda index: _Look(size, pixels=np.bincount(made(index).reshape(-1), minlength=256))


def _look_at_files(
    images: Sequence[Path], labels: Sequence[Path] | None, ids: LabelMap | None, index: int
) -> _Look:
    try:
        size = image_size(images[index])
        read_image(images[index], size)
    except BrokenFileError as error:
        return _Look(None, f"image: {error}")
    if labels is None or ids is None:
        return _Look(size)
    try:
        raw = raw_ids(labels[index], images[index])
    except BrokenFileError as error:
        return _Look(size, f"label: {error}")
    outside = {int(raw_id): int(raw[raw_id]) for raw_id in np.flatnonzero(raw * ~ids.known)}
    pixels = np.zeros(256, np.int64)
    np.add.at(pixels, ids.table, raw * ids.known)
    return _Look(size, None, pixels, outside)


def _with_classes(report: SetReport, looks: Sequence[_Look], classes: tuple[str, ...]) -> SetReport:
    pixels = sum((look.pixels for look in looks), np.zeros(256, np.int64))
    outside: Counter[int] = Counter()
    for look in looks:
        outside.update(look.outside)
    shares = pixels[: len(classes)] / max(1, int(pixels[: len(classes)].sum()))
    return replace(
        report,
        outside=dict(sorted(outside.items())),
        frequencies={name: float(share) for name, share in zip(classes, shares, strict=True)},
        void=float(pixels[IGNORE] / max(1, int(pixels.sum()))),
    )


def _overlap(settings: DataSettings) -> str | None:
    lenient = replace(settings, broken="skip")
    try:
        check_evaluation(lenient)
    except DataError as error:
        return str(error)
    return None
