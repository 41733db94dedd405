"""Who is trained after the search, and that a folder keeps one way of training."""

import dataclasses
from pathlib import Path

import pytest

from autoadapt.config.settings import AdaptSettings, PluginSettings, TrainingSettings
from autoadapt.errors import RunError
from autoadapt.experiment.adapt import (
    check_same_training,
    contenders,
    overridden,
    roles_after_search,
    roles_of_networks,
)
from autoadapt.space import Architecture
from autoadapt.space.named import named

WINNER = Architecture.of("elastic_deeplab", {"depth": 3})
REFERENCE = Architecture.of("elastic_deeplab", {"depth": 4})
ADAPT = AdaptSettings(training=TrainingSettings(steps=5))


def names(winner: Architecture, reference: Architecture, adapt: AdaptSettings) -> list[str]:
    roles = roles_after_search(winner, reference, adapt)
    return [contender.name for contender in contenders(roles, adapt)]


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


SEED = named("deeplabv2_resnet101")


def test_named_networks_stand_beside_winner_and_reference() -> None:
    asked = ("deeplabv2_seresnet101", "deeplabv2_resnet101")
    adapt = dataclasses.replace(ADAPT, networks=asked, source_only=False)
    assert names(WINNER, REFERENCE, adapt) == [
        "winner-advent",
        "reference-advent",
        "deeplabv2_seresnet101-advent",
        "deeplabv2_resnet101-advent",
    ]


def test_a_named_network_that_is_the_reference_or_the_winner_is_trained_once() -> None:
    adapt = dataclasses.replace(ADAPT, networks=("deeplabv2_resnet101",), source_only=False)
    assert names(WINNER, SEED, adapt) == ["winner-advent", "reference-advent"]
    assert names(SEED, REFERENCE, adapt) == ["winner-advent", "reference-advent"]


def test_named_networks_alone_have_their_names_as_roles() -> None:
    asked = ["deeplabv2_resnet101", "deeplabv2_resnet101_single", "deeplabv2_resnet101"]
    roles = roles_of_networks(asked, WINNER)
    assert list(roles) == ["deeplabv2_resnet101", "deeplabv2_resnet101_single"]
    assert list(roles_of_networks(asked, SEED)) == ["reference", "deeplabv2_resnet101_single"]


def test_another_method_starts_with_its_own_defaults() -> None:
    tuned = dataclasses.replace(ADAPT, method=PluginSettings(name="advent", options={"warm_up": 1}))
    assert overridden(tuned, "min_ent", 9).method == PluginSettings(name="min_ent")
    assert overridden(tuned, "min_ent", 9).training.steps == 9
    assert overridden(tuned, "advent", None) == tuned


def test_a_folder_keeps_one_way_of_training(tmp_path: Path) -> None:
    contender = contenders({"winner": WINNER}, ADAPT)[0]
    check_same_training(contender, ADAPT, tmp_path)
    check_same_training(contender, ADAPT, tmp_path)
    longer = dataclasses.replace(ADAPT, training=TrainingSettings(steps=6))
    with pytest.raises(RunError, match=r"training.steps: 5 in the folder, 6 now"):
        check_same_training(contender, longer, tmp_path)
