"""Search spaces as data: choices, architectures, sampling, mutation, crossover, counting."""

from autoadapt.space.architecture import Architecture, Value
from autoadapt.space.feasibility import (
    Costs,
    Feasible,
    WithinLimits,
    narrowed,
    nothing_feasible,
    sample_feasible,
)
from autoadapt.space.reading import load, parse, shipped
from autoadapt.space.rules import Choice, Rule
from autoadapt.space.search_space import Limits, SearchSpace, SpaceExhausted

__all__ = [
    "Architecture",
    "Choice",
    "Costs",
    "Feasible",
    "Limits",
    "Rule",
    "SearchSpace",
    "SpaceExhausted",
    "Value",
    "WithinLimits",
    "load",
    "narrowed",
    "nothing_feasible",
    "parse",
    "sample_feasible",
    "shipped",
]
