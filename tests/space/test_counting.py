import itertools
import math
import random

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from autoadapt.space import Architecture, Choice, Rule, SearchSpace, Value, parse


def space_of(choices: list[Choice], forbid: list[Rule]) -> SearchSpace:
    return SearchSpace(
        name="made",
        summary="for a test",
        family="toy",
        input_size=(24, 32),
        choices=tuple(choices),
        forbid=tuple(forbid),
        limits={},
        reference=Architecture.of("toy", {}),
    )


@st.composite
def rules(draw: st.DrawFn, choices: list[Choice], most: int) -> Rule:
    named = draw(st.lists(st.sampled_from(choices), min_size=1, max_size=most, unique=True))
    return Rule(
        tuple(
            (c.name, tuple(draw(st.lists(st.sampled_from(c.values), min_size=1, unique=True))))
            for c in named
        )
    )


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    """Up to five choices of one to three values, listed in any order, with up to three rules."""
    choices: list[Choice] = []
    for number in range(draw(st.integers(1, 5))):
        values = tuple(range(draw(st.integers(1, 3))))
        conditional = bool(choices) and draw(st.booleans())
        when = draw(rules(choices, 2)) if conditional else Rule()
        choices.append(Choice(f"c{number}", values, when))
    forbid = draw(st.lists(rules(choices, 3), max_size=3))
    return space_of(draw(st.permutations(choices)), forbid)


def by_definition(space: SearchSpace) -> set[Architecture]:
    """All assignments, absence included, filtered by what conditions and rules mean."""
    absent = object()
    names = [choice.name for choice in space.choices]
    found = set()
    for combination in itertools.product(*((*c.values, absent) for c in space.choices)):
        values: dict[str, Value] = {
            name: value
            for name, value in zip(names, combination, strict=True)
            if isinstance(value, int)
        }

        def holds(rule: Rule, values: dict[str, Value] = values) -> bool:
            return all(values.get(name, "absent") in meant for name, meant in rule.allowed)

        right = all(holds(c.when) == (c.name in values) for c in space.choices)
        if right and not any(map(holds, space.forbid)):
            found.add(Architecture.of(space.family, values))
    return found


@given(spaces())
@settings(max_examples=100, deadline=None)
def test_count_and_enumeration_agree_with_the_definition(space: SearchSpace) -> None:
    listed = list(space.architectures())
    expected = by_definition(space)
    assert len(listed) == len(set(listed)) == len(expected) == space.count()
    assert set(listed) == expected
    assert [a.id for a in space.architectures()] == [a.id for a in listed]


@given(spaces(), st.integers(0, 2**32).map(random.Random))
@settings(max_examples=60, deadline=None)
def test_no_walk_leaves_the_definition(space: SearchSpace, rng: random.Random) -> None:
    valid = by_definition(space)
    assume(len(valid) * 50 > math.prod(len(choice.values) for choice in space.choices))
    for _ in range(4):
        first, second = space.sample(rng), space.sample(rng)
        assert {first, second, space.crossover(first, second, rng)} <= valid
        if len(valid) > 1:
            mutant = space.mutate(first, rng)
            assert mutant != first
            assert mutant in valid


def test_count_by_hand() -> None:
    space = parse("""
        name: hand
        summary: by hand
        family: toy
        input: [24, 32]
        choices:
          width: [16, 24, 32]
          stride: [8, 16]
          head: [aspp, plus, pyramid]
          rates: {values: [[1, 2], [2, 4], [3, 6], [4, 8]], when: {head: [aspp, plus]}}
          skip: {values: [24, 48], when: {head: plus}}
        forbid:
          - {stride: 8, head: pyramid}
          - {rates: [[3, 6], [4, 8]], skip: 48}
        reference: {width: 16, stride: 16, head: aspp, rates: [1, 2]}
    """)
    # aspp:    2 strides * 4 rates                                          =  8
    # plus:    2 strides * (4 rates * 2 skips - 2 forbidden pairs)          = 12
    # pyramid: 1 stride, neither rates nor skip                             =  1
    # width is free: 3 * (8 + 12 + 1)                                       = 63
    assert space.count() == 63
    assert len(set(space.architectures())) == 63


def test_large_spaces_are_counted_not_listed() -> None:
    # Four stages of depth 2, 3 or 4; block k exists from depth k on and has 3 kernels * 3 ratios.
    # A stage alone: 9^2 + 9^3 + 9^4 = 7371. Forbidding depth 4 in all stages at once takes away
    # (9^4)^4, although it ties all 36 choices together.
    choices, deepest = [], []
    for stage in range(4):
        choices.append(Choice(f"s{stage}.depth", (2, 3, 4)))
        deepest.append((f"s{stage}.depth", (4,)))
    for block, stage, kind in itertools.product(range(1, 5), range(4), ("kernel", "ratio")):
        deep_enough = tuple(depth for depth in (2, 3, 4) if depth >= block)
        when = Rule(((f"s{stage}.depth", deep_enough),))
        choices.append(Choice(f"s{stage}.b{block}.{kind}", (3, 5, 7), when))
    assert space_of(choices, [Rule(tuple(deepest))]).count() == 7371**4 - 6561**4


def test_chain_of_rules_is_counted_link_by_link() -> None:
    # Binary words of length 60 without two ones in a row: Fibonacci number F(62).
    choices = [Choice(f"bit{n}", (0, 1)) for n in range(60)]
    forbid = [Rule(((f"bit{n}", (1,)), (f"bit{n + 1}", (1,)))) for n in range(59)]
    a, b = 0, 1
    for _ in range(62):
        a, b = b, a + b
    assert space_of(choices, forbid).count() == a
