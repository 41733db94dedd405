import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autoadapt.config.settings import DatasetSettings, DataSettings
from autoadapt.data.images import check_disjoint
from autoadapt.data.open import (
    class_names,
    class_table,
    open_evaluation,
    open_source,
    open_target,
)
from autoadapt.errors import ConfigError, DataError

Make = Callable[..., Path]


def source_root(settings: DataSettings) -> Path:
    return Path(settings.source.options["root"])


def test_source_images_and_labels_are_those_of_the_files(folder_settings: DataSettings) -> None:
    source = open_source(replace(folder_settings, size=(24, 40)))
    assert source.ids == tuple(f"train/s{i}" for i in range(5))
    root = source_root(folder_settings)
    for index, name in enumerate(source.ids):
        with Image.open(root / "images" / f"{name}.jpg") as image:
            assert np.array_equal(source.images([index])[0], np.asarray(image))
        with Image.open(root / "labels" / f"{name}.png") as label:
            assert np.array_equal(source.labels([index])[0], np.asarray(label))


def test_images_and_labels_have_the_working_size(folder_settings: DataSettings) -> None:
    source = open_source(folder_settings)
    assert source.size == (16, 20)
    assert source.images([0, 1, 2]).shape == (3, 16, 20, 3)
    assert source.labels([0, 1, 2]).shape == (3, 16, 20)
    assert set(np.unique(source.labels(range(5)))) == {0, 1, 2, 255}


def test_target_and_evaluation_are_parts_of_one_split(folder_settings: DataSettings) -> None:
    target, evaluation = open_target(folder_settings), open_evaluation(folder_settings)
    # round(0.5 * 7) = round(3.5) = 4
    assert target.ids == ("train/t0", "train/t1", "train/t2", "train/t3")
    assert evaluation.ids == ("train/t4", "train/t5", "train/t6")
    check_disjoint(target, evaluation)


def test_evaluation_on_the_adaptation_images_is_refused(folder_settings: DataSettings) -> None:
    assert folder_settings.evaluation is not None
    whole = replace(folder_settings.evaluation, part=(0.25, 1.0))
    settings = replace(folder_settings, evaluation=whole)
    # round(0.25 * 7) = round(1.75) = 2: t2 to t6, of which t2 and t3 are in the target
    with pytest.raises(DataError, match=r"2 of 5 evaluation images .*'train/t2', 'train/t3'"):
        check_disjoint(open_target(settings), open_evaluation(settings))


def test_evaluation_on_renamed_copies_is_refused(
    folder_settings: DataSettings, make_folder: Make
) -> None:
    copies = make_folder("copies", ["train/x0", "train/x1"])
    original = Path(folder_settings.target.options["root"]) / "images" / "train" / "t3.jpg"
    shutil.copy(original, copies / "images" / "train" / "x1.jpg")
    evaluation = DatasetSettings(kind="folder", options={"root": str(copies)})
    settings = replace(folder_settings, evaluation=evaluation)
    with pytest.raises(DataError, match=r"1 of 2 evaluation images .*'train/x1'"):
        check_disjoint(open_target(settings), open_evaluation(settings))


def test_evaluation_must_be_configured(folder_settings: DataSettings) -> None:
    with pytest.raises(ConfigError, match=r"data\.evaluation is not set"):
        open_evaluation(replace(folder_settings, evaluation=None))


def test_opening_twice_decodes_once(
    folder_settings: DataSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_source(folder_settings)
    monkeypatch.setattr(Image, "open", None)
    again = open_source(folder_settings)
    assert again.fingerprint == first.fingerprint
    assert np.array_equal(again.labels(range(5)), first.labels(range(5)))


def test_a_replaced_image_is_decoded_again(folder_settings: DataSettings) -> None:
    before = open_source(folder_settings)
    path = source_root(folder_settings) / "images" / "train" / "s2.jpg"
    time = path.stat().st_mtime_ns
    content = bytearray(path.read_bytes())
    Image.fromarray(np.zeros((24, 40, 3), np.uint8)).save(path)
    content[:] = path.read_bytes().ljust(len(content), b"\0")
    path.write_bytes(content)  # the same size; only the time tells
    os.utime(path, ns=(time + 1, time + 1))
    after = open_source(folder_settings)
    assert after.images([2]).max() < 10 < before.images([2]).max()
    assert after.fingerprint != before.fingerprint


def test_classes_come_from_the_source_unless_given(folder_settings: DataSettings) -> None:
    assert class_names(folder_settings) == ("road", "car", "sky")
    given = replace(folder_settings, classes=("sky", "car", "road"))
    assert class_names(given) == ("sky", "car", "road")
    plain, turned = open_source(folder_settings), open_source(given)
    table = np.full(256, 255)
    table[:3] = [2, 1, 0]
    assert np.array_equal(turned.labels(range(5)), table[plain.labels(range(5))])
    assert turned.classes == ("sky", "car", "road")
    assert class_table(given).palette == class_table(folder_settings).palette[::-1]


def test_merge_and_ignore_apply_to_each_data_set_on_its_own(
    folder_settings: DataSettings, make_folder: Make
) -> None:
    other = make_folder("other", ["train/o0"], classes=("sky", "lorry", "dog"))
    evaluation = DatasetSettings(
        kind="folder", options={"root": str(other)}, merge={"lorry": "car"}, ignore=("dog",)
    )
    settings = replace(folder_settings, evaluation=evaluation, size=(24, 40))
    with Image.open(other / "labels" / "train" / "o0.png") as label:
        raw = np.asarray(label)
    table = np.full(256, 255)
    table[[0, 1]] = [2, 1]  # sky is class 2 of the task, lorry counts as car, class 1
    assert np.array_equal(open_evaluation(settings).labels([0])[0], table[raw])


def test_an_unknown_class_of_the_evaluation_set_is_refused(
    folder_settings: DataSettings, make_folder: Make
) -> None:
    other = make_folder("other", ["train/o0"], classes=("sky", "lorry", "road"))
    evaluation = DatasetSettings(kind="folder", options={"root": str(other)})
    with pytest.raises(DataError, match=r"classes \['lorry'\] are not among.*merge.*ignore"):
        open_evaluation(replace(folder_settings, evaluation=evaluation))


def test_a_class_that_the_source_cannot_teach_is_refused(folder_settings: DataSettings) -> None:
    settings = replace(folder_settings, classes=("road", "car", "sky", "train"))
    with pytest.raises(DataError, match=r"\['train'\] but the source does not"):
        open_source(settings)


def test_all_broken_pairs_are_reported_at_once(folder_settings: DataSettings) -> None:
    root = source_root(folder_settings)
    (root / "images" / "train" / "s1.jpg").write_bytes(b"<html>")
    (root / "labels" / "train" / "s3.png").write_bytes(b"")
    for _ in range(2):  # the second time from the cache
        with pytest.raises(DataError) as caught:
            open_source(folder_settings)
        message = str(caught.value)
        for part in (
            "2 of 5 images or labels",
            "train/s1 (image: a web page",
            "train/s3 (label: the file is empty)",
            "data.broken: skip",
        ):
            assert part in message


def test_many_broken_images_are_counted_and_five_are_shown(
    folder_settings: DataSettings, make_folder: Make
) -> None:
    root = make_folder("bad", [f"train/b{i}" for i in range(9)])
    for number in range(8):
        (root / "images" / "train" / f"b{number}.jpg").write_bytes(b"")
    settings = replace(
        folder_settings, target=DatasetSettings(kind="folder", options={"root": str(root)})
    )
    with pytest.raises(DataError, match=r"8 of 9.*train/b4 .*and 3 more; mend") as caught:
        open_target(settings)
    assert "train/b5" not in str(caught.value)


def test_broken_pairs_can_be_skipped_and_are_listed(folder_settings: DataSettings) -> None:
    root = source_root(folder_settings)
    whole = open_source(folder_settings)
    (root / "images" / "train" / "s1.jpg").write_bytes(b"<html>")
    label = root / "labels" / "train" / "s3.png"
    with Image.open(label) as image:
        image.resize((39, 24)).save(label)
    source = open_source(replace(folder_settings, broken="skip"))
    assert source.ids == ("train/s0", "train/s2", "train/s4")
    assert np.array_equal(source.images([0, 1, 2]), whole.images([0, 2, 4]))
    assert np.array_equal(source.labels([0, 1, 2]), whole.labels([0, 2, 4]))
    reasons = dict(source.skipped)
    assert list(reasons) == ["train/s1", "train/s3"]
    assert reasons["train/s3"].startswith("label: label is 39x24 but its image s3.jpg is 40x24")
    assert source.unlabelled().skipped == source.skipped


def test_a_mended_file_is_noticed(folder_settings: DataSettings) -> None:
    path = source_root(folder_settings) / "images" / "train" / "s1.jpg"
    good = path.read_bytes()
    path.write_bytes(good[:200])
    with pytest.raises(DataError, match="1 of 5"):
        open_source(folder_settings)
    path.write_bytes(good)
    assert len(open_source(folder_settings)) == 5


def test_a_data_set_of_broken_images_alone_is_never_empty(
    folder_settings: DataSettings,
) -> None:
    root = source_root(folder_settings)
    for path in (root / "images" / "train").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"5 of 5.*nothing is left"):
        open_source(replace(folder_settings, broken="skip"))


def test_an_id_outside_the_map_stops_even_where_broken_files_are_skipped(
    folder_settings: DataSettings,
) -> None:
    path = source_root(folder_settings) / "labels" / "train" / "s4.png"
    ids = np.zeros((24, 40), np.uint8)
    ids[0, :7] = 19
    Image.fromarray(ids).save(path)
    with pytest.raises(DataError, match=r"s4\.png: label id 19 on 7 pixels"):
        open_source(replace(folder_settings, broken="skip"))


def test_labels_are_checked_against_a_replaced_image(folder_settings: DataSettings) -> None:
    open_source(folder_settings)
    path = source_root(folder_settings) / "images" / "train" / "s0.jpg"
    Image.fromarray(np.zeros((24, 41, 3), np.uint8)).save(path)
    with pytest.raises(DataError, match=r"label is 40x24 but its image s0\.jpg is 41x24"):
        open_source(folder_settings)
