import math

import numpy as np
import pytest

from autoadapt.analysis.results import AdaptationResult, row_titles, same_classes

NAN = math.nan


def test_means_and_spreads_by_hand() -> None:
    result = AdaptationResult(
        name="winner",
        classes=("road", "car", "train", "pole"),
        values=np.array([[0.8, 0.4, NAN, 0.3], [0.6, 0.4, NAN, NAN]]),
    )
    # standard deviation of .8 and .6 with n - 1: sqrt(.1² + .1²) = .141421
    np.testing.assert_allclose(result.class_mean, [0.7, 0.4, NAN, 0.3])
    np.testing.assert_allclose(result.class_spread, [0.1414213562, 0.0, NAN, NAN], atol=1e-12)
    # seed 0: (.8 + .4 + .3) / 3 = .5; seed 1: (.6 + .4) / 2 = .5: absent classes do not count
    assert result.headline == "mIoU"
    np.testing.assert_allclose(result.rows["mIoU"], [0.5, 0.5])
    assert result.headline_mean == pytest.approx(0.5)
    assert result.headline_spread == pytest.approx(0.0)
    assert result.seed_names == (0, 1)


def test_one_seed_has_no_spread_and_nothing_seen_has_no_mean() -> None:
    result = AdaptationResult(name="a", classes=("road",), values=np.array([[NAN]]), seeds=(5,))
    assert math.isnan(result.headline_mean)
    assert math.isnan(result.headline_spread)
    assert result.seed_names == (5,)


def test_given_means_replace_the_mean_of_the_classes() -> None:
    means = {"mean Dice": np.array([0.2, 0.4]), "mIoU": np.array([0.1, NAN])}
    result = AdaptationResult(
        name="a", classes=("road",), values=np.array([[0.9], [0.7]]), measure="Dice", means=means
    )
    assert result.headline == "mean Dice"
    assert result.headline_mean == pytest.approx(0.3)
    assert result.headline_spread == pytest.approx(0.1414213562)  # sqrt(.1² + .1²)
    assert result.row_mean("mIoU") == pytest.approx(0.1)
    assert math.isnan(result.row_mean("pixel accuracy"))
    plain = AdaptationResult(name="b", classes=("road",), values=np.array([[0.9]]))
    assert row_titles([plain, result]) == ("mIoU", "mean Dice")


@pytest.mark.parametrize(
    ("iou", "seeds", "message"),
    [
        (np.zeros((2, 3)), (), r"\(2, 3\), expected \(seeds, 2\)"),
        (np.zeros((0, 2)), (), r"expected \(seeds, 2\)"),
        (np.zeros((3, 2)), (1, 2), "2 seeds, 3 rows"),
        (np.full((1, 2), 41.2), (), "outside"),
        (np.full((1, 2), -0.1), (), "outside"),
    ],
)
def test_contradictions_are_refused(
    iou: np.ndarray[tuple[int, int], np.dtype[np.float64]], seeds: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        AdaptationResult(name="a", classes=("road", "car"), values=iou, seeds=seeds)


def test_results_over_other_classes_cannot_be_compared() -> None:
    a = AdaptationResult(name="a", classes=("road", "car"), values=np.zeros((1, 2)))
    b = AdaptationResult(name="b", classes=("car", "road"), values=np.zeros((1, 2)))
    assert same_classes([a, a]) == ("road", "car")
    assert same_classes([]) == ()
    with pytest.raises(ValueError, match="different classes"):
        same_classes([a, b])
