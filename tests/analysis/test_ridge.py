"""Ridge regression against numpy's least squares, and its penalty by brute force."""

import numpy as np
import pytest

from autoadapt.analysis.ridge import FOLDS, PENALTIES, fit_ridge, folds_of, weights


def numbers(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def least_squares(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    """Ridge as plain least squares with rows that pull each weight to 0."""
    x, y = x - x.mean(0), y - y.mean()
    rows = np.sqrt(len(y) * penalty) * np.eye(x.shape[1])
    found: np.ndarray = np.linalg.lstsq(
        np.vstack([x, rows]), np.append(y, np.zeros(x.shape[1])), rcond=None
    )[0]
    return found


@pytest.mark.parametrize("shape", [(17, 5), (6, 9), (12, 1)])
def test_weights_against_least_squares(shape: tuple[int, int]) -> None:
    random = numbers(1)
    x, y = 3 + random.normal(size=shape), 7 + random.normal(size=shape[0])
    penalties = np.array([0.01, 1.0, 30.0])
    found = weights(x, y, penalties)
    assert found.shape == (3, shape[1])
    for row, penalty in zip(found, penalties, strict=True):
        assert row == pytest.approx(least_squares(x, y, penalty), abs=1e-10)


def test_one_column_by_hand() -> None:
    # x = -1, 0, 1; y = -2, 0, 2: x.y = 4, x.x = 2, so w = 4 / (2 + 3 * 2) = 1/2
    found = weights(np.array([[-1.0], [0.0], [1.0]]), np.array([-2.0, 0.0, 2.0]), np.array([2.0]))
    assert found[0, 0] == pytest.approx(0.5)


def test_whole_clusters_are_held_out() -> None:
    clusters = np.array([0, 3, 1, 1, 2, 0, 5, 4, 4, 4, 6, 7, 8, 9, 10, 11, 12])
    folds = folds_of(clusters, seed=3)
    assert folds.max() == FOLDS - 1
    for cluster in range(13):
        assert len(set(folds[clusters == cluster].tolist())) == 1
    sizes = [len(set(clusters[folds == fold].tolist())) for fold in range(FOLDS)]
    assert sorted(sizes) == [1] * 7 + [2] * 3
    assert folds_of(clusters, seed=3).tolist() == folds.tolist()
    assert folds_of(clusters, seed=4).tolist() != folds.tolist()
    assert sorted(folds_of(np.array([0, 1, 2]), seed=0).tolist()) == [0, 1, 2]
    with pytest.raises(ValueError, match="one cluster"):
        folds_of(np.zeros(5, dtype=np.int64), seed=0)


def test_the_penalty_is_that_of_the_smallest_held_out_error() -> None:
    random = numbers(2)
    x = random.normal(size=(23, 7))
    y = x @ np.array([1.0, 0.5, -0.5, 0.2, 0.0, 0.0, 0.0]) + random.normal(size=23)
    clusters = np.arange(23) // 2
    found = fit_ridge(x, y, clusters, seed=5)

    folds = folds_of(clusters, seed=5)
    errors, predictions = [], []
    for penalty in PENALTIES:
        predicted = np.empty(23)
        for fold in range(folds.max() + 1):
            rest = folds != fold
            w = least_squares(x[rest], y[rest], penalty)
            predicted[~rest] = (x[~rest] - x[rest].mean(0)) @ w + y[rest].mean()
        errors.append(float(((predicted - y) ** 2).mean()))
        predictions.append(predicted)
    best = int(np.argmin(errors))
    assert 0 < best < len(PENALTIES) - 1, "inside what is tried, or the test shows nothing"
    assert found.penalty == pytest.approx(PENALTIES[best])
    assert found.held_out == pytest.approx(predictions[best] - y.mean())
    assert found.weights == pytest.approx(least_squares(x, y, found.penalty))


def test_known_weights_are_found_again() -> None:
    random = numbers(3)
    x = random.normal(size=(400, 4))
    y = x @ np.array([0.6, -0.3, 0.0, 0.1]) + 0.2 * random.normal(size=400)
    found = fit_ridge(x, y, np.arange(400), seed=0)
    assert found.weights == pytest.approx([0.6, -0.3, 0.0, 0.1], abs=0.04)
    assert np.corrcoef(found.held_out, y)[0, 1] > 0.9


def test_noise_gets_small_weights() -> None:
    random = numbers(4)
    x = random.normal(size=(60, 20))
    found = fit_ridge(x, random.normal(size=60), np.arange(60), seed=0)
    free = least_squares(x, random.normal(size=60), 1e-9)
    assert np.abs(found.weights).max() < 0.5 * np.abs(free).max()
