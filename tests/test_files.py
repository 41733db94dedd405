"""Files survive crashes, full disks and second processes."""

import contextlib
import errno
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoadapt.errors import RunError
from autoadapt.files import (
    JsonLines,
    link,
    owned,
    owning,
    replacing,
    shipped,
    sweep,
    waiting_lock,
    write_all,
    write_json,
    write_text,
)

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FULL = pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])


def failing(number: int) -> Callable[..., int]:
    def fail(*arguments: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_linked_file_outlives_its_first_name_and_replaces_another(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "deep" / "target"
    write_text(source, "weights")
    for _ in range(2):
        link(source, target)
        assert target.samefile(source)
        assert list(target.parent.iterdir()) == [target]
    write_text(source, "others")
    assert target.read_text() == "weights"
    link(source, target)
    source.unlink()
    assert target.read_text() == "others"


def test_a_file_is_copied_where_there_are_no_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoadapt.files.os.link", failing(errno.EPERM))
    write_text(tmp_path / "source", "weights")
    link(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").read_text() == "weights"
    assert not (tmp_path / "target").samefile(tmp_path / "source")


def test_replacing_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    write_text(path, "old")
    with contextlib.suppress(ZeroDivisionError), replacing(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]
    with replacing(path) as file:
        file.write("new: ü".encode())
    assert path.read_text(encoding="utf-8") == "new: ü"


@FULL
def test_a_full_disk_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")
    monkeypatch.setattr("os.fsync", failing(number))
    with pytest.raises(RunError, match=r"no space left on the disk that holds .*file\.txt was not"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_other_failures_keep_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", failing(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        write_text(tmp_path / "file.txt", "new")
    with pytest.raises(OSError, match="Input/output error"):
        JsonLines(tmp_path / "lines.jsonl").append({"n": 1})
    assert (tmp_path / "lines.jsonl").read_bytes() == b""


def test_json_refuses_what_is_not_json(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    for value in (float("nan"), float("inf"), {1, 2}):
        with pytest.raises((ValueError, TypeError)):
            write_json(path, {"value": value})
    assert not path.exists()


@settings(max_examples=25)  # each waits for the disk
@given(PLAIN)
def test_json_comes_back(value: object) -> None:
    path = Path(os.environ["PYTEST_FILES_FOLDER"]) / "value.json"
    write_json(path, {"value": value})
    assert json.loads(path.read_text()) == {"value": value}


@pytest.fixture(autouse=True, scope="module")
def folder_for_many_examples(tmp_path_factory: pytest.TempPathFactory) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_FILES_FOLDER", str(tmp_path_factory.mktemp("files")))
        yield


def test_sweep_removes_what_a_kill_left_and_nothing_else(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from autoadapt.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as file:\n"
        "    file.write(b'half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    kept = {tmp_path / "lock", tmp_path / ".hidden", tmp_path / "whole.part"}
    for path in kept:
        path.touch()
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "file.txt"])
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 4
    sweep(tmp_path)
    assert set(tmp_path.iterdir()) == kept


def test_shipped_files_are_found() -> None:
    assert (shipped("configs") / "quickstart.yaml").is_file()
    assert (shipped("search_spaces") / "deeplab_tiny.yaml").is_file()


# JSON lines


def test_lines_are_read_in_order(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "new" / "lines.jsonl")
    assert lines.read() == []
    for number in range(3):
        lines.append({"n": number}, durable=bool(number % 2))
    assert lines.read() == [{"n": 0}, {"n": 1}, {"n": 2}]


@pytest.mark.parametrize("cut", [1, 5, 8])
def test_a_torn_last_line_is_left_out_and_cut(tmp_path: Path, cut: int) -> None:
    lines = JsonLines(tmp_path / "lines.jsonl")
    lines.append({"n": 0})
    whole = lines.path.read_bytes()
    lines.append({"n": 1})  # {"n": 1} and a newline: 9 bytes
    lines.path.write_bytes(lines.path.read_bytes()[:-cut])
    assert lines.read() == [{"n": 0}]
    lines.mend()
    assert lines.path.read_bytes() == whole
    lines.append({"n": 2})
    assert lines.read() == [{"n": 0}, {"n": 2}]


def test_mending_a_whole_or_missing_file_changes_nothing(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "lines.jsonl")
    lines.mend()
    assert not lines.path.exists()
    lines.append({"n": 0})
    lines.mend()
    assert lines.read() == [{"n": 0}]


@pytest.mark.parametrize("line", [b'{"n": ', b"[1]", b"\xff\xfe", b""])
def test_a_damaged_line_in_the_middle_is_an_error_with_its_number(
    tmp_path: Path, line: bytes
) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"n": 0}\n' + line + b'\n{"n": 2}\n')
    with pytest.raises(RunError, match=r"lines\.jsonl:2: not a JSON object"):
        JsonLines(path).read()


@FULL
def test_a_full_disk_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    lines = JsonLines(tmp_path / "lines.jsonl")
    lines.append({"n": 0})
    before = lines.path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", failing(number))
        with pytest.raises(RunError, match="it continues where it stopped"):
            lines.append({"n": 1})
    assert lines.path.read_bytes() == before
    lines.append({"n": 2})
    assert lines.read() == [{"n": 0}, {"n": 2}]


def test_a_disk_that_fills_up_in_the_middle_of_a_line(tmp_path: Path) -> None:
    """A limit on the file size stands in for the disk: it too takes a part and then refuses."""
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from autoadapt.files import JsonLines\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "JsonLines(Path(sys.argv[1])).append({'n': 'x' * 2000})"
    )
    lines = JsonLines(tmp_path / "lines.jsonl")
    lines.append({"n": 0})
    done = subprocess.run([sys.executable, "-c", code, lines.path], capture_output=True, text=True)
    assert "File too large" in done.stderr
    assert lines.path.read_bytes() == b'{"n": 0}\n'
    assert resource.getrlimit(resource.RLIMIT_FSIZE) != (1000, 1000)


def test_a_real_full_device_gives_one_clear_error(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    (tmp_path / "lines.jsonl").symlink_to(full)
    with pytest.raises(RunError, match="no space left on the disk"):
        JsonLines(tmp_path / "lines.jsonl").append({"n": 1})


def test_bytes_that_are_taken_in_parts_all_arrive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr("os.write", lambda descriptor, content: write(descriptor, content[:3]))
    with (tmp_path / "file").open("wb", buffering=0) as file:
        write_all(file.fileno(), b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


# Locks


def test_a_folder_has_one_owner(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert not owned(folder)
    with owning(folder):
        assert owned(folder)
        with pytest.raises(RunError, match=rf"process {os.getpid()} on "), owning(folder):
            pytest.fail("owned twice")
    assert not owned(folder)
    with owning(folder):
        pass


def test_a_killed_owner_owns_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from autoadapt.files import owning\n"
        "with owning(Path(sys.argv[1])): print('owning', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert owned(tmp_path)
        process.kill()
    assert not owned(tmp_path)
    with owning(tmp_path):
        pass


def test_asking_for_the_owner_keeps_nobody_out(tmp_path: Path) -> None:
    """Whoever lists runs holds the lock for an instant; a search that starts waits that long."""
    with owning(tmp_path):
        pass
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            owned(tmp_path)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(50):
            with owning(tmp_path):
                pass
    finally:
        stop.set()
        asking.join()


def test_the_second_waits_for_the_first(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with waiting_lock(tmp_path / "trial" / "lock"):
            order.append("second")

    waiting = threading.Thread(target=second)
    with waiting_lock(tmp_path / "trial" / "lock"):
        waiting.start()
        time.sleep(0.1)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]
