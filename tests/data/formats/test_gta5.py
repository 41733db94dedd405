"""GTA5: palettes, colours, sizes that differ, splits, and copies that are not whole."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from autoadapt.config.settings import DatasetSettings, DataSettings
from autoadapt.data.classes import CITYSCAPES19
from autoadapt.data.decode import BrokenFileError
from autoadapt.data.formats.gta5 import SUSPECTS, Gta5
from autoadapt.data.open import open_source
from autoadapt.data.originals import find_images
from autoadapt.data.statistics import check
from autoadapt.errors import DataError
from tests.data.trees import HEIGHT, WIDTH, Trees, every_id, save_grey, save_image, save_palette

SIZE = (HEIGHT, WIDTH)
TRAIN_IDS = np.full(256, 255, np.uint8)
TRAIN_IDS[[7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]] = range(19)


@pytest.fixture
def root(trees: Trees) -> Path:
    return trees.gta5()


@pytest.fixture
def settings(root: Path, tmp_path: Path) -> DataSettings:
    dataset = DatasetSettings(kind="gta5", options={"root": str(root)})
    return DataSettings(
        source=dataset,
        target=dataset,
        size=SIZE,
        protocol="cityscapes19",
        cache=str(tmp_path / "cache"),
    )


def label(root: Path, number: int = 1) -> Path:
    return root / "labels" / f"{number:05d}.png"


def find(root: Path) -> tuple[str, ...]:
    reader = Gta5(str(root))
    return reader.find_labels(reader.list_images())


def read(root: Path, number: int = 1) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return Gta5(str(root)).read_label(str(label(root, number)), (1, 1))


def test_images_are_numbered_from_one(root: Path) -> None:
    listing = Gta5(str(root)).list_images()
    assert listing.ids == ("00001", "00002", "00003", "00004")
    assert listing.origins[0] == str(root.resolve() / "images" / "00001.png")


def test_the_index_of_the_palette_is_the_label_id(settings: DataSettings) -> None:
    source = open_source(settings)
    assert np.array_equal(source.labels([0])[0], TRAIN_IDS[every_id(range(35), 1)])


@pytest.mark.parametrize("raw", range(35))
def test_every_label_id_comes_back(root: Path, raw: int) -> None:
    save_palette(label(root), np.full(SIZE, raw, np.uint8))
    assert (read(root) == raw).all()


def test_a_grey_label_holds_ids_too(root: Path) -> None:
    ids = every_id(range(34), 5)
    save_grey(label(root), ids)
    assert np.array_equal(read(root), ids)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_label_without_palette_is_read_by_its_colours(root: Path, mode: str) -> None:
    palette = np.array([*CITYSCAPES19.palette, (0, 0, 0), (81, 0, 81), (250, 170, 160)], np.uint8)
    which = every_id(range(22), 3)
    Image.fromarray(palette[which]).convert(mode).save(label(root))
    expected = np.append(np.flatnonzero(TRAIN_IDS < 255), [0, 6, 9])
    assert np.array_equal(read(root), expected[which])


def test_a_colour_of_no_class_is_named(root: Path) -> None:
    pixels = np.zeros((*SIZE, 3), np.uint8)
    pixels[3, 4:9] = (1, 2, 3)
    Image.fromarray(pixels).save(label(root))
    with pytest.raises(BrokenFileError, match=r"colour \(1, 2, 3\) on 5 pixels.*interpolation"):
        read(root)


def test_a_16_bit_label_is_refused(root: Path) -> None:
    Image.fromarray(np.full(SIZE, 7, np.uint16)).save(label(root))
    with pytest.raises(BrokenFileError, match="16-bit grey PNG; a label must be an 8-bit"):
        read(root)


def test_image_and_label_of_different_sizes_are_resized_apart(
    root: Path, settings: DataSettings
) -> None:
    ids = np.repeat(np.array([7, 8], np.uint8), 30)[None].repeat(40, 0)  # 40 x 60
    save_palette(label(root, 2), ids)
    source = open_source(settings)
    assert len(source) == 4
    left, right = source.labels([1])[0][:, : WIDTH // 2], source.labels([1])[0][:, WIDTH // 2 :]
    assert (left == 0).all()
    assert (right == 1).all()
    report = check(settings).sets[0]
    assert report.resized_apart == 1
    assert not report.broken


def test_the_whole_set_is_expected_and_a_part_is_remarked_on(root: Path) -> None:
    assert Gta5(str(root)).list_images().remarks == ("4 of the 24966 published images are there",)


def test_missing_labels_are_counted(root: Path) -> None:
    label(root, 2).unlink()
    label(root, 3).unlink()
    with pytest.raises(DataError, match=r"2 of 4 listed images have no file in .*labels.*00002"):
        find(root)


def add_suspect(root: Path, name: str) -> None:
    for kind in ("images", "labels"):
        shutil.copy(root / kind / "00001.png", root / kind / f"{name}.png")


def test_pairs_known_to_be_broken_in_copies_are_looked_at_and_told(
    root: Path, settings: DataSettings, caplog: pytest.LogCaptureFixture
) -> None:
    missing, empty, differing, sound = SUSPECTS[0], SUSPECTS[5], SUSPECTS[10], SUSPECTS[-1]
    for name in (missing, empty, differing, sound):
        add_suspect(root, name)
    (root / "labels" / f"{missing}.png").unlink()
    (root / "labels" / f"{empty}.png").write_bytes(b"")
    save_palette(root / "labels" / f"{differing}.png", np.zeros((9, 11), np.uint8))
    with caplog.at_level(logging.WARNING, "autoadapt.data.formats.gta5"):
        find(root)
    (told,) = (r.getMessage() for r in caplog.records if "known broken" in r.getMessage())
    assert f"{missing} (no label file)" in told
    assert f"{empty} (the file is empty)" in told
    assert f"{differing} (image (24, 48), label (9, 11), height and width)" in told
    assert sound not in told
    with pytest.raises(DataError, match=rf"2 of 8.*{missing} \(label: there is no label file"):
        open_source(settings)
    source = open_source(replace(settings, broken="skip"))
    assert [name for name, _ in source.skipped] == [missing, empty]


def test_the_published_splits_need_their_file(root: Path) -> None:
    with pytest.raises(DataError, match=r"split\.mat is missing; .*or use split: all"):
        Gta5(str(root), "val").list_images()
    for content in (b"no such thing", b"<html>" * 100):
        (root / "split.mat").write_bytes(content)
        with pytest.raises(DataError, match="not the split file of GTA5"):
            Gta5(str(root), "val").list_images()
    savemat(root / "split.mat", {"something": np.array([[1]])})
    with pytest.raises(DataError, match=r"not the split file of GTA5: 'valIds'"):
        Gta5(str(root), "val").list_images()


def test_a_published_split_is_listed(root: Path) -> None:
    splits = {"trainIds": [[1], [4]], "valIds": [[3], [9]], "testIds": [[2]]}
    savemat(root / "split.mat", {name: np.array(ids) for name, ids in splits.items()})
    assert Gta5(str(root), "train").list_images().ids == ("00001", "00004")
    validation = Gta5(str(root), "val").list_images()
    assert validation.ids == ("00003",)
    assert validation.remarks == ("1 of the 2 published images are there",)


def test_five_hundred_images_can_be_held_out_as_in_dast(trees: Trees) -> None:
    root = trees.parent / "many"
    for number in range(1, 701):
        image = root / "images" / f"{number:05d}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(b"x")
    train = DatasetSettings(kind="gta5", options={"root": str(root)}, hold_out=500)
    validation = replace(train, side="validation")
    first, second = find_images(train).listing.ids, find_images(validation).listing.ids
    assert (len(first), len(second)) == (200, 500)
    assert not set(first) & set(second)


Spoil = Callable[[Path], object]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda root: shutil.rmtree(root / "images"), r"no folder 'images'; it contains \['labels"),
        (lambda root: (root / "images").rename(root / "Images"), r"'Images', which differs in"),
        (lambda root: shutil.rmtree(root / "labels"), r"no folder 'labels'"),
        (lambda root: (root / "labels").rename(root / "LABELS"), r"'LABELS', which differs in"),
        (lambda root: empty(root / "images"), r"images holds no image: it is empty; is the arch"),
        (lambda root: empty(root / "images", "readme.txt"), r"holds \['readme.txt'\]"),
        (lambda root: label(root).rename(root / "labels" / "1.png"), "1 of 4 listed images"),
    ],
)
def test_a_tree_that_lies_otherwise_is_explained(root: Path, spoil: Spoil, words: str) -> None:
    spoil(root)
    with pytest.raises(DataError, match=words):
        find(root)


def empty(folder: Path, left: str | None = None) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    if left:
        (folder / left).write_text("hello")


def test_a_root_one_folder_too_high_or_too_deep_is_noticed(root: Path) -> None:
    with pytest.raises(DataError, match=r"but .*gta5 has: let root name that folder"):
        Gta5(str(root.parent)).list_images()
    with pytest.raises(DataError, match=r"root must name the folder above, .*gta5"):
        Gta5(str(root / "images")).list_images()


def test_a_link_out_of_the_tree_is_refused(root: Path, tmp_path: Path) -> None:
    save_image(tmp_path / "elsewhere.png", 1)
    (root / "images" / "00009.png").symlink_to(tmp_path / "elsewhere.png")
    with pytest.raises(DataError, match=r"leads out of the data set, to .*elsewhere.png"):
        Gta5(str(root)).list_images()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html><html>Sign in</html>", "a web page or text instead of an image"),
        (b"", "the file is empty"),
    ],
)
def test_labels_that_are_no_images_are_reported(
    root: Path, settings: DataSettings, content: bytes, words: str
) -> None:
    label(root, 3).write_bytes(content)
    with pytest.raises(DataError, match=rf"1 of 4 .*00003 \(label: {words}"):
        open_source(settings)


def test_a_truncated_label_is_reported(root: Path, settings: DataSettings) -> None:
    noisy = np.random.default_rng(0).integers(0, 34, (200, 300)).astype(np.uint8)
    save_palette(label(root, 3), noisy)
    label(root, 3).write_bytes(label(root, 3).read_bytes()[:9000])
    with pytest.raises(DataError, match=r"1 of 4 images or labels .*00003 \(label: "):
        open_source(settings)


def test_the_label_ids_of_another_data_set_are_refused(root: Path, settings: DataSettings) -> None:
    save_palette(label(root, 3), np.full(SIZE, 99, np.uint8))
    words = r"id 99 on 1152 pixels, but GTA5 .* declares ids 7..8, 11..13, 17, 19..28, 31..33 and"
    with pytest.raises(DataError, match=words):
        open_source(settings)
