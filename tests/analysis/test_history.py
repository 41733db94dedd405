import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoadapt.analysis.history import (
    cost_columns,
    pareto_front,
    ranked,
    score_columns,
    score_pair,
    search_history,
)
from autoadapt.records import Record

MakeRecord = Callable[..., Record]


def mmd(record: Record) -> float | None:
    return record.scores.get("mmd")


def test_history_by_hand(make_record: MakeRecord) -> None:
    records = [
        make_record(4, scores={"mmd": 0.7}, costs={"macs": 5.0}),
        make_record(0, status="failed", reason="nan"),
        make_record(1, scores={"mmd": 0.5}, costs={"macs": 3.0}),
        make_record(3, scores={"mmd": 0.2}, costs={"macs": 9.0}),
        make_record(2),  # finished, but its score failed
    ]
    history = search_history(records, mmd)
    nan = math.nan
    assert history.numbers.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(history.objective, [nan, 0.5, nan, 0.2, 0.7])
    np.testing.assert_array_equal(history.best, [nan, 0.5, 0.5, 0.2, 0.2])
    np.testing.assert_array_equal(history.macs, [nan, 3.0, nan, 9.0, 5.0])
    assert history.status == ("failed", "finished", "finished", "finished", "finished")


def test_a_failed_trial_has_no_objective_even_if_it_has_scores(make_record: MakeRecord) -> None:
    failed = make_record(0, status="failed", scores={"mmd": 0.1})
    assert np.isnan(search_history([failed], mmd).objective).all()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_objective_that_is_no_number_is_no_objective(
    make_record: MakeRecord, value: float
) -> None:
    assert ranked([make_record(0, scores={"mmd": value})], mmd) == []


def test_history_of_nothing() -> None:
    history = search_history([], mmd)
    assert len(history.numbers) == len(history.best) == len(history.status) == 0


def test_ranked_is_best_first_and_the_earlier_of_equals_first(make_record: MakeRecord) -> None:
    values = {5: 0.3, 2: 0.3, 4: 0.1}
    records = [make_record(number, scores={"mmd": value}) for number, value in values.items()]
    assert [record.number for record in ranked([*records, make_record(1)], mmd)] == [4, 2, 5]


def test_pareto_front_by_hand() -> None:
    points = np.array(
        [
            [1.0, 9.0],  # best objective: on the front
            [2.0, 5.0],  # on the front
            [2.0, 6.0],  # as good as the one above and dearer: beaten
            [3.0, 5.0],  # as dear as the second and worse: beaten
            [4.0, 2.0],  # cheapest: on the front
            [math.nan, 0.0],  # has no objective
            [4.0, 2.0],  # equal to a point on the front: neither beats the other
        ]
    )
    assert pareto_front(points).tolist() == [0, 1, 4, 6]
    assert pareto_front(np.empty((0, 2))).tolist() == []


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25))
def test_front_and_the_rest(pairs: list[tuple[int, int]]) -> None:
    def beats(a: tuple[int, int], b: tuple[int, int]) -> bool:
        return a[0] <= b[0] and a[1] <= b[1] and a != b

    front = set(pareto_front(np.array(pairs, dtype=np.float64)).tolist())
    assert front
    for index, point in enumerate(pairs):
        beaten = any(beats(pairs[other], point) for other in front)
        assert beaten == (index not in front)


def test_score_pairs_and_columns_leave_nothing_out(make_record: MakeRecord) -> None:
    records = [
        make_record(0, scores={"mmd": 0.1, "reent": 0.4}, costs={"macs": 8.0}),
        make_record(1, scores={"mmd": 0.2}, costs={"macs": 7.0, "params": 3.0}),
    ]
    assert score_pair(records, "reent", "mmd").tolist() == [[0.4, 0.1]]
    assert score_pair(records, "reent", "entropy").shape == (0, 2)
    assert score_columns(records) == {"mmd": [0.1, 0.2], "reent": [0.4, None]}
    assert cost_columns(records) == {"macs": [8.0, 7.0], "params": [None, 3.0]}
