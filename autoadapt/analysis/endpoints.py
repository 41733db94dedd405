"""What was named beforehand, found in one bank: endpoints of combinations and one comparison.

Here a correlation counts as -ρ: larger is better, and negative for a score that points the wrong
way.
"""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from autoadapt.analysis.correlation import Agreement, Difference
from autoadapt.analysis.correlation_report import (
    CorrelationReport,
    difference_values,
    finite,
    interval_words,
)
from autoadapt.analysis.score_costs import ScoreCost, cost_words
from autoadapt.analysis.tables import decimal, percent

COLUMNS = (
    "−ρ",
    "95 % interval",
    "gain",
    "95 % of gain",
    "top half",
    "95 % of top half",
    "given MACs",
    "regret@1",
    "regret@5",
    "n",
    "cost",
    "terms",
)
"""Of the table of endpoints, after the name; ``gain`` is over the baseline."""
ON_SCORED = "−ρ, scored images"
"""A column that is there where the true metric on the scored images is known, and its place."""
SECOND = COLUMNS.index("gain")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """All that was named beforehand about one combination, reading or control.

    Attributes:
        agreement: How it ranks; its ρ is near -1 for a good score.
        terms: What it is made of; empty for a control.
        gain: Its strength minus that of the baseline; none for the baseline and for controls.
        beyond: Its strength minus that of each control; empty for a control.
        cost: What it takes to have it.
        on_scored: -ρ with the true metric on the images that scores look at; none where that is
            not known.
    """

    agreement: Agreement
    terms: str = ""
    gain: Difference | None = None
    beyond: tuple[Difference, ...] = ()
    cost: ScoreCost = field(default_factory=ScoreCost)
    on_scored: float | None = None

    @property
    def name(self) -> str:
        """Of the combination."""
        return self.agreement.name

    @property
    def strength(self) -> float:
        """-ρ over all models."""
        return -self.agreement.rho

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the strength."""
        return flipped(self.agreement.interval)

    @property
    def top_half(self) -> float:
        """-ρ among the better half of the models."""
        return -self.agreement.top_half

    @property
    def top_interval(self) -> tuple[float, float]:
        """95 % interval of the same."""
        return flipped(self.agreement.top_interval)


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a protocol asked of one set of models.

    Attributes:
        primary: The comparison that decides.
        combinations: In the order of the protocol.
        readings: Single scores, and what was fitted: no candidates for the goal.
        controls: What a good score has to beat.
        ceiling: The noise ceiling; NaN: not known.
        n: Models with a truth.
    """

    primary: Difference
    combinations: tuple[Endpoint, ...]
    readings: tuple[Endpoint, ...]
    controls: tuple[Endpoint, ...]
    ceiling: float
    n: int

    @property
    def rows(self) -> tuple[Endpoint, ...]:
        """All of them, in the order in which they are shown."""
        return (*self.combinations, *self.readings, *self.controls)

    @property
    def confirmed(self) -> bool:
        """Whether the interval of the primary comparison lies above 0."""
        return self.primary.interval[0] > 0


def flipped(ends: tuple[float, float]) -> tuple[float, float]:
    """Return the interval of the negated value."""
    return -ends[1], -ends[0]


def size_interval(ends: tuple[float, float]) -> tuple[float, float]:
    """Return the interval of the size of a value, from the interval of the value."""
    low, high = ends
    return (max(0.0, low, -high), max(-low, high)) if not math.isnan(low) else ends


@lru_cache(maxsize=8)  # text, page and files all ask for it
def findings(report: CorrelationReport) -> Findings | None:
    """Return what the protocol of a report asks; none without a protocol or a true metric."""
    protocol = report.protocol
    if protocol is None or not report.judged:
        return None
    known = {one.name: one for one in report.agreements}
    readings = [name for name in (*protocol.readings, protocol.fitted) if name in report.named]
    controls = [name for name in (*protocol.controls, "random") if name in report.all_controls]

    def endpoint(name: str) -> Endpoint:
        return Endpoint(
            agreement=known[name],
            terms=report.terms.get(name, name),
            gain=report.difference(name, protocol.baseline) if name != protocol.baseline else None,
            beyond=tuple(report.difference(name, control) for control in controls),
            cost=report.cost(name),
            on_scored=strength_on_scored(name, report),
        )

    return Findings(
        primary=report.difference(protocol.primary.first, protocol.primary.second),
        combinations=tuple(map(endpoint, protocol.combinations)),
        readings=tuple(endpoint(name) for name in readings),
        controls=tuple(
            Endpoint(
                agreement=known[name],
                cost=report.cost(name),
                on_scored=strength_on_scored(name, report),
            )
            for name in controls
        ),
        ceiling=report.ceiling,
        n=len(report.judged),
    )


def strength_on_scored(name: str, report: CorrelationReport) -> float | None:
    """Return -ρ of a column on the scored images; none where their true metric is not known."""
    return -report.rhos_on_scored[name] if report.rhos_on_scored else None


def columns_of(found: Findings) -> tuple[str, ...]:
    """Return the columns of the table after the name: ``COLUMNS``, one more for both metrics."""
    both = any(one.on_scored is not None for one in found.rows)
    return (*COLUMNS[:SECOND], *[ON_SCORED] * both, *COLUMNS[SECOND:])


def misses(one: Endpoint, found: Findings, report: CorrelationReport) -> list[str]:
    """Return what a combination lacks to reach the goal in a bank; empty: it reaches it.

    Its interval has to lie above that of the size of each control, since costs have no right way.
    """
    goal = report.protocol.goal if report.protocol else None
    if goal is None:
        return []
    missing = []
    if not one.strength >= goal.rho:
        missing.append(f"−ρ {decimal(one.strength)} is below {goal.rho:g}")
    if not one.top_half >= goal.top_half:
        missing.append(f"top half {decimal(one.top_half)} is below {goal.top_half:g}")
    controls = {control.name: control.agreement for control in found.controls}
    for name in goal.above:
        if name not in controls:
            missing.append(f"{name} is not known")
        elif not one.interval[0] > size_interval(controls[name].interval)[1]:
            missing.append(f"its interval is not above that of {name}")
    return missing


def endpoint_cells(one: Endpoint) -> list[str]:
    """Return one row of the table: the name, then those of ``columns_of``."""
    agreement, gain = one.agreement, one.gain
    return [
        one.name if one.terms else f"{one.name} (control)",
        decimal(one.strength, 2),
        interval_words(one.interval),
        *([] if one.on_scored is None else [decimal(one.on_scored, 2)]),
        decimal(gain.value, 2) if gain else "–",
        interval_words(gain.interval) if gain else "–",
        decimal(one.top_half, 2),
        interval_words(one.top_interval),
        decimal(-agreement.partial_rho, 2),
        percent(agreement.regrets[0]),
        percent(agreement.regrets[1]),
        f"{agreement.n} of {agreement.n + agreement.dropped}",
        cost_words(one.cost),
        one.terms or "–",
    ]


def sort_keys(one: Endpoint) -> list[float]:
    """Return what the numeric cells of a row are sorted by: all but name and terms."""
    agreement, gain = one.agreement, one.gain
    return [
        one.strength,
        one.interval[0],
        *([] if one.on_scored is None else [one.on_scored]),
        gain.value if gain else math.nan,
        gain.interval[0] if gain else math.nan,
        one.top_half,
        one.top_interval[0],
        -agreement.partial_rho,
        *agreement.regrets[:2],
        float(agreement.n),
        one.cost.seconds,
    ]


def endpoint_values(one: Endpoint) -> dict[str, Any]:
    """Return one endpoint as plain values; what is undefined is null."""
    agreement = one.agreement
    values = {
        "name": one.name,
        "terms": one.terms,
        "n": agreement.n,
        "dropped": agreement.dropped,
        "strength": one.strength,
        "strength_low": one.interval[0],
        "strength_high": one.interval[1],
        "strength_top_half": one.top_half,
        "strength_top_half_low": one.top_interval[0],
        "strength_top_half_high": one.top_interval[1],
        "strength_given_macs": -agreement.partial_rho,
        "strength_scored_images": one.on_scored,
        "regret_at_1": agreement.regrets[0],
        "regret_at_5": agreement.regrets[1],
        "seconds": one.cost.seconds,
        "needs": " ".join(one.cost.needs),
        "reason": agreement.reason,
    }
    return {
        **{name: finite(value) for name, value in values.items()},
        "gain_over_baseline": difference_values(one.gain) if one.gain else None,
        "gain_over_controls": [difference_values(gain) for gain in one.beyond],
    }


def findings_values(found: Findings, report: CorrelationReport) -> dict[str, Any]:
    """Return what was found as plain values."""
    return {
        "models": found.n,
        "noise_ceiling": finite(found.ceiling),
        "primary": {**difference_values(found.primary), "confirmed": found.confirmed},
        "combinations": [
            {**endpoint_values(one), "missing_for_goal": misses(one, found, report)}
            for one in found.combinations
        ],
        "readings": [endpoint_values(one) for one in found.readings],
        "controls": [endpoint_values(one) for one in found.controls],
    }


def named_values(report: CorrelationReport) -> dict[str, Any] | None:
    """Return what was named beforehand, also without collapsed models; none without a protocol."""
    found = findings(report)
    if report.protocol is None or found is None:
        return None
    trained = report.trained
    again = findings(trained) if trained is not None else None
    return {
        "source": report.protocol.source,
        "all_models": findings_values(found, report),
        "without_collapsed": (
            findings_values(again, trained) if again is not None and trained is not None else None
        ),
        "left_out": [] if trained is None else absent_from(trained, report),
    }


def absent_from(part: CorrelationReport, whole: CorrelationReport) -> list[str]:
    """Return the labels of the models that are not in a part of a report."""
    kept = set(part.models)
    return [label for label in whole.models if label not in kept]


def primary_words(found: Findings) -> str:
    """Say what came of the comparison that decides."""
    one = found.primary
    if math.isnan(one.value):
        return f"Named beforehand, {one.first} against {one.second}: it cannot be computed here."
    verdict = "confirmed" if found.confirmed else "not confirmed"
    return (
        f"Named beforehand, {one.first} against {one.second}: the difference of −ρ is "
        f"{decimal(one.value, 2)} (95 % interval {decimal(one.interval[0], 2)} to "
        f"{decimal(one.interval[1], 2)}), so it is {verdict} in this bank."
    )


def goal_words(found: Findings, report: CorrelationReport) -> list[str]:
    """Say which combinations reach the goal of the protocol; nothing without a goal."""
    goal = report.protocol.goal if report.protocol else None
    if goal is None:
        return []
    reached = [one.name for one in found.combinations if not misses(one, found, report)]
    above = f", intervals above those of {' and '.join(goal.above)}" if goal.above else ""
    names = ", ".join(reached) if reached else "no combination"
    return [
        f"The goal (−ρ {goal.rho:g}, in the better half {goal.top_half:g}{above}) is reached by "
        f"{names}."
    ]
