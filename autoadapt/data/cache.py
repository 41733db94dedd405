"""Decoded images on disk: decoded once, then read as plain bytes by every trial and run.

A cache file holds rows of equal shape, one per image, followed by what is needed to judge it:
what it was made from, a hash of every row, and which rows could not be made. Its name is a hash
of what it was made from, so a changed source is another file, never a stale one.

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
from math import prod
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from autoadapt import files
from autoadapt.data.decode import BrokenFileError
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

    @property
    def key(self) -> str:
        """Hash of the specification, the format and the shape."""
        text = json.dumps([FORMAT, self.what, self.spec, self.shape, self.count], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Description:
    """What stands at the end of a cache file.

    Attributes:
        key: Key of the recipe.
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
        for row, index in zip(result, indices, strict=True):
            if not 0 <= index < len(self):
                raise IndexError(f"row {index} of a cache file with {len(self)} rows")
            offset = _START + index * self._row_bytes
            raw = os.pread(self._descriptor, self._row_bytes, offset)
            if len(raw) != self._row_bytes:
                raise DataError(
                    f"{self.path} became shorter while it was in use; run the same command again "
                    "and the cache file is made anew"
                )
            row[...] = np.frombuffer(raw, np.uint8).reshape(self.shape)
        return result


def cache_folder(setting: str | None) -> Path:
    """Return the folder of decoded images: the setting, else the environment, else the user's."""
    chosen = setting or os.environ.get(VARIABLE) or "~/.cache/autoadapt"
    return Path(chosen).expanduser()


def open_rows(recipe: Recipe, folder: Path) -> Rows:
    """Return the rows of a recipe, made now if no sound cache file of it exists.

    Several processes may ask for the same recipe at once: one makes the file, the others wait.

    Raises:
        DataError: A file cannot be opened, or holds what its data set does not declare.
        RunError: The disk is full; nothing half-written is left.
        ConfigError: The cache folder cannot be read or written.
    """
    path = folder / f"{recipe.what}-{recipe.key[:32]}.rows"
    with _explained(folder):
        rows = _sound(path, recipe)
        if rows is not None:
            return rows  # The usual case needs no lock, so a read-only cache serves too.
        with files.waiting_lock(path.with_suffix(".lock")):
            rows = _sound(path, recipe)
            if rows is None:
                _remove_leftovers(path)
                _check_space(path, recipe)
                _build(path, recipe)
                rows = reopen(path)
            return rows


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


def _sound(path: Path, recipe: Recipe) -> Rows | None:
    description = _describe(path)
    if description is None or description.key != recipe.key:
        return None
    return Rows(path, description)


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
    path: Path, rows: Iterable[NDArray[np.uint8]], *, key: str, shape: tuple[int, ...]
) -> Rows:
    """Write rows that come one after the other, such as pseudo-labels, and open them.

    The file appears whole or not at all and replaces an older one; whoever has that one open
    goes on reading the old rows.

    Raises:
        RunError: The disk is full.
    """
    _write_file(path, rows, key, shape)
    return reopen(path)


def _build(path: Path, recipe: Recipe) -> None:
    logger.info("decoding %d %s into %s", recipe.count, recipe.what, path)
    _write_file(path, _made_in_order(recipe), recipe.key, recipe.shape)


def _write_file(
    path: Path, made: Iterable[NDArray[np.uint8] | str], key: str, shape: tuple[int, ...]
) -> None:
    with files.replacing(path) as file:
        file.write(bytes(_START))
        digests, broken = _write_rows(file, made, shape)
        raw = Description(key, shape, tuple(digests), broken).to_bytes()
        file.write(raw)
        size = len(digests) * prod(shape)
        file.seek(0)
        # The header comes last: a file that has one is complete.
        file.write(_HEADER.pack(_MAGIC, size, len(raw), hashlib.sha256(raw).digest()))


def _write_rows(
    file: IO[bytes], made: Iterable[NDArray[np.uint8] | str], shape: tuple[int, ...]
) -> tuple[list[str], dict[int, str]]:
    digests, broken = [], {}
    nothing = np.zeros(shape, np.uint8)
    for index, one in enumerate(made):
        if isinstance(one, str):
            broken[index] = one
        row = nothing if isinstance(one, str) else np.ascontiguousarray(one)
        if row.shape != shape or row.dtype != np.uint8:
            raise ValueError(f"row {index} is {row.dtype} {row.shape}, not uint8 {shape}")
        digests.append(hashlib.blake2b(row.data, digest_size=16).hexdigest())
        file.write(row.data)
    return digests, broken


def _made_in_order(recipe: Recipe) -> Iterator[NDArray[np.uint8] | str]:
    """Yield each row, or why there is none; never more than a few rows ahead in memory."""
    pending: deque[Future[NDArray[np.uint8] | str]] = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        for index in range(recipe.count):
            pending.append(pool.submit(_attempt, recipe, index))
            if len(pending) > 2 * _THREADS:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _attempt(recipe: Recipe, index: int) -> NDArray[np.uint8] | str:
    try:
        return recipe.make(index)
    except BrokenFileError as error:
        return str(error)


def _remove_leftovers(path: Path) -> None:
    """Delete what a killed builder left; whoever holds the lock is the only builder."""
    for leftover in path.parent.glob(f".{path.name}.*"):
        leftover.unlink(missing_ok=True)


def _check_space(path: Path, recipe: Recipe) -> None:
    needed = recipe.count * prod(recipe.shape)
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise RunError(
            f"the decoded {recipe.what} need {needed / 2**20:.0f} MiB but the disk that holds "
            f"{path.parent} has {free / 2**20:.0f} MiB left; free some space, or choose another "
            f"folder with data.cache or {VARIABLE}"
        )


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
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
