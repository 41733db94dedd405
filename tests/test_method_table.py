"""The table of methods: that its numbers are computed right, and that the page shows them."""

import json
from pathlib import Path
from typing import Any

import pytest

from autoadapt.config.load import make
from autoadapt.config.settings import PluginSettings
from autoadapt.plugins import available
from benchmarks import method_table
from benchmarks.result_tables import filled

ROOT = Path(__file__).parent.parent


def results(**rows: dict[str, float]) -> dict[str, Any]:
    """Results of a pair from the mIoU of each row by seed."""
    return {
        "rows": {
            row: {"seeds": {s: {"miou": m, "cpu_seconds": 7.0} for s, m in seeds.items()}}
            for row, seeds in rows.items()
        }
    }


def test_differences_are_between_equal_seeds() -> None:
    """10, 20 against 12, 25: 2 and 5, mean 3.5 and deviation 1.5 * sqrt(2)."""
    found = results(source_only={"0": 10.0, "1": 20.0, "2": 90.0}, dacs={"0": 12.0, "1": 25.0})
    assert method_table.cells(found, "dacs")[2:] == ["18.5 ± 9.2", "+3.5 ± 2.1", "2 of 2", "7"]
    assert method_table.cells(found, "source_only")[2:] == ["40.0 ± 43.6", "", "", "7"]


def test_every_method_has_a_row() -> None:
    rows = method_table.METHODS.values()
    assert {row.method for row in rows} == set(available("uda"))


def test_every_pair_has_an_oracle_and_two_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the rows change of a config is checked as anywhere, files aside."""
    monkeypatch.setenv("AUTOADAPT_DATA", "data")
    for pair in method_table.ORACLES:
        protocol = method_table.Protocol(pair)
        two = protocol.settings(method_table.METHODS["madan"]).data
        assert list(two.further_sources) == ["second"]
        oracle = protocol.settings(method_table.METHODS["oracle"]).data
        assert oracle.source.options == {**oracle.source.options, **oracle.target.options}
        assert oracle.source.part == oracle.target.part


def test_the_page_shows_what_was_measured() -> None:
    page = (ROOT / "docs/methods.md").read_text()
    assert filled(page, method_table.tables()) == page
    for name, _ in method_table.tables():
        assert f"<!-- {name} -->" in page


def test_rows_were_measured_with_the_options_they_name() -> None:
    for path in method_table.RESULTS.glob("*.json"):
        measured = json.loads(path.read_text())["rows"]
        for name, row in method_table.ROWS.items():
            if name in measured:
                now = method_table.resolved(row)  # options that came later are off
                assert {**now, **measured[name]["resolved"]} == now, f"{path.name}: {name}"


def test_all_rows_have_options_that_their_methods_take() -> None:
    for row in method_table.ROWS.values():
        make("uda", PluginSettings(name=row.method, options=dict(row.options)))
