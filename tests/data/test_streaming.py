"""Labelled images from their files: at their own size, in constant memory, broken ones by rule."""

import logging
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autoadapt.config.settings import DatasetSettings, DataSettings
from autoadapt.data.decode import BrokenFileError, Size
from autoadapt.data.open import open_evaluation, open_evaluation_files
from autoadapt.data.streaming import AHEAD, LabelledFiles, Pixels
from autoadapt.errors import ConfigError, DataError

SIZES = {"a": (20, 30), "b": (33, 16)}


@pytest.fixture
def settings(tmp_path: Path) -> DataSettings:
    """Two images of different sizes; the left third of each is class 1, one pixel is void."""
    for kind in ("images", "labels"):
        (tmp_path / kind / "val").mkdir(parents=True)
    for name, (height, width) in SIZES.items():
        label = np.zeros((height, width), np.uint8)
        label[:, : width // 3] = 1
        label[0, 0] = 255
        image = np.stack([label, np.full_like(label, 7), 255 - label], axis=-1)
        Image.fromarray(image).save(tmp_path / "images" / "val" / f"{name}.png")
        Image.fromarray(label).save(tmp_path / "labels" / "val" / f"{name}.png")
    (tmp_path / "classes.json").write_text('{"classes": ["road", "car"]}')
    one = DatasetSettings(kind="folder", options={"root": str(tmp_path), "split": "val"})
    return DataSettings(
        source=one, target=one, evaluation=one, size=(16, 24), cache=str(tmp_path / "cache")
    )


def test_each_pair_has_the_size_of_its_file(settings: DataSettings) -> None:
    files = open_evaluation_files(settings)
    assert files.classes == ("road", "car")
    assert len(files) == 2
    for (image, label), (height, width) in zip(
        files.pairs(None, None), SIZES.values(), strict=True
    ):
        assert image.shape == (1, height, width, 3)
        assert label.shape == (1, height, width)
        assert np.array_equal(image[0, :, :, 0], label[0]), "pixel for pixel as in the file"
        assert (label == 255).sum() == 1


def test_images_and_labels_can_have_different_sizes(settings: DataSettings) -> None:
    for image, label in open_evaluation_files(settings).pairs((16, 24), (40, 50)):
        assert (image.shape, label.shape) == ((1, 16, 24, 3), (1, 40, 50))
    sizes = [label.shape[1:] for _, label in open_evaluation_files(settings).pairs((16, 24), None)]
    assert sizes == list(SIZES.values())


def test_at_the_working_size_they_are_those_of_the_cache(settings: DataSettings) -> None:
    cached = open_evaluation(settings)
    for index, (image, label) in enumerate(
        open_evaluation_files(settings).pairs((16, 24), (16, 24))
    ):
        assert np.array_equal(image, cached.images([index]))
        assert np.array_equal(label, cached.labels([index]))


def test_rendered_images_have_the_working_size_for_their_own() -> None:
    rendered = DatasetSettings(kind="procedural", options={"count": 1})
    settings = DataSettings(source=rendered, target=rendered, evaluation=rendered, size=(32, 48))
    ((image, label),) = open_evaluation_files(settings).pairs(None, None)
    assert (image.shape, label.shape) == ((1, 32, 48, 3), (1, 32, 48))


def test_no_evaluation_set_is_said(settings: DataSettings) -> None:
    without = DataSettings(source=settings.source, target=settings.target)
    with pytest.raises(ConfigError, match=r"data\.evaluation is not set"):
        open_evaluation_files(without)


def broken_second(settings: DataSettings) -> None:
    path = Path(settings.target.options["root"]) / "images" / "val" / "b.png"
    path.write_bytes(path.read_bytes()[:60])


def test_a_broken_file_stops_with_its_name(settings: DataSettings) -> None:
    broken_second(settings)
    with pytest.raises(DataError, match=r"val/b cannot be used: .*data\.broken: skip"):
        list(open_evaluation_files(settings).pairs(None, None))


def test_a_broken_file_can_be_skipped(
    settings: DataSettings, caplog: pytest.LogCaptureFixture
) -> None:
    broken_second(settings)
    files = open_evaluation_files(settings)
    skipping = LabelledFiles(files.classes, files.ids, files.image, files.label, broken="skip")
    with caplog.at_level(logging.WARNING):
        pairs = list(skipping.pairs(None, None))
    assert [image.shape[1:3] for image, _ in pairs] == [SIZES["a"]]
    assert "left out of the evaluation: val/b cannot be used" in caplog.text


def test_nothing_sound_is_an_error() -> None:
    def fail(index: int, size: Size | None) -> Pixels:
        raise BrokenFileError("the file is empty")

    with pytest.raises(DataError, match="none of 3 images"):
        list(LabelledFiles(("a",), ("x", "y", "z"), fail, fail, broken="skip").pairs(None, None))


def test_only_a_few_pairs_are_decoded_ahead() -> None:
    decoded, lock = [], threading.Lock()

    def image(index: int, size: Size | None) -> Pixels:
        with lock:
            decoded.append(index)
        return np.full((2, 3, 3), index, np.uint8)

    def label(index: int, size: Size | None) -> Pixels:
        return np.full((2, 3), index, np.uint8)

    files = LabelledFiles(("a",), tuple(map(str, range(50))), image, label)
    for number, (pixels, labels) in enumerate(files.pairs(None, None)):
        assert pixels.max() == labels.max() == number
        assert len(decoded) <= number + 2 + AHEAD
    assert sorted(decoded) == list(range(50))
