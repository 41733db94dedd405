import errno
import hashlib
import json
import logging
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from autoadapt import files
from autoadapt.data import cache
from autoadapt.data.cache import Recipe, cache_folder, open_rows, reopen, write_rows
from autoadapt.data.decode import BrokenFileError
from autoadapt.errors import ConfigError, DataError, RunError

SHAPE = (3, 5, 2)


def row(index: int) -> NDArray[np.uint8]:
    return np.full(SHAPE, index % 256, np.uint8)


class Counting:
    """Makes rows and counts how often."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, index: int) -> NDArray[np.uint8]:
        self.calls.append(index)
        return row(index)


def recipe(make: Any = row, count: int = 40, spec: str = "x") -> Recipe:
    return Recipe("images", {"spec": spec}, SHAPE, count, make)


def stored(folder: Path) -> list[str]:
    """Names of all files but locks."""
    return sorted(path.name for path in folder.rglob("*.*") if path.suffix != ".lock")


def first_shard(folder: Path, spec: str = "x") -> Path:
    """Return the only file of a recipe."""
    (shard,) = recipe(spec=spec).shards(folder)
    return shard.path


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a shard hold 12 rows of 30 bytes: 40 rows are three shards of 12 and one of 4."""
    monkeypatch.setattr(cache, "SHARD_BYTES", 12 * 30 + 29)


def test_rows_come_back_in_the_order_asked_for(tmp_path: Path) -> None:
    rows = open_rows(recipe(), tmp_path)
    assert len(rows) == 40
    assert np.array_equal(rows.read([39, 0, 7, 7]), np.stack([row(39), row(0), row(7), row(7)]))
    assert rows.read([]).shape == (0, *SHAPE)


def test_what_is_read_is_the_readers_own(tmp_path: Path) -> None:
    rows = open_rows(recipe(), tmp_path)
    rows.read([3])[:] = 99
    assert rows.read([3]).max() == 3


def test_a_row_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    rows = open_rows(recipe(), tmp_path)
    for index in (-1, 40):
        with pytest.raises(IndexError, match=f"row {index} of 40"):
            rows.read([index])


def test_rows_are_made_once(tmp_path: Path) -> None:
    make = Counting()
    for _ in range(3):
        open_rows(recipe(make), tmp_path)
    assert sorted(make.calls) == list(range(40))


def test_another_specification_is_another_file(tmp_path: Path) -> None:
    open_rows(recipe(spec="x"), tmp_path)
    open_rows(recipe(spec="y"), tmp_path)
    open_rows(recipe(count=39), tmp_path)
    assert len(stored(tmp_path)) == 3


def test_rows_are_made_by_several_threads(tmp_path: Path) -> None:
    threads: set[int] = set()
    together = threading.Barrier(2, timeout=20)

    def make(index: int) -> NDArray[np.uint8]:
        if index < 2:
            together.wait()  # passes only if two rows are made at the same time
        threads.add(threading.get_ident())
        return row(index)

    open_rows(recipe(make, count=200), tmp_path)
    assert len(threads) >= 2


def test_making_never_runs_far_ahead_of_writing(tmp_path: Path) -> None:
    made: list[int] = []

    def make(index: int) -> NDArray[np.uint8]:
        made.append(index)
        return row(index)

    ahead = []
    for number, _ in enumerate(cache._made_in_order(recipe(make), range(300))):
        ahead.append(len(made) - number)
    # Memory is a few rows, whatever the number of images: 2 per thread wait, 1 per thread runs.
    assert max(ahead) <= 3 * cache._THREADS + 2


def test_each_row_has_its_hash(tmp_path: Path) -> None:
    rows = open_rows(recipe(), tmp_path)
    assert rows.digests[7] == hashlib.blake2b(bytes([7] * 30), digest_size=16).hexdigest()
    assert len(set(rows.digests)) == 40


def test_broken_rows_are_zero_and_remembered(tmp_path: Path) -> None:
    def make(index: int) -> NDArray[np.uint8]:
        if index in {4, 9}:
            raise BrokenFileError(f"bad {index}")
        return row(index)

    for _ in range(2):
        rows = open_rows(recipe(make), tmp_path)
        assert rows.broken == {4: "bad 4", 9: "bad 9"}
    assert rows.read([4, 5]).max(axis=(1, 2, 3)).tolist() == [0, 5]


def test_an_error_while_making_leaves_nothing_behind(tmp_path: Path) -> None:
    def make(index: int) -> NDArray[np.uint8]:
        if index == 25:
            raise DataError("id 12 on 3 pixels")
        return row(index)

    with pytest.raises(DataError, match="id 12"):
        open_rows(recipe(make), tmp_path)
    assert stored(tmp_path) == []
    assert len(open_rows(recipe(), tmp_path)) == 40


def test_a_row_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="row 0 is uint8"):
        open_rows(recipe(lambda _: np.zeros((2, 2), np.uint8)), tmp_path)
    assert stored(tmp_path) == []


def damaged(content: bytes) -> Iterator[tuple[str, bytes]]:
    yield "cut", content[:-1]
    yield "cut to the header", content[:64]
    yield "empty", b""
    yield "grown", content + b"x"
    yield "other magic", b"X" + content[1:]
    yield "description altered", content[:-3] + b"9" + content[-2:]
    yield "header of zeros", bytes(64) + content[64:]


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    open_rows(recipe(), tmp_path)
    path = first_shard(tmp_path)
    content = path.read_bytes()
    for what, wrong in damaged(content):
        path.write_bytes(wrong)
        make = Counting()
        assert open_rows(recipe(make), tmp_path).read([39]).max() == 39, what
        assert len(make.calls) == 40, what
        assert path.read_bytes() == content


def test_a_file_with_the_key_of_another_recipe_is_made_again(tmp_path: Path) -> None:
    open_rows(recipe(spec="x"), tmp_path)
    open_rows(recipe(lambda _: row(1), spec="y"), tmp_path)
    shutil.copy(first_shard(tmp_path, "y"), first_shard(tmp_path, "x"))
    assert open_rows(recipe(spec="x"), tmp_path).read([7]).max() == 7


def test_reopening_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing or damaged"):
        reopen(tmp_path / "none.rows")


def test_a_file_that_is_cut_while_open_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    rows = open_rows(recipe(), tmp_path)
    os.truncate(first_shard(tmp_path), 100)
    with pytest.raises(DataError, match="became shorter"):
        rows.read([39])


def test_an_open_file_survives_its_deletion(tmp_path: Path) -> None:
    rows = open_rows(recipe(), tmp_path)
    first_shard(tmp_path).unlink()
    assert rows.read([39]).max() == 39


def test_rows_can_be_pickled(tmp_path: Path) -> None:
    rows = pickle.loads(pickle.dumps(open_rows(recipe(), tmp_path)))
    assert rows.read([39]).max() == 39


def test_written_rows_replace_older_ones_under_their_reader(tmp_path: Path) -> None:
    path = tmp_path / "round.rows"
    old = write_rows(path, [row(1), row(2)], key="a", shape=SHAPE)
    new = write_rows(path, iter([row(3), row(4), row(5)]), key="b", shape=SHAPE)
    assert (len(old), len(new)) == (2, 3)
    assert [rows.read([1]).max() for rows in (old, new, reopen(path))] == [2, 4, 4]
    assert stored(tmp_path) == ["round.rows"]


class FullAfter:
    """A file on a disk that is full after some bytes."""

    def __init__(self, file: IO[bytes], room: int) -> None:
        self.file, self.room = file, room

    def write(self, data: Any) -> int:
        self.room -= len(bytes(data))
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def test_a_full_disk_is_said_so_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = files.replacing

    @contextmanager
    def filling(path: Path) -> Iterator[IO[Any]]:
        with whole(path) as file:
            yield FullAfter(file, 400)  # type: ignore[misc]

    monkeypatch.setattr(files, "replacing", filling)
    with pytest.raises(RunError, match="no space left on the disk"):
        open_rows(recipe(), tmp_path)
    assert stored(tmp_path) == []


def test_a_disk_that_is_too_small_is_known_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1199)  # 40 rows of 3 * 5 * 2 bytes: 1200
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    make = Counting()
    with pytest.raises(RunError, match=r"need 0 MiB .*AUTOADAPT_CACHE"):
        open_rows(recipe(make), tmp_path)
    assert make.calls == []


def test_a_cache_folder_that_is_a_file_is_a_mistake_of_the_config(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "inside"):
        with pytest.raises(ConfigError, match="cannot be used"):
            open_rows(recipe(), folder)


def test_what_a_killed_builder_left_is_removed(tmp_path: Path) -> None:
    open_rows(recipe(), tmp_path)
    path = first_shard(tmp_path)
    path.rename(path.with_name(f".{path.name}.abc123.part"))
    open_rows(recipe(), tmp_path)
    assert stored(tmp_path) == [path.name]


def make_slowly(index: int) -> NDArray[np.uint8]:
    log = Path(os.environ["ROW_LOG"])
    with log.open("a") as file:
        file.write(f"{index}\n")
    return row(index)


def open_and_read(folder: str) -> int:
    return int(open_rows(recipe(make_slowly), Path(folder)).read([39]).max())


def test_processes_that_ask_at_once_make_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROW_LOG", str(tmp_path / "log"))
    context = multiprocessing.get_context("fork")
    with context.Pool(4) as pool:
        results = pool.map(open_and_read, [str(tmp_path / "cache")] * 8, chunksize=1)
    assert results == [39] * 8
    lines = (tmp_path / "log").read_text().split()
    assert sorted(map(int, lines)) == list(range(40))
    assert len(stored(tmp_path / "cache")) == 1


def test_building_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        open_rows(recipe(), tmp_path)
        open_rows(recipe(), tmp_path)
    assert [record.getMessage()[:18] for record in caplog.records] == ["decoding 40 images"]


def test_the_folder_is_the_setting_then_the_environment_then_the_users(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("AUTOADAPT_CACHE", "/scratch")
    assert cache_folder("~/here") == Path("/home/me/here")
    assert cache_folder(None) == Path("/scratch")
    monkeypatch.delenv("AUTOADAPT_CACHE")
    assert cache_folder(None) == Path("/home/me/.cache/autoadapt")


@pytest.mark.usefixtures("small_shards")
def test_rows_of_several_shards_are_one_set(tmp_path: Path) -> None:
    def make(index: int) -> NDArray[np.uint8]:
        if index in {3, 30}:
            raise BrokenFileError(f"bad {index}")
        return row(index)

    for _ in range(2):
        rows = open_rows(recipe(make), tmp_path)
        assert [len(part.digests) for part in rows.parts] == [12, 12, 12, 4]
        assert rows.read([39, 11, 12, 0])[:, 0, 0, 0].tolist() == [39, 11, 12, 0]
        assert rows.broken == {3: "bad 3", 30: "bad 30"}
        assert rows.digests[12] == hashlib.blake2b(bytes([12] * 30), digest_size=16).hexdigest()
    assert stored(tmp_path) == [f"0000{number}.rows" for number in range(4)]
    assert pickle.loads(pickle.dumps(rows)).read([39]).max() == 39


@pytest.mark.usefixtures("small_shards")
def test_only_the_shard_that_is_damaged_is_made_again(tmp_path: Path) -> None:
    open_rows(recipe(), tmp_path)
    shards = recipe().shards(tmp_path)
    os.truncate(shards[1].path, 100)
    shards[3].path.unlink()
    make = Counting()
    open_rows(recipe(make), tmp_path)
    assert sorted(make.calls) == [*range(12, 24), *range(36, 40)]


@pytest.mark.usefixtures("small_shards")
def test_an_error_leaves_the_shards_before_it(tmp_path: Path) -> None:
    def make(index: int) -> NDArray[np.uint8]:
        if index == 25:
            raise DataError("id 12 on 3 pixels")
        return row(index)

    with pytest.raises(DataError, match="id 12"):
        open_rows(recipe(make), tmp_path)
    assert stored(tmp_path) == ["00000.rows", "00001.rows"]


@pytest.mark.usefixtures("small_shards")
def test_progress_is_told_and_counts_what_is_there_already(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    open_rows(recipe(), tmp_path, lambda *counts: told.append(counts))
    assert told == sorted(told)
    assert told[-1] == (40, 40)
    assert len(told) == 40 + 4
    told.clear()
    recipe().shards(tmp_path)[3].path.unlink()
    open_rows(recipe(), tmp_path, lambda *counts: told.append(counts))
    assert told[:3] == [(12, 40), (24, 40), (36, 40)]


def test_a_recipe_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without rows"):
        open_rows(recipe(count=0), tmp_path)


def test_damaged_rows_are_found_by_their_hashes(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "some.rows", map(row, range(7)), key="a", shape=SHAPE)
    assert rows.damaged() == []
    content = bytearray(rows.path.read_bytes())
    content[64 + 5 * 30 + 29] ^= 1  # one bit of the last byte of row 5
    rows.path.write_bytes(content)
    assert reopen(rows.path).damaged() == [5]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_reading_a_large_file_does_not_grow_the_reader(tmp_path: Path) -> None:
    script = """
        import json, sys
        from pathlib import Path
        import numpy as np
        from autoadapt.data.cache import Recipe, open_rows

        def resident() -> int:
            status = Path("/proc/self/status").read_text().split()
            return int(status[status.index("VmRSS:") + 1])

        recipe = Recipe("images", {}, (200, 250, 3), 400, lambda i: np.full((200, 250, 3), 1, "u1"))
        rows = open_rows(recipe, Path(sys.argv[1]))
        rows.read(range(4))
        before = resident()
        for start in range(0, 400, 4):
            rows.read(range(start, start + 4))
        print(json.dumps([before, resident()]))
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    output = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    before, after = json.loads(output)
    # The file has 60 MB; a few pages of growth come from the allocator.
    assert after - before < 4096
