"""The fast local form of data sets: decoded and resized once, with a checksum for every row.

It is the cache of decoded images, filled on purpose. The original files are only read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from math import prod
from pathlib import Path
from typing import Any

from autoadapt import files
from autoadapt.config.settings import DataSettings
from autoadapt.data.cache import Recipe, cache_folder, open_rows, reopen
from autoadapt.data.counting import Counting, silent
from autoadapt.data.formats import prepared
from autoadapt.data.open import class_table, map_of
from autoadapt.data.originals import find_images, find_labels
from autoadapt.data.rows import JoinedRows, checksum
from autoadapt.errors import DataError


@dataclass(frozen=True)
class PreparedRows:
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


def prepare(settings: DataSettings, counting: Counting = silent) -> list[PreparedRows]:
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


def write_manifests(settings: DataSettings) -> list[Path]:
    """Describe the prepared form in its folder, so that it can be opened without the originals.

    ``kind: prepared`` reads it on any machine. Images and labels that could not be made are left
    out.

    Raises:
        DataError: The data sets cannot be listed.
        RunError: The disk is full.
    """
    folder, written = cache_folder(settings.cache), []
    for key, sides in groupby(recipes(settings), key=lambda pair: pair[0]):
        rows = {recipe.what: (recipe, open_rows(recipe, folder)) for _, recipe in sides}
        path = folder / f"{key}.json"
        files.write_json(path, _manifest(settings, key, rows))
        written.append(path)
    return written


def _manifest(
    settings: DataSettings, key: str, rows: Mapping[str, tuple[Recipe, JoinedRows]]
) -> dict[str, Any]:
    listing, table = find_images(settings.datasets[key]).listing, class_table(settings)
    broken = {row for _, side in rows.values() for row in side.broken}
    kept = [row for row in range(len(listing)) if row not in broken]
    sides = {
        what: {"folder": recipe.shards(Path())[0].path.parent.name, "checksum": checksum(side)}
        for what, (recipe, side) in rows.items()
    }
    return {
        "version": prepared.VERSION,
        "from": listing.where,
        "size": list(settings.size_of(key)),
        "resampling": settings.resampling,
        "classes": list(table.names),
        "palette": [list(colour) for colour in table.palette],
        "images": sides["images"],
        "labels": sides.get("labels"),
        "rows": kept,
        "ids": [listing.ids[row] for row in kept],
        "origins": [listing.origins[row] for row in kept],
    }


def _described(key: str, recipe: Recipe, rows: JoinedRows, folder: Path) -> PreparedRows:
    return PreparedRows(
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
