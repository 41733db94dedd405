"""Decoded images on disk: decoded once, then read as plain bytes by every trial and run.

The rows of a data set, one per image and all of one shape, lie in a folder of shards of bounded
size. A shard is rows followed by what is needed to judge it: what it was made from, a hash of
every row, and which rows could not be made. It appears whole or not at all, so making a data set
goes on with the first shard that is missing, whatever stopped it. The folder's name is a hash of
what the rows are made from: a changed source is another folder, never a stale one.

Rows are read with ``pread`` into the array that is returned. Against mapping the file into
memory this costs one copy, which a batch needs anyway; in exchange a reader's resident memory
does not grow with the part of the file it has seen, and a file cut short by somebody else is an
error instead of a crash of the process.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import struct
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from autoadapt import files
from autoadapt.data.counting import Count
from autoadapt.data.decode import BrokenFileError
from autoadapt.data.rows import JoinedRows
from autoadapt.errors import ConfigError, DataError, RunError

logger = logging.getLogger(__name__)

FORMAT = 1
"""Raised whenever the same recipe would give other bytes."""

VARIABLE = "AUTOADAPT_CACHE"
"""Environment variable with the cache folder, where the settings do not name one."""

_MAGIC = b"autoadapt-rows1\n"
_HEADER = struct.Struct("<16sQQ32s")
_START = 64
"""Rows begin here; before it: magic, bytes of rows, bytes of the description, its SHA-256."""

_THREADS = min(8, max(2, os.cpu_count() or 1))

SHARD_BYTES = 256 * 2**20
"""Largest shard: what a kill can cost, and 270 open files for all of GTA5 at 1280x720."""


@dataclass(frozen=True)
class Recipe:
    """How to make the rows of a cache file.

    Attributes:
        what: First part of the file's name: ``images`` or ``labels``.
        spec: JSON value that determines every byte: the files with their sizes and times, or
            the parameters of a renderer; the size; the class map.
        shape: Of one row.
        count: Number of rows.
        make: Returns row ``i``, uint8 of ``shape``; called from several threads. It raises
            ``BrokenFileError`` for a row that cannot be made.
    """

    what: str
    spec: dict[str, Any]
    shape: tuple[int, ...]
    count: int
    make: Callable[[int], NDArray[np.uint8]]

    @cached_property
    def key(self) -> str:
        """Hash of the specification, the format and the shape."""
        text = json.dumps([FORMAT, self.what, self.spec, self.shape, self.count], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def shards(self, folder: Path) -> list["Shard"]:
        """Return the files that hold the rows, below ``folder``."""
        here = folder / f"{self.what}-{self.key[:32]}"
        step = max(1, SHARD_BYTES // prod(self.shape))
        starts = range(0, self.count, step)
        return [
            Shard(self, range(start, min(start + step, self.count)), here / f"{number:05d}.rows")
            for number, start in enumerate(starts)
        ]


@dataclass(frozen=True)
class Shard:
    """Consecutive rows of a recipe in a file of their own."""

    recipe: Recipe
    numbers: range
    path: Path

    @property
    def key(self) -> str:
        """Tells the shard from all others."""
        return f"{self.recipe.key}/{self.numbers.start}-{self.numbers.stop}"


@dataclass(frozen=True)
class Description:
    """What stands at the end of a cache file.

    Attributes:
        key: Tells what the rows are made from.
        shape: Of one row.
        digests: Hash of each row, hexadecimal.
        broken: Row number to the reason why it could not be made; such a row is all zero.
    """

    key: str
    shape: tuple[int, ...]
    digests: tuple[str, ...]
    broken: dict[int, str]

    def to_bytes(self) -> bytes:
        """Return JSON."""
        broken = [[row, reason] for row, reason in self.broken.items()]
        value = {
            "key": self.key,
            "shape": self.shape,
            "digests": self.digests,
            "broken": broken,
        }
        return json.dumps(value).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Undo ``to_bytes``."""
        value = json.loads(raw)
        broken = {int(row): str(reason) for row, reason in value["broken"]}
        return cls(value["key"], tuple(value["shape"]), tuple(value["digests"]), broken)


class Rows:
    """The rows of one cache file; may be shared between threads, forked and pickled."""

    def __init__(self, path: Path, description: Description) -> None:
        self.path = path
        self.key = description.key
        self.shape = description.shape
        self.digests = description.digests
        self.broken = description.broken
        self._row_bytes = prod(self.shape)
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def __len__(self) -> int:
        return len(self.digests)

    def __reduce__(self) -> tuple[Callable[[Path], "Rows"], tuple[Path]]:
        return reopen, (self.path,)

    def read(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Return rows as a new array, (n, *shape), in the order asked for.

        Raises:
            IndexError: There is no such row.
            DataError: The file was shortened after it was opened.
        """
        result = np.empty((len(indices), *self.shape), np.uint8)
        self.fill(result, indices)
        return result

    def fill(self, result: NDArray[np.uint8], indices: Sequence[int]) -> None:
        """Read rows into an existing contiguous array, (n, *shape), in the order asked for.

        Raises:
            IndexError: There is no such row.
            DataError: The file was shortened after it was opened.
        """
        for row, index in zip(result, indices, strict=True):
            if not 0 <= index < len(self):
                raise IndexError(f"row {index} of a cache file with {len(self)} rows")
            offset = _START + index * self._row_bytes
            if os.preadv(self._descriptor, [row.data], offset) != self._row_bytes:
                raise DataError(
                    f"{self.path} became shorter while it was in use; run the same command again "
                    "and the cache file is made anew"
                )

    def damaged(self) -> list[int]:
        """Return the rows whose bytes are not those that were written; reads the whole file."""
        return [
            index
            for index, digest in enumerate(self.digests)
            if hash_of(self.read([index])) != digest
        ]


def cache_folder(setting: str | None) -> Path:
    """Return the folder of decoded images: the setting, else the environment, else the user's."""
    chosen = setting or os.environ.get(VARIABLE) or "~/.cache/autoadapt"
    return Path(chosen).expanduser()


def open_rows(recipe: Recipe, folder: Path, on_rows: Count | None = None) -> JoinedRows:
    """Return the rows of a recipe; shards that are missing or damaged are made now.

    Several processes may ask for the same recipe at once: one makes the shards, the others wait.

    Args:
        recipe: What to make.
        folder: Cache folder.
        on_rows: Told after each row that is made or already there.

    Raises:
        DataError: A file cannot be opened, or holds what its data set does not declare.
        RunError: The disk is full; nothing half-written is left.
        ConfigError: The cache folder cannot be read or written.
        ValueError: The recipe has no rows.
    """
    shards = recipe.shards(folder)
    if not shards:
        raise ValueError("a recipe without rows")
    with explained(folder):
        found = [rows for rows in map(_sound, shards) if rows is not None]
        if len(found) == len(shards):
            return JoinedRows(tuple(found))  # Needs no lock, so a read-only cache serves too.
        here = shards[0].path.parent
        with files.waiting_lock(here.with_suffix(".lock")):
            return JoinedRows(tuple(_made(shards, here, on_rows)))


def _made(shards: Sequence[Shard], here: Path, on_rows: Count | None) -> list[Rows]:
    """Return all shards, those that are missing made now; whoever holds the lock is alone."""
    files.sweep(here)
    found = [_sound(shard) for shard in shards]
    _check_space(shards, found, here)
    result = []
    for shard, rows in zip(shards, found, strict=True):
        result.append(rows or _build(shard, on_rows))
        if on_rows is not None:
            on_rows(shard.numbers.stop, shard.recipe.count)
    return result


def reopen(path: Path) -> Rows:
    """Open an existing cache file.

    Raises:
        DataError: It is missing or damaged.
    """
    description = _describe(path)
    if description is None:
        raise DataError(
            f"the cache file {path} is missing or damaged; open the data set again to make it"
        )
    return Rows(path, description)


def _sound(shard: Shard) -> Rows | None:
    description = _describe(shard.path)
    if description is None or description.key != shard.key:
        return None
    return Rows(shard.path, description)


def _describe(path: Path) -> Description | None:
    """Read the description, or return None where the file is not whole."""
    try:
        with path.open("rb") as file:
            magic, data, length, digest = _HEADER.unpack(file.read(_HEADER.size))
            whole = os.fstat(file.fileno()).st_size == _START + data + length
            if magic != _MAGIC or not whole:
                return None
            file.seek(_START + data)
            raw = file.read(length)
    except (FileNotFoundError, struct.error):
        return None
    return Description.from_bytes(raw) if hashlib.sha256(raw).digest() == digest else None


def write_rows(
    path: Path, rows: Iterable[NDArray[np.uint8] | str], *, key: str, shape: tuple[int, ...]
) -> Rows:
    """Write rows that come one after the other, such as pseudo-labels, and open them.

    Args:
        path: The file.
        rows: uint8 arrays, or the reason why there is none.
        key: Tells what the rows are.
        shape: Of one row.

    Raises:
        RunError: The disk is full.
    """
    with rows_writer(path, key=key, shape=shape) as add:
        for row in rows:
            add(row)
    return reopen(path)


@contextlib.contextmanager
def rows_writer(
    path: Path, *, key: str, shape: tuple[int, ...]
) -> Iterator[Callable[[NDArray[np.uint8] | str], None]]:
    """Write rows as they come; several files may be written side by side.

    The file appears when all is done, whole or not at all, and replaces an older one; whoever has
    that one open goes on reading the old rows.

    Yields:
        What takes the next row, or the reason why it could not be made.

    Raises:
        RunError: The disk is full.
        ValueError: A row is not uint8 of ``shape``.
    """
    with files.replacing(path) as file:
        file.write(bytes(_START))
        digests: list[str] = []
        broken: dict[int, str] = {}
        nothing = np.zeros(shape, np.uint8)

        def add(one: NDArray[np.uint8] | str) -> None:
            index = len(digests)
            if isinstance(one, str):
                broken[index] = one
            row = nothing if isinstance(one, str) else np.ascontiguousarray(one)
            if row.shape != shape or row.dtype != np.uint8:
                raise ValueError(f"row {index} is {row.dtype} {row.shape}, not uint8 {shape}")
            digests.append(hash_of(row))
            file.write(row.data)

        yield add
        _seal(file, Description(key, shape, tuple(digests), broken))


def _seal(file: IO[bytes], description: Description) -> None:
    """Write what stands around the rows; the header comes last: a file that has one is whole."""
    raw = description.to_bytes()
    size = len(description.digests) * prod(description.shape)
    file.seek(_START + size)
    file.write(raw)
    file.seek(0)
    file.write(_HEADER.pack(_MAGIC, size, len(raw), hashlib.sha256(raw).digest()))


class GrowingRows:
    """Rows that are written over several lives of a process, if it is killed in between.

    They lie in a neighbour of the file until ``finish`` puts it in place. What was written before
    ``sync`` returned is there for whoever comes with ``resume`` and the digests of that moment.

    Attributes:
        path: The file.
        key: Tells what the rows are.
        shape: Of one row.
        digests: Hash of each row so far.
    """

    def __init__(self, path: Path, *, key: str, shape: tuple[int, ...]) -> None:
        self.path, self.key, self.shape = path, key, shape
        self.digests: list[str] = []
        self._growing = path.with_suffix(".growing")
        self._file: IO[bytes] | None = None

    def restart(self) -> None:
        """Begin with no row."""
        self.close()
        self._growing.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._growing.open("wb")
        self._file.write(bytes(_START))
        self.digests = []

    def resume(self, digests: Sequence[str]) -> bool:
        """Go on behind the rows with these digests; whether they are there and as they were."""
        self.close()
        self.digests = list(digests)
        description = _describe(self.path)
        if description is not None and description.key == self.key:
            return list(description.digests) == self.digests
        if not self._growing.is_file():
            return False
        self._file = self._growing.open("r+b")
        self._file.seek(_START)
        size = prod(self.shape)
        for wanted in self.digests:
            row = self._file.read(size)
            if len(row) != size or hashlib.blake2b(row, digest_size=16).hexdigest() != wanted:
                return False
        self._file.truncate()
        return True

    def add(self, row: NDArray[np.uint8]) -> None:
        """Append a row.

        Raises:
            RunError: The disk is full.
            ValueError: It is not uint8 of ``shape``, or there is no file open.
        """
        if row.shape != self.shape or row.dtype != np.uint8:
            index = len(self.digests)
            raise ValueError(f"row {index} is {row.dtype} {row.shape}, not uint8 {self.shape}")
        row = np.ascontiguousarray(row)
        with files.disk_full_explained(self.path):
            self._open().write(row.data)
        self.digests.append(hash_of(row))

    def sync(self) -> None:
        """Wait until all rows so far are on disk.

        Raises:
            RunError: The disk is full.
        """
        with files.disk_full_explained(self.path):
            self._open().flush()
            os.fsync(self._open().fileno())

    def finish(self) -> None:
        """Put the file in its place, whole; nothing happens where it is there already.

        Raises:
            RunError: The disk is full.
        """
        if self._file is None:
            return
        with files.disk_full_explained(self.path):
            _seal(self._file, Description(self.key, self.shape, tuple(self.digests), {}))
            self.sync()
        self.close()
        os.replace(self._growing, self.path)

    def close(self) -> None:
        """Let go of the file; what was written since the last ``sync`` may be lost."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def _open(self) -> IO[bytes]:
        if self._file is None:
            raise ValueError(f"{self.path} is not being written")
        return self._file


def _build(shard: Shard, on_rows: Count | None) -> Rows:
    recipe, numbers = shard.recipe, shard.numbers
    logger.info("decoding %d %s into %s", len(numbers), recipe.what, shard.path)
    made = _counted(_made_in_order(recipe, numbers), shard, on_rows)
    return write_rows(shard.path, made, key=shard.key, shape=recipe.shape)


def _counted(
    made: Iterable[NDArray[np.uint8] | str], shard: Shard, on_rows: Count | None
) -> Iterator[NDArray[np.uint8] | str]:
    for number, one in zip(shard.numbers, made, strict=True):
        if on_rows is not None:
            on_rows(number, shard.recipe.count)
        yield one


def hash_of(row: NDArray[np.uint8]) -> str:
    """Return the checksum of a row, hexadecimal."""
    return hashlib.blake2b(row.data, digest_size=16).hexdigest()


def _made_in_order(recipe: Recipe, numbers: range) -> Iterator[NDArray[np.uint8] | str]:
    """Yield each row, or why there is none; never more than a few rows ahead in memory."""
    pending: deque[Future[NDArray[np.uint8] | str]] = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        for number in numbers:
            pending.append(pool.submit(_attempt, recipe, number))
            if len(pending) > 2 * _THREADS:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _attempt(recipe: Recipe, index: int) -> NDArray[np.uint8] | str:
    try:
        return recipe.make(index)
    except BrokenFileError as error:
        return str(error)


def _check_space(shards: Sequence[Shard], found: Sequence[Rows | None], here: Path) -> None:
    missing = [shard for shard, rows in zip(shards, found, strict=True) if rows is None]
    needed = sum(len(shard.numbers) * prod(shard.recipe.shape) for shard in missing)
    free = shutil.disk_usage(here.parent).free
    if needed > free:
        raise RunError(
            f"the decoded {shards[0].recipe.what} need {needed / 2**20:.0f} MiB but the disk that "
            f"holds {here.parent} has {free / 2**20:.0f} MiB left; free some space, or choose "
            f"another folder with data.cache or {VARIABLE}"
        )


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn what the system says about the cache folder into what a user can do about it."""
    try:
        yield
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise ConfigError(
            f"the cache folder {folder} cannot be used ({error.strerror}); choose another one "
            f"with data.cache or the environment variable {VARIABLE}"
        ) from error
    except OSError as error:
        raise RunError(
            f"the cache folder {folder} failed: {error}; mend it, or choose another one with "
            f"data.cache or {VARIABLE}"
        ) from error
