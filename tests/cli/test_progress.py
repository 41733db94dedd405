import io
from collections.abc import Callable

import pytest
from rich.console import Console

from autoadapt.cli import progress


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> io.StringIO:
    shown = io.StringIO()

    def console(stderr: bool) -> Console:
        assert stderr
        return Console(file=shown, force_terminal=terminal, width=100)

    monkeypatch.setattr(progress, "Console", console)
    return shown


def count_to_three(told: Callable[[int, int], None]) -> None:
    for done in range(4):
        told(done, 3)


def test_counting_shows_a_bar_per_piece_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = on_a_terminal(monkeypatch, terminal=True)
    with progress.counting() as begun:
        count_to_three(begun("source images"))
        count_to_three(begun("source labels"))
    text = shown.getvalue()
    assert "source images" in text
    assert "source labels" in text
    assert "3/3" in text


def test_nothing_is_shown_where_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = on_a_terminal(monkeypatch, terminal=False)
    with progress.counting() as begun:
        count_to_three(begun("source images"))
    assert shown.getvalue() == ""


def test_an_interrupted_count_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = on_a_terminal(monkeypatch, terminal=True)
    with pytest.raises(KeyboardInterrupt), progress.counting():
        raise KeyboardInterrupt
    assert "the same command continues where it stopped" in shown.getvalue()
