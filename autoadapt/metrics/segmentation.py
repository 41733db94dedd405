"""Metrics of segmentation that need labels, all from one confusion matrix over the data set.

Counts are summed over all images first and divided last; a mean of per-image values is another
number and not given. Shares are in [0, 1].

A class with no pixel in labels and predictions alike has no IoU and no Dice: it is NaN. Means
leave such classes out (``absent="nan"``, as AdaptSegNet and AdvEnt evaluate), count them as 0
(``absent="zero"``, as CRST evaluates) or become NaN (``absent="plain"``, as CCM evaluates). A
class that is predicted but never labelled has IoU 0 under all of them.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autoadapt.config.conventions import Absent
from autoadapt.data.batches import IGNORE

CHUNK = 1 << 15
"""Pixels counted at a time on a CPU: what is made of them on the way stays in its cache, and the
operations are too short for PyTorch to start threads, which cost more than they save on a busy
machine."""

Maps = Tensor | NDArray[Any]


class ConfusionMatrix:
    """Pixel counts by true and predicted class.

    Attributes:
        counts: (C, C) int64, row: class of the label, column: class predicted.

    Args:
        num_classes: C, from 1 to 255.
    """

    def __init__(self, num_classes: int) -> None:
        if not 1 <= num_classes <= IGNORE:
            raise ValueError(f"{num_classes} classes; expected 1 to {IGNORE}")
        self.num_classes = num_classes
        self.counts: NDArray[np.int64] = np.zeros((num_classes, num_classes), np.int64)

    @classmethod
    def of(cls, counts: NDArray[np.int64]) -> Self:
        """Return the matrix with given counts, (C, C), rows are labels.

        Raises:
            ValueError: The array is not square, or holds negative counts.
        """
        if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or np.any(counts < 0):
            raise ValueError(f"counts of shape {counts.shape}; expected a square of counts from 0")
        matrix = cls(len(counts))
        matrix.counts = counts.astype(np.int64)
        return matrix

    def update(self, prediction: Maps, label: Maps) -> None:
        """Add the pixels of label maps, except those labelled ``IGNORE``.

        Args:
            prediction: Integers of any shape, each in [0, C).
            label: Integers of the same shape, each in [0, C) or ``IGNORE``.

        Raises:
            ValueError: Shapes differ, values are not integers or outside these ranges; nothing
                was added.
        """
        predicted = _integers(prediction, "prediction")
        true = _integers(label, "label").to(predicted.device)
        if predicted.shape != true.shape:
            raise ValueError(
                f"prediction is {tuple(predicted.shape)} but label is {tuple(true.shape)}"
            )
        on_cpu = predicted.device.type == "cpu"
        step = CHUNK if on_cpu else max(1, predicted.numel())
        rows = np.zeros((IGNORE + 1, self.num_classes), np.int64)
        predicted, true = predicted.reshape(-1), true.reshape(-1)
        for start in range(0, len(true), step):
            some = slice(start, start + step)
            rows += self._rows(predicted[some], true[some])
        unknown = np.flatnonzero(rows[self.num_classes : IGNORE].sum(axis=1))
        if len(unknown):
            raise ValueError(
                f"label contains {self.num_classes + int(unknown[0])}; expected 0 to "
                f"{self.num_classes - 1} or {IGNORE}"
            )
        self.counts += rows[: self.num_classes]

    def _rows(self, predicted: Tensor, true: Tensor) -> NDArray[np.int64]:
        """Return counts with one row per possible label, (256, C).

        Counting void and unknown labels too and dropping their rows is several times faster than
        selecting the labelled pixels first.
        """
        size = self.num_classes
        _check_range(predicted, size, "prediction")
        _check_range(true, IGNORE + 1, "label")
        cells = (true.to(torch.int32) * size).add_(predicted.to(torch.int32))
        counts = torch.bincount(cells, minlength=(IGNORE + 1) * size)
        rows: NDArray[np.int64] = counts.view(IGNORE + 1, size).cpu().numpy()
        return rows

    def merge(self, other: "ConfusionMatrix") -> None:
        """Add the counts of another matrix over the same classes."""
        if other.num_classes != self.num_classes:
            raise ValueError(f"{other.num_classes} classes added to {self.num_classes}")
        self.counts += other.counts

    def without_labels(self, classes: Sequence[int]) -> Self:
        """Return the matrix as if all pixels labelled with these classes were void.

        A pixel of another class that is predicted as one of them stays an error.
        """
        counts = self.counts.copy()
        counts[list(classes)] = 0
        return self.of(counts)

    def iou(self) -> NDArray[np.float64]:
        """Return intersection over union per class, (C,), NaN for absent classes."""
        hit, labelled, predicted = self._totals()
        return _ratio(hit, labelled + predicted - hit)

    def dice(self) -> NDArray[np.float64]:
        """Return the Dice coefficient (F1) per class, (C,), NaN for absent classes."""
        hit, labelled, predicted = self._totals()
        return _ratio(2 * hit, labelled + predicted)

    def recall(self) -> NDArray[np.float64]:
        """Return the share of each class's labelled pixels that was found, (C,)."""
        hit, labelled, _ = self._totals()
        return _ratio(hit, labelled)

    def label_shares(self) -> NDArray[np.float64]:
        """Return the share of each class among all labelled pixels, (C,); NaN without any."""
        labelled = self.counts.sum(axis=1)
        return _ratio(labelled, np.full(len(labelled), labelled.sum()))

    def miou(self, classes: Sequence[int] | None = None, absent: Absent = "nan") -> float:
        """Return the mean IoU of some classes, or of all.

        A subset changes what is averaged, not what is counted: a pixel of a chosen class that is
        predicted as another one stays an error.

        Args:
            classes: Indices; absent: all.
            absent: What classes without any pixel count as; see the module.

        Returns:
            NaN if all of them are absent and left out, or if there are none.
        """
        return mean_over(self.iou(), classes, absent)

    def mean_dice(self, classes: Sequence[int] | None = None, absent: Absent = "nan") -> float:
        """Return the mean Dice coefficient; arguments as in ``miou``."""
        return mean_over(self.dice(), classes, absent)

    def mean_accuracy(self) -> float:
        """Return the mean recall of the classes that are labelled; NaN without any."""
        return mean_over(self.recall())

    def pixel_accuracy(self) -> float:
        """Return the share of labelled pixels that is predicted right; NaN without any."""
        total = int(self.counts.sum())
        return int(np.trace(self.counts)) / total if total else float("nan")

    def _totals(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        return np.diag(self.counts), self.counts.sum(axis=1), self.counts.sum(axis=0)


def mean_over(
    values: NDArray[np.float64], classes: Sequence[int] | None = None, absent: Absent = "nan"
) -> float:
    """Return the mean of some classes' values, absent ones (NaN) treated as the module says."""
    chosen = values if classes is None else values[list(classes)]
    if absent == "zero":
        chosen = np.nan_to_num(chosen, nan=0.0)
    counted = chosen if absent == "plain" else chosen[~np.isnan(chosen)]
    return float(counted.mean()) if len(counted) else float("nan")


def _integers(values: Maps, what: str) -> Tensor:
    tensor = (
        values if isinstance(values, Tensor) else torch.from_numpy(np.require(values, None, "W"))
    )
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise ValueError(f"{what} is {tensor.dtype}; expected integers")
    return tensor


def _check_range(values: Tensor, stop: int, what: str) -> None:
    low, high = (int(end) for end in torch.aminmax(values))
    if low < 0 or high >= stop:
        outside = low if low < 0 else high
        raise ValueError(f"{what} contains {outside}; expected 0 to {stop - 1}")


def _ratio(numerator: NDArray[np.int64], denominator: NDArray[np.int64]) -> NDArray[np.float64]:
    result = np.full(len(denominator), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result
