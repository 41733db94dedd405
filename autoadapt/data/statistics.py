"""What is in a data set: a check of every original file."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from autoadapt.config.settings import DatasetSettings, DataSettings
from autoadapt.data.batches import IGNORE
from autoadapt.data.decode import BrokenFileError, Size
from autoadapt.data.open import check_evaluation, check_taught, class_names, map_of
from autoadapt.data.originals import (
    OriginalLabels,
    Originals,
    find_images,
    find_labels,
    pixels_per_id,
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
    sets = tuple(_check_set(role, dataset, settings) for role, dataset in settings.datasets.items())
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
        differs: Whether the label has another size than the image, where a format allows it.
    """

    size: Size | None
    broken: str | None = None
    pixels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    outside: dict[int, int] = field(default_factory=dict)
    differs: bool = False


def _check_set(role: str, dataset: DatasetSettings, settings: DataSettings) -> SetReport:
    try:
        found = find_images(dataset)
        labels = None if role == "target" else find_labels(found, map_of(settings, dataset))
        look = partial(_look, found, labels, settings.size_of(role))
        with ThreadPoolExecutor() as pool:
            looks = list(pool.map(look, range(len(found))))
    except AutoAdaptError as error:
        return SetReport(role, problem=str(error))
    report = SetReport(
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
    return report if labels is None else _with_classes(report, looks, class_names(settings))


def _look(found: Originals, labels: OriginalLabels | None, size: Size, index: int) -> _Look:
    try:
        stored = found.size(index)
        if stored is not None:  # What is rendered cannot be broken.
            found.image(index, stored)
    except BrokenFileError as error:
        return _Look(None, f"image: {error}")
    shown = stored or size
    if labels is None:
        return _Look(shown)
    try:
        raw = labels.raw(index, shown)
    except BrokenFileError as error:
        return _Look(shown, f"label: {error}")
    known, counts = labels.ids.known, pixels_per_id(raw)
    outside = {int(raw_id): int(counts[raw_id]) for raw_id in np.flatnonzero(counts * ~known)}
    pixels = np.zeros(256, np.int64)
    np.add.at(pixels, labels.ids.table, counts * known)
    return _Look(shown, None, pixels, outside, differs=raw.shape != shown)


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
