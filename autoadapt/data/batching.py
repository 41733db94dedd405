"""From data sets to batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from autoadapt.config.settings import DataSettings
from autoadapt.data.batches import SourceBatch, TargetBatch
from autoadapt.data.images import LabelledImages, UnlabelledImages
from autoadapt.data.sampling import batch_indices
from autoadapt.data.transforms import Transform

FULL = 255
"""What stands for 1 in stored weights and shares."""


@dataclass(frozen=True)
class Augment:
    """The training batches of a data set: which images, cropped, mirrored and coloured how.

    A batch is a pure function of (seed, step), so a resumed run needs no state to continue.

    Attributes:
        settings: Decides what the transforms do.
        seed: Decides the order of images and every random choice.
        batch_size: Images per batch.
    """

    settings: DataSettings
    seed: int
    batch_size: int

    @cached_property
    def transform(self) -> Transform:
        """Crop, mirror, change colours, normalise."""
        return Transform(self.settings, self.seed)

    def source_batch(self, dataset: LabelledImages, step: int) -> SourceBatch:
        """Return the labelled images of a step."""
        indices = self._indices("source", len(dataset), step)
        return source_batch(dataset, indices, transform=self.transform, step=step)

    def target_batch(self, dataset: UnlabelledImages, step: int) -> TargetBatch:
        """Return the unlabelled images of a step."""
        indices = self._indices("target", len(dataset), step)
        return target_batch(dataset, indices, transform=self.transform, step=step)

    def _indices(self, purpose: str, count: int, step: int) -> list[int]:
        return batch_indices(self.seed, purpose, step, batch_size=self.batch_size, n=count)


def source_batch(
    dataset: LabelledImages,
    indices: Sequence[int],
    *,
    transform: Transform,
    step: int,
    purpose: str = "source",
) -> SourceBatch:
    """Return chosen labelled images as a batch.

    Args:
        dataset: Where they are.
        indices: Which ones.
        transform: What happens to them; ``without_augmentation`` only normalises.
        step: Number of the batch, from which the random choices derive.
        purpose: Name of the stream of batches; another purpose has other random choices.
    """
    images, labels, maps = transform.with_maps(
        (dataset.weights(indices), dataset.soft(indices)),
        dataset.images(indices),
        dataset.labels(indices),
        purpose=purpose,
        step=step,
    )
    weights, soft = (None if one is None else one.float() / FULL for one in maps)
    ids = tuple(dataset.ids[index] for index in indices)
    return SourceBatch(images, labels, ids, weights, soft)


def target_batch(
    dataset: UnlabelledImages,
    indices: Sequence[int],
    *,
    transform: Transform,
    step: int,
    purpose: str = "target",
) -> TargetBatch:
    """Return chosen unlabelled images as a batch; arguments as in ``source_batch``."""
    images = transform.images(dataset.images(indices), purpose, step)
    return TargetBatch(images, tuple(dataset.ids[index] for index in indices))


def chunks(count: int, size: int, first: int = 0) -> Iterator[range]:
    """Cut first..count-1 into consecutive ranges of at most ``size``, to go through a data set."""
    for start in range(first, count, size):
        yield range(start, min(start + size, count))
