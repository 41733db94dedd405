"""Statistics of a choice of the target images."""

from dataclasses import replace

import numpy as np
import pytest

from autoadapt import plugins
from autoadapt.scores._compute import compute, make
from autoadapt.scores._images import DERIVABLE, of_images
from autoadapt.scores.base import HeldOut, RegionStatistics, Score, Statistics

CLASSES, WIDTH, PER_IMAGE, IMAGES = 4, 6, 3, 5
SCORES: dict[str, Score] = {
    name: make(name, {})
    for name in plugins.available("scores")
    if make(name, {}).needs <= DERIVABLE
}
VARIANTS: dict[str, Score] = {
    "reent_mass": make("reent", {"variant": "mass"}),
    "bnm_per_image": make("bnm", {"per": "image"}),
    "mmd_linear": make("mmd", {"estimator": "linear"}),
    "mmd_per_image": make("mmd", {"per": "image"}),
    "softmax_corr_prior": make("softmax_corr", {"reference": "prior"}),
}


def image(seed: int, regions: int = 3) -> RegionStatistics:
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.full(CLASSES, 0.3), size=(regions, 50))
    hard = np.stack([np.bincount(region.argmax(1), minlength=CLASSES) for region in p])
    areas = np.full(regions, 50.0)
    return RegionStatistics(areas, p.sum(1), (p * np.log(p)).sum(1), hard.astype(float))


def full() -> Statistics:
    """Return statistics of five target images and of as many source images."""
    random = np.random.default_rng(7)
    rows = IMAGES * PER_IMAGE
    return Statistics(
        regions=tuple(image(seed, regions=2 + seed) for seed in range(IMAGES)),
        source_features=random.normal(size=(rows, WIDTH)).astype(np.float32),
        target_features=random.normal(size=(rows, WIDTH)).astype(np.float32),
        source_outputs=random.dirichlet(np.ones(CLASSES), size=rows).astype(np.float32),
        target_outputs=random.dirichlet(np.ones(CLASSES), size=rows).astype(np.float32),
        costs={"macs": 3e9, "params": 2e6},
        per_image=PER_IMAGE,
        held_out=HeldOut(
            random.normal(size=(21, WIDTH)).astype(np.float32),
            random.dirichlet(np.ones(CLASSES), size=21).astype(np.float32),
            random.integers(0, CLASSES, size=21),
            random.integers(0, 90, size=(CLASSES, CLASSES)).astype(float),
        ),
        source_prior=random.dirichlet(np.ones(CLASSES)),
        source_regions=(image(21), image(22)),
        agreements={"mirrored": (np.eye(CLASSES),)},
        label_maps=random.integers(0, CLASSES, size=(IMAGES, 7, 8)).astype(np.uint8),
        classifier=random.normal(size=(CLASSES, WIDTH)),
        untrained={"synflow": 0.5},
    )


def test_all_images_give_every_score_the_same_value() -> None:
    whole = full()
    scores = {**SCORES, **VARIANTS}
    assert len(scores) > 40
    assert compute(scores, of_images(whole, range(IMAGES))) == compute(scores, whole)


def test_the_order_of_the_choice_does_not_matter() -> None:
    scores = {**SCORES, **VARIANTS}
    once, again = (compute(scores, of_images(full(), choice)) for choice in ([3, 0, 3], [0, 3, 3]))
    assert once == again


def test_a_choice_has_the_parts_of_its_images_by_hand() -> None:
    whole = full()
    part = of_images(whole, [4, 1, 4])

    assert part.regions == (whole.regions[1], whole.regions[4], whole.regions[4])
    rows = [3, 4, 5, 12, 13, 14, 12, 13, 14]  # three locations of images 1, 4 and 4
    np.testing.assert_array_equal(part.target_features, whole.target_features[rows])
    np.testing.assert_array_equal(part.target_outputs, whole.target_outputs[rows])
    assert part.label_maps is not None
    assert whole.label_maps is not None
    np.testing.assert_array_equal(part.label_maps, whole.label_maps[[1, 4, 4]])
    for name in ("source_features", "source_outputs", "source_regions", "source_prior", "held_out",
                 "costs", "classifier", "untrained", "per_image"):  # fmt: skip
        assert getattr(part, name) is getattr(whole, name)


def test_scores_of_a_choice_by_hand() -> None:
    whole = full()
    one_hot = np.eye(CLASSES, dtype=np.float32)
    outputs = one_hot[[0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 0, 1, 2]]
    part = of_images(replace(whole, target_outputs=outputs), [0, 1, 1])
    # P^T P / 9 has 3/9 and 6/9 on its diagonal: tr / (|G| sqrt(4)) = 1 / (sqrt(5) / 3 * 2)
    assert make("softmax_corr", {})(part) == pytest.approx(-3 / (2 * np.sqrt(5)))
    # reent: the mean over images of the mean over their regions of -sum T / (4 log 50)
    of_image = [-r.plogp_sum.sum(1).mean() / (CLASSES * np.log(50)) for r in whole.regions]
    expected = (of_image[0] + 2 * of_image[1]) / 3
    assert make("reent", {})(part) == pytest.approx(expected)


def test_sums_over_all_images_are_left_out_with_the_reason() -> None:
    scores = {"flip_agreement": make("flip_agreement", {}), "ensv": make("ensv", {})}
    assert set(compute(scores, full())[0]) == {"flip_agreement"}
    values, errors = compute(scores, of_images(full(), [0, 1]))
    assert values == {}
    assert "it needs predictions of mirrored target images" in errors["flip_agreement"]


def test_without_class_maps_the_rest_is_there() -> None:
    assert of_images(replace(full(), label_maps=None), [2]).label_maps is None


def test_an_estimate_from_pairs_counts_copies() -> None:
    """The bias of repeated images that the docstring speaks of: pairs at distance 0."""
    random = np.random.default_rng(1)
    same = random.normal(size=(90, WIDTH)).astype(np.float32)
    other = random.normal(size=(90, WIDTH)).astype(np.float32)
    whole = replace(
        full(),
        regions=tuple(image(0) for _ in range(30)),
        label_maps=None,
        source_features=same,
        target_features=other,
        target_outputs=np.full((90, CLASSES), 1 / CLASSES, np.float32),
    )
    mmd = make("mmd", {})
    doubled = mmd(of_images(whole, [0, *range(15), *range(1, 15)]))
    assert doubled > mmd(of_images(whole, range(15)))


@pytest.mark.parametrize("choice", [[], [-1, 2], [0, 5]])
def test_images_that_were_not_measured_are_refused(choice: list[int]) -> None:
    with pytest.raises(ValueError, match="expected some of the images 0 to 4, found"):
        of_images(full(), choice)


def test_samples_of_other_images_are_refused() -> None:
    message = "15 locations are not 3 in each of 4 target images"
    with pytest.raises(ValueError, match=message):
        of_images(replace(full(), regions=full().regions[:4]), [0])
