"""SYNTHIA: 16-bit labels, and labels that somebody converted."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autoadapt.config.settings import DatasetSettings, DataSettings
from autoadapt.data.classes import CITYSCAPES19
from autoadapt.data.decode import BrokenFileError
from autoadapt.data.formats.synthia import Synthia
from autoadapt.data.open import open_source
from autoadapt.errors import DataError
from tests.data.trees import HEIGHT, WIDTH, Trees, every_id, save_16bit, save_grey, write_png

SIZE = (HEIGHT, WIDTH)


@pytest.fixture
def root(trees: Trees) -> Path:
    return trees.synthia()


def settings_of(root: Path, **options: str) -> DataSettings:
    dataset = DatasetSettings(kind="synthia", options={"root": str(root), **options})
    return DataSettings(
        source=dataset,
        target=dataset,
        size=SIZE,
        protocol="synthia16",
        cache=str(root.parent / "cache"),
    )


def label(root: Path, number: int = 0) -> Path:
    return root / "GT" / "LABELS" / f"{number:07d}.png"


def find(root: Path, reader: Synthia | None = None) -> tuple[str, ...]:
    reader = reader or Synthia(str(root))
    return reader.find_labels(reader.list_images())


def test_images_are_numbered_from_zero(root: Path) -> None:
    listing = Synthia(str(root)).list_images()
    assert listing.ids == ("0000000", "0000001", "0000002", "0000003")
    assert listing.remarks == ("4 of the 9400 published images are there",)


@pytest.mark.parametrize("raw", range(23))
def test_every_id_comes_back_from_the_red_channel(root: Path, raw: int) -> None:
    save_16bit(label(root), np.full(SIZE, raw, np.uint8))
    assert (Synthia(str(root)).read_label(str(label(root)), SIZE) == raw).all()


def test_pillow_alone_would_read_other_ids(root: Path) -> None:
    """What the test above guards against."""
    with Image.open(label(root)) as image:
        assert np.asarray(image)[..., 0].max() == 0


def test_sixteen_classes_are_read(root: Path) -> None:
    table = np.full(23, 255)
    # road, sidewalk, building, wall, fence, pole, light, sign, vegetation, sky, person, rider,
    # car, bus, motorcycle, bicycle
    table[[3, 4, 2, 21, 5, 7, 15, 9, 6, 1, 10, 17, 8, 19, 12, 11]] = range(16)
    labels = open_source(settings_of(root)).labels([2])[0]
    assert np.array_equal(labels, table[every_id(range(23), 2)])


def test_an_id_beyond_a_byte_is_broken(root: Path) -> None:
    pixels = np.zeros((*SIZE, 3), ">u2")
    pixels[4, 5, 0] = 300
    write_png(label(root), 16, 2, [row.tobytes() for row in pixels], WIDTH)
    with pytest.raises(BrokenFileError, match="id 300 in the red channel; SYNTHIA has 0 to 22"):
        Synthia(str(root)).read_label(str(label(root)), SIZE)


def test_an_id_that_synthia_does_not_have_is_refused(root: Path) -> None:
    save_16bit(label(root, 1), np.full(SIZE, 23, np.uint8))
    with pytest.raises(DataError, match=r"0000001.png: label id 23 on 1152 pixels, but SYNTHIA"):
        open_source(settings_of(root))


@pytest.mark.parametrize(
    ("ids", "advice"),
    [
        ((0, 1, 18, 255), r"labels: train_ids \(Cityscapes' train ids, 0 to 18 and 255\) or"),
        ((0, 7, 33), r"with labels: label_ids \(Cityscapes' label ids, 0 to 33\)$"),
        ((0, 1, 22), r"labels: label_ids .* or labels: synthia_ids \(SYNTHIA's own ids, 0 to 22"),
        ((0, 100), "they fit no known conversion"),
    ],
)
def test_converted_labels_are_recognised_and_refused_with_advice(
    root: Path, ids: tuple[int, ...], advice: str
) -> None:
    for number in range(4):
        save_grey(label(root, number), every_id(ids, number))
    with pytest.raises(DataError, match="8-bit grey PNG, but labels of SYNTHIA as pub") as caught:
        find(root)
    assert caught.match(advice)
    assert str(list(ids)) in str(caught.value)


def test_the_colours_for_viewing_are_refused(root: Path) -> None:
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(label(root))
    with pytest.raises(DataError, match=r"8-bit RGB PNG.*pictures for viewing.*use the folder GT/"):
        find(root)


def test_converted_labels_are_read_where_the_config_says_so(root: Path) -> None:
    folder = root / "GT" / "trainIds"
    for number in range(4):
        save_grey(folder / f"{number:07d}.png", every_id((*range(19), 255), number))
    settings = settings_of(root, labels="train_ids", label_folder="GT/trainIds")
    source = open_source(settings)
    keep = [name for name in CITYSCAPES19.names if name not in {"terrain", "truck", "train"}]
    table = np.full(256, 255)
    for train_id, name in enumerate(CITYSCAPES19.names):
        table[train_id] = keep.index(name) if name in keep else 255
    assert np.array_equal(source.labels([3])[0], table[every_id((*range(19), 255), 3)])


@pytest.mark.parametrize(("flavour", "raw"), [("label_ids", 33), ("synthia_ids", 11)])
def test_a_bicycle_is_a_bicycle_in_every_flavour(root: Path, flavour: str, raw: int) -> None:
    for number in range(4):
        save_grey(label(root, number), every_id(range(23 if raw == 11 else 34), number))
    save_grey(label(root, 1), np.full(SIZE, raw, np.uint8))
    source = open_source(settings_of(root, labels=flavour))
    assert (source.labels([1]) == 15).all()


def test_original_labels_are_not_taken_for_converted_ones(root: Path) -> None:
    with pytest.raises(DataError, match=r"16-bit RGB PNG as published, but labels: train_ids"):
        find(root, Synthia(str(root), labels="train_ids"))


def test_a_truncated_label_is_reported(root: Path) -> None:
    save_16bit(label(root, 1), np.random.default_rng(0).integers(0, 22, (90, 120)).astype(np.uint8))
    label(root, 1).write_bytes(label(root, 1).read_bytes()[:4000])
    with pytest.raises(DataError, match=r"1 of 4 images or labels .*0000001 \(label: "):
        open_source(settings_of(root))


def test_a_label_of_another_size_is_broken_here(root: Path) -> None:
    save_16bit(label(root, 1), np.zeros((12, 16), np.uint8))
    with pytest.raises(DataError, match=r"0000001 \(label: label is 16x12 but its image .* 48x24"):
        open_source(settings_of(root))


def test_a_web_page_instead_of_the_first_label_is_reported(root: Path) -> None:
    label(root).write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"0000000 \(label: a web page or text"):
        open_source(settings_of(root))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xd8\xff\xe0" + bytes(40), r"0000000 \(label: a JPEG; a label must be a PNG"),
        (b"", r"0000000 \(label: the file is empty"),
    ],
)
def test_a_damaged_first_label_is_reported_as_any_other(
    root: Path, content: bytes, words: str
) -> None:
    label(root).write_bytes(content)
    with pytest.raises(DataError, match=words):
        open_source(settings_of(root))


def test_a_damaged_converted_label_is_told(root: Path) -> None:
    save_grey(label(root), np.random.default_rng(0).integers(0, 19, (90, 120)).astype(np.uint8))
    label(root).write_bytes(label(root).read_bytes()[:3000])
    with pytest.raises(DataError, match="converted to 8 bits, and this one is damaged"):
        find(root)


def test_other_folders_are_explained(root: Path) -> None:
    (root / "RGB").rename(root / "rgb")
    with pytest.raises(DataError, match=r"'rgb', which differs in upper and lower case: rename it"):
        Synthia(str(root)).list_images()
    (root / "rgb").rename(root / "RGB")
    with pytest.raises(DataError, match=r"no folder 'GT/parsed_LABELS'"):
        find(root, Synthia(str(root), label_folder="GT/parsed_LABELS"))
