"""A network before it exists."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from autoadapt.errors import SpaceError

type_names = "a bool, a finite number, text or a list of these"
Value = bool | int | float | str | tuple["Value", ...]
"""What a choice may be set to; a YAML list becomes a tuple."""


@dataclass(frozen=True)
class Architecture:
    """One point of a search space: a network family and the value of each active choice.

    Plain, hashable and canonical: keys are sorted, an inactive choice is not part of it. Equal
    architectures build equal networks, so an ``id`` seen before means "already trained".
    """

    family: str
    items: tuple[tuple[str, Value], ...]

    @classmethod
    def of(cls, family: str, values: Mapping[str, Any]) -> "Architecture":
        """Make an architecture from any mapping; lists become tuples, keys are sorted."""
        return cls(family, tuple(sorted((key, freeze(value)) for key, value in values.items())))

    @cached_property
    def values(self) -> dict[str, Value]:
        """The active choices; treat it as read-only."""
        return dict(self.items)

    @cached_property
    def id(self) -> str:
        """Twelve hex digits, a hash of the content: the same in every process and machine."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_json(self) -> dict[str, Any]:
        """Return plain lists and dictionaries; ``from_json`` undoes it."""
        return {"family": self.family, "values": {key: thaw(value) for key, value in self.items}}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Architecture":
        """Undo ``to_json``.

        Raises:
            SpaceError: ``raw`` is not the description of an architecture.
        """
        known = raw if isinstance(raw, Mapping) else {}
        family, values = known.get("family"), known.get("values")
        if not isinstance(family, str) or not isinstance(values, Mapping):
            raise SpaceError(
                f"not an architecture: {str(raw)[:80]!r}; "
                "expected 'family: NAME' and 'values: {…}'"
            )
        return cls.of(family, values)


def freeze(value: Any) -> Value:
    """Turn lists into tuples, all the way down.

    Raises:
        SpaceError: Something is of none of the plain types, or a number is not finite.
    """
    # Tuples of types: this runs for every choice of every proposal, and A | B is built anew.
    if isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, (list, tuple)):
        return tuple(map(freeze, value))
    raise SpaceError(f"an architecture may hold {type_names}, found {value!r}")


def thaw(value: Value) -> Any:
    """Turn tuples into lists, all the way down."""
    return [thaw(item) for item in value] if isinstance(value, tuple) else value
