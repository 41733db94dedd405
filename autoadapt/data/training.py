"""Source and target as the training loop sees them: a batch is a function of the step."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor

from autoadapt.config.settings import DataSettings
from autoadapt.data.batches import SourceBatch, TargetBatch
from autoadapt.data.batching import Augment, chunks, source_batch, target_batch
from autoadapt.data.images import LabelledImages, UnlabelledImages
from autoadapt.data.sampling import batch_indices
from autoadapt.data.transforms import Transform, without_augmentation
from autoadapt.errors import DataError


@dataclass(frozen=True)
class StepBatch:
    """What one micro-batch of a step is made of.

    Attributes:
        further: Labelled batches besides the source, by name: other sources, or target images
            with labels that the method made.
    """

    source: SourceBatch
    target: TargetBatch
    further: Mapping[str, SourceBatch] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if type(self.target) is not TargetBatch:
            raise TypeError(
                f"the target of a step is a {type(self.target).__name__}, expected a TargetBatch: "
                "labels of the target must not reach a method"
            )

    def pinned(self) -> Self:
        """Copy to page-locked memory, from which a GPU takes data while it computes."""
        return self._moved(lambda tensor: tensor.pin_memory())

    def to(self, device: torch.device, channels_last: bool = False) -> Self:
        """Move images and labels to a device."""
        layout = torch.channels_last if channels_last else torch.contiguous_format

        def move(tensor: Tensor) -> Tensor:
            moved = tensor.to(device, non_blocking=True)
            return moved.contiguous(memory_format=layout) if moved.dim() == 4 else moved

        return self._moved(move)

    def _moved(self, move: Callable[[Tensor], Tensor]) -> Self:
        def labelled(batch: SourceBatch) -> SourceBatch:
            maps = (None if m is None else move(m) for m in (batch.weights, batch.soft))
            return SourceBatch(move(batch.images), move(batch.labels), batch.ids, *maps)

        return type(self)(
            labelled(self.source),
            TargetBatch(move(self.target.images), self.target.ids),
            {name: labelled(batch) for name, batch in self.further.items()},
        )


@dataclass(frozen=True)
class TrainingData:
    """Labelled source and unlabelled target images, and how batches are drawn from them.

    A method may train on another view of the data: ``dataclasses.replace`` with parts, joined or
    relabelled sets of ``data.views``.

    Attributes:
        seed: Decides the order of images and their augmentation.
        further: More labelled sets by name, each drawn from in every step: other sources, or
            target images with labels that the method made.
    """

    source: LabelledImages
    target: UnlabelledImages
    num_classes: int
    settings: DataSettings
    batch_size: int
    seed: int
    further: Mapping[str, LabelledImages] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.target, UnlabelledImages):
            raise DataError(
                f"the target of a training is a {type(self.target).__name__}, expected "
                "UnlabelledImages: labels of the target must not reach a method; pass "
                "images.unlabelled()"
            )
        taken = {"source", "target"} & set(self.further)
        if taken:
            raise ValueError(f"a further set may not be called {taken.pop()!r}")

    @property
    def transform(self) -> Transform:
        """Augmentation of the settings, to make batches of chosen images with."""
        return Transform(self.settings, self.seed)

    def draw(self, step: int) -> StepBatch:
        """Return the batch of a step; the same for the same seed and step."""
        augment = Augment(self.settings, self.seed, self.batch_size)
        return StepBatch(
            augment.source_batch(self.source, step),
            augment.target_batch(self.target, step),
            {name: self._labelled(name, images, step) for name, images in self.further.items()},
        )

    def _labelled(self, name: str, images: LabelledImages, step: int) -> SourceBatch:
        size, count = self.batch_size, len(images)
        indices = batch_indices(self.seed, name, step, batch_size=size, n=count)
        return source_batch(images, indices, transform=self.transform, step=step, purpose=name)

    def sweep(
        self, images: UnlabelledImages, batch_size: int | None = None, *, first: int = 0
    ) -> Iterator[tuple[Sequence[int], TargetBatch]]:
        """Go through images once, in order and without augmentation: (indices, batch).

        Args:
            images: Which ones.
            batch_size: At a time; absent: as many as in training.
            first: Index of the image to begin with.
        """
        plain = without_augmentation(self.settings)
        for indices in chunks(len(images), batch_size or self.batch_size, first):
            yield indices, target_batch(images, indices, transform=plain, step=0)
