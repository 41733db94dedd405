"""Where phases and rounds lie on the axis of steps, and the learning rate there."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoadapt.config.settings import TrainingSettings
from autoadapt.training.schedule import Stretch, polynomial, stretches
from autoadapt.uda.base import Phase


def table(laid: list[Stretch]) -> list[tuple[str, int, int, int, int, int]]:
    return [(s.phase.name, s.round, s.start, s.stop, s.origin, s.horizon) for s in laid]


def test_phases_without_restart_share_one_schedule() -> None:
    phases = (Phase("warm_up", 3), Phase("adapt", 7))
    assert table(stretches(phases, TrainingSettings(steps=10))) == [
        ("warm_up", 0, 0, 3, 0, 10),
        ("adapt", 0, 3, 10, 0, 10),
    ]


def test_the_horizon_of_the_settings_reaches_beyond_the_stop() -> None:
    (only,) = stretches((Phase("adapt", 120),), TrainingSettings(steps=120, horizon=250))
    assert (only.origin, only.horizon) == (0, 250)
    assert only.rate(100) == pytest.approx(0.6**0.9)


def test_rounds_that_restart_have_a_schedule_each() -> None:
    phases = (
        Phase("measure", 0),
        Phase("source", 4),
        Phase("teach", 5, rounds=2, restart="optimizers", horizon=8),
        Phase("again", 6, restart="everything"),
        Phase("rest", 2),
    )
    assert table(stretches(phases, TrainingSettings(steps=22))) == [
        ("measure", 0, 0, 0, 0, 4),
        ("source", 0, 0, 4, 0, 4),
        ("teach", 0, 4, 9, 4, 8),
        ("teach", 1, 9, 14, 9, 8),
        ("again", 0, 14, 20, 14, 8),
        ("rest", 0, 20, 22, 14, 8),
    ]


def test_rates_of_rounds() -> None:
    phase = Phase("teach", 4, rounds=3, restart="schedule", rate=0.8, rate_per_round=0.5, power=1)
    first, second, third = stretches((phase,), TrainingSettings(steps=12))
    # 0.8 * (1 - i / 4), then a half and a quarter of it
    assert [first.rate(step) for step in range(4)] == pytest.approx([0.8, 0.6, 0.4, 0.2])
    assert [second.rate(step) for step in range(4, 8)] == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert third.rate(8) == pytest.approx(0.2)


def test_a_ramp_rises_linearly_and_meets_the_decay() -> None:
    (only,) = stretches((Phase("adapt", 10, ramp=4, power=1),), TrainingSettings(steps=10))
    # (i + 1) / 4 * (1 - i / 10), from the fourth step on the decay alone
    expected = [0.25, 0.5 * 0.9, 0.75 * 0.8, 0.7, 0.6]
    assert [only.rate(step) for step in range(5)] == pytest.approx(expected)


def test_power_zero_keeps_the_rate() -> None:
    assert [polynomial(step, 5, 0) for step in (0, 4, 5, 9)] == [1, 1, 1, 1]


def test_the_rate_past_the_end_is_zero() -> None:
    assert polynomial(11, 10, 0.9) == 0
    assert polynomial(10, 10, 0.9) == 0


@given(st.integers(1, 1000), st.floats(0.1, 3))
def test_the_rate_starts_at_one_and_never_rises(horizon: int, power: float) -> None:
    rates = [polynomial(step, horizon, power) for step in range(min(horizon, 50) + 1)]
    assert rates[0] == 1
    assert all(later <= earlier for earlier, later in pairwise(rates))
    assert min(rates) >= 0


def test_official_polynomial(vectors: Path) -> None:
    with np.load(vectors / "poly_learning_rate.npz") as file:
        case = {key: file[key] for key in file.files}
    factors = [
        polynomial(int(step), int(case["in_max_iter"]), float(case["in_power"]))
        for step in case["in_iteration"]
    ]
    rates = float(case["in_base_lr"]) * np.array(factors)
    np.testing.assert_allclose(rates, case["out_lr"], rtol=1e-12, atol=0)
    both = np.stack([rates, 10 * rates], axis=1)
    np.testing.assert_allclose(both, case["out_group_lr"], rtol=1e-12, atol=0)
