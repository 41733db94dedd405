import itertools
import pickle
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoadapt.errors import SpaceError
from autoadapt.space import Architecture, Choice, Rule, SearchSpace, SpaceExhausted, parse

SPACE = parse("""
name: toy_space
summary: three heads, two of which take rates
family: toy
input: [24, 32]
choices:
  rates: {values: [[1, 2], [2, 4], [3, 6], [4, 8]], when: {head: [aspp, plus]}}
  width: [16, 24, 32]
  stride: [8, 16]
  head: [aspp, plus, pyramid]
  skip: {values: [24, 48], when: {head: plus, stride: 16}}
  kernel: [3]
  se: [true, false]
forbid:
  - {stride: 8, head: pyramid}
  - {rates: [[3, 6], [4, 8]], skip: 48}
reference: {width: 16, stride: 16, head: aspp, rates: [1, 2], kernel: 3, se: false}
""")
ALL = list(SPACE.architectures())
VALID = set(ALL)
seeds = st.integers(0, 2**32).map(random.Random)
members = st.sampled_from(ALL)


def tiny(choices: tuple[Choice, ...], *forbid: Rule) -> SearchSpace:
    return SearchSpace(
        name="tiny",
        summary="for a test",
        family="toy",
        input_size=(24, 32),
        choices=choices,
        forbid=forbid,
        limits={},
        reference=Architecture.of("toy", {}),
    )


@given(seeds)
def test_samples_are_valid(rng: random.Random) -> None:
    architecture = SPACE.sample(rng)
    assert architecture in VALID
    SPACE.check(architecture)


def test_holds_exactly_its_own() -> None:
    assert all(map(SPACE.holds, ALL))
    values = ALL[0].values
    assert not SPACE.holds(Architecture.of("other", values))
    assert not SPACE.holds(Architecture.of("toy", values | {"width": 17}))
    assert not SPACE.holds(Architecture.of("toy", {"width": 16}))
    pyramid = {"width": 16, "stride": 8, "head": "pyramid", "kernel": 3, "se": False}
    assert not SPACE.holds(Architecture.of("toy", pyramid))
    assert SPACE.holds(Architecture.of("toy", pyramid | {"stride": 16}))


def test_samples_are_uniform_over_values_and_allowed_combinations() -> None:
    n = 6000
    rng = random.Random(5)
    drawn = [SPACE.sample(rng).values for _ in range(n)]
    # Rejection keeps draws outside the rules as they were. Probability of (stride, head, skip,
    # rates) being refused: 1/6 for (8, pyramid), and 1/6 * 1/2 * 1/2 = 1/24 for (16, plus, skip
    # 48, rates of the later half); kept: 1 - 5/24 = 19/24. So P(width=w) = 1/3, and
    # P(head=pyramid) = (1/6) / (19/24) = 4/19.
    # Tolerance: five standard deviations of a share, 5 * sqrt(p (1 - p) / n) <= 5 * 0.5 / 77.4
    # = 0.0323; one share beyond that has a chance below 1e-6, and the seed is fixed anyway.
    for width in (16, 24, 32):
        assert sum(v["width"] == width for v in drawn) / n == pytest.approx(1 / 3, abs=0.0323)
    assert sum(v["head"] == "pyramid" for v in drawn) / n == pytest.approx(4 / 19, abs=0.0323)
    pyramids = [v for v in drawn if v["head"] == "pyramid"]
    assert all("rates" not in v and "skip" not in v and v["stride"] == 16 for v in pyramids)
    plus8 = Counter(v["rates"] for v in drawn if (v["head"], v["stride"]) == ("plus", 8))
    assert len(plus8) == 4  # no rule touches these: 24/19 * 1/6 of n = 1263, a quarter each
    for number in plus8.values():
        assert number / plus8.total() == pytest.approx(1 / 4, abs=5 * 0.5 / 1263**0.5)


def test_sampling_is_a_function_of_the_generator() -> None:
    first = [SPACE.sample(random.Random(seed)).id for seed in range(40)]
    assert first == [SPACE.sample(random.Random(seed)).id for seed in range(40)]
    assert len(set(first)) > 20


def test_draws_are_pinned_so_that_old_runs_resume_as_they_began() -> None:
    rng = random.Random(2021)
    drawn = SPACE.sample(rng)
    mutant = SPACE.mutate(drawn, rng)
    mixed = SPACE.crossover(SPACE.reference, mutant, rng)
    assert [a.id for a in (drawn, mutant, mixed)] == [
        "a587812dc1eb",
        "77aee5839816",
        "8ef4075ec4f3",
    ]


def test_sampling_nothing_says_so() -> None:
    space = tiny((Choice("a", (1, 2)),), Rule((("a", (1, 2)),)))
    assert space.count() == 0
    with pytest.raises(SpaceError, match=r"space tiny: 1000 random .* all forbidden; loosen"):
        space.sample(random.Random(0))


@given(members, seeds, st.integers(1, 9))
def test_mutants_are_valid_and_differ(parent: Architecture, rng: random.Random, n: int) -> None:
    child = SPACE.mutate(parent, rng, changes=n)
    assert child != parent
    assert child in VALID


@given(members, seeds)
def test_one_change_changes_one_choice_that_was_active(
    parent: Architecture, rng: random.Random
) -> None:
    child = SPACE.mutate(parent, rng)
    both = parent.values.keys() & child.values.keys()
    changed = {name for name in both if parent.values[name] != child.values[name]}
    assert len(changed) == 1
    for name in parent.values.keys() ^ child.values.keys():  # came or went with its condition
        assert name in ("rates", "skip")
        assert changed <= {"head", "stride"}


def test_mutation_reaches_every_other_value_equally() -> None:
    free = tiny((Choice("a", (0, 1, 2, 3)), Choice("b", (0, 1, 2))))
    parent = free.canonical({"a": 0, "b": 0})
    rng = random.Random(2)
    n = 3000
    children = Counter(free.mutate(parent, rng).items for _ in range(n))
    # Choice a or b with 1/2 each, then its other values evenly: 3 * 1/6 and 2 * 1/4.
    expected = {(("a", a), ("b", 0)): 1 / 6 for a in (1, 2, 3)}
    expected |= {(("a", 0), ("b", b)): 1 / 4 for b in (1, 2)}
    assert children.keys() == expected.keys()
    for items, share in expected.items():  # five standard deviations: 5 * sqrt(3/16 / 3000)
        assert children[items] / n == pytest.approx(share, abs=0.04)


def test_mutation_jumps_where_every_single_change_is_forbidden() -> None:
    space = tiny(
        (Choice("a", (0, 1)), Choice("b", (0, 1))),
        Rule((("a", (0,)), ("b", (1,)))),
        Rule((("a", (1,)), ("b", (0,)))),
    )
    child = space.mutate(space.canonical({"a": 0, "b": 0}), random.Random(0))
    assert child.values == {"a": 1, "b": 1}


def all_alike(length: int) -> SearchSpace:
    """Bits of which no two neighbours may differ: all 0 and all 1 are left."""
    names = [f"bit{n}" for n in range(length)]
    rules = [
        Rule(((a, (value,)), (b, (1 - value,))))
        for a, b in itertools.pairwise(names)
        for value in (0, 1)
    ]
    return tiny(tuple(Choice(name, (0, 1)) for name in names), *rules)


def test_operations_cope_with_rules_that_forbid_nearly_everything() -> None:
    space = all_alike(24)
    assert space.count() == 2
    zeros, ones = space.architectures()
    for seed in range(5):
        assert space.mutate(zeros, random.Random(seed)) == ones
        assert space.crossover(zeros, ones, random.Random(seed)) in (zeros, ones)


def test_the_only_architecture_cannot_be_mutated() -> None:
    space = tiny((Choice("a", (7,)),))
    with pytest.raises(SpaceExhausted, match="space tiny: no architecture other than"):
        space.mutate(space.canonical({"a": 7}), random.Random(0))


def test_a_mutation_changes_something() -> None:
    with pytest.raises(ValueError, match="at least 1 choice, not 0"):
        SPACE.mutate(SPACE.reference, random.Random(0), changes=0)


@given(members, members, seeds)
def test_children_of_two_are_valid_and_take_genes_from_parents(
    first: Architecture, second: Architecture, rng: random.Random
) -> None:
    child = SPACE.crossover(first, second, rng)
    assert child in VALID
    for name, value in child.items:
        inherited = [p.values[name] for p in (first, second) if name in p.values]
        assert not inherited or value in inherited


def test_crossover_draws_from_both_parents_equally() -> None:
    choices = tuple(Choice(f"c{n}", (0, 1)) for n in range(9))
    space = tiny(choices)
    zeros = space.canonical({c.name: 0 for c in choices})
    ones = space.canonical({c.name: 1 for c in choices})
    rng = random.Random(3)
    total = sum(v for _ in range(500) for _, v in space.crossover(zeros, ones, rng).items if v == 1)
    # 4500 fair coins: five standard deviations are 5 * 0.5 / sqrt(4500) = 0.037
    assert total / 4500 == pytest.approx(0.5, abs=0.037)


def test_crossover_of_one_parent_with_itself_is_that_parent() -> None:
    for seed in range(20):
        child = SPACE.crossover(SPACE.reference, SPACE.reference, random.Random(seed))
        assert child == SPACE.reference


def test_descriptions_of_one_network_have_one_id() -> None:
    values = {"width": 16, "stride": 16, "head": "pyramid", "kernel": 3, "se": True}
    expected = SPACE.canonical(values)
    with_inactive = values | {"rates": [1, 2], "skip": 24}
    other_spelling = {name: values[name] for name in reversed(values)} | {"width": 16.0}
    assert SPACE.canonical(with_inactive) == expected
    assert SPACE.canonical(with_inactive).id == expected.id
    assert SPACE.canonical(other_spelling).id == expected.id
    assert expected in VALID


def test_canonical_turns_lists_into_tuples() -> None:
    values = {"width": 16, "stride": 8, "head": "aspp", "rates": [3, 6], "kernel": 3, "se": True}
    assert SPACE.canonical(values).values["rates"] == (3, 6)


def test_check_lists_every_problem() -> None:
    with pytest.raises(SpaceError) as caught:
        SPACE.check({"widht": 16, "width": 17, "stride": True, "head": "plus", "kernel": 3.0})
    lines = str(caught.value).splitlines()
    assert lines[:-1] == [
        "space toy_space: widht: unknown choice, did you mean 'width'?",
        "space toy_space: width: found 17, expected one of 16, 24, 32",
        "space toy_space: stride: found true, expected one of 8, 16",
        "space toy_space: rates: missing (it is active because head is aspp or plus); "
        "expected one of [1, 2], [2, 4], [3, 6], [4, 8]",
        "space toy_space: kernel: found 3.0, which the space writes 3",
        "space toy_space: se: missing; expected one of true, false",
    ]
    assert "autoadapt space show toy_space" in lines[-1]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"head": "pyramid"}, r"rates: set, but inactive unless head is aspp or plus; leave it"),
        ({"se": None}, r"se: found null, expected one of true, false"),
        ({"se": b"x"}, r"se: found b'x', expected one of true, false"),
        ({"rates": [1]}, r"rates: found \[1\], expected one of"),
        (
            {"head": "plus", "skip": 48, "rates": (3, 6)},
            r"forbidden: rates is \[3, 6\] or \[4, 8\] and skip is 48",
        ),
    ],
)
def test_check_names_the_problem(change: dict[str, object], problem: str) -> None:
    with pytest.raises(SpaceError, match=problem):
        SPACE.check(SPACE.reference.values | change)


def test_architectures_of_other_families_are_refused() -> None:
    stranger = Architecture.of("other", SPACE.reference.values)
    with pytest.raises(SpaceError, match="family: found other, expected toy"):
        SPACE.mutate(stranger, random.Random(0))
    with pytest.raises(SpaceError, match="family"):
        SPACE.crossover(SPACE.reference, stranger, random.Random(0))


def test_describe_follows_the_file() -> None:
    assert [name for name, _ in SPACE.describe(SPACE.reference)] == [
        "rates",
        "width",
        "stride",
        "head",
        "kernel",
        "se",
    ]
    assert dict(SPACE.describe(SPACE.reference)) == SPACE.reference.values


def test_conditions_in_a_circle_are_refused() -> None:
    space = tiny((Choice("a", (1,), Rule((("b", (1,)),))), Choice("b", (1,), Rule((("a", (1,)),)))))
    with pytest.raises(SpaceError, match="they form a cycle, "):
        space.sample(random.Random(0))


def test_conditions_on_nothing_are_refused() -> None:
    with pytest.raises(SpaceError, match=r"when.* of a can never .* name no choice of the space"):
        tiny((Choice("a", (1,), Rule((("zz", (1,)),))),)).count()


def test_spaces_travel_to_other_processes() -> None:
    again = pickle.loads(pickle.dumps(SPACE))
    assert again == SPACE
    assert again.sample(random.Random(1)) == SPACE.sample(random.Random(1))
