"""Objectives with a name, as data: ``objective: mmd_reent`` in a config.

One file ``objectives/<name>.yaml`` per objective::

    summary: what it is, in one line
    source: where it comes from
    terms: [{score: mmd}, {score: collapse, weight: 100, form: guard}]
    clip: 5.0                # optional, like every other key of ``objective``
    fitted: {bank: ...}      # only in files of ``autoadapt fit``: what the weights were fitted on

A path of such a file stands for a name everywhere. Keys given beside ``name`` go first.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from autoadapt.plugins import suggestion

FOLDER = Path(__file__).parent / "objectives"
ABOUT = ("summary", "source", "fitted")
"""Keys that say something and set nothing."""


def names() -> list[str]:
    """Return the names of the objectives that come with the package, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def keys_of(name: str) -> dict[str, Any]:
    """Return the keys of ``objective`` that a name, or the path of a file, stands for.

    Raises:
        ValueError: There is no such objective, or its file is no mapping with terms.
    """
    return {key: value for key, value in _read(name).items() if key not in ABOUT}


def summary_of(name: str) -> str:
    """Return what an objective is, in one line.

    Raises:
        ValueError: As ``keys_of``.
    """
    return str(_read(name).get("summary", ""))


def fitted_on(name: str) -> Mapping[str, Any]:
    """Return what the weights of an objective were fitted on; nothing if they were not.

    Raises:
        ValueError: As ``keys_of``.
    """
    found = _read(name).get("fitted")
    return found if isinstance(found, Mapping) else {}


def with_named(raw: Any) -> Any:
    """Replace the name of an objective, alone or under ``name``, by the keys it stands for."""
    if isinstance(raw, str):
        raw = {"name": raw}
    if not isinstance(raw, Mapping) or not isinstance(raw.get("name"), str) or not raw["name"]:
        return raw
    return {**keys_of(raw["name"]), **raw}


@cache
def _read(name: str) -> Mapping[str, Any]:
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = names()
        raise ValueError(
            f"no objective named {name!r}{suggestion(name, known)}; available: {', '.join(known)}, "
            "or the path of a YAML file"
        )
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(found, dict) or "terms" not in found:
        raise ValueError(f"{path} is no objective: expected a mapping with 'terms'")
    return found
