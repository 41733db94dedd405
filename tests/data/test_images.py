from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from autoadapt.data.cache import Recipe, open_rows
from autoadapt.data.images import LabelledImages, UnlabelledImages, check_disjoint
from autoadapt.data.rows import Rows
from autoadapt.errors import DataError

SIZE = (4, 6)


def rows_of(folder: Path, values: list[int], *, spec: str = "x", labels: bool = False) -> Rows:
    shape = SIZE if labels else (*SIZE, 3)

    def make(index: int) -> NDArray[np.uint8]:
        return np.full(shape, values[index], np.uint8)

    kind = "labels" if labels else "images"
    return open_rows(Recipe(kind, {"spec": spec}, shape, len(values), make), folder)


def unlabelled(rows: Rows, positions: tuple[int, ...], origin: str = "here") -> UnlabelledImages:
    ids = tuple(f"i{position}" for position in positions)
    origins = tuple(f"{origin}/{position}" for position in positions)
    return UnlabelledImages(ids, origins, rows, positions)


def labelled(images: UnlabelledImages, rows: Rows) -> LabelledImages:
    return LabelledImages(("a", "b"), rows, images.positions, images)


def test_images_are_addressed_by_their_place_in_the_data_set(tmp_path: Path) -> None:
    images = unlabelled(rows_of(tmp_path, [10, 11, 12, 13]), (0, 2, 3))
    assert (len(images), images.ids, images.size) == (3, ("i0", "i2", "i3"), SIZE)
    assert images.images([2, 1]).shape == (2, *SIZE, 3)
    assert images.images([2, 1])[:, 0, 0, 0].tolist() == [13, 12]


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_image_beyond_the_ends(tmp_path: Path, index: int) -> None:
    images = unlabelled(rows_of(tmp_path, [10, 11, 12, 13]), (0, 2, 3))
    both = labelled(images, rows_of(tmp_path, [0, 1, 0, 1], labels=True))
    with pytest.raises(IndexError, match="3 images"):
        images.images([index])
    with pytest.raises(IndexError, match="3 images"):
        both.labels([index])


def test_labels_belong_to_their_images(tmp_path: Path) -> None:
    images = unlabelled(rows_of(tmp_path, [10, 11, 12, 13]), (1, 3))
    both = labelled(images, rows_of(tmp_path, [20, 21, 22, 23], labels=True))
    assert both.images([1, 0])[:, 0, 0, 0].tolist() == [13, 11]
    assert both.labels([1, 0])[:, 0, 0].tolist() == [23, 21]
    assert both.labels([1, 0]).shape == (2, *SIZE)


def test_the_unlabelled_side_holds_nothing_of_the_labels(tmp_path: Path) -> None:
    images = unlabelled(rows_of(tmp_path, [10, 11]), (0, 1))
    both = labelled(images, rows_of(tmp_path, [0, 1], labels=True))
    side = both.unlabelled()
    assert not any("label" in name for name in dir(side))
    assert "labels-" not in repr(vars(side)) + repr(vars(side.rows))


def test_the_fingerprint_follows_content_and_order_and_nothing_else(tmp_path: Path) -> None:
    one = rows_of(tmp_path, [10, 11, 12], spec="one")
    renamed = rows_of(tmp_path, [9, 10, 11, 12], spec="two")
    reference = unlabelled(one, (0, 1, 2)).fingerprint
    assert unlabelled(renamed, (1, 2, 3), "elsewhere").fingerprint == reference
    assert unlabelled(one, (0, 2, 1)).fingerprint != reference
    assert unlabelled(one, (0, 1)).fingerprint != reference
    assert unlabelled(renamed, (0, 1, 2)).fingerprint != reference


def test_names_and_rows_must_agree_in_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 names for 2 rows"):
        UnlabelledImages(("a",), ("b",), rows_of(tmp_path, [1, 2]), (0, 1))


def test_disjoint_sets_pass(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, [10, 11, 12, 13])
    evaluation = labelled(unlabelled(rows, (2, 3)), rows_of(tmp_path, [0] * 4, labels=True))
    check_disjoint(unlabelled(rows, (0, 1)), evaluation)


def test_a_shared_image_is_counted_and_shown(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, [10, 11, 12, 13])
    evaluation = labelled(unlabelled(rows, (1, 2, 3)), rows_of(tmp_path, [0] * 4, labels=True))
    with pytest.raises(DataError, match=r"1 of 3 evaluation images .* 2 target .*\['i1'\]"):
        check_disjoint(unlabelled(rows, (0, 1)), evaluation)


def test_a_copy_under_another_name_is_shared(tmp_path: Path) -> None:
    target = unlabelled(rows_of(tmp_path, [10, 11], spec="one"), (0, 1), "there")
    copies = unlabelled(rows_of(tmp_path, [12, 11], spec="two"), (0, 1))
    with pytest.raises(DataError, match=r"1 of 2 .*\['i1'\]"):
        check_disjoint(target, labelled(copies, rows_of(tmp_path, [0, 0], labels=True)))


def test_the_same_file_is_shared_even_if_decoded_otherwise(tmp_path: Path) -> None:
    target = unlabelled(rows_of(tmp_path, [10, 11], spec="one"), (0, 1))
    other = unlabelled(rows_of(tmp_path, [20, 21], spec="two"), (1,))
    with pytest.raises(DataError, match="1 of 1 "):
        check_disjoint(target, labelled(other, rows_of(tmp_path, [0, 0], labels=True)))
