import random

import pytest

from autoadapt.space import load, shipped


def test_there_are_shipped_spaces() -> None:
    assert "deeplab_tiny" in shipped()


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_space_can_be_searched(name: str) -> None:
    space = load(name)
    assert space.name == name
    assert space.count() > 1
    space.check(space.reference)
    rng = random.Random(0)
    architecture = space.sample(rng)
    for _ in range(50):
        architecture = space.crossover(space.mutate(architecture, rng), space.sample(rng), rng)
        space.check(architecture)


@pytest.mark.parametrize("name", shipped())
def test_every_value_of_a_shipped_space_can_occur(name: str) -> None:
    space = load(name)
    rng = random.Random(1)
    # A value that is missing from 2000 uniform samples is practically unreachable.
    met = {item for _ in range(2000) for item in space.sample(rng).items}
    assert met == {(choice.name, value) for choice in space.choices for value in choice.values}
