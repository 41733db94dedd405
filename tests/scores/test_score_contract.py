"""What every score promises, and how scores are made by name."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from autoadapt import plugins
from autoadapt.errors import ConfigError
from autoadapt.scores._compute import compute, compute_timed, make
from autoadapt.scores._pool import pool_of
from autoadapt.scores.base import HOW, Float, HeldOut, RegionStatistics, Score, Statistics
from autoadapt.scores.reent import Reent

NAMES = plugins.available("scores")
ZERO_COST = (
    "synflow", "naswot", "grad_norm", "snip", "plain", "grasp", "fisher", "jacov", "l2_norm",
)  # fmt: skip
SEPARATING = ("mmd", "dispersion", "silhouette", "calinski_harabasz")
"""Scores that compare classes or domains, which a collapsed network has only one of."""


def image(seed: int) -> RegionStatistics:
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.full(4, 0.3), size=(3, 50))
    hard = np.stack([np.bincount(region.argmax(1), minlength=4) for region in p]).astype(float)
    return RegionStatistics(np.full(3, 50.0), p.sum(1), (p * np.log(p)).sum(1), hard)


def pairs(seed: int) -> Float:
    return np.random.default_rng(seed).integers(0, 90, size=(4, 4)).astype(float)


def candidate(order: slice = slice(None)) -> Statistics:
    random = np.random.default_rng(7)
    opinions = (
        "mirrored", "jittered", "scaled", "dropped", "mixed_inter", "mixed_intra", "batch_norm",
        "teacher", "committee", "ensemble",
    )  # fmt: skip
    return Statistics(
        regions=tuple(image(seed) for seed in range(5))[order],
        source_features=random.normal(size=(24, 6)).astype(np.float32),
        target_features=random.normal(size=(24, 6)).astype(np.float32),
        source_outputs=random.dirichlet(np.ones(4), size=24).astype(np.float32),
        target_outputs=random.dirichlet(np.ones(4), size=24).astype(np.float32),
        costs={"macs": 3e9, "params": 2e6, "latency": 0.02},
        per_image=3,
        held_out=HeldOut(
            random.normal(size=(21, 6)).astype(np.float32),
            random.dirichlet(np.ones(4), size=21).astype(np.float32),
            random.integers(0, 4, size=21),
            pairs(11),
        ),
        source_prior=random.dirichlet(np.ones(4)),
        source_regions=(image(21), image(22)),
        agreements={name: (pairs(k), pairs(k + 1)) for k, name in enumerate(opinions)},
        label_maps=random.integers(0, 4, size=(5, 3, 7)).astype(np.uint8),
        classifier=random.normal(size=(4, 6)),
        untrained={name: 0.5 * number for number, name in enumerate(ZERO_COST)},
        pool=pool_of(
            list(random.integers(0, 4, size=(5, 2, 3, 7)).astype(np.uint8)),
            4,
            ensemble=random.integers(0, 4, size=(2, 3, 7)).astype(np.uint8),
            held_out=list(random.integers(0, 4, size=(5, 3, 4, 5)).astype(np.uint8)),
            held_out_accuracy=random.random(5).tolist(),
        ),
        place=3,
    )


def bare() -> Statistics:
    """Return what is always there."""
    full = candidate()
    always = ("regions", "source_features", "target_features", "source_outputs", "target_outputs")
    costs = {name: value for name, value in full.costs.items() if name != "latency"}
    return Statistics(**{name: getattr(full, name) for name in always}, costs=costs, per_image=3)


def test_all_scores_are_listed_and_nothing_else() -> None:
    assert NAMES == [
        "ac_miou",
        "aline_d",
        "atc",
        "batch_norm_agreement",
        "bnm",
        "calinski_harabasz",
        "cbent",
        "class_ami",
        "class_committee_agreement",
        "class_mmd",
        "collapse",
        "committee_agreement",
        "coral",
        "cot",
        "cs_atc_miou",
        "cs_doc_miou",
        "cs_ts_miou",
        "dev",
        "devn",
        "dispersion",
        "div",
        "doc",
        "domain_auc",
        "domain_purity",
        "dropout_agreement",
        "ensemble_agreement",
        "ensv",
        "entropy",
        "fisher",
        "flip_agreement",
        "grad_norm",
        "grasp",
        "hard_div",
        "hopkins",
        "im",
        "iwcv",
        "jacov",
        "jitter_agreement",
        "jsd",
        "jsd_gap",
        "l2_norm",
        "latency",
        "macs",
        "mano",
        "margin",
        "max_prob",
        "mcc",
        "mixval",
        "mmd",
        "naswot",
        "nearest_source",
        "params",
        "plain",
        "pool_agreement",
        "prior_kl",
        "rank_me",
        "reent",
        "regent",
        "regim",
        "region_miou",
        "rsi",
        "scale_agreement",
        "silhouette",
        "sliced_wasserstein",
        "snd",
        "snip",
        "softmax_corr",
        "source_accuracy",
        "source_miou",
        "spectral_agreement",
        "synflow",
        "teacher_agreement",
        "transfer_score",
        "ts_miou",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_without_what_it_needs_it_is_missing_with_the_reason(name: str) -> None:
    score = make(name, {})
    values, errors = compute({name: score}, bare())

    assert set(errors) == ({name} if score.needs else set())
    assert set(values) == set() if score.needs else {name}
    if score.needs:
        assert errors[name] in {f"it needs {HOW[need]}" for need in score.needs}


@pytest.mark.parametrize("name", NAMES)
def test_is_a_frozen_dataclass_that_explains_itself(name: str) -> None:
    score = make(name, {})

    assert isinstance(score, Score)
    assert dataclasses.is_dataclass(score)
    assert type(score).summary
    assert "smaller is" in (type(score).__doc__ or "").lower()
    assert score == make(name, {})


@pytest.mark.parametrize("name", NAMES)
def test_is_finite_repeatable_and_blind_to_the_order_of_images(name: str) -> None:
    score = make(name, {})
    value = score(candidate())

    assert np.isfinite(value)
    assert score(candidate()) == value
    assert score(candidate(slice(None, None, -1))) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SEPARATING])
def test_a_collapsed_network_still_has_a_score(name: str) -> None:
    p = np.zeros((3, 4))
    p[:, 2] = 50.0
    collapsed = RegionStatistics(np.full(3, 50.0), p, np.zeros((3, 4)), p)
    outputs = np.eye(4, dtype=np.float32)[np.full(24, 2)]
    full = candidate()
    values, errors = compute(
        {name: make(name, {})},
        dataclasses.replace(
            full, regions=(collapsed,), source_outputs=outputs, target_outputs=outputs
        ),
    )

    assert errors == {}
    assert list(values) == [name]


def renumbered(full: Statistics, order: list[int]) -> Statistics:
    """Return what the same network gives with its classes in another order."""
    held_out = full.held_out
    assert held_out is not None
    assert full.source_prior is not None
    assert full.classifier is not None
    number = np.argsort(order)
    return dataclasses.replace(
        full,
        regions=tuple(
            RegionStatistics(r.areas, r.p_sum[:, order], r.plogp_sum[:, order], r.hard[:, order])
            for r in full.regions
        ),
        source_outputs=full.source_outputs[:, order],
        target_outputs=full.target_outputs[:, order],
        held_out=HeldOut(
            held_out.features,
            held_out.outputs[:, order],
            number[held_out.labels],
            held_out.counts[np.ix_(order, order)],
        ),
        source_prior=full.source_prior[order],
        source_regions=tuple(
            RegionStatistics(r.areas, r.p_sum[:, order], r.plogp_sum[:, order], r.hard[:, order])
            for r in full.source_regions
        ),
        agreements={
            name: tuple(one[np.ix_(order, order)] for one in counts)
            for name, counts in full.agreements.items()
        },
        classifier=full.classifier[order],
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_numbering_of_classes_does_not_matter(name: str) -> None:
    score = make(name, {})

    found = score(renumbered(candidate(), [2, 0, 3, 1]))
    assert found == pytest.approx(score(candidate()), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_the_numbering_of_regions_does_not_matter(name: str) -> None:
    full, score = candidate(), make(name, {})

    turned = tuple(
        RegionStatistics(r.areas[::-1], r.p_sum[::-1], r.plogp_sum[::-1], r.hard[::-1])
        for r in full.regions
    )
    assert score(dataclasses.replace(full, regions=turned)) == pytest.approx(score(full), rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_network_that_gives_nan_has_a_reason_or_a_value_and_never_an_error(name: str) -> None:
    full = candidate()
    held_out = full.held_out
    assert held_out is not None

    def spoilt(values: NDArray[np.float32]) -> NDArray[np.float32]:
        changed = values.copy()
        changed[3, 1] = np.nan
        return changed

    broken = dataclasses.replace(
        full,
        regions=tuple(
            dataclasses.replace(r, p_sum=r.p_sum * np.nan, plogp_sum=r.plogp_sum * np.nan)
            for r in full.regions
        ),
        source_features=spoilt(full.source_features),
        target_features=spoilt(full.target_features),
        source_outputs=spoilt(full.source_outputs),
        target_outputs=spoilt(full.target_outputs),
        held_out=dataclasses.replace(
            held_out, features=spoilt(held_out.features), outputs=spoilt(held_out.outputs)
        ),
    )
    values, errors = compute({name: make(name, {})}, broken)

    counted = {"hard_div", "region_miou", "source_accuracy", "source_miou", "ensv", "aline_d"}
    views = name == "mixval" or name.endswith("_agreement")
    known = name in ("macs", "params", "latency") or bool(
        make(name, {}).needs & {"untrained", "curvature"}
    )
    blind = name in counted or views or known
    assert set(values) == ({name} if blind else set())
    assert set(errors) == (set() if blind else {name})


def test_values_and_reasons_are_told_apart() -> None:
    broken = dataclasses.replace(candidate(), costs={})
    scores = {name: make(name, {}) for name in ("entropy", "macs", "rsi")}

    values, errors = compute(scores, broken)

    assert sorted(values) == ["entropy", "rsi"]
    assert list(errors) == ["macs"]


def test_each_score_is_timed_also_one_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([1.0, 1.25, 2.0, 2.5, 7.0, 7.0])
    clock = SimpleNamespace(process_time=lambda: next(readings))
    monkeypatch.setattr("autoadapt.scores._compute.time", clock)
    broken = dataclasses.replace(candidate(), costs={})
    scores = {name: make(name, {}) for name in ("entropy", "macs", "rsi")}

    found = compute_timed(scores, broken)

    assert found.seconds == {"entropy": 0.25, "macs": 0.5, "rsi": 0.0}
    assert sorted(found.values) == ["entropy", "rsi"]
    assert list(found.errors) == ["macs"]


def test_other_errors_are_bugs_and_get_through() -> None:
    class Broken(Score):
        summary = "fails"

        def __call__(self, statistics: Statistics) -> float:
            raise KeyError("bug")

    with pytest.raises(KeyError, match="bug"):
        compute({"broken": Broken()}, candidate())


def test_options_reach_the_score() -> None:
    assert make("reent", {"variant": "mass", "smallest": 64}) == Reent("mass", "mean", 64)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("rent", {}, "did you mean 'reent'"),
        ("reent", {"varian": "mass"}, r"scores.varian: unknown key; did you mean 'variant'\?"),
        ("entropy", {"smallest": 3}, "scores.smallest: unknown key"),
        ("reent", {"variant": "best"}, "variant: input should be .*'flip'.*found 'best'"),
        ("reent", {"smallest": 1}, "smallest: .*greater than or equal to 2, found 1"),
        ("mmd", {"kernels": 4}, "expected an odd number, found 4"),
        ("mmd", {"bandwidth": 0}, "bandwidth: .*greater than 0"),
    ],
)
def test_wrong_names_and_options(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(name, options)
