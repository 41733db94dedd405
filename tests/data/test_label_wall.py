"""No label of the target is opened, listed or stored: watched at the level of the system."""

from dataclasses import replace
from pathlib import Path

import pytest

from autoadapt.config.settings import DatasetSettings, DataSettings
from autoadapt.data.batching import Augment
from autoadapt.data.open import (
    find_evaluation_labels,
    open_evaluation,
    open_source,
    open_target,
)
from autoadapt.data.statistics import check
from autoadapt.errors import DataError


def read_target(settings: DataSettings) -> None:
    """Do everything that a search does with a target; the second opening is from the cache."""
    for _ in range(2):
        target = open_target(settings)
        target.images(range(len(target)))
        assert target.fingerprint
        Augment(settings, 0, 2).target_batch(target, 1)


def test_the_watcher_sees_label_files_where_they_are_opened(
    folder_settings: DataSettings, seen: list[str]
) -> None:
    open_evaluation(folder_settings)
    labels = f"{folder_settings.target.options['root']}/labels/"
    assert any(path.startswith(labels) and path.endswith("t4.png") for path in seen)


def test_labels_are_found_without_being_opened(
    folder_settings: DataSettings, seen: list[str]
) -> None:
    of_target = replace(folder_settings, evaluation=folder_settings.target)
    find_evaluation_labels(of_target)
    labels = f"{folder_settings.target.options['root']}/labels/"
    assert any(path.startswith(labels.rstrip("/")) for path in seen), "listed"
    assert not [path for path in seen if path.startswith(labels) and path.endswith(".png")]
    (Path(labels) / "train/t0.png").unlink()
    with pytest.raises(DataError, match="t0"):
        find_evaluation_labels(of_target)


def test_reading_a_target_folder_touches_no_label(
    folder_settings: DataSettings, seen: list[str]
) -> None:
    read_target(folder_settings)
    root = folder_settings.target.options["root"]
    assert any(path.startswith(f"{root}/images/") for path in seen)
    inside = [path.removeprefix(root) for path in seen if path.startswith(root)]
    assert not [path for path in inside if "label" in path or "classes" in path]
    stored = [path.name for path in Path(str(folder_settings.cache)).iterdir()]
    assert stored
    assert not [name for name in stored if "label" in name]


def test_opening_the_source_touches_no_label_of_the_target(
    folder_settings: DataSettings, seen: list[str]
) -> None:
    open_source(folder_settings)
    read_target(folder_settings)
    assert not [
        path for path in seen if path.startswith(f"{folder_settings.target.options['root']}/labels")
    ]


def test_checking_the_data_touches_no_label_of_the_target(
    folder_settings: DataSettings, seen: list[str]
) -> None:
    settings = replace(folder_settings, evaluation=None)
    check(settings)
    assert any(path.startswith(f"{settings.source.options['root']}/labels") for path in seen)
    assert not [
        path for path in seen if path.startswith(f"{settings.target.options['root']}/labels")
    ]


def test_a_rendered_target_stores_no_label(tmp_path: Path) -> None:
    rendered = DatasetSettings(kind="procedural", options={"style": "camera", "count": 3})
    settings = DataSettings(
        source=rendered.with_options(style="game"),
        target=rendered,
        evaluation=rendered.with_options(seed=1),
        size=(16, 24),
        cache=str(tmp_path),
    )
    open_target(settings).images([0])
    kinds = [path.parent.name.split("-")[0] for path in tmp_path.glob("*/*.rows")]
    assert kinds == ["images"]
    open_evaluation(settings)
    kinds = sorted(path.parent.name.split("-")[0] for path in tmp_path.glob("*/*.rows"))
    assert kinds == ["images", "images", "labels"]


def test_a_target_has_no_way_to_a_label(folder_settings: DataSettings) -> None:
    target = open_target(folder_settings)
    assert not [name for name in dir(target) if "label" in name.lower()]
    with pytest.raises(AttributeError):
        target.labels([0])  # type: ignore[attr-defined]
