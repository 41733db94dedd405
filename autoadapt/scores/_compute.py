"""Scores by name, and all scores of one candidate."""

import math
from collections.abc import Mapping
from typing import Any, cast

from autoadapt.config.load import make as make_plugin
from autoadapt.config.settings import PluginSettings
from autoadapt.scores.base import Score, Statistics


def make(name: str, options: Mapping[str, Any]) -> Score:
    """Return a score with its options.

    Args:
        name: A built-in name, such as ``reent``, or the dotted name of somebody's own module.
        options: Fields of the score's class; absent ones keep their defaults.

    Raises:
        ConfigError: There is no such score or option, or an option has a wrong value.
    """
    plugin = PluginSettings(name=name, options=dict(options))
    return cast(Score, make_plugin("scores", plugin))


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
