import math

import pytest

from autoadapt.analysis.score_costs import ScoreCost, cost_words, seconds_words, total


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "<1 ms"),
        (0.0006, "1 ms"),
        (0.0031, "3 ms"),
        (0.0994, "99 ms"),
        (0.0996, "0.1 s"),
        (0.24, "0.2 s"),
        (9.94, "9.9 s"),
        (12.3, "12 s"),
        (math.nan, "–"),
    ],
)
def test_seconds_are_short(seconds: float, words: str) -> None:
    assert seconds_words(seconds) == words


def test_only_what_takes_more_than_the_one_pass_is_named() -> None:
    assert cost_words(ScoreCost(0.003)) == "3 ms"
    assert cost_words(ScoreCost(0.003, ("classifier", "label_maps"))) == "3 ms"
    assert cost_words(ScoreCost(0.003, ("mirrored",))) == "3 ms + mirrored images"
    both = ScoreCost(needs=("held_out", "pool"))
    assert cost_words(both) == "– + labelled source images + all models"
    once = ScoreCost(0.2, ("untrained", "curvature"))
    assert cost_words(once) == "0.2 s + the untrained network"


def test_a_need_of_a_newer_version_is_shown_as_it_is() -> None:
    assert cost_words(ScoreCost(1.0, ("telepathy",))) == "1.0 s + telepathy"


def test_a_combination_takes_what_its_parts_take_and_each_need_once() -> None:
    parts = [ScoreCost(0.25, ("mirrored",)), ScoreCost(0.5, ("held_out", "mirrored"))]
    assert total(parts) == ScoreCost(0.75, ("mirrored", "held_out"))
    assert math.isnan(total([*parts, ScoreCost()]).seconds)
