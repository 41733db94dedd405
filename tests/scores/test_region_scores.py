"""Scores over regions, against hand-made numbers (natural logarithms, six digits)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from autoadapt.scores._compute import compute, make
from autoadapt.scores.base import RegionStatistics, Statistics

TIGHT = 1.5e-6
"""The expected numbers are rounded to six digits."""


def sums(p: NDArray[np.float64], regions: list[list[int]]) -> RegionStatistics:
    """Sum the probabilities (C, H, W) over regions, one after the other."""
    labels = np.array(regions)
    logs = np.log(np.where(p > 0, p, 1.0))
    best = p.argmax(0)
    masks = [labels == region for region in range(labels.max() + 1)]
    return RegionStatistics(
        np.array([float(mask.sum()) for mask in masks]),
        np.array([p[:, mask].sum(1) for mask in masks]),
        np.array([(p * logs)[:, mask].sum(1) for mask in masks]),
        np.array([[float((best[mask] == c).sum()) for c in range(len(p))] for mask in masks]),
    )


def statistics(*images: RegionStatistics) -> Statistics:
    nothing = np.zeros((0, 0), np.float32)
    return Statistics(images, nothing, nothing, nothing, nothing, {})


def score(name: str, image: RegionStatistics, **options: Any) -> float:
    return make(name, options)(statistics(image))


def values(image: RegionStatistics, smallest: int = 2) -> dict[str, float]:
    """All scores of one image, by the names of the test vectors."""
    small: Mapping[str, Any] = {"smallest": smallest}
    return {
        "ent": score("entropy", image),
        "printed": score("reent", image, variant="printed", reduction="sum", **small),
        "flip": score("reent", image, variant="flip", reduction="sum", **small),
        "loc": score("reent", image, variant="loc", **small),
        "loc sum": score("reent", image, variant="loc", reduction="sum", **small),
        "mass": score("reent", image, variant="mass", **small),
        "jsd": score("jsd", image, **small),
        "regent": score("regent", image, **small),
        "regent mean": score("regent", image, weighting="region", **small),
        "div": score("div", image),
        "im": score("im", image),
        "regim": score("regim", image, **small),
        "rsi": score("rsi", image),
    }


TV1 = np.array([[[0.9, 0.6], [0.8, 0.5]], [[0.1, 0.4], [0.2, 0.5]]])
TV2 = np.array(
    [
        [[0.7, 0.6, 0.1], [0.5, 0.7, 0.05]],
        [[0.2, 0.3, 0.8], [0.4, 0.1, 0.9]],
        [[0.1, 0.1, 0.1], [0.1, 0.2, 0.05]],
    ]
)
FOUR_AND_TWO = [[0, 0, 1], [0, 0, 1]]


def one_hot(labels: list[list[int]]) -> NDArray[np.float64]:
    p: NDArray[np.float64] = np.eye(3)[np.array(labels)].transpose(2, 0, 1)
    return p


@pytest.mark.parametrize(
    ("p", "regions", "expected"),
    [
        pytest.param(
            TV1,
            [[0, 0], [0, 0]],
            {
                "ent": 0.790469,
                "printed": -0.790469,
                "flip": 0.790469,
                "loc": -0.936729,
                "mass": -0.954589,
                "jsd": 0.090822,
                "regent": 0.881291,
                "div": -0.881291,
                "im": -0.090822,
                # One region: it knows all that the whole image knows.
                "regim": 0.0,
            },
            id="two classes, one region",
        ),
        pytest.param(
            TV2,
            FOUR_AND_TWO,
            {
                "ent": 0.679397,
                "printed": -1.325305,
                "flip": 1.325305,
                "loc sum": -1.903919,
                "loc": -0.951960,
                "mass": -0.978736,
                "jsd": 0.026704,
                "regent": 0.706101,
                "regent mean": 0.649427,
                "div": -0.874771,
                "im": -0.195374,
                # 0.706101 - 0.874771
                "regim": -0.168670,
                # Predicted: 4 times class 0 in region 0, twice class 1 in region 1.
                # TP = (4 * 2.5 / 4, 2 * 1.7 / 2, 0) = (2.5, 1.7, 0), S = (2.65, 2.7, 0.65);
                # IoU = 2.5 / 4.15, 1.7 / 3, 0; mean (0.602410 + 0.566667) / 3.
                "rsi": -0.389692,
            },
            id="three classes, two regions",
        ),
        pytest.param(
            TV2,
            [[0, 0, 1], [0, 0, 2]],
            {
                "ent": 0.679397,
                "printed": -0.828331,
                "loc": -0.959221,
                "loc sum": -0.959221,
                "mass": -0.971851,
                "regent": 0.819448,
                "div": -0.874771,
                "im": -0.195374,
            },
            id="regions of one pixel are left out",
        ),
        pytest.param(
            one_hot([[0, 0, 1], [0, 0, 1]]),
            FOUR_AND_TWO,
            {
                "ent": 0.0,
                "printed": 0.0,
                "loc": -1.0,
                "mass": -1.0,
                "jsd": 0.0,
                "regent": 0.0,
                "div": -0.579380,
                "im": -0.579380,
                "regim": -0.579380,
                "rsi": -2 / 3,
            },
            id="certain and constant in each region",
        ),
        pytest.param(
            one_hot([[0, 0, 1], [2, 2, 1]]),
            FOUR_AND_TWO,
            {
                "ent": 0.0,
                "printed": 0.0,
                "loc": -0.833333,
                "mass": -0.750000,
                "jsd": 0.420620,
                "regent": 0.420620,
                "div": -1.0,
                "im": -1.0,
                "regim": -0.579380,
            },
            id="certain, one region split",
        ),
        pytest.param(
            np.full((3, 2, 3), 1 / 3),
            FOUR_AND_TWO,
            {
                "ent": 1.0,
                "printed": -2.113283,
                "loc": -1.0,
                "mass": -1.0,
                "jsd": 0.0,
                "regent": 1.0,
                "div": -1.0,
                "im": 0.0,
                "regim": 0.0,
            },
            id="uniform",
        ),
        pytest.param(
            one_hot([[0, 0, 0], [0, 0, 0]]),
            FOUR_AND_TWO,
            {
                "ent": 0.0,
                "printed": 0.0,
                "loc": -1.0,
                "mass": -1.0,
                "jsd": 0.0,
                "regent": 0.0,
                "div": 0.0,
                "im": 0.0,
                "regim": 0.0,
                "rsi": -1 / 3,
            },
            id="collapsed",
        ),
    ],
)
def test_hand_made_images(
    p: NDArray[np.float64], regions: list[list[int]], expected: dict[str, float]
) -> None:
    found = values(sums(p, regions))

    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=TIGHT)


def street(seed: int, classes: int = 5) -> RegionStatistics:
    """Return the sums of a random image with regions of 24, 40 and 56 pixels."""
    logits = 2.0 * np.random.default_rng(seed).normal(size=(classes, 8, 15))
    p = np.exp(logits) / np.exp(logits).sum(0)
    columns = np.repeat([0, 1, 2], [3, 5, 7])
    return sums(p, [columns.tolist()] * 8)


def test_printed_equation_is_a_reweighted_entropy_with_the_wrong_sign() -> None:
    image = street(1)
    # -(1/C) sum over pixels of H / log A, region by region.
    expected = (image.plogp_sum.sum(1) / np.log([24.0, 40.0, 56.0])).sum() / 5

    assert score("reent", image, variant="printed", reduction="sum") == pytest.approx(expected)
    assert score("reent", image) == pytest.approx(-expected / 3)


def test_mass_reading_is_the_mean_over_classes_of_location_entropies_by_mass() -> None:
    image = street(2)
    share = image.p_sum / image.areas[:, None]
    spread = np.log(image.p_sum) - image.plogp_sum / image.p_sum
    expected = -((share * spread).sum(1) / np.log(image.areas)).mean()

    assert score("reent", image, variant="mass") == pytest.approx(expected, rel=1e-12)


def test_regional_entropy_is_entropy_plus_disagreement() -> None:
    image = street(3)

    assert score("regent", image) == pytest.approx(score("entropy", image) + score("jsd", image))


def test_regions_below_the_limit_do_not_count() -> None:
    image = street(4)
    without_first = RegionStatistics(
        image.areas[1:], image.p_sum[1:], image.plogp_sum[1:], image.hard[1:]
    )

    for name in ("reent", "regent", "jsd"):
        assert score(name, image, smallest=25) == score(name, without_first)


def test_reent_of_several_images_is_their_mean() -> None:
    first, second = street(5), street(6)
    expected = (score("reent", first) + score("reent", second)) / 2

    assert make("reent", {})(statistics(first, second)) == pytest.approx(expected)


def test_diversity_pools_images() -> None:
    """Two images of one class each are diverse together."""
    road = sums(one_hot([[0, 0, 0], [0, 0, 0]]), FOUR_AND_TWO)
    sky = sums(one_hot([[1, 1, 1], [1, 1, 1]]), FOUR_AND_TWO)

    # log 2 / log 3
    assert make("div", {})(statistics(road, sky)) == pytest.approx(-0.630930, abs=TIGHT)


REGIONAL = ("entropy", "reent", "regent", "jsd", "div", "im", "regim", "rsi")


@pytest.mark.parametrize("name", REGIONAL)
def test_no_image_is_a_reason_not_a_number(name: str) -> None:
    found, errors = compute({name: make(name, {})}, statistics())

    assert found == {}
    assert errors == {name: "no target image was measured"}


@pytest.mark.parametrize("name", ["reent", "regent", "jsd", "regim"])
def test_no_region_of_the_needed_size_is_a_reason(name: str) -> None:
    _, errors = compute({name: make(name, {"smallest": 57})}, statistics(street(7)))

    assert errors == {name: "a target image has no region of 57 pixels or more"}


def test_a_value_that_is_not_finite_is_a_reason() -> None:
    image = street(8)
    broken = RegionStatistics(image.areas, image.p_sum, image.plogp_sum * np.nan, image.hard)

    found, errors = compute({"entropy": make("entropy", {})}, statistics(broken, street(9)))

    assert found == {}
    assert errors == {"entropy": "the value is nan"}


def test_an_empty_region_changes_nothing() -> None:
    image = street(3)
    table = np.zeros((1, 5))
    extended = RegionStatistics(
        np.append(image.areas, 0.0),
        np.append(image.p_sum, table, axis=0),
        np.append(image.plogp_sum, table, axis=0),
        np.append(image.hard, table, axis=0),
    )

    assert values(extended) == pytest.approx(values(image), rel=1e-12)
