"""Files that survive a crash: atomic replacement, durable appends, locks that die with us."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from autoadapt.errors import RunError

FULL = {errno.ENOSPC, errno.EDQUOT}
"""What the system says when a disk, or the quota of a user on it, is used up."""
PROBES = 10
"""Attempts to own a folder: whoever merely asks ``owned`` holds the lock for an instant."""
LEFTOVER = ".part"
"""Ending of a file that is not whole yet."""


@contextlib.contextmanager
def replacing(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Write a file that appears whole or not at all.

    The bytes go to a temporary neighbour, are synced to disk and take the place of ``path`` in
    one rename. When anything fails the old file is untouched and the temporary one removed.

    Raises:
        RunError: The disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=LEFTOVER)
    try:
        with os.fdopen(descriptor, mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in FULL:
            raise disk_full(path) from error
        raise


def link(source: Path, target: Path) -> None:
    """Give a file a second name, atomically; it is copied where the disk knows no such names.

    Raises:
        RunError: The disk is full.
    """
    if target.exists() and target.samefile(source):
        return  # a rename onto another name of the same file would leave both
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}{LEFTOVER}")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        with source.open("rb") as content, replacing(target) as file:
            shutil.copyfileobj(content, file)
        return
    os.replace(temporary, target)


def sweep(folder: Path) -> None:
    """Remove what ``replacing`` left half written in a folder when its process was killed.

    Only for folders that nobody else is writing to.
    """
    for leftover in folder.glob(f".*{LEFTOVER}"):
        leftover.unlink(missing_ok=True)


def shipped(kind: str) -> Path:
    """Return the folder of the files that come with the package.

    Args:
        kind: ``configs`` or ``search_spaces``: inside an installed package under ``shipped``, in
            a checkout next to it.
    """
    package = Path(__file__).parent
    installed = package / "shipped" / kind
    return installed if installed.is_dir() else package.parent / kind


def write_text(path: Path, text: str) -> None:
    """Replace a text file atomically."""
    with replacing(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file atomically; NaN and infinities are refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: object) -> str:
    """Return a hash of plain values, 16 hexadecimal digits; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def disk_full(path: Path) -> RunError:
    """Return the error for a full disk; what was already written stays as it was."""
    return RunError(
        f"no space left on the disk that holds {path.parent}: {path.name} was not written; "
        "free some space and run the same command again, it continues where it stopped"
    )


class JsonLines:
    """An append-only file of JSON values, one per line, each on disk before the call returns.

    A line that a crash cut in half is removed when the file is next opened for writing; a
    damaged line in the middle was not written by us and is an error.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[dict[str, Any]]:
        """Return all whole lines; a torn last one is left out.

        Raises:
            RunError: A line before the last is not a JSON object.
        """
        if not self.path.exists():
            return []
        *lines, _torn = self.path.read_bytes().split(b"\n")
        values = []
        for number, line in enumerate(lines, start=1):
            try:
                value = json.loads(line)
            except ValueError:
                value = None
            if not isinstance(value, dict):
                raise RunError(
                    f"{self.path}:{number}: not a JSON object: {line[:60]!r}; "
                    "restore the file from a backup, or delete this line to lose only this trial"
                )
            values.append(value)
        return values

    def mend(self) -> None:
        """Cut a torn last line, so that the next append starts on a line of its own."""
        if not self.path.exists():
            return
        with self.path.open("rb+") as file:
            content = file.read()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                file.truncate(whole)
                os.fsync(file.fileno())

    def append(self, value: dict[str, Any], *, durable: bool = True) -> None:
        """Add one line.

        Args:
            value: A JSON object without NaN or infinities.
            durable: Wait until it is on disk, so that it survives a power cut; without, it
                survives the death of this process.

        Raises:
            RunError: The disk is full; the file is as it was before.
        """
        line = json.dumps(value, allow_nan=False).encode() + b"\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered: a buffer would try to write the rest of a failed line when it is closed.
        with self.path.open("ab", buffering=0) as file:
            before = file.tell()
            try:
                write_all(file.fileno(), line)
                if durable:
                    os.fsync(file.fileno())
            except BaseException as error:
                with contextlib.suppress(OSError):
                    os.ftruncate(file.fileno(), before)
                if isinstance(error, OSError) and error.errno in FULL:
                    raise disk_full(self.path) from error
                raise
        if durable and not before:
            sync_folder(self.path.parent)


@contextlib.contextmanager
def disk_full_explained(path: Path) -> Iterator[None]:
    """Turn what the system says about a full disk into what a user can do about it.

    Raises:
        RunError: The disk that holds ``path`` is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(path) from error
        raise


def write_all(descriptor: int, content: bytes) -> None:
    """Write all bytes; a disk that is nearly full takes some of them before it complains."""
    while content:
        content = content[os.write(descriptor, content) :]


def sync_folder(folder: Path) -> None:
    """Wait until the names of the files in a folder are on disk, such as that of a new file."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock, waiting for whoever holds it; the system frees it if we die."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def owning(folder: Path) -> Iterator[None]:
    """Own a run folder for as long as the block runs; freed by the system even on kill -9.

    Raises:
        RunError: Another live process owns it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        for probe in range(PROBES):
            if locked(file):
                break
            time.sleep(0.02 * probe)
        else:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise RunError(
                f"{folder} is in use by another process ({owner}); wait for it, stop it, "
                "or choose another folder with --run"
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename}\n")
        file.flush()
        yield


def owned(folder: Path) -> bool:
    """Whether a live process owns a run folder right now."""
    path = folder / "lock"
    if not path.exists():
        return False
    with path.open("a") as file:
        return not locked(file)


def locked(file: IO[Any]) -> bool:
    """Lock a file for as long as it is open; False if another process has."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
