"""What every strategy promises; a new file in ``autoadapt/strategies`` is tested at once."""

from collections.abc import Callable, Sequence
from dataclasses import is_dataclass, replace

import pytest
from pydantic import TypeAdapter

from autoadapt.errors import SpaceError
from autoadapt.plugins import available, find
from autoadapt.space import (
    Architecture,
    Choice,
    Rule,
    SearchSpace,
    SpaceExhausted,
    WithinLimits,
    parse,
)
from autoadapt.strategies.base import Observation, Proposal, Strategy

SPACE = parse("""
name: toy_space
summary: three heads, two of which take rates
family: toy
input: [24, 32]
choices:
  width: [16, 24, 32, 48]
  stride: [8, 16]
  head: [aspp, plus, pyramid]
  rates: {values: [[1, 2], [2, 4], [3, 6]], when: {head: [aspp, plus]}}
  depth: [2, 3, 4]
  kernel: [3, 5]
forbid:
  - {stride: 8, head: pyramid}
reference: {width: 16, stride: 16, head: aspp, rates: [1, 2], depth: 2, kernel: 3}
""")
# 4 widths * 3 depths * 2 kernels * (aspp and plus: 2 * 2 strides * 3 rates; pyramid: 1) = 312
SIZE = 312
SMALL = parse("""
name: small_space
summary: seven points
family: toy
input: [24, 32]
choices: {a: [1, 2, 3], b: {values: [1, 2, 3], when: {a: [2, 3]}}}
reference: {a: 1}
""")  # a=1, or a in 2, 3 with three b each: 7
NAMES = available("strategies")


def anything(architecture: Architecture) -> bool:
    return True


def made(
    name: str,
    space: SearchSpace = SPACE,
    seed: int = 3,
    admissible: Callable[[Architecture], bool] = anything,
) -> Strategy:
    strategy = find("strategies", name)()
    assert isinstance(strategy, Strategy)
    strategy.setup(space, seed=seed, admissible=admissible)
    return strategy


def objective(architecture: Architecture) -> float:
    numbers = [value for _, value in architecture.items if isinstance(value, int)]
    return float(sum(numbers))


def searched(
    strategy: Strategy,
    trials: int,
    *,
    judge: Callable[[int, Architecture], float | None] = lambda n, a: objective(a),
) -> tuple[list[Observation], list[Proposal]]:
    """Run a search in which each trial ends before the next begins."""
    history: list[Observation] = []
    proposals = []
    taken: set[str] = set()
    for number in range(trials):
        proposal = strategy.propose(history, number, taken)
        assert proposal.architecture.id not in taken
        taken.add(proposal.architecture.id)
        history.append(Observation(proposal.architecture, judge(number, proposal.architecture)))
        proposals.append(proposal)
    return history, proposals


def test_the_built_in_strategies_are_found() -> None:
    assert {"random", "evolution"} <= set(NAMES)
    assert SPACE.count() == SIZE


@pytest.mark.parametrize("name", NAMES)
def test_options_are_fields_with_defaults(name: str) -> None:
    kind: type[Strategy] = find("strategies", name)
    assert kind.summary
    assert isinstance(TypeAdapter(kind).validate_python({}), kind)
    assert is_dataclass(kind)


@pytest.mark.parametrize("name", NAMES)
def test_proposals_are_new_and_in_the_space(name: str) -> None:
    _, proposals = searched(made(name), 80)
    known = {""}
    for proposal in proposals:
        SPACE.check(proposal.architecture)
        assert known.issuperset(proposal.parents), "parents are trials that are over"
        assert proposal.origin
        known.add(proposal.architecture.id)


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_and_history_same_proposal(name: str) -> None:
    history, proposals = searched(made(name), 60)
    ids = [observation.architecture.id for observation in history]
    # A new process resumes at trial 41, and asks twice: asking changes nothing.
    resumed = made(name)
    for number in (41, 25, 41):
        again = resumed.propose(tuple(history[:number]), number, frozenset(ids[:number]))
        assert again == proposals[number]
    others = [p.architecture for p in searched(made(name, seed=4), 60)[1]]
    assert others != [p.architecture for p in proposals]


@pytest.mark.parametrize("name", NAMES)
def test_running_trials_are_not_proposed_again(name: str) -> None:
    strategy = made(name)
    history, _ = searched(strategy, 40)
    taken = {observation.architecture.id for observation in history}
    for number in range(40, 80):  # forty at once: none of them is over when the next is asked for
        proposal = strategy.propose(history, number, taken)
        assert proposal.architecture.id not in taken
        taken.add(proposal.architecture.id)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "judge",
    [
        lambda n, a: None,
        lambda n, a: None if n % 3 else objective(a),
        lambda n, a: float("nan"),
        lambda n, a: float("inf") if n % 2 else objective(a),
        lambda n, a: 1.0,
    ],
    ids=["all fail", "most fail", "nan", "some infinite", "all alike"],
)
def test_odd_objectives_are_survived(
    name: str, judge: Callable[[int, Architecture], float | None]
) -> None:
    searched(made(name), 60, judge=judge)


@pytest.mark.parametrize("name", NAMES)
def test_only_admissible_architectures_are_proposed(name: str) -> None:
    def narrow(architecture: Architecture) -> bool:
        return architecture.values["width"] in (16, 48)

    _, proposals = searched(made(name, admissible=narrow), 60)
    assert all(narrow(proposal.architecture) for proposal in proposals)


@pytest.mark.parametrize("name", NAMES)
def test_a_small_space_is_searched_to_its_end(name: str) -> None:
    strategy = made(name, space=SMALL)
    history, _ = searched(strategy, 7)
    ids = {observation.architecture.id for observation in history}
    assert ids == {architecture.id for architecture in SMALL.architectures()}
    with pytest.raises(SpaceExhausted, match="small_space: 7 architectures have been tried"):
        strategy.propose(history, 7, ids)


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_space_is_searched_to_its_end(name: str) -> None:
    strategy = made(name)
    history, _ = searched(strategy, SIZE)
    with pytest.raises(SpaceExhausted):
        strategy.propose(history, SIZE, {o.architecture.id for o in history})


@pytest.mark.parametrize("name", NAMES)
def test_the_last_architectures_are_found_however_rarely_they_are_drawn(name: str) -> None:
    # Each switch exists only where the one before is on: the last is drawn once in 2^30 times.
    first = Choice("on0", (False, True))
    others = [
        Choice(f"on{n}", (False, True), Rule(((f"on{n - 1}", (True,)),))) for n in range(1, 30)
    ]
    stairs = replace(SPACE, name="stairs", choices=(first, *others), forbid=())
    assert stairs.count() == 31
    history, _ = searched(made(name, space=stairs), 31)
    assert {o.architecture for o in history} == set(stairs.architectures())


@pytest.mark.parametrize("name", NAMES)
def test_a_needle_in_a_small_space_is_found(name: str) -> None:
    needle = list(SPACE.architectures())[200]
    strategy = made(name, admissible=lambda architecture: architecture == needle)
    assert strategy.propose([], 0, set()).architecture == needle
    with pytest.raises(SpaceExhausted):
        strategy.propose([Observation(needle, 1.0)], 1, {needle.id})


@pytest.mark.parametrize("name", NAMES)
def test_impossible_limits_say_which_costs_were_met(name: str) -> None:
    def costs(architecture: Architecture) -> dict[str, float]:
        return {"params": objective(architecture)}

    strategy = made(name, space=SMALL, admissible=WithinLimits(costs, {"params": (7, 9)}))
    with pytest.raises(SpaceError, match="params: found 1 to 6, allowed 7 to 9") as caught:
        strategy.propose([], 0, set())
    assert not isinstance(caught.value, SpaceExhausted)


@pytest.mark.parametrize("name", NAMES)
def test_the_space_is_larger_than_what_can_be_listed(name: str) -> None:
    choices = tuple(replace(SPACE.choices[0], name=f"c{n}", values=(0, 1, 2, 3)) for n in range(30))
    huge = replace(SPACE, choices=choices, forbid=())
    assert huge.count() == 4**30
    _, proposals = searched(made(name, space=huge), 40)
    assert len({p.architecture.id for p in proposals}) == 40


@pytest.mark.parametrize("name", NAMES)
def test_history_may_be_any_sequence(name: str) -> None:
    history, _ = searched(made(name), 30)
    ids = {observation.architecture.id for observation in history}
    views: Sequence[Sequence[Observation]] = (history, tuple(history))
    first, second = (made(name).propose(view, 30, ids) for view in views)
    assert first == second
