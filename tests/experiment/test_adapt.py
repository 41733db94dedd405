"""Who is trained after the search, and that a folder keeps one way of training."""

import dataclasses
from pathlib import Path

import pytest

from autoadapt.config.settings import AdaptSettings, PluginSettings, TrainingSettings
from autoadapt.errors import RunError
from autoadapt.experiment.adapt import check_same_training, contenders, overridden
from autoadapt.space import Architecture

WINNER = Architecture.of("elastic_deeplab", {"depth": 3})
REFERENCE = Architecture.of("elastic_deeplab", {"depth": 4})
ADAPT = AdaptSettings(training=TrainingSettings(steps=5))


def names(winner: Architecture, reference: Architecture, adapt: AdaptSettings) -> list[str]:
    return [contender.name for contender in contenders(winner, reference, adapt)]


def test_the_winner_comes_first_beside_references_trained_the_same_way() -> None:
    assert names(WINNER, REFERENCE, ADAPT) == [
        "winner-advent",
        "reference-advent",
        "winner-source_only",
        "reference-source_only",
    ]


def test_a_winner_that_is_the_reference_is_trained_once() -> None:
    assert names(WINNER, WINNER, ADAPT) == ["winner-advent", "winner-source_only"]


def test_source_only_is_not_its_own_reference() -> None:
    plain = dataclasses.replace(ADAPT, method=PluginSettings(name="source_only"))
    assert names(WINNER, REFERENCE, plain) == ["winner-source_only", "reference-source_only"]


def test_references_can_be_left_out() -> None:
    alone = dataclasses.replace(ADAPT, source_only=False, hand_crafted=False)
    assert names(WINNER, REFERENCE, alone) == ["winner-advent"]


def test_another_method_starts_with_its_own_defaults() -> None:
    tuned = dataclasses.replace(ADAPT, method=PluginSettings(name="advent", options={"warm_up": 1}))
    assert overridden(tuned, "min_ent", 9).method == PluginSettings(name="min_ent")
    assert overridden(tuned, "min_ent", 9).training.steps == 9
    assert overridden(tuned, "advent", None) == tuned


def test_a_folder_keeps_one_way_of_training(tmp_path: Path) -> None:
    contender = contenders(WINNER, REFERENCE, ADAPT)[0]
    check_same_training(contender, ADAPT, tmp_path)
    check_same_training(contender, ADAPT, tmp_path)
    longer = dataclasses.replace(ADAPT, training=TrainingSettings(steps=6))
    with pytest.raises(RunError, match=r"training.steps: 5 in the folder, 6 now"):
        check_same_training(contender, longer, tmp_path)
