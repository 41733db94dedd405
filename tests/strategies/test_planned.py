import pytest

from autoadapt.errors import ConfigError
from autoadapt.space import SearchSpace, load
from autoadapt.strategies.base import Strategy
from autoadapt.strategies.planned import Planned


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return load("deeplab_tiny")


def ready(strategy: Strategy, space: SearchSpace) -> Strategy:
    strategy.setup(space, seed=0, admissible=lambda architecture: True)
    return strategy


def test_the_list_comes_in_its_order_and_then_random_ones(space: SearchSpace) -> None:
    first = ready(Planned(), space)
    listed = [first.propose((), number, set()).architecture for number in range(3)]
    strategy = ready(Planned(tuple(one.to_json() for one in listed)), space)
    taken: set[str] = set()
    for expected in listed:
        proposal = strategy.propose((), len(taken), taken)
        assert (proposal.architecture, proposal.origin) == (expected, "planned")
        taken.add(expected.id)
    after = strategy.propose((), 3, taken)
    assert after.origin == "random"
    assert after.architecture.id not in taken


def test_what_is_not_admissible_is_left_out(space: SearchSpace) -> None:
    one = ready(Planned(), space).propose((), 0, set()).architecture
    strategy = Planned((one.to_json(),))
    strategy.setup(space, seed=0, admissible=lambda architecture: architecture.id != one.id)
    assert strategy.propose((), 0, set()).architecture.id != one.id


def test_something_else_than_architectures_is_refused() -> None:
    with pytest.raises(ConfigError, match="planned: not an architecture"):
        Planned(({"depth": 3},))
