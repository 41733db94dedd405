"""``docs/datasets.md`` says what is true: every format, every config, every printed line."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from autoadapt.config.load import mistakes_of_dataset
from autoadapt.config.settings import COMMON_KEYS, DatasetSettings, nest_format
from autoadapt.data.counting import silent
from autoadapt.data.protocols import PROTOCOLS
from autoadapt.experiment.data_commands import check_folder
from autoadapt.plugins import available

PAGE = (Path(__file__).parents[3] / "docs" / "datasets.md").read_text()
YAML = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
OWN = {"folder", "prepared", "procedural"}
"""Formats that nobody publishes a data set in."""

CHECKS = dict(re.findall(r"<!-- check: (\w+) -->\n```text\n(.*?)```", PAGE, re.S))


def datasets_in(value: Any) -> list[dict[str, Any]]:
    """Return every data set in the values of a config."""
    if not isinstance(value, dict):
        return []
    inner = [found for item in value.values() for found in datasets_in(item)]
    return [value] if "kind" in value else inner


def test_every_format_has_a_section() -> None:
    headings = re.findall(r"^## (\w+)$", PAGE, re.M)
    assert sorted(headings) == available("data.formats")


def test_every_common_key_and_protocol_is_explained() -> None:
    assert not [key for key in (*COMMON_KEYS, *PROTOCOLS) if f"`{key}`" not in PAGE]


@pytest.mark.parametrize("text", YAML)
def test_every_config_is_sound(text: str) -> None:
    found = datasets_in(yaml.safe_load(text))
    assert found
    for raw in found:
        dataset = TypeAdapter(DatasetSettings).validate_python(nest_format(raw))
        assert not list(mistakes_of_dataset(("data",), dataset))


def test_every_published_data_set_shows_what_is_printed() -> None:
    assert sorted(CHECKS) == sorted(set(available("data.formats")) - OWN)


@pytest.mark.parametrize("kind", CHECKS)
def test_the_check_prints_what_the_page_shows(
    kind: str,
    miniature: Callable[[str], DatasetSettings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AUTOADAPT_CACHE", str(tmp_path / "cache"))
    root = Path(miniature(kind).options["root"])
    _, text, sound = check_folder(root, kind, [], labels=True, counting=silent)
    assert sound
    pieces = [piece.strip("\n") for piece in CHECKS[kind].split("\n...\n")]
    places = [f"{text}\n".find(f"{piece}\n") for piece in pieces]
    assert places[0] >= 0
    assert places == sorted(places)
