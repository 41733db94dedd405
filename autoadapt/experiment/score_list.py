"""What ``autoadapt scores`` says: every label-free score, what it needs, and named objectives."""

import dataclasses
import inspect
from typing import Any

from autoadapt.analysis.tables import text_table
from autoadapt.config.named_objectives import names, summary_of
from autoadapt.objective import named, words
from autoadapt.plugins import available, find
from autoadapt.scores._compute import make
from autoadapt.scores.base import HOW, Score


def list_scores() -> dict[str, list[dict[str, Any]]]:
    """Return the built-in scores and the shipped objectives, as plain values."""
    return {
        "scores": [described_score(name) for name in available("scores")],
        "objectives": [
            {"name": name, "summary": summary_of(name), "terms": words(named(name))}
            for name in names()
        ],
    }


def described_score(name: str) -> dict[str, Any]:
    """Return what is known of a score with its default options; smaller is better for all.

    Raises:
        ConfigError: There is no such score.
    """
    score = make(name, {})
    return {
        "name": name,
        "summary": score.summary,
        "needs": [HOW[need] for need in sorted(score.needs)],
        "options": {field.name: getattr(score, field.name) for field in _fields(score)},
    }


def scores_text(found: dict[str, list[dict[str, Any]]]) -> str:
    """Return all scores and objectives as two tables."""
    scores = [[one["name"], one["summary"], "; ".join(one["needs"])] for one in found["scores"]]
    objectives = [[one["name"], one["terms"], one["summary"]] for one in found["objectives"]]
    return "\n\n".join(
        [
            text_table(["score", "summary", "needs"], scores, words=3),
            text_table(["objective", "terms", "summary"], objectives, words=3),
            "Smaller is better for every score; options and defaults: autoadapt scores NAME; one "
            "score with other options beside it: scoring.options: {my_name: {score: NAME, …}}",
        ]
    )


def score_text(one: dict[str, Any]) -> str:
    """Return one score in full: its text, what it needs, and its options with their defaults."""
    rows = [[name, repr(value)] for name, value in one["options"].items()]
    parts = [
        f"{one['name']}: {one['summary']}",
        f"needs: {'; '.join(one['needs']) or 'nothing beyond the sample of both domains'}",
        text_table(["option", "default"], rows, words=2) if rows else "options: none",
        inspect.cleandoc(find("scores", one["name"]).__doc__ or ""),
    ]
    return "\n\n".join(parts)


def _fields(score: Score) -> tuple[dataclasses.Field[Any], ...]:
    assert dataclasses.is_dataclass(score)
    return dataclasses.fields(score)
