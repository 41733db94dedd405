from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autoadapt.config.settings import DatasetSettings, DataSettings
from autoadapt.data.open import open_source
from autoadapt.data.priors import class_ratio
from autoadapt.data.statistics import check


def write_label(settings: DataSettings, name: str, *runs: tuple[int, int]) -> None:
    """Write a 24x40 label of runs of (id, pixels)."""
    ids = np.repeat([i for i, _ in runs], [n for _, n in runs]).astype(np.uint8)
    Image.fromarray(ids.reshape(24, 40)).save(
        Path(settings.source.options["root"]) / "labels" / "train" / f"{name}.png"
    )


@pytest.fixture
def counted(folder_settings: DataSettings) -> DataSettings:
    """Five labels of 960 pixels each: 2400 road, 800 car, no sky, the rest void."""
    settings = replace(folder_settings, size=(24, 40))
    write_label(settings, "s0", (0, 960))
    write_label(settings, "s1", (0, 960))
    write_label(settings, "s2", (0, 480), (255, 480))
    write_label(settings, "s3", (1, 800), (255, 160))
    write_label(settings, "s4", (255, 960))
    return settings


def test_a_sound_data_set_is_reported_sound(counted: DataSettings) -> None:
    report = check(counted)
    assert report.sound
    assert report.classes == ("road", "car", "sky")
    assert [(one.role, one.images) for one in report.sets] == [
        ("source", 5),
        ("target", 4),
        ("evaluation", 3),
    ]
    source, target, _ = report.sets
    assert source.sizes == {(24, 40): 5}
    assert source.frequencies == {"road": 0.75, "car": 0.25, "sky": 0.0}
    assert source.absent == ("sky",)
    # void: 480 + 160 + 960 of 4800 pixels
    assert source.void == pytest.approx(1600 / 4800)
    assert target.frequencies == {}
    assert np.isnan(target.void)


def test_everything_wrong_is_reported_at_once(counted: DataSettings) -> None:
    write_label(counted, "s0", (0, 950), (7, 10))
    write_label(counted, "s1", (0, 955), (9, 2), (7, 3))
    source = Path(counted.source.options["root"])
    (source / "images" / "train" / "s2.jpg").write_bytes(b"<html>")
    Image.fromarray(np.zeros((25, 40), np.uint8)).save(source / "labels" / "train" / "s3.png")
    (Path(counted.target.options["root"]) / "images" / "train" / "t1.jpg").write_bytes(b"")
    report = check(counted)
    assert not report.sound
    first, target, evaluation = report.sets
    assert first.outside == {7: 13, 9: 2}
    assert [name for name, _ in first.broken] == ["train/s2", "train/s3"]
    assert "40x25" in first.broken[1][1]
    assert first.sizes == {(24, 40): 4}
    # s0, s1 and s4 count: 950 + 955 road, 960 void; undeclared ids are neither
    assert first.void == pytest.approx(960 / (950 + 955 + 960))
    assert target.broken == (("train/t1", "image: the file is empty"),)
    assert evaluation.sound


def test_a_data_set_that_cannot_be_opened_does_not_hide_the_others(
    counted: DataSettings,
) -> None:
    missing = counted.target.with_options(split="nothing")
    report = check(replace(counted, target=missing))
    assert not report.sound
    source, target, evaluation = report.sets
    assert "no split 'nothing'" in str(target.problem)
    assert source.sound
    assert evaluation.sound


def test_without_classes_nothing_else_can_be_said(counted: DataSettings) -> None:
    (Path(counted.source.options["root"]) / "classes.json").unlink()
    report = check(counted)
    assert report.classes == ()
    assert "classes.json is missing" in str(report.sets[0].problem)
    assert not report.sound


def test_a_class_missing_from_the_source_is_reported(counted: DataSettings) -> None:
    report = check(replace(counted, classes=("road", "car", "sky", "dog")))
    assert "['dog']" in str(report.sets[0].problem)


def test_overlap_is_reported(counted: DataSettings) -> None:
    report = check(replace(counted, evaluation=replace(counted.target, part=(0.0, 1.0))))
    assert not report.sound
    assert "4 of 7 evaluation images" in str(report.overlap)


def test_overlap_is_found_despite_broken_files(
    counted: DataSettings, make_folder: Callable[..., Path]
) -> None:
    (Path(counted.target.options["root"]) / "images" / "train" / "t6.jpg").write_bytes(b"")
    report = check(replace(counted, evaluation=replace(counted.target, part=(0.0, 1.0))))
    assert "4 of 6 evaluation images" in str(report.overlap)


def test_rendered_sets_are_counted_too(tmp_path: Path) -> None:
    rendered = DatasetSettings(kind="procedural", options={"style": "game", "count": 2})
    settings = DataSettings(
        source=rendered,
        target=rendered.with_options(style="camera"),
        size=(24, 32),
        cache=str(tmp_path),
    )
    report = check(settings)
    assert report.sound
    source, target = report.sets
    assert source.sizes == {(24, 32): 2}
    shares = class_ratio(open_source(settings), len(report.classes))
    assert list(source.frequencies.values()) == pytest.approx(shares.tolist())
    assert target.frequencies == {}
