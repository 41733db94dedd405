"""No label of the target is opened, listed or stored: watched at the level of the system."""

import json
import subprocess
import sys
import textwrap
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from autoadapt.config.settings import DatasetSettings, DataSettings

PRELUDE = """
import json, os, sys
seen = []

def watch(event, args):
    if event in {"open", "os.listdir", "os.scandir", "os.rename", "os.link", "os.symlink"}:
        seen.extend(os.fsdecode(a) for a in args if isinstance(a, (str, bytes, os.PathLike)))

sys.addaudithook(watch)
from pydantic import TypeAdapter
from autoadapt.config.settings import DataSettings
from autoadapt.data.open import open_evaluation, open_source, open_target
from autoadapt.data.statistics import check
from autoadapt.data.batching import Augment
settings = TypeAdapter(DataSettings).validate_json(sys.argv[1])
"""


def opened(settings: DataSettings, code: str) -> list[str]:
    """Run code in a process of its own and return every path it opened or listed."""
    script = PRELUDE + textwrap.dedent(code) + "\nprint(json.dumps(seen))"
    command = [sys.executable, "-c", script, json.dumps(asdict(settings))]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    paths: list[str] = json.loads(done.stdout)
    return paths


READ_TARGET = """
target = open_target(settings)
target.images(range(len(target)))
target.fingerprint
Augment(settings, 0, 2).target_batch(target, 1)
open_target(settings)
"""


def test_the_watcher_sees_label_files_where_they_are_opened(
    folder_settings: DataSettings,
) -> None:
    paths = opened(folder_settings, "open_evaluation(settings)")
    labels = f"{folder_settings.target.root}/labels/"
    assert any(path.startswith(labels) and path.endswith("t4.png") for path in paths)


def test_reading_a_target_folder_touches_no_label(folder_settings: DataSettings) -> None:
    paths = opened(folder_settings, READ_TARGET)
    root = folder_settings.target.root
    assert any(path.startswith(f"{root}/images/") for path in paths)
    inside = [path.removeprefix(root) for path in paths if path.startswith(root)]
    assert not [path for path in inside if "label" in path or "classes" in path]
    stored = [path.name for path in Path(str(folder_settings.cache)).iterdir()]
    assert stored
    assert not [name for name in stored if "label" in name]


def test_opening_the_source_touches_no_label_of_the_target(folder_settings: DataSettings) -> None:
    paths = opened(folder_settings, "open_source(settings)\n" + READ_TARGET)
    assert not [path for path in paths if path.startswith(f"{folder_settings.target.root}/labels")]


def test_checking_the_data_touches_no_label_of_the_target(folder_settings: DataSettings) -> None:
    settings = replace(folder_settings, evaluation=None)
    paths = opened(settings, "check(settings)")
    assert any(path.startswith(f"{settings.source.root}/labels") for path in paths)
    assert not [path for path in paths if path.startswith(f"{settings.target.root}/labels")]


def test_a_rendered_target_stores_no_label(tmp_path: Path) -> None:
    from autoadapt.data.open import open_evaluation, open_target

    rendered = DatasetSettings(kind="procedural", style="camera", count=3)
    settings = DataSettings(
        source=replace(rendered, style="game"),
        target=rendered,
        evaluation=replace(rendered, seed=1),
        size=(16, 24),
        cache=str(tmp_path),
    )
    open_target(settings).images([0])
    kinds = [path.name.split("-")[0] for path in tmp_path.glob("*.rows")]
    assert kinds == ["images"]
    open_evaluation(settings)
    kinds = sorted(path.name.split("-")[0] for path in tmp_path.glob("*.rows"))
    assert kinds == ["images", "images", "labels"]


def test_a_target_has_no_way_to_a_label(folder_settings: DataSettings) -> None:
    from autoadapt.data.open import open_target

    target = open_target(folder_settings)
    assert not [name for name in dir(target) if "label" in name.lower()]
    with pytest.raises(AttributeError):
        target.labels([0])  # type: ignore[attr-defined]
