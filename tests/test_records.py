"""Records survive the way through JSON and say nothing that JSON cannot."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoadapt.errors import AutoAdaptError
from autoadapt.records import Record, finished
from autoadapt.space.architecture import Architecture

ARCHITECTURE = Architecture.of("toy", {"depth": 3, "rates": (1, 2), "se": False})
NUMBERS = st.dictionaries(st.text(min_size=1), st.floats(allow_nan=False, allow_infinity=False))


def record(**known: Any) -> Record:
    needed: dict[str, Any] = {"number": 3, "architecture": ARCHITECTURE, "seed": 1, "steps": 9}
    return Record(**needed | {"status": "finished"} | known)


@given(
    number=st.integers(0),
    scores=NUMBERS,
    costs=NUMBERS,
    detail=st.text(),
    parents=st.lists(st.text(), max_size=2).map(tuple),
    seconds=st.floats(0, 1e9),
    score_seconds=NUMBERS,
)
def test_a_record_comes_back_from_json(**known: Any) -> None:
    one = record(**known)
    assert Record.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_notes_of_rounds_come_back_and_records_without_have_none() -> None:
    rounds = ({"phase": "adapt", "labelled_pixels": 0, "thresholds": [1.0, 0.5]},)
    one = record(rounds=rounds)
    assert Record.from_json(json.loads(json.dumps(one.to_json()))).rounds == rounds
    older = record().to_json()
    del older["rounds"]
    assert Record.from_json(older).rounds == ()


def test_the_line_carries_the_id_for_readers() -> None:
    assert record().to_json()["id"] == ARCHITECTURE.id


def test_only_the_times_may_differ() -> None:
    assert record(score_seconds={"mmd": 1.0}).comparable() == record().comparable()
    assert record(seconds=1.0).comparable() == record(seconds=2.0).comparable()
    for change in (
        {"number": 4},
        {"scores": {"mmd": 1.0}},
        {"detail": "x"},
        {"origin": "mutation"},
    ):
        assert record().comparable() != record(**change).comparable()


def test_keys_of_a_newer_version_are_ignored() -> None:
    assert Record.from_json(record().to_json() | {"colour": "blue"}) == record()


@pytest.mark.parametrize("missing", ["number", "architecture", "status", "seed", "steps"])
def test_a_missing_key_is_an_error(missing: str) -> None:
    raw = record().to_json()
    del raw[missing]
    with pytest.raises(AutoAdaptError, match="not a trial record"):
        Record.from_json(raw)


@pytest.mark.parametrize("raw", [{}, {"architecture": 3}, {"architecture": {"family": "toy"}}])
def test_what_is_no_record_is_an_error(raw: dict[str, Any]) -> None:
    with pytest.raises(AutoAdaptError):
        Record.from_json(raw)


def test_finished_keeps_the_order() -> None:
    records = [
        record(number=number, status=status)
        for number, status in ((2, "finished"), (0, "failed"), (1, "finished"))
    ]
    assert [one.number for one in finished(records)] == [2, 1]
    assert finished([]) == []
