"""CamVid in its two layouts."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autoadapt.config.settings import DatasetSettings, DataSettings
from autoadapt.data.classes import CAMVID11
from autoadapt.data.decode import BrokenFileError
from autoadapt.data.formats.base import Format
from autoadapt.data.formats.camvid import Camvid
from autoadapt.data.formats.camvid_original import CamvidOriginal
from autoadapt.data.open import class_table, open_source
from autoadapt.errors import DataError
from tests.data.formats.conftest import CAMVID_COLOURS
from tests.data.trees import HEIGHT, WIDTH, Trees, every_id, save_grey

SIZE = (HEIGHT, WIDTH)


@pytest.fixture
def segnet(trees: Trees) -> Path:
    return trees.camvid()


@pytest.fixture
def original(trees: Trees) -> Path:
    return trees.camvid_original(CAMVID_COLOURS)


def settings_of(root: Path, kind: str, **options: str) -> DataSettings:
    dataset = DatasetSettings(kind=kind, options={"root": str(root), **options})
    cache = str(root.parent / "cache")
    return DataSettings(source=dataset, target=dataset, size=SIZE, cache=cache)


def find(reader: Format) -> tuple[str, ...]:
    return reader.find_labels(reader.list_images())


def test_a_list_gives_the_order_and_its_foreign_folders_do_not_matter(segnet: Path) -> None:
    listing = Camvid(str(segnet)).list_images()
    assert listing.ids == tuple(f"train/0001TP_train_{i:05d}" for i in (2, 1, 0))
    assert listing.origins[0] == str(segnet.resolve() / "train" / "0001TP_train_00002.png")
    assert listing.remarks == ("3 of the 367 published images are there (train 3 of 367)",)


def test_without_a_list_the_folder_is_the_split(trees: Trees) -> None:
    root = trees.camvid(lists=False)
    listing = Camvid(str(root), "val").list_images()
    assert listing.ids == tuple(f"val/0001TP_val_{i:05d}" for i in range(3))


def test_ids_are_classes_and_eleven_is_void(segnet: Path) -> None:
    settings = settings_of(segnet, "camvid", split="test")
    assert class_table(settings) == CAMVID11
    raw = every_id(range(12), 0)
    labels = open_source(settings).labels([2])[0]  # the list is in reverse
    assert np.array_equal(labels, np.where(raw == 11, 255, raw))


def test_an_image_that_is_listed_and_not_there_is_named(segnet: Path) -> None:
    (segnet / "val" / "0001TP_val_00001.png").unlink()
    with pytest.raises(DataError, match=r"val.txt lists 1 of 3 images that are not in .*val"):
        Camvid(str(segnet), "val").list_images()


def test_a_repeated_line_is_refused(segnet: Path) -> None:
    path = segnet / "val.txt"
    path.write_text(path.read_text() * 2)
    with pytest.raises(DataError, match="lists 3 images more than once"):
        Camvid(str(segnet), "val").list_images()


def test_a_twelfth_class_is_refused(segnet: Path) -> None:
    save_grey(segnet / "trainannot" / "0001TP_train_00001.png", np.full(SIZE, 12, np.uint8))
    with pytest.raises(DataError, match=r"id 12 on 1152 pixels, but CamVid .* 0..10 and void 11"):
        open_source(settings_of(segnet, "camvid"))


def test_the_other_layout_is_noticed(segnet: Path, original: Path) -> None:
    with pytest.raises(DataError, match=r"no folder 'train'.*trainannot/"):
        Camvid(str(original)).list_images()
    with pytest.raises(DataError, match=r"no folder '701_StillsRaw_full'.*image_folder"):
        CamvidOriginal(str(segnet)).list_images()


def test_colours_become_places_in_the_published_list(original: Path) -> None:
    reader = CamvidOriginal(str(original))
    for number, label in enumerate(find(reader)):
        assert label.endswith(f"0016E5_{number:05d}_L.png")
        assert np.array_equal(reader.read_label(label, SIZE), every_id(range(32), number))


def test_thirty_one_classes_can_be_kept(original: Path) -> None:
    settings = settings_of(original, "camvid_original", grouping="none")
    table = class_table(settings)
    assert len(table) == 31
    assert table.names[:3] == ("Animal", "Archway", "Bicyclist")
    assert table.palette[2] == (0, 128, 192)
    labels = open_source(settings).labels([1])[0]
    raw = every_id(range(32), 1)
    # Void is the 31st of the list; Wall comes behind it.
    expected = np.where(raw == 30, 255, np.where(raw == 31, 30, raw))
    assert np.array_equal(labels, expected)


def test_grouped_classes_have_the_order_and_colours_of_the_eleven(original: Path) -> None:
    assert class_table(settings_of(original, "camvid_original")) == CAMVID11


def test_a_colour_between_two_classes_is_refused(original: Path) -> None:
    path = original / "LabeledApproved_full" / "0016E5_00001_L.png"
    with Image.open(path) as image:
        image.resize((WIDTH + 3, HEIGHT + 3), Image.Resampling.BILINEAR).save(path)
    reader = CamvidOriginal(str(original))
    with pytest.raises(BrokenFileError, match=r"belongs to no class: a label that was resized"):
        reader.read_label(str(path), SIZE)


def test_folders_may_have_other_names(original: Path) -> None:
    (original / "701_StillsRaw_full").rename(original / "raw")
    (original / "LabeledApproved_full").rename(original / "approved")
    reader = CamvidOriginal(str(original), image_folder="raw", label_folder="approved")
    assert len(find(reader)) == 3


def test_labels_without_their_ending_are_missing(original: Path) -> None:
    for path in (original / "LabeledApproved_full").iterdir():
        path.rename(path.with_name(path.name.replace("_L", "")))
    with pytest.raises(DataError, match=r"3 of 3 listed images have no file in .*Approved"):
        find(CamvidOriginal(str(original)))
