"""What the scores of a run or a bank took, from what is kept with its models."""

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from autoadapt.analysis.score_costs import ScoreCost, total
from autoadapt.config.settings import ObjectiveSettings


def median_seconds(models: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the median over models of the seconds of each score, by name."""
    found: dict[str, list[float]] = {}
    for seconds in models:
        for name, value in seconds.items():
            found.setdefault(name, []).append(value)
    return {name: median(values) for name, values in sorted(found.items())}


def costs_of_scores(
    described: Mapping[str, Mapping[str, Any]],
    seconds: Mapping[str, float],
    objectives: Mapping[str, ObjectiveSettings],
) -> dict[str, ScoreCost]:
    """Return what scores and objectives take, by the name of their column.

    Args:
        described: Needs of each score, as ``rescoring.describe_scores`` returns them.
        seconds: Of each score, as far as they are known.
        objectives: Those that are columns; costs of the architecture among their terms are free.
    """
    nan = float("nan")
    scores = {
        name: ScoreCost(seconds.get(name, nan), tuple(one["needs"]))
        for name, one in described.items()
    }
    terms = {
        name: [scores[term.score] for term in settings.terms if term.score in scores]
        for name, settings in objectives.items()
    }
    return {**scores, **{name: total(parts) for name, parts in terms.items() if parts}}
