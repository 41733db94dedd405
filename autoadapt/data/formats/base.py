"""What the rest of the program knows about a data set: five verbs, and nothing about its files.

Listing images and finding labels are apart, because a target is listed and its labels are not.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from autoadapt.config.settings import Resampling
from autoadapt.data.decode import Size
from autoadapt.data.mapping import OwnClasses


@dataclass(frozen=True)
class Listing:
    """The images of a data set: names and places, nothing about labels.

    Attributes:
        where: The data set, for messages: its folder, or what is rendered.
        ids: Name of each image, ``<folder>/<name>``.
        origins: Where each image comes from: the resolved path of its file, or style, seed and
            number of a rendered one. Equal origins are equal images.
        remarks: What a user should know about the listing, such as images that the published
            data set has and this copy lacks.
    """

    where: str
    ids: tuple[str, ...]
    origins: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.origins):
            raise ValueError(f"{len(self.ids)} names for {len(self.origins)} images")

    def __len__(self) -> int:
        return len(self.ids)

    def pick(self, positions: Sequence[int]) -> "Listing":
        """Return some of the images, in the order given."""
        ids = tuple(self.ids[position] for position in positions)
        return replace(self, ids=ids, origins=tuple(self.origins[p] for p in positions))


@dataclass(frozen=True)
class Format(ABC):
    """One kind of data set, with its options as fields.

    Attributes:
        own_sizes: Whether a label may have another size than its image; each is then resized to
            the working size on its own.
        stored: Whether there are files; else images are made at the size asked for.
    """

    own_sizes: ClassVar[bool] = False
    stored: ClassVar[bool] = True

    @abstractmethod
    def list_images(self) -> Listing:
        """List the images. No label is listed, opened or derived.

        Raises:
            DataError: Folders or images are missing, or names contradict each other.
            ConfigError: The root cannot be used.
        """

    @abstractmethod
    def find_labels(self, images: Listing) -> tuple[str, ...]:
        """Find where the label of each image comes from.

        Raises:
            DataError: Labels are missing.
        """

    @abstractmethod
    def own_classes(self) -> OwnClasses:
        """Return the classes as the data set itself numbers them.

        Raises:
            DataError: They cannot be determined.
        """

    @abstractmethod
    def read_image(self, origin: str, size: Size, resampling: Resampling) -> NDArray[np.uint8]:
        """Return an image as (H, W, 3) RGB of ``size``, resized with a filter where it is stored.

        Raises:
            BrokenFileError: It cannot be decoded.
            DataError: It cannot be opened.
        """

    @abstractmethod
    def read_label(self, label: str, size: Size) -> NDArray[np.uint8]:
        """Return the raw ids of a label, (H, W), at the size at which they are stored.

        Only a format that stores nothing makes them at ``size``.

        Raises:
            BrokenFileError: It cannot be decoded.
            DataError: It cannot be opened.
        """

    @abstractmethod
    def image_size(self, origin: str) -> Size | None:
        """Return the height and width at which an image is stored, if it is.

        Raises:
            BrokenFileError: It is not an image.
            DataError: It cannot be opened.
        """

    @abstractmethod
    def stamps(self, origins: Sequence[str]) -> Any:
        """Return a JSON value that changes whenever an image or label of these changes."""
