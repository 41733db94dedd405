import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoadapt.data.sampling import batch_indices, epoch_order


@given(st.integers(0, 5), st.integers(0, 20), st.integers(1, 40))
def test_an_epoch_is_a_permutation(seed: int, epoch: int, n: int) -> None:
    assert sorted(epoch_order(seed, "source", epoch, n).tolist()) == list(range(n))


@given(st.integers(1, 9), st.integers(1, 12))
def test_each_epoch_shows_each_image_once_across_batch_borders(batch_size: int, n: int) -> None:
    steps = 3 * n  # 3 * n * batch_size places: a whole number of epochs
    shown = [i for s in range(steps) for i in batch_indices(1, "t", s, batch_size=batch_size, n=n)]
    for start in range(0, len(shown), n):
        assert sorted(shown[start : start + n]) == list(range(n))


def test_each_epoch_has_an_order_of_its_own() -> None:
    first, second = (batch_indices(1, "t", step, batch_size=20, n=20) for step in (0, 1))
    assert first != second


def test_a_batch_depends_on_nothing_but_seed_purpose_and_step() -> None:
    forwards = [batch_indices(3, "source", step, batch_size=4, n=10) for step in range(30)]
    epoch_order.cache_clear()
    backwards = [batch_indices(3, "source", step, batch_size=4, n=10) for step in range(29, -1, -1)]
    assert forwards == backwards[::-1]


def test_seed_purpose_and_epoch_each_change_the_order() -> None:
    orders = {
        tuple(epoch_order(seed, purpose, epoch, 50))
        for seed in (0, 1)
        for purpose in ("source", "target")
        for epoch in (0, 1)
    }
    assert len(orders) == 8


def test_the_order_is_the_same_on_every_machine() -> None:
    # Recorded once; a change would silently give old runs another order when they resume.
    recorded = [1, 7, 2, 6, 4, 3, 5, 0]
    assert epoch_order(0, "source", 0, 8).tolist() == recorded


def test_the_cached_order_cannot_be_changed_by_its_reader() -> None:
    with pytest.raises(ValueError, match="read-only"):
        epoch_order(0, "source", 0, 8)[0] = 1


def test_first_place_is_uniform() -> None:
    first = [epoch_order(seed, "source", 0, 4)[0] for seed in range(400)]
    # 100 expected of each, standard deviation sqrt(400 * 1/4 * 3/4) = 8.7; 5 of them are 43.
    assert np.abs(np.bincount(first, minlength=4) - 100).max() < 43


@pytest.mark.parametrize(("step", "batch_size", "n"), [(-1, 2, 3), (0, 0, 3), (0, 2, 0)])
def test_impossible_requests_are_refused(step: int, batch_size: int, n: int) -> None:
    with pytest.raises(ValueError, match="no batch"):
        batch_indices(0, "source", step, batch_size=batch_size, n=n)
