"""What ``autoadapt methods`` says: every adaptation method, what it needs and what it costs."""

import dataclasses
from typing import Any

from autoadapt.analysis.tables import ABSENT, text_table
from autoadapt.plugins import available, find
from autoadapt.uda._cost_factors import COST_FACTORS
from autoadapt.uda.base import Method, default_of

PRESETS = ("quick", "small")

HEADER = ["method", "cost", "summary", "needs", "paper"]


def list_methods() -> list[dict[str, Any]]:
    """Return the built-in methods by name, as plain values."""
    return [described(name) for name in available("uda")]


def described(name: str) -> dict[str, Any]:
    """Return what is known of a method.

    Raises:
        ConfigError: There is no such method.
    """
    method: type[Method] = find("uda", name)
    options = [option for option in dataclasses.fields(method) if option.init]
    return {
        "name": name,
        "summary": method.summary,
        "paper": method.paper,
        "needs": list(method.needs.listed()),
        "cost": COST_FACTORS.get(name),
        "quick": dict(method.options_of("quick")),
        "small": dict(method.options_of("small")),
        "options": {option.name: default_of(option) for option in options},
    }


def methods_text(found: list[dict[str, Any]]) -> str:
    """Return all methods as a table."""
    rows = [
        [
            one["name"],
            cost(one["cost"]),
            one["summary"],
            "; ".join(one["needs"]),
            short(one["paper"]),
        ]
        for one in found
    ]
    note = (
        "cost: time of a training in units of source-only training with the same number of steps\n"
        "(benchmarks/method_cost.py); options and defaults: autoadapt methods NAME"
    )
    return f"{text_table(HEADER, rows, words=5)}\n\n{note}"


def method_text(one: dict[str, Any]) -> str:
    """Return one method in full: its text and its options with their defaults."""
    method: type[Method] = find("uda", one["name"])
    rows = [
        [name, repr(value), *(set_by(one[preset], name) for preset in PRESETS)]
        for name, value in one["options"].items()
    ]
    needs = "; ".join(one["needs"]) or "nothing beyond one network and one source"
    parts = [
        f"{one['name']}: {one['summary']}",
        f"paper: {one['paper']}\nneeds: {needs}\ncost: {cost(one['cost'])} x source-only",
        text_table(["option", "default", *(f"preset {name}" for name in PRESETS)], rows, words=4),
        documented(method),
    ]
    return "\n\n".join(parts)


def set_by(preset: dict[str, Any], name: str) -> str:
    """Return what a preset sets an option to, as text; nothing where it leaves it alone."""
    return repr(preset[name]) if name in preset else ""


def documented(method: type[Method]) -> str:
    """Return the docstrings of a method and of those it builds on, own options first."""
    texts = [
        base.__doc__ or ""
        for base in method.__mro__
        if base is not Method and issubclass(base, Method)
    ]
    lines = [line.removeprefix("    ") for text in texts for line in (*text.splitlines(), "")]
    return "\n".join(lines).strip()


def short(paper: str) -> str:
    """Return authors and venue of a paper, without its title; other texts as they are."""
    first, *others = paper.split(", ")
    return f"{first}, {others[-1]}" if others else paper


def cost(factor: float | None) -> str:
    """Return a cost factor as text."""
    return ABSENT if factor is None else f"{factor:.1f}"
