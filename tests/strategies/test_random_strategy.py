from collections import Counter

import pytest

from autoadapt.space import parse
from autoadapt.strategies.base import Observation, Proposal
from autoadapt.strategies.random import Random

SPACE = parse("""
name: toy_space
summary: 3 * 5 points
family: toy
input: [24, 32]
choices: {a: [1, 2, 3], b: [1, 2, 3, 4, 5]}
reference: {a: 1, b: 1}
""")


def made(seed: int) -> Random:
    strategy = Random()
    strategy.setup(SPACE, seed=seed, admissible=lambda architecture: True)
    return strategy


def test_proposals_do_not_depend_on_objectives() -> None:
    first = SPACE.reference
    taken = {first.id}
    good, bad = (made(0).propose([Observation(first, x)], 1, taken) for x in (0.0, 9.0))
    assert good == bad
    assert good == Proposal(good.architecture, "random", ())


def test_first_proposals_are_uniform() -> None:
    n = 3000
    drawn = Counter(made(seed).propose([], 0, set()).architecture.id for seed in range(n))
    assert len(drawn) == 15
    for number in drawn.values():
        # One architecture has p = 1/15; five standard deviations of its share are
        # 5 * sqrt(p (1 - p) / 3000) = 0.0228.
        assert number / n == pytest.approx(1 / 15, abs=0.0228)
