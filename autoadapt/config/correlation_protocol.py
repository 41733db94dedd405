"""What a bank will be asked, named before anybody looks at it, as data.

``autoadapt correlate BANK --protocol FILE`` reports these first; everything else is exploratory::

    source: where it is written in words
    combinations: {J1: mmd_reent, D3: [softmax_corr, source_miou]}
    readings: {flip: [reent]}
    fitted: ridge
    baseline: J1
    primary: {first: D3, second: J1}
    controls: [macs, params, source_miou]
    leave_out: {score: source_miou, below: 0.5}
    goal: {rho: 0.87, top_half: 0.5, above: [macs, source_miou]}
    repetitions: 3

A combination is an objective: the name of one, the path of a file, its keys, or a list of scores
that all have the weight 1.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from autoadapt.config.load import Mistake, explain, place, read
from autoadapt.config.named_objectives import with_named
from autoadapt.config.settings import Fraction, ObjectiveSettings, Positive, Strict
from autoadapt.errors import ConfigError


def as_objective(raw: Any) -> Any:
    """Return what a combination stands for as keys of an objective."""
    if isinstance(raw, list) and all(isinstance(name, str) for name in raw):
        return {"terms": [{"score": name} for name in raw]}
    return with_named(raw)


Combination = Annotated[ObjectiveSettings, BeforeValidator(as_objective)]


@dataclass(frozen=True, kw_only=True)
class Pair(Strict):
    """Two combinations that are compared: is the first one better than the second?"""

    first: str
    second: str


@dataclass(frozen=True, kw_only=True)
class LeaveOut(Strict):
    """Models without which all results are given a second time: collapsed ones.

    Attributes:
        score: Minus a quality, such as ``source_miou``.
        below: Models whose quality is below this share of its median are left out.
    """

    score: str
    below: Fraction


@dataclass(frozen=True, kw_only=True)
class Goal(Strict):
    """When a combination is good enough; rho is oriented so that larger is better.

    Attributes:
        rho: Least Spearman correlation.
        top_half: Least correlation among the better half of the models.
        above: Controls: the interval of the combination has to lie above the size of theirs.
    """

    rho: Fraction
    top_half: Fraction
    above: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CorrelationProtocol(Strict):
    """Endpoints that were named beforehand.

    Attributes:
        combinations: By name, in the order in which they are reported.
        baseline: The combination that all others are compared with.
        primary: The one comparison that decides.
        source: Where it is written in words.
        readings: Single scores that are looked at too but are no candidates for the goal.
        fitted: Name of the ridge regression on the ranks of all scores that a search can compute,
            fitted on the other of two banks; empty: none.
        controls: What a good score has to beat; random numbers are always added.
        leave_out: Which models the results are also given without.
        goal: When a combination is good enough.
        repetitions: The noise ceiling is taken from architectures that were trained so often.
    """

    combinations: Mapping[str, Combination]
    baseline: str
    primary: Pair
    source: str = ""
    readings: Mapping[str, Combination] = field(default_factory=dict)
    fitted: str = ""
    controls: tuple[str, ...] = ("macs", "params", "source_miou")
    leave_out: LeaveOut | None = None
    goal: Goal | None = None
    repetitions: Positive = 2

    @property
    def named(self) -> dict[str, ObjectiveSettings]:
        """Combinations and readings by name."""
        return {**self.combinations, **self.readings}


def load_protocol(path: Path) -> CorrelationProtocol:
    """Read a protocol.

    Raises:
        ConfigError: There is no such file, or one error that lists every mistake with its line.
    """
    if not path.is_file():
        raise ConfigError(f"{path} is no file; expected a protocol in YAML (docs/scores.md)")
    tree, raw = read(path)
    found, mistakes = None, []
    try:
        found = TypeAdapter(CorrelationProtocol).validate_python(raw)
    except ValidationError as error:
        mistakes = [explain(mistake, CorrelationProtocol) for mistake in error.errors()]
    else:
        mistakes = list(contradictions(found))
    if mistakes or found is None:
        lines = (f"{place(path, tree, keys, ())}: {text}" for keys, text in mistakes)
        raise ConfigError("\n".join(dict.fromkeys(lines)))
    return found


def contradictions(protocol: CorrelationProtocol) -> Iterator[Mistake]:
    """Yield names that stand for nothing or for two things."""
    known = ", ".join(protocol.combinations) or "none"
    asked = {
        ("baseline",): protocol.baseline,
        ("primary", "first"): protocol.primary.first,
        ("primary", "second"): protocol.primary.second,
    }
    for keys, name in asked.items():
        if name not in protocol.combinations:
            yield keys, f"{'.'.join(keys)}: no combination {name!r}; there are {known}"
    for name in protocol.readings.keys() & protocol.combinations.keys():
        yield ("readings", name), f"readings.{name}: also the name of a combination"
    if protocol.fitted in protocol.named:
        yield ("fitted",), f"fitted: {protocol.fitted!r} is also the name of a combination"
    for index, name in enumerate(protocol.goal.above if protocol.goal else ()):
        if name not in protocol.controls:
            yield ("goal", "above", index), f"goal.above: {name!r} is not among the controls"
