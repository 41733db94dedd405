"""From counts to every number of a table, under every convention."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoadapt.config.conventions import CONVENTIONS, WORKING, Convention, convention_of
from autoadapt.data.classes import CITYSCAPES19, SYNTHIA13, SYNTHIA16
from autoadapt.data.protocols import PROTOCOLS
from autoadapt.errors import ConfigError
from autoadapt.metrics.evaluation import Evaluation, subset_title
from autoadapt.metrics.segmentation import ConfusionMatrix

NAN = math.nan

# rows: labels; road, car, train and bus: train is predicted but never labelled, bus nowhere
COUNTS = np.array([[6, 1, 1, 0], [2, 5, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
CLASSES = ("road", "car", "train", "bus")


def evaluation(counts: Any = COUNTS, classes: Any = CLASSES, **parts: Any) -> Evaluation:
    return Evaluation(tuple(classes), np.array(counts), 3, Convention(**parts))


def test_values_by_hand() -> None:
    # road: hit 6, labelled 8, predicted 8: IoU 6/10, Dice 12/16; car: 5, 8, 6: IoU 5/9, Dice 10/14
    # train: predicted 2, never labelled: 0; bus: nowhere
    found = evaluation()
    np.testing.assert_allclose(found.iou, [0.6, 5 / 9, 0, NAN])
    np.testing.assert_allclose(found.dice, [0.75, 5 / 7, 0, NAN])
    assert found.miou == found.headline == pytest.approx((0.6 + 5 / 9) / 3)
    assert found.mean_dice == pytest.approx((0.75 + 5 / 7) / 3)
    assert found.accuracy == pytest.approx(11 / 16)
    assert found.mean_accuracy == pytest.approx((6 / 8 + 5 / 8) / 2)


@pytest.mark.parametrize(
    ("absent", "mean"),
    [("nan", (0.6 + 5 / 9) / 3), ("zero", (0.6 + 5 / 9) / 4), ("plain", NAN)],
)
def test_what_a_class_that_never_occurs_counts_as(absent: str, mean: float) -> None:
    assert evaluation(absent=absent).miou == pytest.approx(mean, nan_ok=True)
    # the plain mean exists once the absent class is not asked for
    assert evaluation(absent="plain", subset=("road", "train")).miou == pytest.approx(0.3)


def test_labels_outside_a_subset_are_errors_or_void() -> None:
    # columns as rows: road, car, train. Of the subset road and car:
    # counted: road 6 / (8 + 9 - 6) = 6/11, since 3 pixels of train are taken for road
    # void: road 6 / (8 + 6 - 6) = 6/8. The pixel of road taken for train is an error in both.
    counts = [[6, 1, 1], [0, 4, 0], [3, 0, 2]]
    classes = ("road", "car", "train")
    counted = evaluation(counts, classes, subset=("road", "car"))
    assert counted.miou == pytest.approx((6 / 11 + 4 / 5) / 2)
    void = evaluation(counts, classes, subset=("road", "car"), outside="void")
    assert void.miou == pytest.approx((6 / 8 + 4 / 5) / 2)
    np.testing.assert_allclose(void.iou, [6 / 8, 4 / 5, 0])  # train: predicted, not labelled
    assert void.accuracy == pytest.approx(10 / 12)
    assert evaluation(counts, classes, outside="void").miou == evaluation(counts, classes).miou


def city(seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(1, 100, (19, 19))


@pytest.mark.parametrize("outside", ["counted", "void"])
def test_16_and_13_classes_of_a_19_class_matrix(outside: str) -> None:
    names = CITYSCAPES19.names
    counts = city()
    kept = counts.copy()
    if outside == "void":
        for name in ("terrain", "truck", "train"):  # not wall, fence, pole: SYNTHIA labels them
            kept[names.index(name)] = 0
    iou = {
        name: kept[i, i] / (kept[i].sum() + kept[:, i].sum() - kept[i, i])
        for i, name in enumerate(names)
    }
    found = evaluation(counts, names, outside=outside)
    for subset, title, members in (
        ("synthia16", "mIoU16", SYNTHIA16),
        ("synthia13", "mIoU13", SYNTHIA13),
    ):
        mean = np.mean([iou[name] for name in members])
        assert found.subset_miou(subset) == pytest.approx(mean)  # type: ignore[arg-type]
        assert found.summary()[title] == pytest.approx(mean)
        headed = evaluation(counts, names, outside=outside, subset=subset)
        assert headed.headline == pytest.approx(mean)
        assert next(iter(headed.summary())) == title


def test_a_16_output_head_has_its_13_without_wall_fence_and_pole() -> None:
    counts = city()[:16, :16]
    found = evaluation(counts, SYNTHIA16)
    kept = [i for i in range(16) if i not in {3, 4, 5}]
    assert found.summary()["mIoU13"] == pytest.approx(found.iou[kept].mean())
    assert "mIoU16" not in found.summary(), "that is the mIoU"
    assert found.miou == pytest.approx(found.iou.mean())


def test_rare_classes_follow_from_the_labels_or_from_a_list() -> None:
    # shares of the labels: 900, 60, 9, 0, 31 of 1000
    counts = np.diag([900, 60, 9, 0, 30])
    counts[4, 3] = 1
    classes = ("road", "car", "pole", "train", "bus")
    found = evaluation(counts, classes)
    assert found.rare_classes == ("pole",)
    assert found.rare_miou == pytest.approx(1)
    wider = evaluation(counts, classes, rare=0.05)
    assert wider.rare_classes == ("pole", "bus"), "train is not labelled: nothing to be found"
    assert wider.rare_miou == pytest.approx((1 + 30 / 31) / 2)
    assert wider.summary()["rare mIoU"] == wider.rare_miou
    assert evaluation(counts, classes, rare=("bus", "road")).rare_miou == pytest.approx(
        (1 + 30 / 31) / 2
    )
    nothing = evaluation(counts, classes, rare=0.0)
    assert nothing.rare_classes == ()
    assert math.isnan(nothing.rare_miou)
    assert "rare mIoU" not in nothing.summary()


def test_the_dice_convention_counts_background() -> None:
    classes = ("background", "road", "car")
    counts = [[8, 1, 1], [2, 6, 0], [0, 0, 0]]
    # background 16/20, road 12/15, car 0/(0 + 1)
    found = Evaluation(classes, np.array(counts), 2, CONVENTIONS["adabn"])
    assert next(iter(found.summary())) == "mean Dice"
    assert found.headline == pytest.approx(1.6 / 3)
    np.testing.assert_allclose(found.values, found.dice)
    assert "mIoU" in found.summary()
    without = evaluation(counts, classes, measure="dice", background=False)
    assert without.headline == pytest.approx(0.8 / 2)
    assert without.rare_classes == ()


def test_nothing_but_void_has_no_value_and_no_warning() -> None:
    empty = evaluation(np.zeros((4, 4), int))
    assert np.isnan(list(empty.summary().values())).all()
    assert empty.rare_classes == ()
    assert evaluation(np.zeros((4, 4), int), absent="zero").miou == 0


def test_json_there_and_back() -> None:
    parts = {"absent": "plain", "subset": ["road", "bus"], "scales": [0.5, 1.0], "rare": 0.3}
    found = Evaluation(CLASSES, COUNTS, 3, convention_of({"name": "crst", **parts}))
    text = json.dumps(found.to_json(), allow_nan=False)
    back = Evaluation.from_json(json.loads(text))
    assert np.array_equal(back.confusion, COUNTS)
    assert (back.classes, back.images, back.convention) == (CLASSES, 3, found.convention)
    assert json.loads(text)["miou"] is None
    assert json.loads(text)["summary"]["pixel accuracy"] == found.accuracy
    assert json.dumps(back.to_json()) == text


def test_files_of_version_0_1_can_still_be_read() -> None:
    old = {
        "classes": list(CLASSES),
        "iou": [0.6, 5 / 9, 0.0, None],
        "miou": 0.385,
        "accuracy": 11 / 16,
        "images": 3,
        "confusion": COUNTS.tolist(),
        "convention": "labels at the working size; logits resized bilinearly, corners aligned; "
        "one confusion matrix; absent classes left out of the mean",
    }
    found = Evaluation.from_json(old)
    assert found.convention == WORKING
    np.testing.assert_allclose(found.iou, [0.6, 5 / 9, 0, NAN])


def test_the_same_counts_under_another_convention() -> None:
    assert evaluation().under(CONVENTIONS["crst"]).miou == pytest.approx((0.6 + 5 / 9) / 4)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"subset": "synthia13"}, "subset names sidewalk, building"),
        ({"subset": ("road", "tram")}, "subset names tram, which are not among the 4 classes"),
        ({"rare": ("tram",)}, "rare names tram"),
    ],
)
def test_classes_that_are_not_there_are_refused(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluation(**parts)


def test_counts_of_other_classes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(4, 4\) counts for 2 classes"):
        evaluation(COUNTS, ("road", "car"))


@pytest.mark.parametrize(
    ("parts", "title"),
    [
        ({}, "mIoU"),
        ({"subset": "synthia13"}, "mIoU13"),
        ({"subset": ("road", "car")}, "mIoU (road, car)"),
        ({"measure": "dice"}, "mean Dice"),
        ({"measure": "dice", "subset": "synthia16"}, "mean Dice (synthia16)"),
    ],
)
def test_what_the_headline_is_called(parts: dict[str, Any], title: str) -> None:
    assert subset_title(Convention(**parts)) == title


def test_the_recorded_numbers_of_the_official_functions(vectors: Path) -> None:
    """AdvEnt's 19, 16 and 13 classes, and the Dice of the AdaBN study with its 20 classes."""
    recorded = np.load(vectors / "confusion_and_iou.npz")
    all19 = Evaluation(CITYSCAPES19.names, recorded["out_hist19"], 1, CONVENTIONS["adaptsegnet"])
    np.testing.assert_allclose(all19.iou, recorded["out_iou19"], rtol=1e-12)
    assert all19.headline == pytest.approx(float(recorded["out_miou19"]), rel=1e-12)
    only16 = Evaluation(SYNTHIA16, recorded["out_hist16"], 1, CONVENTIONS["advent_synthia"])
    assert only16.headline == pytest.approx(float(recorded["out_miou16"]), rel=1e-12)
    assert only16.summary()["mIoU13"] == pytest.approx(float(recorded["out_miou13of16"]), rel=1e-12)

    recorded = np.load(vectors / "global_dice.npz")
    matrix = ConfusionMatrix(20)
    matrix.update(recorded["in_pred"], recorded["in_label"])
    classes = PROTOCOLS["dice20"].table.names
    found = Evaluation(classes, matrix.counts, 3, CONVENTIONS["adabn"])
    assert found.headline == pytest.approx(float(recorded["out_mean_dice"]), rel=1e-6)
