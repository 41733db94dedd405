"""Class thresholds against the released code, and histograms against sorted lists."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from autoadapt.uda._mining import rarer_than, rarest
from autoadapt.uda._thresholds import BINS, EDGES, Confidences, bins_of, class_thresholds, grown

Lists = list[NDArray[np.float32]]


def golden(folder: Path, name: str) -> dict[str, NDArray[Any]]:
    with np.load(folder / f"{name}.npz") as file:
        return dict(file)


def lists_of(case: dict[str, NDArray[Any]]) -> Lists:
    return np.split(case["in_conf_values"], case["in_conf_offsets"][1:-1])


def counted(lists: Lists) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    values = np.unique(np.concatenate(lists))
    counts = np.zeros((len(lists), len(values)), np.int64)
    for row, confidences in zip(counts, lists, strict=True):
        np.add.at(row, np.searchsorted(values, confidences), 1)
    return values, counts


def test_thresholds_and_rare_classes_of_crst(vectors: Path) -> None:
    case = golden(vectors, "crst_class_thresholds")
    found, n = class_thresholds(*counted(lists_of(case)), float(case["in_portion"]), cap=None)
    np.testing.assert_array_equal(found, case["out_threshold"])
    np.testing.assert_array_equal(n, case["out_selected"])
    shares = case["in_pred_pixels"] / case["in_pred_pixels"].sum()
    limit = float(case["in_mine_share"])
    mined = rarer_than(shares, limit)
    assert shares[rarest(shares, 3)].tolist() == shares[case["out_rare_ids"]].tolist()
    assert set(mined) == set(case["out_mine_ids"].tolist())
    assert shares[mined].tolist() == sorted(shares[mined].tolist())


def test_thresholds_of_dast(vectors: Path) -> None:
    case = golden(vectors, "dast_class_thresholds")
    found, n = class_thresholds(*counted(lists_of(case)), float(case["in_portion"]), cap=0.9)
    np.testing.assert_allclose(found, case["out_threshold"], rtol=1e-7, atol=1e-7)
    np.testing.assert_array_equal(n, case["out_selected"])


def width(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Largest width of the bin that holds a value, or of the one below."""
    return 2 * np.sqrt(1 - values.astype(np.float64)) / BINS + 2 / BINS**2


@pytest.mark.parametrize("name", ["crst_class_thresholds", "dast_class_thresholds"])
def test_a_histogram_is_right_up_to_a_bin_and_never_too_high(vectors: Path, name: str) -> None:
    case = golden(vectors, name)
    lists, portion = lists_of(case), float(case["in_portion"])
    confidences = Confidences(19)
    for label, values in enumerate(lists):
        confidences.add(maps_of(values, label, classes=19))
    exact, _ = class_thresholds(*counted(lists), portion, cap=None)
    found = confidences.thresholds(portion).numpy()
    assert (found <= exact).all()
    assert (exact - found <= width(found)).all()


def maps_of(values: NDArray[np.float32], label: int, *, classes: int) -> torch.Tensor:
    """Probability maps (1, C, 1, W) whose largest value is that of one class."""
    maps = torch.zeros(1, classes, 1, len(values))
    maps[0, label, 0] = torch.from_numpy(values)
    return maps


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0.375, 1, width=32), min_size=1, max_size=40),
    st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.99, 1.0]),
)
def test_at_least_the_portion_passes(values: list[float], portion: float) -> None:
    array = np.array(values, np.float32)
    confidences = Confidences(3)
    confidences.add(maps_of(array, 1, classes=3))
    first, found, last = confidences.thresholds(portion).tolist()
    wanted = int(np.floor(len(values) * portion))
    assert (first, last) == (1.0, 1.0)
    if wanted:
        nth = np.sort(array)[::-1][wanted - 1]
        assert found <= nth
        assert nth - found <= width(np.array([found], np.float32))[0]
    else:
        assert found == 1.0


def test_bins_are_finest_where_trained_networks_crowd() -> None:
    assert EDGES.size == BINS
    assert EDGES[0] == 0
    assert EDGES[-1] == np.nextafter(np.float32(1), np.float32(0))
    assert (np.diff(EDGES) > 0).all()
    # Nine in ten pixels are surer than 0.9999, yet a tenth can be told from the rest.
    sure = 1 - np.logspace(-1, -7, 6001).astype(np.float32)
    confidences = Confidences(2)
    confidences.add(maps_of(sure, 0, classes=2))
    passed = (sure >= confidences.thresholds(0.5)[0].item()).mean()
    assert 0.5 <= passed + 1e-4 < 0.51


def test_a_bin_is_the_last_whose_edge_is_not_above() -> None:
    """At each edge, right below and right above, and anywhere between."""
    beside = [np.nextafter(EDGES, np.float32(side)) for side in (-1, 2)]
    between = np.random.default_rng(5).random(5000, np.float32)
    values = np.concatenate([EDGES, *beside, between, np.ones(1, np.float32)]).clip(0, 1)
    found = bins_of(torch.from_numpy(values)).numpy()
    assert (found == np.searchsorted(EDGES, values, side="right") - 1).all()


def test_a_hand_computed_histogram() -> None:
    """Class 0 has 0.9, 0.8, 0.6, 0.5 and n = floor(4 * 0.5) = 2: the second, 0.8, up to a bin."""
    confidences = Confidences(2)
    confidences.add(torch.tensor([[[[0.9, 0.6, 0.1, 0.8, 0.5]], [[0.1, 0.4, 0.9, 0.2, 0.5]]]]))
    assert confidences.shares.tolist() == [0.8, 0.2]
    zero, one = confidences.thresholds(0.5).tolist()
    assert 0.8 - 3e-4 < zero <= 0.8
    assert one == 1.0  # one pixel, n = 0
    pooled = confidences.thresholds(0.4, balanced=False)  # n = 2 of 0.9, 0.9, 0.8, ...
    assert pooled.tolist() == pytest.approx([0.9, 0.9], abs=3e-4)
    assert confidences.thresholds(0.5, cap=0.7).tolist() == pytest.approx([0.7, 1.0])


def test_a_prior_above_one_keeps_its_scale() -> None:
    """Class 1 may reach 8: its confidences 6, 4, 2 with a portion of 2 in 3 give 4."""
    confidences = Confidences(2, torch.tensor([1.0, 8.0]))
    confidences.add(torch.tensor([[[[0.5, 0.5, 0.5]], [[6.0, 4.0, 2.0]]]]))
    empty, found = confidences.thresholds(0.67).tolist()
    assert empty == 1.0
    assert 4 - 8 * 4e-4 < found <= 4


def test_portions_grow_up_to_a_limit() -> None:
    assert [round(grown(0.15, 0.05, 0.3, index), 6) for index in range(5)] == [
        0.15,
        0.2,
        0.25,
        0.3,
        0.3,
    ]
    assert grown(0.6, 0.05, 0.5, 2) == 0.6
