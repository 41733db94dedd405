import itertools
from pathlib import Path

import pytest

from autoadapt import files
from autoadapt.errors import SpaceError
from autoadapt.space import Choice, Rule, load, parse, shipped

GOOD = """\
name: toy_space
summary: three heads
family: toy
input: [24, 32]
choices:
  width: [16, 24]
  head: {values: [aspp, plus, pyramid]}
  rates: {values: [[1, 2], [2, 4]], when: {head: [aspp, plus]}}
  skip: {values: [24, 48], when: {head: plus, rates: [2, 4]}}
  stride: [8, 16]
forbid:
  - {stride: 8, head: pyramid}
limits:
  macs: [1e8, 1.0e9]
  params: [0, '2.5e6']
reference: {width: 16, head: aspp, rates: [2, 4], stride: 16}
"""


def mistakes(text: str) -> list[str]:
    with pytest.raises(SpaceError) as caught:
        parse(text, where="toy.yaml")
    return str(caught.value).splitlines()


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, f"{old!r} should be in the file once"
    return GOOD.replace(old, new)


def test_everything_is_read() -> None:
    space = parse(GOOD)
    assert (space.name, space.summary, space.family) == ("toy_space", "three heads", "toy")
    assert space.input_size == (24, 32)
    assert space.choices == (
        Choice("width", (16, 24)),
        Choice("head", ("aspp", "plus", "pyramid")),
        Choice("rates", ((1, 2), (2, 4)), Rule((("head", ("aspp", "plus")),))),
        Choice("skip", (24, 48), Rule((("head", ("plus",)), ("rates", ((2, 4),))))),
        Choice("stride", (8, 16)),
    )
    assert space.forbid == (Rule((("stride", (8,)), ("head", ("pyramid",)))),)
    assert space.limits == {"macs": (1e8, 1e9), "params": (0.0, 2.5e6)}
    assert space.reference.values == {"width": 16, "head": "aspp", "rates": (2, 4), "stride": 16}
    assert space.reference.family == "toy"
    # 2 widths * (aspp: 2 rates * 2 strides + plus: (1 + 2 skips) * 2 strides + pyramid: 1)
    assert space.count() == 2 * (4 + 6 + 1)


def test_forbid_and_limits_may_be_left_out() -> None:
    text = GOOD[: GOOD.index("forbid")] + GOOD[GOOD.index("reference") :]
    space = parse(text)
    assert (space.forbid, space.limits) == ((), {})


def test_a_list_in_a_condition_is_a_value_or_several() -> None:
    one = changed("rates: [2, 4]}}", "rates: [[1, 2], [2, 4]]}}")
    assert parse(one).by_name["skip"].when.allowed[1] == ("rates", ((1, 2), (2, 4)))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("name: toy_space", "nam: x", ":1: nam: unknown key, did you mean 'name'?"),
        ("name: toy_space\n", "", ":1: whole file: 'name' is missing"),
        ("name: toy_space", "name: [a]", ':1: name: found ["a"], expected text'),
        ("three heads", "''", ":2: summary: found '', expected text"),
        ("three heads", "no", ":2: summary: found no, which YAML reads as false; write false"),
        ("[24, 32]\nc", "[24]\nc", ":4: input: found [24], expected [height, width] in pixels"),
        ("[24, 32]\nc", "[24, true]\nc", ":4: input: found [24, true], expected [height, width]"),
        ("[24, 32]\nc", "[24, 3.5]\nc", ":4: input: found [24, 3.5], expected [height, width]"),
        ("[16, 24]", "16", ":6: choices.width: found 16, expected a list of values"),
        ("[16, 24]", "[]", ":6: choices.width: expected a list of at least one value"),
        ("[16, 24]", "[16, 24, 16]", ":6: choices.width: 16 equals 16, listed before"),
        ("[16, 24]", "[16, 16.0]", ":6: choices.width: 16.0 equals 16, listed before"),
        ("[16, 24]", "[16, 1, true]", ":6: choices.width: true equals 1, listed before"),
        ("[16, 24]", "[16, on]", ":6: choices.width: found on, which YAML reads as true"),
        ("[16, 24]", "[16, 010]", ":6: choices.width: found 010, which YAML does not read as"),
        ("[16, 24]", "[16, 1:30]", ":6: choices.width: found 1:30, which YAML does not read as"),
        ("[16, 24]", "[16, .nan]", ":6: choices.width: found '.nan', expected a finite number"),
        ("[16, 24]", "[16, null]", ":6: choices.width: found 'null', expected a finite number"),
        ("[16, 24]", "[16, 2026-01-02]", ":6: choices.width: found '2026-01-02', expected"),
        ("[16, 24]", "[16, {a: 1}]", ":6: choices.width: found a mapping, expected a plain"),
        ("[16, 24]", "[16, !!python/name:os.x 1]", ":6: choices.width: found '1', which YAML"),
        ("{values: [aspp,", "{value: [aspp,", ":7: choices.head.value: unknown key, did you mean"),
        ("{values: [aspp,", "{value: [aspp,", ":7: choices.head: 'values' is missing"),
        ("when: {head: [", "whn: {head: [", ":8: choices.rates.whn: unknown key, did you mean"),
        ("when: {head: [", "when: {haed: [", ":8: choices.rates.when.haed: unknown choice, did"),
        ("[aspp, plus]}", "[aspp, plas]}", ":8: choices.rates.when.head: plas is not a value of"),
        ("{head: [aspp, plus]}", "{}", ":8: choices.rates.when: empty, expected {choice: value"),
        ("{head: [aspp, plus]}", "7", ":8: choices.rates.when: expected 'key: value' pairs"),
        ("[2, 4]}}", "[]}}", ":9: choices.skip.when.rates: [] is not a value of rates"),
        ("  stride: [8", "  3: [8", ":10: choices.3: expected text as key"),
        ("  stride: [8", "  head: [8", ":10: choices.head: repeated key, first on line 7"),
        ("{stride: 8,", "{stride: 9,", ":12: forbid[0].stride: 9 is not a value of stride"),
        ("{stride: 8,", "{strid: 8,", ":12: forbid[0].strid: unknown choice, did you mean"),
        ("{stride: 8,", "{stride: 8, stride: 8,", ":12: forbid[0].stride: repeated key"),
        ("{stride: 8, head: pyramid}", "{}", ":12: forbid[0]: empty, expected {choice: value"),
        ("  - {stride: 8, head: pyramid}", "  {}", ":12: forbid: expected a list of {choice:"),
        ("[1e8, 1.0e9]", "[1e9, 1.0e8]", ":14: limits.macs: reversed: 1e+09 is above 1e+08"),
        ("[1e8, 1.0e9]", "[1e8]", ":14: limits.macs: found [100000000.0], expected [smallest,"),
        ("[1e8, 1.0e9]", "[-1, 1]", ":14: limits.macs: found [-1, 1], expected [smallest,"),
        ("[1e8, 1.0e9]", "[true, 1]", ":14: limits.macs: found [true, 1], expected [smallest,"),
        ("[1e8, 1.0e9]", "[a, 1]", ':14: limits.macs: found ["a", 1], expected [smallest,'),
        ("  macs", "  mac", ":14: limits.mac: unknown cost, did you mean 'macs'?"),
        ("{width: 16,", "{", ":16: reference.width: missing; expected one of 16, 24"),
        ("{width: 16,", "{width: 17,", ":16: reference.width: found 17, expected one of 16, 24"),
        ("{width: 16,", "{widht: 16,", ":16: reference.widht: unknown choice, did you mean"),
        ("{width: 16,", "{width: 16, skip: 24,", ":16: reference.skip: set, but inactive unless"),
        ("aspp, rates: [2, 4], stride: 16", "pyramid, stride: 8", ":16: reference.head: forbid"),
        ("reference: {width", "reference: 3 #", ":16: reference: expected 'key: value' pairs"),
    ],
)
def test_a_mistake_is_named_with_its_line(old: str, new: str, expected: str) -> None:
    found = mistakes(changed(old, new))
    assert any(line.startswith(f"toy.yaml{expected}") for line in found), found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[16, 24]", "[16, on]"),
        ("[8, 16]", "[8, 16, {a: 1}]"),
        ("{head: [aspp, plus]}", "{head: [aspp, plas]}"),
        ("{head: [aspp, plus]}", "{haed: [aspp, plus]}"),
        ("when: {head: [", "whn: {head: ["),
        ("when: {head: plus", "whn: {head: plus"),  # else skip would count as always active
        ("[1e8, 1.0e9]", "[3, 1]"),
        ("{width: 16,", "{width: 17,"),
        ("head: aspp,", "head: asp,"),
        ("{width: 16,", "{width: no,"),
        ("three heads", "no"),
    ],
)
def test_one_mistake_is_reported_once(old: str, new: str) -> None:
    assert len(mistakes(changed(old, new))) == 1


def test_all_mistakes_are_reported_in_the_order_of_the_file() -> None:
    text = GOOD
    for old, new in [
        ("[16, 24]", "[16, on]"),
        ("[aspp, plus]}", "[aspp, plas]}"),
        ("[1e8, 1.0e9]", "[3, 1]"),
        ("three heads", "no"),
        (", stride: 16}", "}"),
        ("{stride: 8,", "{stride: 9,"),
    ]:
        assert text.count(old) == 1
        text = text.replace(old, new)
    assert [line.split(": ")[0:2] for line in mistakes(text)] == [
        ["toy.yaml:2", "summary"],
        ["toy.yaml:6", "choices.width"],
        ["toy.yaml:8", "choices.rates.when.head"],
        ["toy.yaml:12", "forbid[0].stride"],
        ["toy.yaml:14", "limits.macs"],
        ["toy.yaml:16", "reference.stride"],
    ]


def test_cycles_are_spelled_out() -> None:
    ring = changed("width: [16, 24]", "width: {values: [16, 24], when: {skip: 24}}")
    ring = ring.replace(
        "{values: [aspp, plus, pyramid]}", "{values: [aspp, plus], when: {width: 16}}"
    )
    ring = ring.replace("head: pyramid", "head: plus")
    (found, *others) = mistakes(ring)
    assert found.startswith("toy.yaml:")
    assert "conditions form a cycle: " in found
    names = found.rpartition(": ")[2].split(" -> ")
    decides = {("width", "head"), ("head", "rates"), ("head", "skip"), ("rates", "skip")}
    decides.add(("skip", "width"))
    assert names[0] == names[-1]
    assert set(itertools.pairwise(names)) <= decides
    assert not others


def test_a_choice_that_waits_for_itself_is_a_cycle() -> None:
    text = changed("width: [16, 24]", "width: {values: [16, 24], when: {width: 16}}")
    assert mistakes(text) == ["toy.yaml:6: choices.width: conditions form a cycle: width -> width"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "toy.yaml:1: the file is empty"),
        ("# only a comment\n", "toy.yaml:1: the file is empty"),
        ("name: x\nchoices: [1, 2\n", "toy.yaml:3: not valid YAML: "),
        ("name: x\n\tsummary: y\n", "toy.yaml:2: not valid YAML: "),
        ("name: x\n---\nname: y\n", "toy.yaml:2: not valid YAML: "),
        ("name: &n x\nsummary: *n\n", "toy.yaml:2: not valid YAML: aliases are not supported"),
        ("a: &a [*a]\n", "toy.yaml:1: not valid YAML: aliases are not supported"),
        ("name: \x00\n", "toy.yaml:1: not valid YAML: special characters are not allowed"),
        ("- name\n", "toy.yaml:1: whole file: expected 'key: value' pairs"),
        ("just text\n", "toy.yaml:1: whole file: expected 'key: value' pairs"),
    ],
)
def test_what_is_no_space_file_at_all(text: str, expected: str) -> None:
    assert mistakes(text)[0].startswith(expected)


def test_files_are_found_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    assert load(path) == load(str(path)) == parse(GOOD)
    path.write_text(changed("name: toy_space", "nam: x"))
    with pytest.raises(SpaceError, match=rf"^{path}:1: nam: unknown key"):
        load(path)


def test_shipped_spaces_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy_space.yaml").write_text(GOOD)
    monkeypatch.setattr(files, "shipped", lambda kind: tmp_path)
    assert shipped() == ["toy_space"]
    assert load("toy_space") == parse(GOOD)
    with pytest.raises(SpaceError, match=r"no search space file toy_spce, did you mean 'toy_space"):
        load("toy_spce")


def test_an_installed_package_brings_its_own_spaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "__file__", str(tmp_path / "autoadapt" / "files.py"))
    assert files.shipped("search_spaces") == tmp_path / "search_spaces"  # a checkout
    installed = tmp_path / "autoadapt" / "shipped" / "search_spaces"
    installed.mkdir(parents=True)
    assert files.shipped("search_spaces") == installed


def test_a_space_needs_choices() -> None:
    start, end = GOOD.index("  width"), GOOD.index("forbid")
    found = mistakes(GOOD[:start].replace("choices:", "choices: {}") + GOOD[end:])
    assert found[0] == "toy.yaml:5: choices: empty, expected at least one choice"


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("summary: größe".encode("latin-1"))
    with pytest.raises(SpaceError, match=rf"^{path}: cannot be read as UTF-8 text"):
        load(path)
    with pytest.raises(SpaceError, match="no search space file"):
        load(tmp_path)


def test_reading_leaves_yaml_itself_alone() -> None:
    import yaml

    parse(GOOD)
    assert yaml.safe_load("1e8") == "1e8"
