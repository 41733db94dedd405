"""The two kinds of data set. One of them cannot reach a label, whatever its holder does."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from autoadapt.data.rows import Rows
from autoadapt.errors import DataError

Skipped = tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class UnlabelledImages:
    """Images of one domain, decoded and resized.

    Nothing in here knows a label or where labels lie.

    Attributes:
        ids: Name of each image.
        origins: Where each image comes from: the resolved path of its file, or style, seed and
            number of a rendered one. Equal origins are equal images.
        skipped: Images left out because they cannot be read, with the reason.
    """

    ids: tuple[str, ...]
    origins: tuple[str, ...]
    rows: Rows = field(repr=False)
    positions: tuple[int, ...] = field(repr=False)
    skipped: Skipped = ()

    def __post_init__(self) -> None:
        _check_lengths(self.ids, self.positions)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.rows.shape[0], self.rows.shape[1]

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """Hash of the pixels of each image at the working size."""
        return tuple(self.rows.digests[position] for position in self.positions)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all pixels in order; equal exactly for the same images at the same size."""
        text = "\n".join((f"{self.size}", *self.digests))
        return hashlib.sha256(text.encode()).hexdigest()

    def images(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Return images as a new RGB array, (n, H, W, 3), in the order asked for.

        Raises:
            IndexError: An index is not in [0, len).
        """
        return self.rows.read(_positions(self.positions, indices))


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images of one domain with a class index for each pixel.

    Attributes:
        classes: Name of each class index.
        weight_rows: How much each label counts, where a method made the labels: 255 is fully.
        soft_rows: The largest shares of classes (H, W, 2, K), where a method made such: K classes,
            then their shares, 255 for all.
    """

    classes: tuple[str, ...]
    rows: Rows = field(repr=False)
    positions: tuple[int, ...] = field(repr=False)
    pictures: UnlabelledImages
    weight_rows: Rows | None = field(default=None, repr=False)
    soft_rows: Rows | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _check_lengths(self.pictures.ids, self.positions)

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def ids(self) -> tuple[str, ...]:
        """Name of each image."""
        return self.pictures.ids

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.pictures.size

    @property
    def skipped(self) -> Skipped:
        """Pairs left out because image or label cannot be used, with the reason."""
        return self.pictures.skipped

    @property
    def fingerprint(self) -> str:
        """Hash of the pixels of all images, labels not included."""
        return self.pictures.fingerprint

    def images(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Return images as a new RGB array, (n, H, W, 3), in the order asked for."""
        return self.pictures.images(indices)

    def labels(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Return label maps as a new array, (n, H, W): class indices, ``IGNORE`` for void.

        Raises:
            IndexError: An index is not in [0, len).
        """
        return self.rows.read(_positions(self.positions, indices))

    def weights(self, indices: Sequence[int]) -> NDArray[np.uint8] | None:
        """Return how much labels count, (n, H, W), or nothing where all count the same."""
        if self.weight_rows is None:
            return None
        return self.weight_rows.read(_positions(self.positions, indices))

    def soft(self, indices: Sequence[int]) -> NDArray[np.uint8] | None:
        """Return the shares of the classes, (n, H, W, C), or nothing where labels are hard."""
        if self.soft_rows is None:
            return None
        found = self.soft_rows.read(_positions(self.positions, indices))
        return spread_out(found, len(self.classes))

    def unlabelled(self) -> UnlabelledImages:
        """Return the same images without a way to their labels."""
        return self.pictures


def spread_out(found: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Return the shares of all classes, (n, H, W, count), of the largest, (n, H, W, 2, K)."""
    shares = np.zeros((*found.shape[:3], count), np.uint8)
    np.put_along_axis(shares, found[..., 0, :], found[..., 1, :], axis=-1)
    return shares


def check_disjoint(
    target: UnlabelledImages, evaluation: UnlabelledImages | LabelledImages, role: str = "target"
) -> None:
    """Refuse an evaluation on images that were trained on.

    Images are the same when they come from the same place, or when their pixels are equal: a
    copy under another name counts.

    Args:
        target: Images that are trained on.
        evaluation: Images to be evaluated on; labels are not looked at.
        role: What ``target`` is, for the message: its key below ``data``.

    Raises:
        DataError: The two share images.
    """
    origins, digests = set(target.origins), set(target.digests)
    pictures = evaluation
    if isinstance(pictures, LabelledImages):
        pictures = pictures.unlabelled()
    shared = [
        name
        for name, origin, digest in zip(
            pictures.ids, pictures.origins, pictures.digests, strict=True
        )
        if origin in origins or digest in digests
    ]
    refuse_shared(shared, len(evaluation), len(target), role)


def refuse_shared(shared: Sequence[str], evaluated: int, trained: int, role: str) -> None:
    """Refuse an evaluation that shares images with a data set; nothing happens without any.

    Args:
        shared: Names of the images that both have.
        evaluated: Number of evaluation images.
        trained: Number of images of the data set.
        role: Its key below ``data``.

    Raises:
        DataError: There are some.
    """
    if shared:
        used = "adapted to" if role == "target" else "trained on"
        raise DataError(
            f"{len(shared)} of {evaluated} evaluation images are among the {trained} {role} images "
            f"that are {used}, e.g. {list(shared[:3])}; evaluate on another split, or cut one "
            f"split into parts with data.{role}.part and data.evaluation.part"
        )


def _check_lengths(ids: Sequence[str], positions: Sequence[int]) -> None:
    if len(ids) != len(positions):
        raise ValueError(f"{len(ids)} names for {len(positions)} rows")


def _positions(positions: Sequence[int], indices: Sequence[int]) -> list[int]:
    if any(not 0 <= index < len(positions) for index in indices):
        raise IndexError(f"indices {list(indices)} of a data set of {len(positions)} images")
    return [positions[index] for index in indices]
