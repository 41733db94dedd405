import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoadapt.data.classes import (
    CAMVID11,
    CITYSCAPES19,
    SYNTHIA13,
    SYNTHIA16,
    ClassTable,
    blend,
    colorize,
    palette_for,
)


def test_customary_tables_have_their_usual_order() -> None:
    assert (len(CAMVID11), len(CITYSCAPES19)) == (11, 19)
    assert CAMVID11.names.index("road") == 3
    assert CITYSCAPES19.names.index("bicycle") == 18
    assert CITYSCAPES19.palette[13] == (0, 0, 142)  # car


def test_the_16_and_13_classes_keep_the_order_of_the_19() -> None:
    assert [CITYSCAPES19.names.index(name) for name in SYNTHIA16] == [
        *range(9), 10, 11, 12, 13, 15, 17, 18,
    ]  # fmt: skip
    assert [name for name in SYNTHIA16 if name not in SYNTHIA13] == ["wall", "fence", "pole"]
    assert len(SYNTHIA13) == 13


@pytest.mark.parametrize("table", [CAMVID11, CITYSCAPES19])
def test_a_customary_table_gets_its_own_colours(table: ClassTable) -> None:
    assert palette_for(table.names) == table.palette
    assert palette_for(reversed(table.names)) == table.palette[::-1]


@given(st.lists(st.sampled_from([*CAMVID11.names, *CITYSCAPES19.names, *"abcdefgh"]), unique=True))
def test_colours_are_distinct_never_black_and_stable(names: list[str]) -> None:
    colours = palette_for(names)
    assert len(set(colours)) == len(names)
    assert (0, 0, 0) not in colours
    assert colours == palette_for(names)


def test_the_colours_of_both_tables_together_are_distinct() -> None:
    names = dict.fromkeys([*CITYSCAPES19.names, *CAMVID11.names])
    assert len(set(palette_for(names))) == len(names) == 24  # 6 of 19 + 11 are shared


def test_even_254_unknown_classes_differ() -> None:
    assert len(set(palette_for(map(str, range(254))))) == 254


def test_a_table_needs_one_colour_per_name_and_each_name_once() -> None:
    with pytest.raises(ValueError, match="2 class names but 1 colours"):
        ClassTable(("a", "b"), ((1, 2, 3),))
    with pytest.raises(ValueError, match="twice"):
        ClassTable(("a", "a"), ((1, 2, 3), (4, 5, 6)))


def test_colorize_paints_ids_and_leaves_void_black() -> None:
    table = ClassTable(("a", "b"), ((10, 20, 30), (40, 50, 60)))
    labels = np.array([[0, 1, 255], [255, 1, 0]], np.uint8)
    expected = [
        [[10, 20, 30], [40, 50, 60], [0, 0, 0]],
        [[0, 0, 0], [40, 50, 60], [10, 20, 30]],
    ]
    assert colorize(labels, table).tolist() == expected


@pytest.mark.parametrize("wrong", [2, 254, 256, -1])
def test_colorize_refuses_an_id_outside_the_table(wrong: int) -> None:
    table = ClassTable(("a", "b"), ((10, 20, 30), (40, 50, 60)))
    with pytest.raises(ValueError, match=f"id {wrong} "):
        colorize(np.array([[0, wrong]]), table)


def test_blend_mixes_classes_and_keeps_the_image_at_void() -> None:
    table = ClassTable(("a",), ((100, 0, 200),))
    image = np.array([[[20, 40, 60], [20, 40, 60]]], np.uint8)
    labels = np.array([[0, 255]], np.uint8)
    # 0.75 * (20, 40, 60) + 0.25 * (100, 0, 200) = (40, 30, 95)
    assert blend(image, labels, table, alpha=0.25).tolist() == [[[40, 30, 95], [20, 40, 60]]]


def test_blend_refuses_different_sizes() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\) but its labels are \(3, 2\)"):
        blend(np.zeros((2, 3, 3), np.uint8), np.zeros((3, 2), np.uint8), CAMVID11)
