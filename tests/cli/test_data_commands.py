"""``data check``, ``stats`` and ``prepare`` as a user runs them, also killed and run again."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from autoadapt.cli import main
from autoadapt.config.load import load
from autoadapt.data import cache
from autoadapt.data.looks import look_at_all
from autoadapt.data.open import open_source
from autoadapt.data.originals import Originals, find_images
from autoadapt.data.prior_files import read_priors
from autoadapt.data.priors import class_ratio, pixels_per_class, spatial_prior
from autoadapt.experiment.data_commands import render_folder
from autoadapt.experiment.trial import open_domains

SOURCE, TARGET = 23, 12
ROW = 32 * 48 * 3
CONFIG = """\
name: some
data:
  size: [24, 40]
  cache: {root}/cache
  source: {{kind: folder, root: {root}/source, split: game}}
  target: {{kind: folder, root: {root}/target, split: camera, part: [0, 0.5], size: [32, 48]}}
  evaluation: {{kind: folder, root: {root}/target, split: camera, part: [0.5, 1]}}
search: {{space: deeplab_tiny, trials: 2, training: {{steps: 2}}}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    render_folder(tmp_path / "source", "game", SOURCE, 0, (36, 52))
    render_folder(tmp_path / "target", "camera", TARGET, 1, (36, 52))
    path = tmp_path / "some.yaml"
    path.write_text(CONFIG.format(root=tmp_path))
    return path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the images that are decoded from now on."""
    decoded: list[int] = []
    real = Originals.image

    def counted(self: Originals, index: int, *arguments: Any) -> NDArray[np.uint8]:
        decoded.append(index)
        return real(self, index, *arguments)

    monkeypatch.setattr(Originals, "image", counted)
    return decoded


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return caught.value.code if isinstance(caught.value.code, int) else 0


def printed(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> Any:
    """Run a command with ``--json`` and return what it prints."""
    capsys.readouterr()
    assert run(*arguments, "--json") == code
    return json.loads(capsys.readouterr().out)


def image(root: Path, number: int, style: str = "game") -> Path:
    return root / "images" / style / f"{number:05d}.png"


def killed(done: Callable[[], bool], *arguments: object) -> None:
    """Start a command that decodes slowly and kill it outright as soon as it has done enough."""
    script = f"""
        import sys, time
        from autoadapt.cli import main
        from autoadapt.data import cache
        from autoadapt.data.originals import Originals

        real = Originals.image

        def slow(self, *arguments):
            time.sleep(0.1)
            return real(self, *arguments)

        Originals.image = slow
        cache.SHARD_BYTES = {cache.SHARD_BYTES}
        main(sys.argv[1:])
    """
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        until = time.monotonic() + 120
        while not done() and time.monotonic() < until:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


def test_a_check_tells_counts_sizes_and_classes(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = printed(capsys, "data", "check", config)
    assert found["sound"]
    source, target, evaluation = found["sets"]
    assert [one["role"] for one in found["sets"]] == ["source", "target", "evaluation"]
    assert [one["images"] for one in found["sets"]] == [SOURCE, 6, 6]
    assert source["sizes"] == {"(36, 52)": SOURCE}
    assert sum(source["frequencies"].values()) == pytest.approx(1)
    assert target["frequencies"] == {}
    assert evaluation["frequencies"]["road"] > 0
    assert run("data", "check", config) == 0
    text = capsys.readouterr().out
    assert f"source: {SOURCE} images, {SOURCE} of 52x36" in text
    assert "labels are not opened" in text
    assert text.endswith("sound\n")


def test_an_unsound_data_set_is_exit_code_2(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image(tmp_path / "source", 3).write_bytes(b"<html>")
    label = tmp_path / "source" / "labels" / "game" / "00004.png"
    Image.fromarray(np.full((36, 52), 77, np.uint8)).save(label)
    found = printed(capsys, "data", "check", config, code=2)
    assert not found["sound"]
    assert [name for name, _ in found["sets"][0]["broken"]] == ["game/00003"]
    assert found["sets"][0]["outside"] == {"77": 36 * 52}
    assert run("data", "check", config) == 2
    text = capsys.readouterr().out
    assert "broken: game/00003: image: a web page" in text
    assert f"id 77 outside the map: {36 * 52} pixels" in text


def test_one_data_set_is_checked_without_a_config(
    config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AUTOADAPT_CACHE", str(tmp_path / "other"))
    command = ("data", "check", tmp_path / "source", "--kind", "folder", "--set", "split=game")
    found = printed(capsys, *command)
    assert [(one["role"], one["images"]) for one in found["sets"]] == [("folder", SOURCE)]
    assert found["sets"][0]["frequencies"]["sky"] > 0
    (tmp_path / "source" / "labels").rename(tmp_path / "elsewhere")
    assert printed(capsys, *command, "--no-labels")["sets"][0]["frequencies"] == {}
    assert printed(capsys, *command, code=2)["sets"][0]["problem"]
    assert run(*command[:-1], "splitt=game") == 2
    assert "splitt: unknown key; did you mean 'split'?" in capsys.readouterr().err


def test_a_second_check_reads_only_what_has_changed(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], reads: list[int]
) -> None:
    first = printed(capsys, "data", "check", config)
    assert len(reads) >= SOURCE + TARGET
    reads.clear()
    assert printed(capsys, "data", "check", config) == first
    assert reads == []
    content = image(tmp_path / "source", 5).read_bytes()
    image(tmp_path / "source", 5).write_bytes(content[:-40])
    found = printed(capsys, "data", "check", config, code=2)
    assert [name for name, _ in found["sets"][0]["broken"]] == ["game/00005"]
    assert reads[0] == 5
    # The rest is the comparison of pixels with the evaluation set, whose cache was outdated too.
    assert sorted(reads[1:]) == list(range(SOURCE))


def test_a_damaged_book_of_looks_is_made_again(config: Path, tmp_path: Path) -> None:
    settings = load(config).data
    found = find_images(settings.source)

    def looks() -> Any:
        return look_at_all(
            found, None, size=(24, 40), folder=tmp_path / "c", on_image=lambda done, total: None
        )

    first = looks()
    (book,) = (tmp_path / "c" / "looks").glob("*.jsonl")
    content = book.read_bytes()
    for damaged in (b"nonsense\n" + content, b'{"key": 3}\n' + content, content[:-30], b""):
        book.write_bytes(damaged)
        assert looks() == first
        assert book.read_bytes() == content


def test_a_killed_check_goes_on_where_it_stopped(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], reads: list[int]
) -> None:
    def books() -> list[Path]:
        return sorted((tmp_path / "cache" / "looks").glob("*.jsonl"))

    def some_are_written() -> bool:
        return any(len(book.read_bytes().splitlines()) >= 5 for book in books())

    killed(some_are_written, "data", "check", config)
    (book,) = books()
    whole = book.read_bytes().count(b"\n")
    assert 5 <= whole < SOURCE
    continued = printed(capsys, "data", "check", config)
    read = len(reads)
    reads.clear()
    fresh = printed(capsys, "data", "check", config, "--set", f"data.cache={tmp_path / 'fresh'}")
    assert continued == fresh
    assert read == len(reads) - whole


def test_stats_are_what_methods_ask_for(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = printed(capsys, "data", "stats", config, "--out", tmp_path / "out")
    priors = read_priors(tmp_path / "out" / "source_priors.npz")
    source = open_source(load(config).data)
    count = len(source.classes)
    assert priors.classes == source.classes
    assert priors.ids == source.ids
    assert np.array_equal(priors.pixels, pixels_per_class(source, count))
    assert np.array_equal(priors.places, spatial_prior(source, count, size=(32, 48)))
    assert priors.ratio.tolist() == class_ratio(source, count).tolist()
    written = json.loads((tmp_path / "out" / "source_priors.json").read_text())
    assert written == found["priors"]
    assert written["classes"]["road"]["pixels"] == int(priors.pixels[:, 3].sum())
    with np.load(tmp_path / "out" / "source_priors.npz") as stored:
        assert stored["rare_class_probabilities"].sum() == pytest.approx(1)
    assert found["target"]["images"] == 6
    assert "rare-class draws" in text_of(capsys, "data", "stats", config)


def text_of(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    capsys.readouterr()
    assert run(*arguments) == code
    return capsys.readouterr().out


def test_stats_are_counted_once_per_data(
    config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = printed(capsys, "data", "stats", config)
    monkeypatch.setattr("autoadapt.data.prior_files.count_classes", None)
    assert printed(capsys, "data", "stats", config) == first
    assert Path(first["files"][0]).parent == tmp_path / "cache" / "priors"
    monkeypatch.undo()
    label = tmp_path / "source" / "labels" / "game" / "00004.png"
    Image.fromarray(np.zeros((36, 52), np.uint8)).save(label)
    open_domains.cache_clear()  # another process would not know them either
    assert printed(capsys, "data", "stats", config)["priors"]["key"] != first["priors"]["key"]


def contents(root: Path) -> dict[str, tuple[int, str]]:
    """Time of change and hash of each file."""
    return {
        str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a shard hold four images of 32 x 48."""
    monkeypatch.setattr(cache, "SHARD_BYTES", 4 * ROW)


@pytest.mark.usefixtures("small_shards")
def test_prepare_says_what_it_made_and_leaves_the_originals(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], reads: list[int]
) -> None:
    before = contents(tmp_path / "source"), contents(tmp_path / "target")
    text = text_of(capsys, "data", "prepare", config)
    assert (contents(tmp_path / "source"), contents(tmp_path / "target")) == before
    assert f"source images: {SOURCE} of 40x24, 0.1 MiB in 4 shards, checksum " in text
    assert "evaluation labels: 6 of 48x32" in text
    assert "target labels" not in text
    reads.clear()
    found = printed(capsys, "data", "prepare", config)
    assert reads == []
    assert [(one["key"], one["what"]) for one in found] == [
        ("source", "images"),
        ("source", "labels"),
        ("target", "images"),
        ("evaluation", "images"),
        ("evaluation", "labels"),
    ]
    assert [one["shards"] for one in found] == [4, 2, 2, 2, 1]
    assert found[2]["bytes"] == 6 * ROW
    digests = [one["checksum"] for one in found]
    elsewhere = printed(capsys, "data", "prepare", config, "--out", tmp_path / "elsewhere")
    assert [one["checksum"] for one in elsewhere] == digests
    assert Path(elsewhere[0]["folder"]).parent == tmp_path / "elsewhere"
    text = text_of(capsys, "data", "prepare", config, "--out", tmp_path / "elsewhere")
    assert f"{{kind: prepared, root: {tmp_path / 'elsewhere'}, set: target}}" in text


@pytest.mark.usefixtures("small_shards")
def test_verify_finds_a_flipped_bit_and_what_is_missing(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = printed(capsys, "data", "prepare", config)
    assert text_of(capsys, "data", "prepare", config, "--verify") == (
        "everything is as it was written\n"
    )
    shard = Path(found[2]["folder"]) / "00001.rows"
    content = bytearray(shard.read_bytes())
    content[64 + ROW + 1000] ^= 1  # in the second of its rows
    shard.write_bytes(content)
    gone = Path(found[0]["folder"]) / "00000.rows"
    gone.unlink()
    text = text_of(capsys, "data", "prepare", config, "--verify", code=2)
    assert f"{shard}: other bytes than were written in row 1\n" in text
    assert f"{gone}: missing or not whole\n" in text
    assert "remove these files and prepare again" in text
    shard.unlink()
    assert printed(capsys, "data", "prepare", config) == found
    assert printed(capsys, "data", "prepare", config, "--verify") == []


@pytest.mark.usefixtures("small_shards")
def test_a_killed_prepare_goes_on_where_it_stopped(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], reads: list[int]
) -> None:
    def shards() -> list[Path]:
        return sorted((tmp_path / "cache").glob("images-*/[0-9]*.rows"))

    killed(lambda: len(shards()) >= 2, "data", "prepare", config)
    kept = shards()
    assert 2 <= len(kept) < 4
    times = [path.stat().st_mtime_ns for path in kept]
    continued = printed(capsys, "data", "prepare", config)
    assert [path.stat().st_mtime_ns for path in kept] == times
    # six rows of 24 x 40 fit into the bytes of four of 32 x 48
    assert min(reads[:6]) == 6 * len(kept)
    assert not list((tmp_path / "cache").glob("*/.*.part"))
    fresh = printed(capsys, "data", "prepare", config, "--out", tmp_path / "fresh")
    assert [one["checksum"] for one in continued] == [one["checksum"] for one in fresh]
    assert printed(capsys, "data", "prepare", config, "--verify") == []
