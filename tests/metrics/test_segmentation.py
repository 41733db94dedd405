import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from autoadapt.metrics.segmentation import CHUNK, ConfusionMatrix

golden = pytest.mark.skipif(
    "AUTOADAPT_VECTORS" not in os.environ, reason="AUTOADAPT_VECTORS names no golden vectors"
)


def vector(name: str) -> Any:
    return np.load(Path(os.environ["AUTOADAPT_VECTORS"]) / f"{name}.npz")


def matrix_of(prediction: Any, label: Any, classes: int) -> ConfusionMatrix:
    matrix = ConfusionMatrix(classes)
    matrix.update(np.array(prediction), np.array(label))
    return matrix


def example() -> ConfusionMatrix:
    """Four classes; the last occurs nowhere, the third is predicted once but never labelled."""
    label = [[0, 0, 0, 1], [1, 1, 255, 255]]
    prediction = [[0, 0, 1, 1], [1, 2, 3, 0]]
    return matrix_of(prediction, label, 4)


def test_rows_are_labels_and_columns_are_predictions() -> None:
    expected = [[2, 1, 0, 0], [0, 2, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert example().counts.tolist() == expected


def test_values_by_hand() -> None:
    matrix = example()
    # class 0: hit 2, labelled 3, predicted 2: IoU 2 / (3 + 2 - 2) = 2/3, Dice 4/5, recall 2/3
    # class 1: hit 2, labelled 3, predicted 3: IoU 2 / 4, Dice 4/6, recall 2/3
    # class 2: hit 0, labelled 0, predicted 1: IoU 0, Dice 0, recall undefined; class 3: nowhere
    nan = np.nan
    np.testing.assert_allclose(matrix.iou(), [2 / 3, 1 / 2, 0, nan])
    np.testing.assert_allclose(matrix.dice(), [4 / 5, 2 / 3, 0, nan])
    np.testing.assert_allclose(matrix.recall(), [2 / 3, 2 / 3, nan, nan])
    # mean of 2/3, 1/2, 0 = 7/18; counting the absent class as 0: 7/24
    assert matrix.miou() == pytest.approx(7 / 18)
    assert matrix.miou(absent="zero") == pytest.approx(7 / 24)
    assert matrix.miou([1, 3]) == pytest.approx(1 / 2)
    assert matrix.miou([1, 3], absent="zero") == pytest.approx(1 / 4)
    # 4/5 + 2/3 = 22/15, divided by 3
    assert matrix.mean_dice() == pytest.approx(22 / 45)
    # 4 of 6 labelled pixels
    assert matrix.pixel_accuracy() == pytest.approx(2 / 3)


def test_nothing_counted_gives_nan_without_a_warning() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update(np.zeros((0, 3), int), np.zeros((0, 3), int))
    matrix.update(np.array([1]), np.array([255]))
    assert np.isnan([matrix.miou(), matrix.miou([0]), matrix.pixel_accuracy()]).all()
    assert matrix.miou(absent="zero") == 0
    assert matrix.iou().shape == (2,)


maps = st.integers(2, 6).flatmap(
    lambda classes: st.tuples(
        st.just(classes),
        st.lists(
            st.tuples(
                st.integers(0, classes - 1), st.one_of(st.integers(0, classes - 1), st.just(255))
            ),
            min_size=1,
            max_size=60,
        ),
    )
)


@given(maps, st.integers(1, 20))
def test_batches_do_not_matter(value: tuple[int, list[tuple[int, int]]], size: int) -> None:
    classes, pairs = value
    prediction, label = np.array(pairs).T
    parts = ConfusionMatrix(classes)
    for start in range(0, len(label), size):
        parts.update(prediction[start : start + size], label[start : start + size])
    assert np.array_equal(parts.counts, matrix_of(prediction, label, classes).counts)


@given(maps)
def test_counts_are_those_of_a_plain_loop(value: tuple[int, list[tuple[int, int]]]) -> None:
    classes, pairs = value
    counts = np.zeros((classes, classes), int)
    for prediction, label in pairs:
        if label != 255:
            counts[label, prediction] += 1
    prediction_map, label_map = np.array(pairs).T
    assert np.array_equal(matrix_of(prediction_map, label_map, classes).counts, counts)


@given(maps)
def test_renaming_classes_renames_the_values(value: tuple[int, list[tuple[int, int]]]) -> None:
    classes, pairs = value
    prediction, label = np.array(pairs).T
    turned = matrix_of(
        classes - 1 - prediction, np.where(label == 255, 255, classes - 1 - label), classes
    )
    np.testing.assert_array_equal(turned.iou()[::-1], matrix_of(prediction, label, classes).iou())


def test_perfect_predictions_have_iou_1() -> None:
    label = np.random.default_rng(0).integers(0, 5, (3, 7, 11))
    matrix = matrix_of(label, label, 5)
    assert matrix.miou() == matrix.pixel_accuracy() == matrix.mean_dice() == 1


def test_maps_of_several_pieces_are_counted_whole() -> None:
    rng = np.random.default_rng(2)
    label, prediction = rng.integers(0, 5, (2, 250, 301))  # 75,250 pixels: three pieces
    assert label.size > 2 * CHUNK
    counts = np.bincount((5 * label + prediction).ravel(), minlength=25).reshape(5, 5)
    assert np.array_equal(matrix_of(prediction, label, 5).counts, counts)
    sideways = ConfusionMatrix(5)
    sideways.update(torch.from_numpy(prediction).T, torch.from_numpy(label).T)
    assert np.array_equal(sideways.counts, counts), "also where rows do not lie in a row"


def test_a_mistake_in_the_last_piece_adds_nothing_of_the_first() -> None:
    matrix, label = ConfusionMatrix(3), np.zeros(2 * CHUNK + 1, int)
    label[-1] = 3
    with pytest.raises(ValueError, match="label contains 3"):
        matrix.update(np.zeros_like(label), label)
    assert matrix.counts.sum() == 0


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.int64])
def test_arrays_and_tensors_of_any_integer_type_give_the_same(kind: type) -> None:
    rng = np.random.default_rng(0)
    prediction, label = rng.integers(0, 19, (2, 5, 7)), rng.integers(0, 19, (2, 5, 7))
    label[0, 0] = 255
    expected = matrix_of(prediction, label, 19).counts
    label.setflags(write=False)
    mixed = ConfusionMatrix(19)
    mixed.update(torch.from_numpy(prediction.astype(kind)), label)
    assert np.array_equal(mixed.counts, expected)
    assert np.array_equal(matrix_of(prediction.astype(kind), label, 19).counts, expected)


def test_the_largest_number_of_classes_fits() -> None:
    matrix = matrix_of([254, 0], [254, 255], 255)
    assert matrix.counts[254, 254] == matrix.counts.sum() == 1


@pytest.mark.parametrize(
    ("prediction", "label", "reason"),
    [
        ([0, 3], [0, 1], "prediction contains 3; expected 0 to 2"),
        ([0, -1], [0, 1], "prediction contains -1"),
        ([0, 1], [0, 4], "label contains 4"),
        ([0, 1], [0, 3], "label contains 3"),
        ([0, 1], [0, -1], "label contains -1"),
        ([0, 255], [0, 255], "prediction contains 255"),
        ([0.0, 1.0], [0, 1], "prediction is torch.float64; expected integers"),
        ([0, 1], [True, False], "label is torch.bool"),
        ([0, 1, 2], [0, 1], r"prediction is \(3,\) but label is \(2,\)"),
    ],
)
def test_wrong_input_is_refused_and_adds_nothing(
    prediction: list[Any], label: list[Any], reason: str
) -> None:
    matrix = ConfusionMatrix(3)
    with pytest.raises(ValueError, match=reason):
        matrix.update(np.array(prediction), np.array(label))
    assert matrix.counts.sum() == 0


@pytest.mark.parametrize("classes", [0, 256])
def test_impossible_numbers_of_classes_are_refused(classes: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 255"):
        ConfusionMatrix(classes)


def test_matrices_can_be_merged() -> None:
    one, two = example(), example()
    one.merge(two)
    assert np.array_equal(one.counts, 2 * two.counts)
    with pytest.raises(ValueError, match="3 classes added to 4"):
        one.merge(ConfusionMatrix(3))


def test_inputs_stay_as_they_are() -> None:
    prediction: NDArray[np.int32] = np.array([0, 1, 2], np.int32)
    label: NDArray[np.int32] = np.array([255, 1, 0], np.int32)
    ConfusionMatrix(3).update(prediction, label)
    assert (prediction.tolist(), label.tolist()) == ([0, 1, 2], [255, 1, 0])


@golden
@pytest.mark.parametrize("classes", [19, 16])
def test_counts_and_iou_equal_those_of_advent(classes: int) -> None:
    recorded = vector("confusion_and_iou")
    matrix = matrix_of(recorded[f"in_pred{classes}"], recorded[f"in_label{classes}"], classes)
    assert np.array_equal(matrix.counts, recorded[f"out_hist{classes}"])
    np.testing.assert_allclose(matrix.iou(), recorded[f"out_iou{classes}"], rtol=1e-12)
    np.testing.assert_allclose(matrix.miou(), recorded[f"out_miou{classes}"], rtol=1e-12)


@golden
def test_the_13_classes_equal_those_of_advent() -> None:
    recorded = vector("confusion_and_iou")
    matrix = matrix_of(recorded["in_pred16"], recorded["in_label16"], 16)
    kept = [index for index in range(16) if index not in {3, 4, 5}]  # wall, fence, pole
    np.testing.assert_allclose(matrix.miou(kept), recorded["out_miou13of16"], rtol=1e-12)


@golden
def test_dice_accumulated_over_batches_equals_the_recorded_one() -> None:
    recorded = vector("global_dice")
    matrix = ConfusionMatrix(20)
    for prediction, label in zip(recorded["in_pred"], recorded["in_label"], strict=True):
        matrix.update(prediction, label)
    dice, mean = np.nan_to_num(matrix.dice()), matrix.mean_dice(absent="zero")
    np.testing.assert_allclose(dice, recorded["out_dice"], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(mean, recorded["out_mean_dice"], rtol=1e-6, atol=1e-7)
