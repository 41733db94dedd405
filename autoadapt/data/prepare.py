"""The fast local form of data sets: decoded and resized once, with a checksum for every row.

It is the cache of decoded images, filled on purpose. The original files are only read.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

from autoadapt.config.settings import DataSettings
from autoadapt.data.cache import Recipe, cache_folder, open_rows, reopen
from autoadapt.data.counting import Counting, silent
from autoadapt.data.open import map_of
from autoadapt.data.originals import find_images, find_labels
from autoadapt.data.rows import JoinedRows
from autoadapt.errors import DataError


@dataclass(frozen=True)
class Prepared:
    """The images or the labels of one data set.

    Attributes:
        key: Its key below ``data``, such as ``source``.
        what: ``images`` or ``labels``.
        folder: Where the shards lie.
        shards: Number of files.
        rows: Number of images or labels, those that could not be made included.
        size: Height and width.
        bytes: Of all rows.
        checksum: SHA-256 over the hash of every row in order: equal pixels, equal checksum, on
            any machine.
        broken: Number of rows that could not be made.
    """

    key: str
    what: str
    folder: Path
    shards: int
    rows: int
    size: tuple[int, int]
    bytes: int
    checksum: str
    broken: int


@dataclass(frozen=True)
class Damage:
    """A shard that is not what was written.

    Attributes:
        path: The file.
        rows: Numbers of the rows in it whose bytes have changed; empty where the whole file is
            missing or cannot be read.
    """

    path: Path
    rows: tuple[int, ...] = ()

    def __str__(self) -> str:
        if not self.rows:
            return f"{self.path}: missing or not whole"
        shown = ", ".join(map(str, self.rows[:5]))
        more = f" and {len(self.rows) - 5} more" if len(self.rows) > 5 else ""
        return f"{self.path}: other bytes than were written in row {shown}{more}"


def prepare(settings: DataSettings, counting: Counting = silent) -> list[Prepared]:
    """Make the prepared form of every data set, or what of it is missing.

    Shards appear one after the other, so whatever stops this costs one shard of work. Labels of
    the target are not opened.

    Raises:
        DataError: Files are missing or cannot be opened, or labels hold undeclared ids.
        ConfigError: A root or the cache folder cannot be used.
        RunError: The disk is full.
    """
    folder = cache_folder(settings.cache)
    return [
        _described(key, recipe, open_rows(recipe, folder, counting(f"{key} {recipe.what}")), folder)
        for key, recipe in recipes(settings)
    ]


def verify(settings: DataSettings, counting: Counting = silent) -> list[Damage]:
    """Read the whole prepared form and return what is not as it was written.

    Raises:
        DataError: The data sets cannot be listed.
    """
    found: list[Damage] = []
    for key, recipe in recipes(settings):
        told, shards = counting(f"{key} {recipe.what}"), recipe.shards(cache_folder(settings.cache))
        for shard in shards:
            damage = _damage(shard.path, shard.key)
            found += [] if damage is None else [damage]
            told(shard.numbers.stop, recipe.count)
    return found


def recipes(settings: DataSettings) -> Iterator[tuple[str, Recipe]]:
    """Yield how to make images and labels of each data set, with its key; no target labels."""
    for key, dataset in settings.datasets.items():
        found, size = find_images(dataset), settings.size_of(key)
        yield key, found.recipe(size, settings.resampling)
        if key != "target":
            yield key, find_labels(found, map_of(settings, dataset)).recipe(size)


def checksum(rows: JoinedRows) -> str:
    """Return the SHA-256 of shape and row hashes; neither names nor places of files count."""
    return hashlib.sha256(json.dumps([rows.shape, rows.digests]).encode()).hexdigest()


def _described(key: str, recipe: Recipe, rows: JoinedRows, folder: Path) -> Prepared:
    return Prepared(
        key,
        recipe.what,
        recipe.shards(folder)[0].path.parent,
        len(rows.parts),
        len(rows),
        (recipe.shape[0], recipe.shape[1]),
        len(rows) * prod(recipe.shape),
        checksum(rows),
        len(rows.broken),
    )


def _damage(path: Path, key: str) -> Damage | None:
    try:
        rows = reopen(path)
        damaged = rows.damaged() if rows.key == key else None
    except DataError:
        damaged = None
    if damaged is None:
        return Damage(path)
    return Damage(path, tuple(damaged)) if damaged else None
