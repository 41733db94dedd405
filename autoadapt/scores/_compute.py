"""Scores by name, and all scores of one candidate."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True)
class Computed:
    """What came of the scores of one candidate, by name.

    Attributes:
        values: Of the scores that are defined.
        errors: Why the others are not.
        seconds: Processor time of each, from statistics that are there already. What several
            scores share and the statistics remember is counted for the first of them.
    """

    values: Mapping[str, float]
    errors: Mapping[str, str]
    seconds: Mapping[str, float]


def compute_timed(scores: Mapping[str, Score], statistics: Statistics) -> Computed:
    """Return what came of all scores, with the time that each has taken."""
    values: dict[str, float] = {}
    errors: dict[str, str] = {}
    seconds: dict[str, float] = {}
    for name, score in scores.items():
        started = time.process_time()
        try:
            value = float(score(statistics))
        except ValueError as error:
            errors[name] = str(error)
        else:
            if math.isfinite(value):
                values[name] = value
            else:
                errors[name] = f"the value is {value}"
        seconds[name] = round(time.process_time() - started, 6)
    return Computed(values=values, errors=errors, seconds=seconds)


def compute(
    scores: Mapping[str, Score], statistics: Statistics
) -> tuple[dict[str, float], dict[str, str]]:
    """Return the values of all scores, and for those that are not defined the reason."""
    found = compute_timed(scores, statistics)
    return dict(found.values), dict(found.errors)
