"""Source and target as the training loop sees them: the batch of a step is a function of the step."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from autoadapt.config.settings import DataSettings
from autoadapt.data.batches import SourceBatch, TargetBatch
from autoadapt.data.batching import Augment
from autoadapt.data.images import LabelledImages, UnlabelledImages


@dataclass(frozen=True)
class StepBatch:
    """What one micro-batch of a step is made of."""

    source: SourceBatch
    target: TargetBatch

    def to(self, device: torch.device, channels_last: bool = False) -> Self:
        """Move images and labels to a device."""
        layout = torch.channels_last if channels_last else torch.contiguous_format

        def moved(images: Tensor) -> Tensor:
            return images.to(device, non_blocking=True).contiguous(memory_format=layout)

        source = SourceBatch(
            moved(self.source.images),
            self.source.labels.to(device, non_blocking=True),
            self.source.ids,
        )
        return type(self)(source, TargetBatch(moved(self.target.images), self.target.ids))


@dataclass(frozen=True)
class TrainingData:
    """Labelled source and unlabelled target images, and how batches are drawn from them.

    Attributes:
        seed: Decides the order of images and their augmentation.
    """

    source: LabelledImages
    target: UnlabelledImages
    num_classes: int
    settings: DataSettings
    batch_size: int
    seed: int

    def draw(self, step: int) -> StepBatch:
        """Return the batch of a step; the same for the same seed and step."""
        augment = Augment(self.settings, self.seed, self.batch_size)
        return StepBatch(
            augment.source_batch(self.source, step), augment.target_batch(self.target, step)
        )
