"""What an evaluation found: counts of pixels, and every number that follows from them.

Only the confusion matrix, the class names and the convention are kept; IoU, means over class
sets, accuracies and Dice are derived, so that another convention's means can be read off an old
result without evaluating again.

Rare classes follow from the labels of the evaluation set alone: those with less than 1 % of its
labelled pixels (``Convention.rare``), such as rider, train and motorcycle on Cityscapes. TPLD
reports a mean over rare classes too, over a list of its own; a list can be given instead.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from autoadapt.config.conventions import WORKING, Convention, Subset, convention_of
from autoadapt.data.classes import SYNTHIA13, SYNTHIA16
from autoadapt.errors import ConfigError
from autoadapt.metrics.segmentation import ConfusionMatrix, mean_over

Classes = tuple[str, ...]
SUBSETS: dict[Subset, tuple[Classes, Classes]] = {
    "synthia16": (SYNTHIA16, SYNTHIA16),
    "synthia13": (SYNTHIA13, SYNTHIA16),
}
"""Classes of a mean, and the classes of the labels it is made for.

The 13 are averaged from the 16: wall, fence and pole leave the mean but stay in the labels.
"""
SUBSET_TITLES: dict[Subset, str] = {"synthia16": "mIoU16", "synthia13": "mIoU13"}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How well a model labels a set of images.

    Attributes:
        classes: Class names in the order of ``confusion``.
        confusion: (C, C) pixel counts, rows are labels.
        images: Number of images.
        convention: How they were compared.

    Raises:
        ValueError: Counts and class names differ in number.
        ConfigError: The convention names a class that is not among ``classes``.
    """

    classes: Classes
    confusion: NDArray[np.int64]
    images: int
    convention: Convention = WORKING

    def __post_init__(self) -> None:
        if self.confusion.shape != (len(self.classes), len(self.classes)):
            raise ValueError(f"{self.confusion.shape} counts for {len(self.classes)} classes")
        self._indices(self._members(self.convention.subset)[0], "subset")
        if isinstance(self.convention.rare, tuple):
            self._indices(self.convention.rare, "rare")

    @cached_property
    def matrix(self) -> ConfusionMatrix:
        """The counts behind per-class values, labels outside the subset treated by convention."""
        return self._matrix_for(self.convention.subset)

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union per class in [0, 1]; NaN for a class that never occurs."""
        return self.matrix.iou()

    @property
    def dice(self) -> NDArray[np.float64]:
        """Dice coefficient per class over all pixels of the set, as ``iou``."""
        return self.matrix.dice()

    @property
    def values(self) -> NDArray[np.float64]:
        """What the headline is a mean of, per class."""
        return self.iou if self.convention.measure == "iou" else self.dice

    @property
    def headline(self) -> float:
        """The number that tables put first: mean IoU or Dice of the convention's classes."""
        return self._mean(self.values, self.convention.subset)

    @property
    def miou(self) -> float:
        """Mean IoU of the convention's classes."""
        return self._mean(self.iou, self.convention.subset)

    @property
    def mean_dice(self) -> float:
        """Mean Dice coefficient of the convention's classes."""
        return self._mean(self.dice, self.convention.subset)

    @property
    def accuracy(self) -> float:
        """Share of labelled pixels that is predicted right."""
        return self.matrix.pixel_accuracy()

    @property
    def mean_accuracy(self) -> float:
        """Mean over labelled classes of the share of their pixels that is predicted right."""
        return self.matrix.mean_accuracy()

    @cached_property
    def rare_classes(self) -> Classes:
        """Names of the rare classes among those of the subset; one that is not labelled is none."""
        members, _ = self._members(self.convention.subset)
        rare = self.convention.rare
        if isinstance(rare, tuple):
            return tuple(name for name in rare if name in members)
        shares = dict(zip(self.classes, self.matrix.label_shares(), strict=True))
        return tuple(name for name in self.counted if 0 < shares[name] < rare)

    @property
    def rare_miou(self) -> float:
        """Mean IoU of the rare classes; NaN without any."""
        indices = self._indices(self.rare_classes, "rare")
        return mean_over(self.iou, indices, self.convention.absent)

    @property
    def counted(self) -> Classes:
        """Names of the classes that enter the headline."""
        return self._counted(self.convention.subset)

    def subset_miou(self, subset: Subset) -> float:
        """Return the mean IoU of a subset of the classes.

        Raises:
            ConfigError: It names a class that is not among ``classes``.
        """
        return self._mean(self._matrix_for(subset).iou(), subset)

    def under(self, convention: Convention) -> Self:
        """Return the same counts read by another convention's means."""
        return replace(self, convention=convention)

    def summary(self) -> dict[str, float]:
        """Return the means worth a row below the classes, the headline first."""
        rows = {subset_title(self.convention): self.headline}
        if self.convention.measure == "dice":
            rows["mIoU"] = self.miou
        for subset, title in SUBSET_TITLES.items():
            members, _ = SUBSETS[subset]
            if title not in rows and set(members) < set(self.classes):
                rows[title] = self.subset_miou(subset)
        if self.rare_classes:
            rows["rare mIoU"] = self.rare_miou
        rows |= {"mean Dice": self.mean_dice} if "mean Dice" not in rows else {}
        return rows | {"pixel accuracy": self.accuracy, "mean accuracy": self.mean_accuracy}

    def to_json(self) -> dict[str, Any]:
        """Return plain values; what does not exist is null."""
        return {
            "classes": list(self.classes),
            "images": self.images,
            "convention": asdict(self.convention),
            "iou": [_plain(value) for value in self.iou],
            "dice": [_plain(value) for value in self.dice],
            "miou": _plain(self.miou),
            "accuracy": _plain(self.accuracy),
            "summary": {name: _plain(value) for name, value in self.summary().items()},
            "rare_classes": list(self.rare_classes),
            "confusion": self.confusion.tolist(),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """Undo ``to_json``; derived values are derived again.

        Files of version 0.1 describe their only convention, today's ``working``, in a sentence.
        """
        written = raw["convention"]
        convention = WORKING if isinstance(written, str) else convention_of(written)
        counts = np.array(raw["confusion"], dtype=np.int64)
        return cls(tuple(raw["classes"]), counts, raw["images"], convention)

    def _members(self, subset: Subset) -> tuple[Classes, Classes]:
        """Return the classes of a subset, and those its labels know."""
        if subset == "all":
            return self.classes, self.classes
        return (subset, subset) if isinstance(subset, tuple) else SUBSETS[subset]

    def _counted(self, subset: Subset) -> Classes:
        members, _ = self._members(subset)
        return tuple(name for name in members if self.convention.background or name != "background")

    def _matrix_for(self, subset: Subset) -> ConfusionMatrix:
        matrix = ConfusionMatrix.of(self.confusion)
        if self.convention.outside == "counted":
            return matrix
        _, known = self._members(subset)
        return matrix.without_labels(
            [index for index, name in enumerate(self.classes) if name not in known]
        )

    def _mean(self, values: NDArray[np.float64], subset: Subset) -> float:
        indices = self._indices(self._counted(subset), "subset")
        return mean_over(values, indices, self.convention.absent)

    def _indices(self, names: Classes, part: str) -> list[int]:
        unknown = [name for name in names if name not in self.classes]
        if unknown:
            raise ConfigError(
                f"evaluation.convention.{part} names {', '.join(unknown)}, which are not among the "
                f"{len(self.classes)} classes evaluated: {', '.join(self.classes)}"
            )
        return [self.classes.index(name) for name in names]


def subset_title(convention: Convention) -> str:
    """Return what tables call the headline: ``mIoU``, ``mIoU13``, ``mean Dice (road, car)``."""
    if convention.measure == "iou" and convention.subset in SUBSET_TITLES:
        return SUBSET_TITLES[convention.subset]
    start = "mIoU" if convention.measure == "iou" else "mean Dice"
    if convention.subset == "all":
        return start
    named = (
        convention.subset if isinstance(convention.subset, str) else ", ".join(convention.subset)
    )
    return f"{start} ({named})"


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
