"""The same numbers as torchmetrics gives, where it defines them alike."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_jaccard_index,
)

from autoadapt.metrics.segmentation import ConfusionMatrix

CLASSES = 7


@pytest.fixture(scope="module")
def maps() -> tuple[torch.Tensor, torch.Tensor]:
    """Predictions and labels of 3 images of 21 x 34: class 6 nowhere, class 5 never labelled."""
    rng = np.random.default_rng(11)
    label = rng.integers(0, 5, (3, 21, 34))
    prediction = np.where(rng.random(label.shape) < 0.6, label, rng.integers(0, 6, label.shape))
    label[rng.random(label.shape) < 0.2] = 255
    return torch.from_numpy(prediction), torch.from_numpy(label)


@pytest.fixture(scope="module")
def matrix(maps: tuple[torch.Tensor, torch.Tensor]) -> ConfusionMatrix:
    found = ConfusionMatrix(CLASSES)
    for prediction, label in zip(*maps, strict=True):
        found.update(prediction, label)
    return found


def test_counts(maps: tuple[torch.Tensor, torch.Tensor], matrix: ConfusionMatrix) -> None:
    wanted = multiclass_confusion_matrix(*maps, num_classes=CLASSES, ignore_index=255)
    assert np.array_equal(matrix.counts, wanted.numpy())


def test_iou_per_class_and_its_mean(
    maps: tuple[torch.Tensor, torch.Tensor], matrix: ConfusionMatrix
) -> None:
    each = multiclass_jaccard_index(*maps, CLASSES, average="none", ignore_index=255)
    np.testing.assert_allclose(np.nan_to_num(matrix.iou()), each.numpy(), rtol=1e-6)
    macro = multiclass_jaccard_index(*maps, CLASSES, average="macro", ignore_index=255)
    assert matrix.miou() == pytest.approx(float(macro), rel=1e-6), "absent classes left out"


def test_dice_is_the_f1_score_over_all_pixels(
    maps: tuple[torch.Tensor, torch.Tensor], matrix: ConfusionMatrix
) -> None:
    each = multiclass_f1_score(*maps, CLASSES, average="none", ignore_index=255)
    np.testing.assert_allclose(np.nan_to_num(matrix.dice()), each.numpy(), rtol=1e-6)


def test_accuracies(maps: tuple[torch.Tensor, torch.Tensor], matrix: ConfusionMatrix) -> None:
    micro = multiclass_accuracy(*maps, CLASSES, average="micro", ignore_index=255)
    assert matrix.pixel_accuracy() == pytest.approx(float(micro), rel=1e-6)
    each = multiclass_accuracy(*maps, CLASSES, average="none", ignore_index=255).numpy()
    np.testing.assert_allclose(np.nan_to_num(matrix.recall()), each, rtol=1e-6)
    assert matrix.mean_accuracy() == pytest.approx(each[:5].mean(), rel=1e-6)
