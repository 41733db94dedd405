"""One round of labelling the target: a pass for the thresholds, a pass for the labels."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from autoadapt.data.training import TrainingData
from autoadapt.uda._pseudo_labels import balanced_labels
from autoadapt.uda._thresholds import Confidences
from autoadapt.uda.base import Context

Maps = dict[str, Tensor]


@dataclass
class Labelling:
    """Passes over the target images of one round.

    Attributes:
        predictions: Makes one pass: class probabilities (N, C, H, W), batch by batch, in order.
        found: (256,) how many pixels got each label in ``store``, ``IGNORE`` last.
    """

    context: Context
    data: TrainingData
    predictions: Callable[[], Iterator[Tensor]]
    found: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64), init=False)

    def confidences(self, ceilings: Tensor | None = None) -> Confidences:
        """Make a pass and return how sure the predictions are; ``ceilings`` as for these."""
        confidences = Confidences(self.context.num_classes, ceilings)
        for probabilities in self.predictions():
            confidences.add(probabilities)
        return confidences

    def store(
        self, label: Callable[[Tensor], Maps], shapes: dict[str, tuple[int, ...]]
    ) -> dict[str, str]:
        """Make a pass and store what it says about each image; none of it stays in memory.

        Args:
            label: Turns probabilities (N, C, H, W) into uint8 maps by name, ``labels`` among them.
            shapes: Of one map of each name.

        Returns:
            References for ``Context.stored``, by name.
        """
        return self.context.store_together(self._rows(label), shapes)

    def store_balanced(self, thresholds: Tensor) -> dict[str, str]:
        """Store class-balanced labels alone."""
        return self.store(
            lambda probabilities: {"labels": balanced_labels(probabilities, thresholds)},
            {"labels": self.data.target.size},
        )

    def _rows(self, label: Callable[[Tensor], Maps]) -> Iterator[dict[str, NDArray[np.uint8]]]:
        for probabilities in self.predictions():
            made = {name: maps.cpu().numpy() for name, maps in label(probabilities).items()}
            self.found += np.bincount(made["labels"].reshape(-1), minlength=256)
            for index in range(len(probabilities)):
                yield {name: maps[index] for name, maps in made.items()}

    def note(self, portion: float, thresholds: Tensor) -> None:
        """Write down how many pixels got a label; none is no error, training goes on without."""
        labelled = self.found[: self.context.num_classes]
        self.context.notes |= {
            "portion": portion,
            "labelled_pixels": int(labelled.sum()),
            "labelled_share": float(labelled.sum() / max(1, self.found.sum())),
            "labelled_per_class": labelled.tolist(),
            "thresholds": thresholds.tolist(),
        }
