"""Every command that lists plug-ins, over all of them: what one of them says must not break it."""

import json
from typing import Any

import pytest

from autoadapt.cli import main
from autoadapt.experiment import networks
from autoadapt.experiment.methods import short
from autoadapt.plugins import available
from autoadapt.space import named, shipped

METHODS, SCORES, SPACES = available("uda"), available("scores"), shipped()


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must succeed and return what it prints."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    assert caught.value.code == 0
    return capsys.readouterr().out


def values(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads(printed(capsys, *arguments, "--json"))


def first_words(table: str) -> list[str]:
    return [line.split()[0] for line in table.splitlines() if line.strip()]


def test_all_methods(capsys: pytest.CaptureFixture[str]) -> None:
    table = first_words(printed(capsys, "methods"))
    assert [word for word in table if word in METHODS] == METHODS
    assert [one["name"] for one in values(capsys, "methods")] == METHODS


@pytest.mark.parametrize("name", METHODS)
def test_one_method(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = values(capsys, "methods", name)
    text = printed(capsys, "methods", name)

    assert text.startswith(f"{name}: {found['summary']}\n\npaper: {found['paper']}\n")
    assert first_words(text)[0] == f"{name}:"
    assert set(found["options"]) <= set(first_words(text))
    assert {"warm_up", "preset", "batch_norm"} <= set(found["options"])


def test_all_scores(capsys: pytest.CaptureFixture[str]) -> None:
    text, _, objectives = printed(capsys, "scores").partition("\nobjective ")
    table = first_words(text)
    assert objectives
    assert [word for word in table if word in SCORES] == SCORES
    assert [one["name"] for one in values(capsys, "scores")["scores"]] == SCORES


@pytest.mark.parametrize("name", SCORES)
def test_one_score(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = values(capsys, "scores", name)
    text = printed(capsys, "scores", name)

    assert text.startswith(f"{name}: {found['summary']}\n\nneeds: ")
    assert set(found["options"]) <= set(first_words(text))


def test_all_networks(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Costs are made up: counting those of all networks is the test of the page of networks."""
    monkeypatch.setattr(networks, "count", lambda *_: {"params": 12345, "macs": 6.7e9})
    monkeypatch.setattr(networks, "paper_macs", lambda *_: 6.8e9)
    table, _, _ = printed(capsys, "space", "networks").partition("\n\n")
    assert [word for word in first_words(table) if word in named.names()] == named.names()
    assert table.count("12,345") == len(named.names())
    found = values(capsys, "space", "networks")
    assert [one["name"] for one in found] == named.names()
    markdown = printed(capsys, "space", "networks", "--markdown")
    assert [name for name in named.names() if f"| `{name}` |" not in markdown] == []


@pytest.mark.parametrize("name", named.names())
def test_one_network(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"family: {named.find(name).architecture.family}" in printed(
        capsys, "space", "network", name
    )


@pytest.mark.parametrize("name", SPACES)
def test_one_space(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert name in printed(capsys, "space", "show", name)
    assert printed(capsys, "space", "check", name).startswith(f"{name}: sound, ")
    assert int(printed(capsys, "space", "count", name)) > 1


@pytest.mark.parametrize(
    ("paper", "wanted"),
    [
        ("Vu et al., ADVENT, CVPR 2019", "Vu et al., CVPR 2019"),
        ("Li et al., One, Two, and Three, ECCV 2020", "Li et al., ECCV 2020"),
        ("somebody, 2020", "somebody, 2020"),
        ("the usual lower bound", "the usual lower bound"),
    ],
)
def test_a_paper_is_shortened_to_authors_and_venue(paper: str, wanted: str) -> None:
    assert short(paper) == wanted
