"""No golden number lies unused: every recorded case is the business of some test."""

import json
from pathlib import Path

HERE = Path(__file__).parent


def test_every_recorded_case_is_used_by_a_test(vectors: Path) -> None:
    """By its name, or by its name up to a part that a test fills in."""
    cases = json.loads((vectors / "index.json").read_text())["cases"]
    others = (path for path in HERE.rglob("*.py") if path != Path(__file__))
    text = "\n".join(path.read_text() for path in others)
    names = [case["name"] for case in cases]
    assert len(names) > 50
    assert [n for n in names if n not in text and f"{n.rpartition('_')[0]}_{{" not in text] == []
