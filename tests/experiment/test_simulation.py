import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autoadapt.config.conventions import WORKING
from autoadapt.config.settings import PluginSettings
from autoadapt.errors import ConfigError, RunError
from autoadapt.experiment.bank_file import Bank, BankModel, write_bank
from autoadapt.experiment.simulation import (
    Replay,
    bank_space,
    distance,
    judged_by,
    models_of,
    replay_bank,
    simulate,
)
from autoadapt.metrics.evaluation import Evaluation
from autoadapt.records import Record
from autoadapt.space import Architecture, SearchSpace, load

EVOLUTION = PluginSettings(name="evolution", options={"population": 6, "sample": 3})


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return load("deeplab_tiny")


def model(architecture: Architecture, number: int, miou: float, objective: float) -> BankModel:
    """Of 1,000 pixels of one class, ``miou`` are found; the others are taken for a void class."""
    hits = round(1000 * miou)
    counts = np.array([[hits, 1000 - hits], [0, 0]], dtype=np.int64)
    return BankModel(
        method="advent",
        training_seed=0,
        record=Record(number=number, architecture=architecture, status="finished", seed=0, steps=1),
        objective=objective,
        evaluation=Evaluation(("road", "rest"), counts, 1, WORKING),
    )


@pytest.fixture(scope="module")
def bank(space: SearchSpace) -> Bank:
    """Forty models that are the better the nearer they are to one of them."""
    rng = random.Random(0)
    drawn = {one.id: one for one in (space.sample(rng) for _ in range(40))}
    first, *_ = drawn.values()
    far = [distance(first.values, one.values) for one in drawn.values()]
    models = [
        model(one, number, miou=0.8 / (1 + gap), objective=gap)
        for number, (one, gap) in enumerate(zip(drawn.values(), far, strict=True))
    ]
    return Bank(name="made up", space="deeplab_tiny", seed=0, fingerprint={}, models=tuple(models))


def test_a_whole_search_finds_the_best(bank: Bank, space: SearchSpace) -> None:
    models = models_of(bank, None)
    small = bank_space(space, models)
    found = simulate(models, small, EVOLUTION, trials=len(models), seeds=range(3))
    assert found.picked.shape == (3, len(models))
    assert (np.diff(found.picked, axis=1) >= -1e-12).all(), "the objective is the truth here"
    assert found.regret[-1] == pytest.approx(0)
    again = simulate(models, small, EVOLUTION, trials=len(models), seeds=range(3))
    np.testing.assert_array_equal(found.picked, again.picked)


def test_mutations_stay_in_the_bank_and_near(bank: Bank, space: SearchSpace) -> None:
    small = bank_space(space, models_of(bank, None))
    rng, ids = random.Random(1), {one.id for one in small.members}
    parent, other = small.members[0], small.members[1]
    children = [small.mutate(parent, rng) for _ in range(20)]
    assert {child.id for child in children} <= ids - {parent.id}
    assert small.crossover(parent, other, rng).id in ids
    assert small.nearest(other, rng) == other
    usual = np.mean([distance(parent.values, one.values) for one in small.members[1:]])
    assert np.mean([distance(parent.values, one.values) for one in children]) < usual


def test_distance_counts_absent_choices() -> None:
    assert distance({"a": 1, "b": 2}, {"a": 1, "c": 3}) == 2


def test_what_cannot_be_replayed_is_said(bank: Bank, space: SearchSpace) -> None:
    models = models_of(bank, "advent")
    with pytest.raises(RunError, match="no models of 'dacs'; there are advent"):
        models_of(bank, "dacs")
    with pytest.raises(RunError, match=f"the bank has {len(models)} models"):
        simulate(models, bank_space(space, models), EVOLUTION, trials=99, seeds=[0])
    stranger = model(Architecture.of("elastic", {"depth": 1}), 0, 0.5, 0.0)
    with pytest.raises(RunError, match="is not of the space deeplab_tiny"):
        bank_space(space, {"x": stranger})


def test_the_table_has_random_search_beside_it(bank: Bank, tmp_path: Path) -> None:
    write_bank(bank, tmp_path)
    text = replay_bank(tmp_path, Replay(strategies=["evolution"], trials=12, searches=4))
    heading, header, _, *rows = text.splitlines()
    assert "4 searches each" in heading
    assert header.split()[2:] == ["1", "2", "5", "10", "12"]
    assert [row.split()[0] for row in rows] == ["evolution", "random"]


def test_a_search_can_minimise_another_objective(bank: Bank, tmp_path: Path) -> None:
    """The score called entropy is the truth, that called mmd the reverse of it."""
    models = [
        replace(
            one,
            record=replace(one.record, scores={"entropy": -(one.miou or 0), "mmd": one.miou or 0}),
        )
        for one in bank.models
    ]
    write_bank(replace(bank, models=tuple(models)), tmp_path)
    wanted = Replay(
        strategies=["random"], objectives=["ent", "mmd"], trials=len(models), searches=2
    )
    *_, good, bad = replay_bank(tmp_path, wanted).splitlines()
    lowest, highest = (f(100 * (one.miou or 0) for one in models) for f in (min, max))
    assert good.split()[:2] == ["random", "(ent)"]
    assert float(good.split()[-1]) == pytest.approx(0)
    assert bad.split()[:2] == ["random", "(mmd)"]
    assert float(bad.split()[-1]) == pytest.approx(highest - lowest, abs=0.06)


def test_an_objective_that_the_bank_cannot_give_is_said(bank: Bank) -> None:
    with pytest.raises(ConfigError, match=r"--objective mmd_reent: .*mmd"):
        judged_by(bank, "mmd_reent")
    with pytest.raises(ConfigError, match="--objective mmd_rent"):
        judged_by(bank, "mmd_rent")
