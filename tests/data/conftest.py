"""Small folder data sets, made by the tests themselves, and a watcher of opened files."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autoadapt.config.settings import DatasetSettings, DataSettings

NAMES = ("road", "car", "sky")
HEIGHT, WIDTH = 24, 40


def write_pair(root: Path, name: str, number: int) -> None:
    """Write an image of noise and a label with all of 0, 1, 2 and 255."""
    rng = np.random.default_rng(number)
    image, label = root / "images" / f"{name}.jpg", root / "labels" / f"{name}.png"
    image.parent.mkdir(parents=True, exist_ok=True)
    label.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)).save(image, quality=90)
    ids = rng.choice(np.array([0, 1, 2, 255], np.uint8), (HEIGHT, WIDTH))
    Image.fromarray(ids).save(label)


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a data set: images, labels, classes and a split ``train``."""

    def make(name: str, ids: Sequence[str], classes: Sequence[str] = NAMES) -> Path:
        root = tmp_path / name
        for number, image_id in enumerate(ids):
            write_pair(root, image_id, number + 1000 * len(name))
        (root / "splits").mkdir()
        (root / "splits" / "train.txt").write_text("".join(f"{i}\n" for i in ids))
        (root / "classes.json").write_text(json.dumps({"classes": list(classes)}))
        return root

    return make


@pytest.fixture
def folder_settings(tmp_path: Path, make_folder: Callable[..., Path]) -> DataSettings:
    """Return settings of two small folders: 5 source images, 4 target and 3 evaluation images."""
    source = make_folder("source", [f"train/s{i}" for i in range(5)])
    target = make_folder("targets", [f"train/t{i}" for i in range(7)])
    whole = DatasetSettings(kind="folder", options={"root": str(target)})
    return DataSettings(
        source=DatasetSettings(kind="folder", options={"root": str(source)}),
        target=replace(whole, part=(0.0, 0.5)),
        evaluation=replace(whole, part=(0.5, 1.0)),
        size=(16, 20),
        cache=str(tmp_path / "cache"),
    )


EVENTS = {"open", "os.listdir", "os.scandir", "os.rename", "os.link", "os.symlink"}
watchers: list[list[str]] = []


def notice(event: str, arguments: tuple[Any, ...]) -> None:
    """Write down every path that this process opens or lists while somebody watches."""
    if watchers and event in EVENTS:
        paths = [os.fsdecode(a) for a in arguments if isinstance(a, str | bytes | os.PathLike)]
        for watcher in watchers:
            watcher.extend(paths)


@pytest.fixture(scope="session")
def installed() -> None:
    """Install the hook of the interpreter; it can never be removed, only fall silent."""
    sys.addaudithook(notice)


@pytest.fixture
def seen(installed: None) -> Iterator[list[str]]:
    """Every path opened or listed so far in this test."""
    watcher: list[str] = []
    watchers.append(watcher)
    yield watcher
    watchers.remove(watcher)
