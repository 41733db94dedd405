"""Images and labels before they are cached: what is checked at full size."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autoadapt.config.settings import DatasetSettings
from autoadapt.data.classes import CAMVID11
from autoadapt.data.decode import BrokenFileError
from autoadapt.data.mapping import label_map
from autoadapt.data.originals import OriginalLabels, find_images, find_labels
from autoadapt.errors import DataError

NAMES = ("road", "car", "sky")


@pytest.fixture
def labels(make_folder: Callable[..., Path]) -> OriginalLabels:
    root = make_folder("data", ["train/a"], classes=NAMES)
    settings = DatasetSettings(kind="folder", options={"root": str(root)})
    found = find_images(settings)
    return find_labels(found, label_map(found.format.own_classes(), NAMES, settings))


def write(labels: OriginalLabels, ids: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    Image.fromarray(ids).save(labels.files[0])


def test_a_label_of_another_size_than_its_image_names_both_sizes(labels: OriginalLabels) -> None:
    write(labels, np.zeros((25, 40), np.uint8))
    with pytest.raises(BrokenFileError, match=r"label is 40x25 but its image a.jpg is 40x24"):
        labels.classes(0, (12, 20))


def test_one_pixel_of_an_undeclared_id_is_found_even_if_resizing_would_drop_it(
    labels: OriginalLabels,
) -> None:
    ids = np.zeros((24, 40), np.uint8)
    ids[3, 5:8] = 7
    write(labels, ids)
    with pytest.raises(DataError) as caught:
        labels.classes(0, (2, 3))
    message = str(caught.value)
    for part in ("a.png", "id 7 on 3 pixels", "classes.json declares ids 0..2 and void 255"):
        assert part in message


def test_nothing_of_the_images_leads_to_a_label(make_folder: Callable[..., Path]) -> None:
    root = make_folder("data", ["train/a"], classes=CAMVID11.names)
    found = find_images(DatasetSettings(kind="folder", options={"root": str(root)}))
    assert not [name for name in dir(found) if "label" in name]
    assert not [name for name in dir(found.listing) if "label" in name]
