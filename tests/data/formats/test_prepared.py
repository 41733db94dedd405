"""Data sets that were prepared to be carried elsewhere."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autoadapt.config.settings import DatasetSettings, DataSettings
from autoadapt.data import cache
from autoadapt.data.formats.prepared import Prepared
from autoadapt.data.images import check_disjoint
from autoadapt.data.open import class_table, open_evaluation, open_source, open_target
from autoadapt.data.prepare import prepare, write_manifests
from autoadapt.data.statistics import check
from autoadapt.errors import DataError

ROW = 16 * 20 * 3


@pytest.fixture
def carried(folder_settings: DataSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What was prepared in several shards, in another place, with the originals gone."""
    monkeypatch.setattr(cache, "SHARD_BYTES", 2 * ROW)
    made = replace(folder_settings, cache=str(tmp_path / "made"))
    prepare(made)
    write_manifests(made)
    return Path(shutil.move(tmp_path / "made", tmp_path / "carried"))


def settings_of(root: Path, before: DataSettings) -> DataSettings:
    def one(name: str) -> DatasetSettings:
        return DatasetSettings(kind="prepared", options={"root": str(root), "set": name})

    return replace(
        before,
        source=one("source"),
        target=one("target"),
        evaluation=one("evaluation"),
        cache=str(root.parent / "second cache"),
    )


def test_what_was_carried_is_the_same_data(
    carried: Path, folder_settings: DataSettings, tmp_path: Path
) -> None:
    before = (open_source(folder_settings), open_evaluation(folder_settings))
    target = open_target(folder_settings)
    table = class_table(folder_settings)
    for name in ("source", "targets"):
        shutil.rmtree(tmp_path / name)
    settings = settings_of(carried, folder_settings)
    assert class_table(settings) == table
    for old, new in zip(before, (open_source(settings), open_evaluation(settings)), strict=True):
        assert new.ids == old.ids
        assert np.array_equal(new.images(range(len(new))), old.images(range(len(old))))
        assert np.array_equal(new.labels(range(len(new))), old.labels(range(len(old))))
    carried_target = open_target(settings)
    assert carried_target.fingerprint == target.fingerprint
    assert carried_target.origins == target.origins
    check_disjoint(carried_target, open_evaluation(settings))
    assert check(settings).sound


def test_a_part_of_it_can_be_used(carried: Path, folder_settings: DataSettings) -> None:
    settings = settings_of(carried, folder_settings)
    half = replace(settings, source=replace(settings.source, part=(0.4, 1.0)))
    assert open_source(half).ids == open_source(settings).ids[2:]
    assert np.array_equal(open_source(half).labels([0]), open_source(settings).labels([2]))


def test_a_target_was_prepared_without_labels(carried: Path, folder_settings: DataSettings) -> None:
    settings = settings_of(carried, folder_settings)
    with pytest.raises(DataError, match=r"target.json: prepared without labels, as a target is"):
        open_source(replace(settings, source=settings.target))


def test_another_size_is_refused(carried: Path, folder_settings: DataSettings) -> None:
    settings = replace(settings_of(carried, folder_settings), size=(18, 20))
    with pytest.raises(DataError, match=r"prepared at \[16, 20\] .* but \[18, 20\] is asked for"):
        open_target(settings)


def test_an_unknown_set_is_refused(carried: Path) -> None:
    with pytest.raises(DataError, match=r"no prepared data set 'sorce'; it has \['evaluation', "):
        Prepared(str(carried), "sorce").list_images()


def first_shard(root: Path, what: str) -> Path:
    manifest = json.loads((root / "source.json").read_text())
    return Path(root / manifest[what]["folder"] / "00000.rows")


def test_a_flipped_bit_is_a_broken_image(carried: Path, folder_settings: DataSettings) -> None:
    shard = first_shard(carried, "images")
    content = bytearray(shard.read_bytes())
    content[64 + ROW + 7] ^= 4  # in the second image
    shard.write_bytes(content)
    settings = settings_of(carried, folder_settings)
    with pytest.raises(DataError, match=r"1 of 5 .*train/s1 \(image: other bytes than were prep"):
        open_source(settings)
    assert [name for name, _ in check(settings).sets[0].broken] == ["train/s1"]


@pytest.mark.parametrize("what", ["images", "labels"])
def test_a_missing_shard_is_noticed(
    carried: Path, folder_settings: DataSettings, what: str
) -> None:
    first_shard(carried, what).unlink()
    with pytest.raises(DataError, match=f"does not hold the {what} that source.json describes"):
        open_source(settings_of(carried, folder_settings))


@pytest.mark.parametrize(
    ("content", "text"),
    [("{", "is not a manifest"), ("[]", "is not a manifest"), ('{"version": 9}', "has version 9")],
)
def test_a_damaged_manifest_is_refused(carried: Path, content: str, text: str) -> None:
    (carried / "source.json").write_text(content)
    with pytest.raises(DataError, match=text):
        Prepared(str(carried)).list_images()


def test_images_that_could_not_be_made_stay_behind(
    folder_settings: DataSettings, tmp_path: Path, make_folder: Callable[..., Path]
) -> None:
    root = make_folder("some", [f"train/{name}" for name in "abcd"])
    (root / "images" / "train" / "b.jpg").write_bytes(b"")
    dataset = DatasetSettings(kind="folder", options={"root": str(root)})
    settings = replace(
        folder_settings, source=dataset, target=dataset, evaluation=None, cache=str(tmp_path / "m")
    )
    prepare(settings)
    write_manifests(settings)
    found = Prepared(str(tmp_path / "m")).list_images()
    assert found.ids == ("train/a", "train/c", "train/d")
    opened = open_source(settings_of(tmp_path / "m", replace(folder_settings, broken="stop")))
    fine = open_source(replace(settings, broken="skip"))
    assert np.array_equal(opened.images([0, 1, 2]), fine.images([0, 1, 2]))
