import random
from collections.abc import Mapping

import pytest

from autoadapt.errors import SpaceError
from autoadapt.space import Architecture, WithinLimits, narrowed, parse, sample_feasible

SPACE = parse("""
name: toy_space
summary: nine points
family: toy
input: [24, 32]
choices: {width: [1, 2, 3], depth: [5, 7, 11]}
reference: {width: 1, depth: 5}
""")


def costs(architecture: Architecture) -> Mapping[str, float]:
    width, depth = architecture.values["width"], architecture.values["depth"]
    assert isinstance(width, int)
    assert isinstance(depth, int)
    return {"macs": float(width * depth), "params": float(width + depth)}


def test_limits_include_both_ends() -> None:
    within = WithinLimits(costs, {"macs": (10, 14), "params": (0, 9)})
    inside = {(2, 5), (2, 7)}  # macs 10 and 14, params 7 and 9; (1, 11) has params 12
    assert {
        (a.values["width"], a.values["depth"]) for a in SPACE.architectures() if within(a)
    } == inside


def test_without_limits_nothing_is_counted() -> None:
    def never(architecture: Architecture) -> Mapping[str, float]:
        raise AssertionError("counted")

    assert WithinLimits(never, {})(SPACE.reference)


def test_a_limit_on_an_unknown_cost_is_refused() -> None:
    with pytest.raises(SpaceError, match="limits on watts, but the costs counted are macs, params"):
        WithinLimits(costs, {"watts": (0, 1)})(SPACE.reference)


def test_samples_are_feasible_and_all_of_them_turn_up() -> None:
    within = WithinLimits(costs, {"macs": (10, 14)})
    rng = random.Random(0)
    drawn = {sample_feasible(SPACE, rng, within) for _ in range(100)}
    assert drawn == {a for a in SPACE.architectures() if within(a)}


def test_nothing_feasible_says_which_costs_were_met() -> None:
    asked: list[str] = []

    def counted(architecture: Architecture) -> Mapping[str, float]:
        asked.append(architecture.id)
        return costs(architecture)

    within = WithinLimits(counted, {"macs": (40, 100), "params": (0, 9)})
    with pytest.raises(SpaceError) as caught:
        sample_feasible(SPACE, random.Random(0), within, tries=200)
    assert str(caught.value) == (
        "no architecture of toy_space within its limits was found in 200 tries "
        "(macs: found 5 to 33, allowed 40 to 100; params: found 6 to 14, allowed 0 to 9); "
        "widen the limits, or give the space choices whose costs lie within them"
    )
    assert len(asked) == 2 * 9  # each architecture once to decide, once for the message


def test_any_function_may_decide() -> None:
    with pytest.raises(SpaceError, match=r"was found in 7 tries; widen the limits"):
        sample_feasible(SPACE, random.Random(0), lambda a: False, tries=7)


def test_limits_are_narrowed() -> None:
    both = narrowed({"macs": (1, 10), "params": (3, 4)}, {"macs": (5, 20)})
    assert both == {"macs": (5, 10), "params": (3, 4)}
    assert narrowed({}, {"macs": (5, 20)}) == {"macs": (5, 20)}
    with pytest.raises(SpaceError, match="limits on macs: 11 to 20 lies outside 1 to 10"):
        narrowed({"macs": (1, 10)}, {"macs": (11, 20)})
