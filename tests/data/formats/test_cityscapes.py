"""Cityscapes, clear and foggy."""

import shutil
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autoadapt.config.load import make_format
from autoadapt.config.settings import DatasetSettings, DataSettings
from autoadapt.data.formats.base import Format
from autoadapt.data.formats.cityscapes import CITIES, Cityscapes
from autoadapt.data.formats.foggy_cityscapes import FoggyCityscapes
from autoadapt.data.open import open_evaluation, open_source, open_target
from autoadapt.data.originals import find_images
from autoadapt.errors import ConfigError, DataError
from tests.data.trees import HEIGHT, WIDTH, Trees, every_id

SIZE = (HEIGHT, WIDTH)
NAMES = (
    "train/aachen/aachen_000000_000019",
    "train/aachen/aachen_000001_000019",
    "train/bochum/bochum_000000_000019",
    "train/bochum/bochum_000001_000019",
)


@pytest.fixture
def root(trees: Trees) -> Path:
    return trees.foggy_cityscapes(refined=True)


def settings_of(root: Path, kind: str = "cityscapes", **options: object) -> DataSettings:
    dataset = DatasetSettings(kind=kind, options={"root": str(root), **options})
    return DataSettings(
        source=dataset,
        target=dataset,
        evaluation=dataset.with_options(split="val"),
        size=SIZE,
        protocol="cityscapes19",
        cache=str(root.parent / "cache"),
    )


def find(reader: Format) -> tuple[str, ...]:
    return reader.find_labels(reader.list_images())


def test_a_split_is_listed_city_by_city(root: Path) -> None:
    listing = Cityscapes(str(root)).list_images()
    assert listing.ids == NAMES
    assert listing.origins[2].endswith("train/bochum/bochum_000000_000019_leftImg8bit.png")
    assert Cityscapes(str(root), "test").list_images().ids[0].startswith("test/berlin/")


def test_each_image_gets_its_own_label(root: Path) -> None:
    labels = find(Cityscapes(str(root)))
    assert [Path(label).name for label in labels] == [
        f"{name.rpartition('/')[2]}_gtFine_labelIds.png" for name in NAMES
    ]
    assert all("/gtFine/train/" in label for label in labels)


def test_label_ids_and_train_ids_of_one_scene_agree(root: Path) -> None:
    """The miniature writes each id equally often, so only the counts of pixels can agree."""
    for labels, ids in (("labelIds", range(34)), ("trainIds", range(19))):
        source = open_source(settings_of(root, labels=labels))
        counts = np.bincount(source.labels([0]).reshape(-1), minlength=256)
        raw = every_id((*ids, 255), seed_of(NAMES[0]))
        own = make_format(settings_of(root, labels=labels).source).own_classes()
        road = next(raw_id for raw_id, name in own.names.items() if name == "road")
        assert counts[0] == (raw == road).sum() > 0


def seed_of(name: str) -> int:
    return zlib.crc32(name.rpartition("/")[2].encode()) % 1000


def test_every_label_id_has_a_place() -> None:
    own = Cityscapes("x").own_classes()
    assert {*own.names, *own.void} == {*range(35), 255}
    assert not own.void & {7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33}


def test_the_published_counts_add_up() -> None:
    totals = {split: sum(cities.values()) for split, cities in CITIES.items()}
    assert totals == {"train": 2975, "val": 500, "test": 1525}
    assert {split: len(cities) for split, cities in CITIES.items()} == {
        "train": 18,
        "val": 3,
        "test": 6,
    }


def test_a_partial_copy_says_how_much_of_each_city_is_there(root: Path) -> None:
    (remark,) = Cityscapes(str(root), "val").list_images().remarks
    assert remark == (
        "4 of the 500 published images are there (val/frankfurt 2 of 267, val/lindau 2 of 59, "
        "val/munster 0 of 174)"
    )
    (remark,) = Cityscapes(str(root)).list_images().remarks
    assert remark.endswith("train/hamburg 0 of 248 and 10 more folders)")


def test_missing_labels_are_counted_by_city(root: Path) -> None:
    shutil.rmtree(root / "gtFine" / "train" / "bochum")
    (root / "gtFine/train/aachen/aachen_000001_000019_gtFine_labelIds.png").unlink()
    with pytest.raises(DataError, match="3 of 4 listed images have no file") as caught:
        find(Cityscapes(str(root)))
    assert "missing per folder: train/aachen 1 of 2, train/bochum 2 of 2" in str(caught.value)


def test_train_ids_that_were_never_made_are_missing(root: Path) -> None:
    for path in (root / "gtFine").rglob("*labelTrainIds.png"):
        path.unlink()
    with pytest.raises(DataError, match=r"4 of 4 listed.*similar file there is '.*labelIds.png'"):
        find(Cityscapes(str(root), labels="trainIds"))


def test_other_files_beside_the_images_do_not_matter(root: Path) -> None:
    city = root / "leftImg8bit" / "train" / "aachen"
    shutil.copy(next(city.iterdir()), city / "aachen_000000_000019_something.png")
    (city / "Thumbs.db").write_bytes(b"x")
    (root / "leftImg8bit" / "train" / "license.txt").write_text("x")
    assert Cityscapes(str(root)).list_images().ids == NAMES


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("leftImg8bit", "LeftImg8bit", r"'LeftImg8bit', which differs in upper and lower case"),
        ("leftImg8bit", "images", r"no folder 'leftImg8bit/train'; it contains \['gtFine', 'im"),
        ("gtFine", "gtfine", r"'gtfine', which differs in upper and lower case"),
        ("gtFine", "gtCoarse", r"no folder 'gtFine'; it contains \['gtCoarse'"),
    ],
)
def test_folders_of_another_name_are_explained(root: Path, old: str, new: str, words: str) -> None:
    (root / old).rename(root / new)
    with pytest.raises(DataError, match=words):
        find(Cityscapes(str(root)))


def test_an_unpacked_archive_one_folder_deeper_is_found(root: Path) -> None:
    deeper = root.parent / "outer"
    deeper.mkdir()
    root.rename(deeper / "leftImg8bit_trainvaltest")
    words = r"but .*outer/leftImg8bit_trainvaltest has: let root name that folder"
    with pytest.raises(DataError, match=words):
        Cityscapes(str(deeper)).list_images()


def test_city_folders_without_images_are_told(root: Path) -> None:
    for path in (root / "leftImg8bit" / "train").rglob("*.png"):
        path.rename(path.with_name(path.name.replace("_leftImg8bit", "")))
    words = r"holds no <city>/<name>_leftImg8bit.png; it holds \['aachen/aachen_000000_000019.png"
    with pytest.raises(DataError, match=words):
        Cityscapes(str(root)).list_images()


def test_a_link_to_a_folder_elsewhere_is_refused(root: Path) -> None:
    (root / "gtFine").rename(root.parent / "gtFine elsewhere")
    (root / "gtFine").symlink_to(root.parent / "gtFine elsewhere")
    with pytest.raises(DataError, match=r"leads out of the data set, to .*gtFine elsewhere"):
        find(Cityscapes(str(root)))


def test_the_three_densities_are_three_sets_of_images(root: Path) -> None:
    seen = {}
    for beta in (0.005, 0.01, 0.02):
        listing = FoggyCityscapes(str(root), beta=beta).list_images()
        assert listing.ids == NAMES
        assert all(origin.endswith(f"_foggy_beta_{beta}.png") for origin in listing.origins)
        settings = settings_of(root, "foggy_cityscapes", beta=beta)
        seen[beta] = open_target(settings).fingerprint
    assert len(set(seen.values())) == 3


def test_labels_of_foggy_images_are_those_of_the_clear_ones(root: Path) -> None:
    clear = find(Cityscapes(str(root), "val"))
    assert find(FoggyCityscapes(str(root), "val", beta=0.01)) == clear
    foggy = open_evaluation(settings_of(root, "foggy_cityscapes"))
    assert np.array_equal(
        foggy.labels(range(4)), open_evaluation(settings_of(root)).labels(range(4))
    )


@pytest.mark.parametrize("folder", ["leftImg8bit_foggyDBF", "leftImg8bit_foggy"])
def test_both_names_of_the_folder_are_known(trees: Trees, folder: str) -> None:
    root = trees.foggy_cityscapes(folder=folder)
    assert f"/{folder}/" in FoggyCityscapes(str(root)).list_images().origins[0]


def test_clear_images_alone_are_not_foggy_ones(trees: Trees) -> None:
    words = r"no folder 'leftImg8bit_foggyDBF/train'; .*'leftImg8bit'\]; Foggy Cityscapes lies on"
    with pytest.raises(DataError, match=words):
        FoggyCityscapes(str(trees.cityscapes())).list_images()


def test_other_densities_are_refused_before_anything_is_read(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"one of the published densities 0.005, 0.01 and 0.02"):
        make_format(settings_of(root, "foggy_cityscapes", beta=0.1).source)


def test_a_density_that_was_not_unpacked_is_told(root: Path) -> None:
    for path in root.rglob("*beta_0.005.png"):
        path.unlink()
    words = r"holds no <city>/<name>_leftImg8bit_foggy_beta_0.005.png; it holds .*beta_0.01.png"
    with pytest.raises(DataError, match=words):
        FoggyCityscapes(str(root), beta=0.005).list_images()


def test_the_refined_subset_is_a_subset(root: Path) -> None:
    dataset = settings_of(root, "foggy_cityscapes").source
    refined = root / "foggy_trainval_refined_filenames.txt"
    found = find_images(replace(dataset, subset=str(refined)))
    assert found.listing.ids == (NAMES[0],)
    assert "1 of 2 names in the subset" in found.listing.remarks[-1]
