"""The tables of chosen snapshots: their numbers, and that the page shows them."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import snapshot_selection
from benchmarks.result_tables import filled

ROOT = Path(__file__).parent.parent


def snapshot(miou: float, **scores: float) -> dict[str, Any]:
    found = {"softmax_corr": 0.0, "source_miou": 0.0, "mmd": 0.0, "reent": 0.0, "entropy": 0.0}
    return {"miou": miou, "scores": {**found, **scores}}


def test_gains_are_over_the_last_step() -> None:
    """SoftmaxCorr takes step 20, source mIoU step 10; both together step 10, by their z-scores.

    Of SoftmaxCorr these are −0.4, −1.0 and 1.4, of source mIoU −1.4, 0.7 and 0.7.
    """
    snapshots = {
        "10": snapshot(12.0, softmax_corr=-0.4, source_miou=-0.9, entropy=1.0, mmd=1.0, reent=1.0),
        "20": snapshot(15.0, softmax_corr=-0.5, source_miou=-0.3, entropy=2.0, mmd=2.0, reent=3.0),
        "30": snapshot(13.0, softmax_corr=-0.1, source_miou=-0.3, entropy=0.5, mmd=3.0, reent=2.0),
    }
    found = snapshot_selection.gains({"0": snapshots})
    assert found["SoftmaxCorr"] == [2.0]
    assert found["source mIoU"] == [-1.0]
    assert found["SoftmaxCorr + source mIoU"] == [-1.0]
    assert found["entropy"] == [0.0]
    assert found["MMD + ReEnt"] == [-1.0]
    assert found["by lot (expected)"] == [pytest.approx(40 / 3 - 13)]
    assert found["best by labels"] == [2.0]


def test_the_table_has_a_line_for_each_method_and_all() -> None:
    one = {"10": snapshot(14.0, softmax_corr=-1.0), "20": snapshot(13.0)}
    other = {"10": snapshot(11.0), "20": snapshot(13.0, softmax_corr=-1.0)}
    text = snapshot_selection.table({"methods": {"advent": {"0": one, "1": other}}})
    assert "| advent | 13.0 ± 0.0 | +0.5 ± 0.7 |" in text
    assert "| all |  | +0.5 ± 0.7 |" in text


def test_the_page_shows_what_was_measured() -> None:
    page = (ROOT / "docs/evaluation.md").read_text()
    names = [name for name, _ in snapshot_selection.tables()]
    assert names
    assert all(f"<!-- {name} -->" in page for name in names)
    assert filled(page, snapshot_selection.tables()) == page
