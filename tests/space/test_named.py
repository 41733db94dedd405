from pathlib import Path

import pytest

from autoadapt.errors import SpaceError
from autoadapt.space import load, named


@pytest.mark.parametrize("name", named.names())
def test_every_network_says_what_it_is_and_whose(name: str) -> None:
    found = named.find(name)

    assert found.name == name
    assert 0 < len(found.summary) <= 80
    assert "\n" not in found.summary
    assert found.source
    assert found.architecture.values


def test_networks_have_one_name_each() -> None:
    ids = {name: named.named(name).id for name in named.names()}

    assert len(set(ids.values())) == len(ids)


def test_the_seed_of_the_paper_is_the_reference_of_its_space() -> None:
    assert named.named("deeplabv2_resnet101").id == load("deeplab_resnet101").reference.id


def test_what_differs_is_written_over_what_it_is_like() -> None:
    multi, single = (
        named.named(name) for name in ("deeplabv2_resnet101", "deeplabv2_resnet101_single")
    )

    assert single.family == multi.family
    assert single.values == multi.values | {"aux": False}


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(
        SpaceError, match=r"'deeplabv2_resnet10'.*did you mean 'deeplabv2_resnet101'"
    ):
        named.named("deeplabv2_resnet10")


def written(folder: Path, text: str, name: str = "mine") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def test_a_file_stands_for_a_name(tmp_path: Path) -> None:
    base = written(tmp_path, "family: toy\nvalues: {depth: 2, rates: [1, 2]}\n", "base")
    mine = written(tmp_path, f"like: {base}\nvalues: {{depth: 3}}\npublished: {{params: 1e3}}\n")

    found = named.find(mine)
    assert found.architecture.to_json() == {
        "family": "toy",
        "values": {"depth": 3, "rates": [1, 2]},
    }
    assert found.published == {"params": 1000.0}


def test_the_winner_of_a_run_is_such_a_file(tmp_path: Path) -> None:
    winner = written(
        tmp_path,
        "trial: 3\nid: 0123456789ab\nwords: A network.\ncosts: {macs: 1.0}\nscores: {mmd: .nan}\n"
        "family: toy\nvalues: {aux: true}\n",
    )

    assert named.named(winner).to_json() == {"family": "toy", "values": {"aux": True}}


def test_labels_are_names_or_made_from_file_and_content(tmp_path: Path) -> None:
    mine = written(tmp_path, "family: toy\nvalues: {depth: 2}\n", "my-winner")
    copy = written(tmp_path, "family: toy\nvalues: {depth: 2}\n", "copy")
    same = written(tmp_path, "like: deeplabv2_resnet101\nvalues: {aux: true}\n", "same")

    found = named.labelled([mine, "deeplabv2_resnet101", copy, same, "deeplabv2_resnet101"])
    label = f"my_winner_{named.named(mine).id[:6]}"
    assert list(found) == [label, "deeplabv2_resnet101"]
    assert found[label] == named.named(copy)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("values: {a: 1}\n", "mine.yaml:1: whole file: expected either 'family' or 'like'"),
        ("family: x\nlike: y\nvalues: {}\n", "mine.yaml:1: whole file: expected either"),
        ("family: x\n", "mine.yaml:1: whole file: 'values' is missing"),
        ("family: x\nvalus: {}\n", r"mine.yaml:2: valus: unknown key, did you mean 'values'\?"),
        ("family: 3\nvalues: {}\n", "mine.yaml:1: family: found 3, expected text"),
        ("family: x\nvalues:\n  a: no\n", "mine.yaml:3: values.a: found no, which YAML reads as"),
        ("family: x\nvalues: [1]\n", "mine.yaml:2: values: expected 'key: value' pairs"),
        ("family: x\nvalues: {}\npublished: {flops: 1}\n", "mine.yaml:3: published.flops: unknown"),
        ("family: x\nvalues: {}\npublished: {macs: 0}\n", "mine.yaml:3: published.macs: found 0"),
        ("like: nothing\nvalues: {}\n", "no network named 'nothing'"),
    ],
)
def test_a_mistake_has_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        named.find(written(tmp_path, text))


def test_two_files_cannot_be_like_each_other(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(f"like: {second}\nvalues: {{}}\n")
    second.write_text(f"like: {first}\nvalues: {{}}\n")

    with pytest.raises(SpaceError, match="first -> second -> first"):
        named.find(first)
