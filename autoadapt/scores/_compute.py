"""Scores by name, and all scores of one candidate."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from autoadapt import plugins
from autoadapt.errors import ConfigError
from autoadapt.scores.base import Score, Statistics


def make(name: str, options: Mapping[str, Any]) -> Score:
    """Return a score with its options.

    Args:
        name: A built-in name, such as ``reent``, or the dotted name of somebody's own module.
        options: Fields of the score's class; absent ones keep their defaults.

    Raises:
        ConfigError: There is no such score or option, or an option has a wrong value.
    """
    kind = plugins.find("scores", name)
    if not (isinstance(kind, type) and issubclass(kind, Score) and dataclasses.is_dataclass(kind)):
        raise ConfigError(f"the score {name!r} must be a dataclass derived from Score")
    known = [field.name for field in dataclasses.fields(kind)]
    for option in options:
        if option not in known:
            listed = ", ".join(known) or "none"
            raise ConfigError(
                f"the score {name!r} has no option {option!r}"
                f"{plugins.suggestion(option, known)}; its options: {listed}"
            )
    try:
        return cast(Score, TypeAdapter(kind).validate_python(dict(options)))
    except ValidationError as error:
        wrong = "; ".join(
            ".".join(map(str, item["loc"])) + f": {item['msg']}, found {item['input']!r}"
            for item in error.errors()
        )
        raise ConfigError(f"options of the score {name!r}: {wrong}") from error


def compute(
    scores: Mapping[str, Score], statistics: Statistics
) -> tuple[dict[str, float], dict[str, str]]:
    """Return the values of all scores, and for those that are not defined the reason."""
    values: dict[str, float] = {}
    errors: dict[str, str] = {}
    for name, score in scores.items():
        try:
            value = float(score(statistics))
        except ValueError as error:
            errors[name] = str(error)
            continue
        if math.isfinite(value):
            values[name] = value
        else:
            errors[name] = f"the value is {value}"
    return values, errors
