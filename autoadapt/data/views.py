"""Other ways to look at data sets: parts of them, with replaced labels, or two as one.

Self-training and image ranking change what a round of training sees. All of it is expressed with
the two kinds of data set there are, so sampling, augmentation and batching stay the same. Images
of the target become labelled only by labels that somebody made: none of these functions can
find, open or ask for those of the data set.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import overload

from autoadapt.data.images import LabelledImages, UnlabelledImages
from autoadapt.data.rows import JoinedRows, Rows


@overload
def subset(dataset: LabelledImages, indices: Sequence[int]) -> LabelledImages: ...
@overload
def subset(dataset: UnlabelledImages, indices: Sequence[int]) -> UnlabelledImages: ...
def subset(
    dataset: LabelledImages | UnlabelledImages, indices: Sequence[int]
) -> LabelledImages | UnlabelledImages:
    """Return the chosen images, in the order given; nothing is read or copied.

    Raises:
        IndexError: An index is not in [0, len).
    """
    if any(not 0 <= index < len(dataset) for index in indices):
        raise IndexError(f"indices {list(indices)} of a data set of {len(dataset)} images")
    positions = tuple(dataset.positions[index] for index in indices)
    if isinstance(dataset, LabelledImages):
        return replace(dataset, positions=positions, pictures=subset(dataset.pictures, indices))
    return replace(
        dataset,
        ids=tuple(dataset.ids[index] for index in indices),
        origins=tuple(dataset.origins[index] for index in indices),
        positions=positions,
    )


def relabelled(
    pictures: UnlabelledImages,
    labels: Rows,
    classes: Sequence[str],
    *,
    weights: Rows | None = None,
    soft: Rows | None = None,
) -> LabelledImages:
    """Return images with labels that a method made.

    Args:
        pictures: Of either domain; ``LabelledImages.unlabelled()`` drops the labels of a source.
        labels: One map (H, W) per image in the order of ``pictures``: class indices, ``IGNORE``
            where there is none.
        classes: Name of each class index.
        weights: How much each label counts, one map (H, W) per image.
        soft: The largest shares of classes, one map (H, W, 2, K) per image: K classes, then their
            shares; 0 for all where there is none.

    Raises:
        ValueError: Numbers or sizes of images and label maps differ.
    """
    size = pictures.size
    shares = (*size, 2, None if soft is None else soft.shape[-1])
    for rows, shape in ((labels, size), (weights, size), (soft, shares)):
        if rows is not None and (len(rows.digests) != len(pictures) or rows.shape != shape):
            raise ValueError(
                f"{len(rows.digests)} label maps of {rows.shape} for {len(pictures)} images of "
                f"{size}; expected {shape}"
            )
    positions = tuple(range(len(pictures)))
    return LabelledImages(tuple(classes), labels, positions, pictures, weights, soft)


def repainted(dataset: LabelledImages, images: Rows) -> LabelledImages:
    """Return a labelled set with other pictures under the same labels, such as translated ones.

    Args:
        dataset: Gives names and labels.
        images: One picture (H, W, 3) per image, in its order.

    Raises:
        ValueError: Numbers or sizes of the pictures differ.
    """
    if len(images.digests) != len(dataset) or images.shape != (*dataset.size, 3):
        raise ValueError(
            f"{len(images.digests)} pictures of {images.shape} for {len(dataset)} images of "
            f"{dataset.size}"
        )
    pictures = replace(dataset.pictures, rows=images, positions=tuple(range(len(dataset))))
    return replace(dataset, pictures=pictures)


def joined(first: LabelledImages, *others: LabelledImages) -> LabelledImages:
    """Return the images of several sets as one, in the order given.

    Raises:
        ValueError: Their sizes or classes differ, or one of them has weights or soft labels.
    """
    return reduce(_joined, others, first)


def _joined(first: LabelledImages, second: LabelledImages) -> LabelledImages:
    if any(rows is not None for s in (first, second) for rows in (s.weight_rows, s.soft_rows)):
        raise ValueError("sets with weights or soft labels cannot be joined")
    if first.size != second.size or first.classes != second.classes:
        raise ValueError(
            f"images of {first.size} with {first.classes} cannot stand next to images of "
            f"{second.size} with {second.classes}"
        )
    images = JoinedRows((first.pictures.rows, second.pictures.rows))
    labels = JoinedRows((first.rows, second.rows))
    pictures = UnlabelledImages(
        ids=first.ids + second.ids,
        origins=first.pictures.origins + second.pictures.origins,
        rows=images,
        positions=images.after(first.pictures.positions, second.pictures.positions),
        skipped=first.skipped + second.skipped,
    )
    positions = labels.after(first.positions, second.positions)
    return LabelledImages(first.classes, labels, positions, pictures)
