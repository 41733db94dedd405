"""Downloads from a server of the test: whole or not at all, resumed, checked."""

import dataclasses
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from autoadapt.config.published_weights import PUBLISHED, PublishedWeights
from autoadapt.errors import CheckpointError
from autoadapt.networks.checkpoints.download import fetch, stored

CONTENT = bytes(range(256)) * 40


class Server(ThreadingHTTPServer):
    """Serves ``CONTENT`` as a file, and remembers what it was asked.

    Attributes:
        ranges: The Range header of each request, None without.
        break_after: Bytes after which the connection breaks off.
        honours_ranges: Whether it can continue a download.
    """

    ranges: list[str | None]
    break_after: int | None = None
    honours_ranges = True


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if self.path == "/absent-00000000.pth":
            self.send_error(404)
            return
        start = int(wanted[6:-1]) if wanted and self.server.honours_ranges else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        body = CONTENT[start:]
        self.wfile.write(
            body if self.server.break_after is None else body[: self.server.break_after]
        )

    def log_message(self, *_: Any, **__: Any) -> None:
        """Keep the output of the tests clean."""


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server(("127.0.0.1", 0), Handler)
    found.ranges = []
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


@pytest.fixture
def published(server: Server) -> PublishedWeights:
    digits = hashlib.sha256(CONTENT).hexdigest()[:8]
    address = f"http://127.0.0.1:{server.server_address[1]}/weights-{digits}.pth"
    return PublishedWeights(address, "of the test", digits)


def test_a_file_is_fetched_once(
    published: PublishedWeights, server: Server, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    assert stored(published, tmp_path) is None
    path = fetch(published, tmp_path, lambda done, total: told.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert fetch(published, tmp_path) == path == stored(published, tmp_path)
    assert server.ranges == [None]


def test_an_interrupted_download_continues(
    published: PublishedWeights, server: Server, tmp_path: Path
) -> None:
    server.break_after = 1000
    with pytest.raises(CheckpointError, match=r"broke off|could not be downloaded"):
        fetch(published, tmp_path)
    assert stored(published, tmp_path) is None
    server.break_after = None
    assert fetch(published, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-"]


def test_a_server_that_cannot_continue_starts_anew(
    published: PublishedWeights, server: Server, tmp_path: Path
) -> None:
    (tmp_path / f"{published.file}.partial").write_bytes(CONTENT[:1000])
    server.honours_ranges = False
    assert fetch(published, tmp_path).read_bytes() == CONTENT


def test_a_download_that_was_killed_before_its_last_rename(
    published: PublishedWeights, server: Server, tmp_path: Path
) -> None:
    (tmp_path / f"{published.file}.partial").write_bytes(CONTENT)
    assert fetch(published, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [f"bytes={len(CONTENT)}-"]


def test_a_wrong_checksum_is_not_kept(published: PublishedWeights, tmp_path: Path) -> None:
    wrong = dataclasses.replace(published, sha256="00000000")
    with pytest.raises(CheckpointError, match="00000000 was published"):
        fetch(wrong, tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


def test_a_file_that_changed_on_disk_is_refused(
    published: PublishedWeights, tmp_path: Path
) -> None:
    fetch(published, tmp_path).write_bytes(b"changed")
    with pytest.raises(CheckpointError, match="was published"):
        fetch(published, tmp_path)


def test_what_cannot_be_fetched_says_why(
    published: PublishedWeights, server: Server, tmp_path: Path
) -> None:
    absent = f"http://127.0.0.1:{server.server_address[1]}/absent-00000000.pth"
    with pytest.raises(CheckpointError, match="HTTP 404"):
        fetch(dataclasses.replace(published, address=absent), tmp_path)
    with pytest.raises(CheckpointError, match="could not be downloaded"):
        fetch(dataclasses.replace(published, address="http://127.0.0.1:1/x.pth"), tmp_path)


def test_without_a_published_checksum_nothing_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checksum was published"):
        fetch(PUBLISHED["advent_resnet101"], tmp_path)
    assert not list(tmp_path.iterdir())


def test_every_published_name_carries_its_checksum() -> None:
    """The first digits stand in the file's name, by the convention of PyTorch's hub."""
    for published in PUBLISHED.values():
        assert not published.sha256 or f"-{published.sha256}.pth" in published.file
