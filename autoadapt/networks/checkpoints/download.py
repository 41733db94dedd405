"""Fetches a published file: asked for, resumable, whole or not at all, checked."""

import contextlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

from autoadapt.config.published_weights import PublishedWeights
from autoadapt.errors import CheckpointError
from autoadapt.files import FULL, disk_full, sha256_of, sync_folder, waiting_lock

CHUNK = 1 << 20
TIMEOUT = 30.0
"""Seconds without a byte before a server counts as dead."""

OnBytes = Callable[[int, int], None]
"""Told how many bytes have arrived, and of how many (of those, if the server does not say)."""


def stored(published: PublishedWeights, folder: Path) -> Path | None:
    """Return the file if an earlier download left it in ``folder``.

    Raises:
        CheckpointError: It is there and has another checksum.
    """
    path = folder / published.file
    if not path.is_file():
        return None
    check_sum(path, published)
    return path


def fetch(published: PublishedWeights, folder: Path, on_bytes: OnBytes | None = None) -> Path:
    """Return the file, downloaded to ``folder`` unless it is there already.

    What an interrupted download left is continued. Several processes may ask at once: one
    fetches, the others wait.

    Raises:
        CheckpointError: It cannot be reached, has another checksum, or none was published.
        RunError: The disk is full; what has arrived is kept.
    """
    path = folder / published.file
    if not published.sha256:
        raise CheckpointError(
            f"no checksum was published for {published.address}, so it is not downloaded here; "
            "fetch it by hand and give its path as 'file'"
        )
    with waiting_lock(folder / f"{published.file}.lock"):
        if stored(published, folder) is None:
            partial = path.with_name(f"{path.name}.partial")
            download(published, partial, on_bytes)
            check_sum(partial, published)
            os.replace(partial, path)
            sync_folder(folder)
    return path


def download(published: PublishedWeights, partial: Path, on_bytes: OnBytes | None) -> None:
    """Append to ``partial`` what is missing; start anew where the server cannot continue."""
    try:
        with open_from(published.address, partial) as (answer, begin):
            total = whole_size(answer, begin)
            with partial.open("ab" if begin else "wb") as file:
                copy(answer, file, begin, total, on_bytes)
                file.flush()
                os.fsync(file.fileno())
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing is left to send: the whole file has arrived before
            raise unreachable(published, f"HTTP {error.code} {error.reason}") from error
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(partial) from error
        raise unreachable(published, str(getattr(error, "reason", error))) from error
    except HTTPException as error:
        raise unreachable(published, f"the answer broke off: {error!r}") from error


@contextlib.contextmanager
def open_from(address: str, partial: Path) -> Any:
    """Open an address where a partial file ends; yields the answer and where it begins."""
    begin = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(address, headers={"User-Agent": "autoadapt"})
    if begin:
        request.add_header("Range", f"bytes={begin}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        continues = getattr(answer, "status", None) == 206
        yield answer, begin if continues else 0


def whole_size(answer: Any, begin: int) -> int | None:
    """Return the size of the whole file, if the server says it."""
    length = answer.headers.get("Content-Length")
    return int(length) + begin if length and length.isdigit() else None


def copy(answer: Any, file: Any, done: int, total: int | None, on_bytes: OnBytes | None) -> None:
    """Write the answer to a file.

    Raises:
        HTTPException: It ends before its announced end.
    """
    while chunk := answer.read(CHUNK):
        file.write(chunk)
        done += len(chunk)
        if on_bytes is not None:
            on_bytes(done, total or done)
    if total is not None and done < total:
        raise HTTPException(f"{done} of {total} bytes")


def check_sum(path: Path, published: PublishedWeights) -> None:
    """Compare a file with the published checksum; a wrong one is not kept as a download.

    Raises:
        CheckpointError: They differ.
    """
    found = sha256_of(path)
    if found.startswith(published.sha256):
        return
    if path.suffix == ".partial":
        path.unlink()
    raise CheckpointError(
        f"{path} has the SHA-256 {found[:16]}…, {published.sha256} was published for "
        f"{published.address}; remove it and download again, or fetch it by hand"
    )


def unreachable(published: PublishedWeights, why: str) -> CheckpointError:
    """Return the error for a download that failed; what has arrived is continued next time."""
    return CheckpointError(
        f"{published.address} could not be downloaded: {why}; the same command continues it, or "
        "fetch it by hand and give its path as 'file'"
    )
