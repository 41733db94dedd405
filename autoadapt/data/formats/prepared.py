"""Data sets that ``autoadapt data prepare --out`` made, to be carried to another machine.

The layout::

    <name>.json                one per data set of the config: source, target, evaluation, …
    images-<hash>/*.rows       decoded images of one size
    labels-<hash>/*.rows       class indices of the same size; none for a target

Every row is compared with its checksum when it is read.
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoadapt.config.settings import Resampling
from autoadapt.data.cache import hash_of, reopen
from autoadapt.data.decode import BrokenFileError, Size
from autoadapt.data.formats._files import Root, find_root
from autoadapt.data.formats.base import Format, Listing
from autoadapt.data.mapping import OwnClasses
from autoadapt.data.rows import JoinedRows, checksum
from autoadapt.errors import DataError

VERSION = 1
"""Of the manifest."""

LABEL_OF = "label of "
"""What the place of a label begins with; the rest is the place of its image."""


@dataclass(frozen=True)
class Prepared(Format):
    """One data set of a folder that ``data prepare --out`` filled.

    Attributes:
        root: The folder; ``${NAME}`` is replaced from the environment.
        set: Which data set of the config it was made from: ``source``, ``target``,
            ``evaluation`` or ``further_sources.<name>``.
    """

    root: Root
    set: str = "source"

    @property
    def manifest(self) -> "Manifest":
        """What the folder says about the data set.

        Raises:
            DataError: It is missing or damaged.
            ConfigError: The root cannot be used.
        """
        path = find_root(self.root) / f"{self.set}.json"
        try:
            return read_manifest(path, path.stat().st_mtime_ns)
        except FileNotFoundError:
            there = sorted(file.stem for file in path.parent.glob("*.json"))
            raise DataError(
                f"{path.parent} has no prepared data set {self.set!r}; it has {there} (files "
                "<name>.json, as 'autoadapt data prepare --out' writes them)"
            ) from None

    def list_images(self) -> Listing:
        """List the images under their former names and places."""
        manifest = self.manifest
        return Listing(str(manifest.path), manifest.ids, manifest.origins)

    def find_labels(self, images: Listing) -> tuple[str, ...]:
        """Refer to the label of each image."""
        if self.manifest.labels is None:
            raise DataError(
                f"{self.manifest.path}: prepared without labels, as a target is; a source or an "
                "evaluation set needs them"
            )
        return tuple(f"{LABEL_OF}{origin}" for origin in images.origins)

    def own_classes(self) -> OwnClasses:
        """Return the classes of the task it was prepared for."""
        manifest = self.manifest
        return OwnClasses.numbered(
            manifest.classes, manifest.palette, where=f"the manifest {manifest.path}"
        )

    def read_image(self, origin: str, size: Size, resampling: Resampling) -> NDArray[np.uint8]:
        """Read an image; it is not resized a second time."""
        manifest = self.manifest
        if size != manifest.size:
            raise DataError(
                f"{manifest.path}: prepared at {list(manifest.size)} (height, width), but "
                f"{list(size)} is asked for; set size to what is there, or prepare it anew"
            )
        return read_row(manifest.images, manifest.places[origin])

    def read_label(self, label: str, size: Size) -> NDArray[np.uint8]:
        """Read a label."""
        manifest = self.manifest
        assert manifest.labels is not None, "found by find_labels"
        return read_row(manifest.labels, manifest.places[label.removeprefix(LABEL_OF)])

    def image_size(self, origin: str) -> Size | None:
        """Return the size of all of them."""
        return self.manifest.size

    def stamps(self, origins: Sequence[str]) -> Any:
        """Return the checksum of each row: equal pixels are equal wherever they lie."""
        return [self._digest(origin) for origin in origins]

    def _digest(self, origin: str) -> str:
        manifest = self.manifest
        place = manifest.places[origin.removeprefix(LABEL_OF)]
        rows = manifest.labels if origin.startswith(LABEL_OF) else manifest.images
        return "" if rows is None else rows.digests[place]


@dataclass(frozen=True)
class Manifest:
    """What a folder of prepared data sets says about one of them.

    Attributes:
        path: The file.
        raw: Its content; ``prepare.write_manifests`` says what is in it.
    """

    path: Path
    raw: dict[str, Any]

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.raw["size"][0], self.raw["size"][1]

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each class index."""
        return tuple(self.raw["classes"])

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        """Colour of each class."""
        return tuple((red, green, blue) for red, green, blue in self.raw["palette"])

    @property
    def ids(self) -> tuple[str, ...]:
        """Name of each image."""
        return tuple(self.raw["ids"])

    @property
    def origins(self) -> tuple[str, ...]:
        """Where each image came from when it was prepared."""
        return tuple(self.raw["origins"])

    @cached_property
    def places(self) -> dict[str, int]:
        """Number of the row of each image."""
        return dict(zip(self.origins, self.raw["rows"], strict=True))

    @cached_property
    def images(self) -> JoinedRows:
        """The images; nothing else is opened."""
        return self._rows("images")

    @cached_property
    def labels(self) -> JoinedRows | None:
        """The labels, if there are some."""
        return None if self.raw["labels"] is None else self._rows("labels")

    def _rows(self, what: str) -> JoinedRows:
        said = self.raw[what]
        folder = self.path.parent / said["folder"]
        shards = sorted(folder.glob("*.rows"))
        rows = JoinedRows(tuple(reopen(shard) for shard in shards)) if shards else None
        if rows is None or checksum(rows) != said["checksum"]:
            raise DataError(
                f"{folder} does not hold the {what} that {self.path.name} describes: shards are "
                "missing or belong to something else; copy the folder again"
            )
        return rows


@functools.lru_cache(maxsize=16)
def read_manifest(path: Path, changed: int) -> Manifest:
    """Read a manifest; ``changed`` is its time of change, so that a new one is read anew.

    Raises:
        FileNotFoundError: There is none.
        DataError: It is damaged, or of a later version.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        version = raw["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a manifest of prepared data; copy it again") from error
    if version != VERSION:
        raise DataError(
            f"{path} has version {version}, this program reads {VERSION}; prepare the data anew"
        )
    return Manifest(path, raw)


def read_row(rows: JoinedRows, place: int) -> NDArray[np.uint8]:
    """Return one row after comparing it with its checksum.

    Raises:
        BrokenFileError: Its bytes are not those that were written.
    """
    row: NDArray[np.uint8] = rows.read([place])[0]
    if hash_of(row) != rows.digests[place]:
        raise BrokenFileError("other bytes than were prepared; copy the folder again")
    return row
