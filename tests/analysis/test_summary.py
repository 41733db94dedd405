from collections.abc import Callable

import numpy as np
import pytest

from autoadapt.analysis.results import AdaptationResult
from autoadapt.analysis.summary import adaptation_sentence, trials_sentence, winner_sentence
from autoadapt.records import Record

MakeRecord = Callable[..., Record]


def mmd(record: Record) -> float | None:
    return record.scores.get("mmd")


def result(name: str, *miou: float) -> AdaptationResult:
    return AdaptationResult(name=name, classes=("road",), values=np.array(miou)[:, None])


def test_trials(make_record: MakeRecord) -> None:
    finished, nan, memory, bare = (
        make_record(0),
        make_record(1, status="failed", reason="nan"),
        make_record(2, status="failed", reason="out_of_memory"),
        make_record(3, status="failed"),
    )
    assert trials_sentence([finished], None) == "1 of 1 trial finished."
    assert trials_sentence([finished, nan, memory, nan, bare], 5) == (
        "1 of 5 trials finished, 4 failed (2 NaN, 1 out of memory, 1 error)."
    )
    assert trials_sentence([finished, nan], 40) == (
        "2 of 40 planned trials have ended; 1 of them finished, 1 failed (1 NaN)."
    )
    assert trials_sentence([], 40) == "No trial has ended yet of 40 planned."
    assert trials_sentence([], None) == "No trial has ended yet."


def test_winner(make_record: MakeRecord) -> None:
    best = make_record(3, scores={"mmd": -1.5}, costs={"macs": 3e9, "params": 2e7})
    other = make_record(1, scores={"mmd": 0.5})
    who = f"{best.architecture.id} (trial 3) with an objective of −1.500"
    costs = "it needs 3.0 G multiply-adds per image (60 % of the reference)"
    assert winner_sentence([other, best], mmd, best, {"macs": 5e9}) == (
        f"The winner is {who}; {costs} and has 20.0 M parameters."
    )
    assert winner_sentence([other, best], mmd, None, {}) == (
        f"No winner has been chosen yet; the best so far is {who}; it needs 3.0 G multiply-adds "
        "per image and has 20.0 M parameters."
    )
    assert "2.5 times the reference" in winner_sentence([best], mmd, best, {"macs": 1.2e9})
    assert "no best architecture yet" in winner_sentence([make_record(0)], mmd, None, {})


@pytest.mark.parametrize(
    ("results", "sentence"),
    [
        ([], ""),
        ([result("A", 0.4)], "After full adaptation, “A” reaches a target mIoU of 40.0 %."),
        (
            # deviation of .40 and .42: sqrt(2 * .01²) = .0141
            [result("A", 0.40, 0.42), result("B", 0.35), result("C", 0.3)],
            "After full adaptation, “A” reaches a target mIoU of 41.0 ± 1.4 % over 2 seeds, "
            "against 35.0 % for “B” and 30.0 % for “C”.",
        ),
    ],
)
def test_adaptation(results: list[AdaptationResult], sentence: str) -> None:
    assert adaptation_sentence(results) == sentence
