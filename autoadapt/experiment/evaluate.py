"""Evaluation on labelled target images: with ``correlate``, the only code that opens them.

Convention: one confusion matrix over the whole data set, labels at the working size of the
model (nearest neighbour), logits resized to it bilinearly with aligned corners, void ignored,
classes that never occur in labels or predictions left out of the mean.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.batching import chunks
from autoadapt.data.images import LabelledImages
from autoadapt.errors import CheckpointError
from autoadapt.metrics.segmentation import ConfusionMatrix
from autoadapt.training.model import Model


@dataclass(frozen=True)
class Evaluation:
    """How well a model labels a set of images.

    Attributes:
        iou: Intersection over union per class in [0, 1]; NaN for a class that never occurs.
        miou: Mean of those that occur.
        confusion: (C, C) pixel counts, rows are labels.
    """

    classes: tuple[str, ...]
    iou: NDArray[np.float64]
    miou: float
    accuracy: float
    confusion: NDArray[np.int64]
    images: int

    def to_json(self) -> dict[str, Any]:
        """Return plain values; an absent class is null."""
        return {
            "classes": list(self.classes),
            "iou": [None if np.isnan(value) else float(value) for value in self.iou],
            "miou": self.miou,
            "accuracy": self.accuracy,
            "images": self.images,
            "confusion": self.confusion.tolist(),
            "convention": "labels at the working size; logits resized bilinearly, corners "
            "aligned; one confusion matrix; absent classes left out of the mean",
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "Evaluation":
        """Undo ``to_json``."""
        iou = [np.nan if value is None else value for value in raw["iou"]]
        return cls(
            tuple(raw["classes"]),
            np.array(iou, dtype=np.float64),
            raw["miou"],
            raw["accuracy"],
            np.array(raw["confusion"], dtype=np.int64),
            raw["images"],
        )


def evaluate(model: Model, images: LabelledImages, batch_size: int) -> Evaluation:
    """Compare predictions with labels.

    Raises:
        CheckpointError: The model was made for other classes or another size.
    """
    if model.card.classes != images.classes:
        raise CheckpointError(
            f"the model knows the classes {', '.join(model.card.classes)}; the labels have "
            f"{', '.join(images.classes)}: evaluate with the data settings it was trained with"
        )
    matrix = ConfusionMatrix(len(images.classes))
    for indices in chunks(len(images), batch_size):
        matrix.update(model.predict(images.images(indices), images.size), images.labels(indices))
    return Evaluation(
        images.classes,
        np.asarray(matrix.iou()),
        float(matrix.miou()),
        float(matrix.pixel_accuracy()),
        np.asarray(matrix.counts),
        len(images),
    )
