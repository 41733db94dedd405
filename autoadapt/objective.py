"""The one number a search minimises.

Terms of very different scale are standardised with the median and the spread of a calibration
set. Both are frozen: statistics of the growing population would change the order of two old
trials whenever others join (``scores.md`` 3.2).
"""

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from autoadapt.config.named_objectives import with_named
from autoadapt.config.settings import ObjectiveSettings, TermSettings
from autoadapt.errors import ConfigError, RunError
from autoadapt.records import Record, finished

VERSION = 1
CALIBRATED = ("standard", "rank")
"""Forms that need the values of calibration trials."""
RANK_SPREAD = 12**0.5
"""One over the standard deviation of evenly spread places between 0 and 1."""
NORMAL_MAD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""
SMALLEST_RELATIVE_SCALE = 1e-6
SMALLEST_SCALE = 1e-12


@dataclass(frozen=True)
class Standard:
    """What one term is standardised with: (value - median) / scale, or its rank.

    Attributes:
        median: Of the calibration trials.
        scale: 1.4826 times their median absolute deviation, never 0.
        count: Calibration trials that have this score.
        values: Of these trials, sorted; empty in files of an earlier version.
    """

    median: float
    scale: float
    count: int
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Calibration:
    """Medians and spreads of scores over some trials; never changed, only replaced.

    Attributes:
        terms: By score.
        trials: Number of calibration trials.
    """

    terms: Mapping[str, Standard]
    trials: int

    def to_json(self) -> dict[str, Any]:
        """Return plain values; ``from_json`` undoes it."""
        terms = {name: asdict(standard) for name, standard in self.terms.items()}
        return {"version": VERSION, "trials": self.trials, "terms": terms}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Calibration":
        """Undo ``to_json``.

        Raises:
            RunError: It is of another version, or not a calibration.
        """
        if raw.get("version") != VERSION:
            raise RunError(
                f"expected a calibration of version {VERSION}, found version "
                f"{raw.get('version')!r}; calibrate again with this version of autoadapt"
            )
        try:
            terms = {
                name: Standard(**values | {"values": tuple(values.get("values", ()))})
                for name, values in raw["terms"].items()
            }
            return cls(terms, int(raw["trials"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(f"not a calibration: {str(raw)[:80]}: {error!r}") from error


def calibrate(records: Sequence[Record], settings: ObjectiveSettings) -> Calibration:
    """Measure all scores and costs over the first ``settings.calibration`` finished trials.

    All of them, not only the terms of this objective, so that another run can start from here.

    Raises:
        RunError: None of these trials has a score that the objective standardises.
    """
    chosen = finished(list(records))[: settings.calibration]
    values: dict[str, list[float]] = {}
    for record in chosen:
        for name in {**record.costs, **record.scores}:
            if (value := _value(record, name)) is not None:
                values.setdefault(name, []).append(value)
    for term in settings.terms:
        if term.form in CALIBRATED and term.score not in values:
            raise RunError(
                f"cannot calibrate {term.score!r}: none of the {len(chosen)} finished trials has "
                f"it{_reason(chosen, term.score)}"
            )
    return Calibration({name: _standard(found) for name, found in values.items()}, len(chosen))


def _reason(records: Sequence[Record], score: str) -> str:
    reasons = [record.score_errors[score] for record in records if score in record.score_errors]
    return f" (for example: {reasons[0]})" if reasons else "; list it under scoring.scores"


def _standard(values: Sequence[float]) -> Standard:
    median = float(np.median(values))
    spread = NORMAL_MAD * float(np.median(np.abs(np.asarray(values) - median)))
    floor = max(SMALLEST_SCALE, SMALLEST_RELATIVE_SCALE * abs(median))
    return Standard(median, max(spread, floor), len(values), tuple(sorted(values)))


class Places:
    """Places of values among those of the calibration trials: a frozen distribution function.

    For the trials themselves it is their mid-rank, so that on a closed set a weighted sum of
    places is one of ranks. Between them it is linear, and beyond them it goes on with the mean
    slope, so that no two values are the same (``scores.md`` 3.2).
    """

    def __init__(self, values: Sequence[float]) -> None:
        """Take the values of the calibration trials, at least one."""
        self.levels, counts = np.unique(np.asarray(values, dtype=np.float64), return_counts=True)
        below = np.cumsum(counts) - counts
        self.heights = (below + counts / 2) / counts.sum()
        span = self.levels[-1] - self.levels[0]
        self.slope = (self.heights[-1] - self.heights[0]) / span if span > 0 else 0.0

    def __call__(self, value: float) -> float:
        """Return the place, from 0 to 1 within the calibration trials, made 0 in the middle.

        Divided by the standard deviation of evenly spread places: comparable with a z-score.
        """
        inside = float(np.clip(value, self.levels[0], self.levels[-1]))
        place = float(np.interp(inside, self.levels, self.heights))
        return RANK_SPREAD * (place + self.slope * (value - inside) - 0.5)


class Objective:
    """A weighted sum of terms; smaller is better.

    With z the standardised value, clipped, and b the budget or else the cost of the reference:

    - ``standard``: weight * z
    - ``rank``: weight * place among the calibration trials (``Places``), clipped too
    - ``hinge``: weight * max(0, value / b - 1), nothing within the budget
    - ``linear``: weight * value / b
    - ``raw``: weight * value
    - ``guard``: weight * max(0, value - limit), nothing up to the limit

    A trial that lacks the score of a guard has no objective: a guard that cannot look must not
    let pass.

    Source: AutoAdapt (arXiv 2106.13227), equation 6; the standardisation is ours.
    """

    def __init__(
        self,
        settings: ObjectiveSettings,
        calibration: Calibration,
        reference_costs: Mapping[str, float],
    ) -> None:
        """Check that every term has what its form needs.

        Args:
            settings: The terms.
            calibration: Medians, spreads and values for ``standard`` and ``rank`` terms.
            reference_costs: ``macs`` and ``params`` of the reference architecture.

        Raises:
            ConfigError: A ``standard`` or ``rank`` term is not calibrated, or a ``hinge`` or
                ``linear`` one has neither a budget nor a reference.
        """
        self.settings = settings
        self.calibration = calibration
        self._budgets = {
            index: _budget(term, reference_costs)
            for index, term in enumerate(settings.terms)
            if term.form in ("hinge", "linear")
        }
        for term in settings.terms:
            if term.form in CALIBRATED and term.score not in calibration.terms:
                raise ConfigError(
                    f"objective: {term.score!r} is not in the calibration, which has "
                    f"{', '.join(sorted(calibration.terms)) or 'nothing'}; calibrate with trials "
                    "that have this score, or give the term another form"
                )
        self._places = {
            term.score: Places(_values_of(calibration, term.score))
            for term in settings.terms
            if term.form == "rank"
        }

    def __call__(self, record: Record) -> float | None:
        """Return the objective of a trial, or None if it failed or lacks a needed score."""
        if record.status != "finished" or self.missing(record):
            return None
        return sum(self.parts(record).values())

    def missing(self, record: Record) -> list[str]:
        """Return the scores that the objective needs and the trial lacks."""
        return [term.score for term in self.settings.terms if _value(record, term.score) is None]

    def parts(self, record: Record) -> dict[str, float]:
        """Return what each score adds; their sum is the objective.

        Two terms with the same score are put together.

        Raises:
            RunError: The trial lacks a needed score.
        """
        if missing := self.missing(record):
            raise RunError(f"trial {record.number} has no objective: it lacks {', '.join(missing)}")
        parts: dict[str, float] = {}
        for index, term in enumerate(self.settings.terms):
            value = _value(record, term.score)
            assert value is not None
            amount = term.weight * self._shaped(index, term, value)
            parts[term.score] = parts.get(term.score, 0.0) + amount
        return parts

    def clipped_share(self, records: Sequence[Record]) -> float:
        """Return the share of scored trials that have a clipped term, in [0, 1].

        Above 0.05 the calibration no longer fits the trials: calibrate again and score all of
        them anew.
        """
        scored = [record for record in finished(list(records)) if not self.missing(record)]
        clipped = sum(
            any(self._is_clipped(term, record) for term in self.settings.terms) for record in scored
        )
        return clipped / len(scored) if scored else 0.0

    def _is_clipped(self, term: TermSettings, record: Record) -> bool:
        value = _value(record, term.score)
        return (
            term.form in CALIBRATED
            and value is not None
            and abs(self._standardised(term, value)) > self.settings.clip
        )

    def _shaped(self, index: int, term: TermSettings, value: float) -> float:
        if term.form == "raw":
            return value
        if term.form == "linear":
            return value / self._budgets[index]
        if term.form == "hinge":
            return max(0.0, value / self._budgets[index] - 1.0)
        if term.form == "guard":
            return max(0.0, value - term.limit)
        clip = self.settings.clip
        return min(clip, max(-clip, self._standardised(term, value)))

    def _standardised(self, term: TermSettings, value: float) -> float:
        if term.form == "rank":
            return self._places[term.score](value)
        standard = self.calibration.terms[term.score]
        return (value - standard.median) / standard.scale


def named(name: str) -> ObjectiveSettings:
    """Return an objective of ``config/objectives``, or of a file like those, by name or path.

    Raises:
        ConfigError: There is none, or it is wrong.
    """
    try:
        settings: ObjectiveSettings = TypeAdapter(ObjectiveSettings).validate_python(
            with_named(name)
        )
    except ValueError as error:
        raise ConfigError(f"objective {name}: {error}") from None
    return settings


def words(settings: ObjectiveSettings) -> str:
    """Return the terms of an objective as text: ``mmd + 0.5 reent + 10 macs (hinge)``."""
    return " + ".join(
        f"{term.weight:g} " * (term.weight != 1)
        + term.score
        + f" ({term.form})" * (term.form != "standard")
        for term in settings.terms
    ).replace("+ -", "− ")


def column(
    records: Sequence[Record], settings: ObjectiveSettings, reference_costs: Mapping[str, float]
) -> list[float | None]:
    """Return the values of an objective on a closed set of trials; None where a score is missing.

    It is standardised by its ``calibration`` trials of this set, all of them where it names no
    number.

    Raises:
        RunError: No trial has all its scores.
        ConfigError: A budget is missing.
    """
    objective = Objective(settings, calibrate(records, settings), reference_costs)
    values = [objective(record) for record in records]
    if all(value is None for value in values):
        names = " and ".join(dict.fromkeys(term.score for term in settings.terms))
        raise RunError(f"no trial has all it needs: {names}")
    return values


def columns(
    records: Sequence[Record],
    objectives: Mapping[str, ObjectiveSettings],
    reference_costs: Mapping[str, float],
) -> dict[str, list[float | None]]:
    """Return ``column`` of several objectives by name; one that cannot be had is left out."""
    found: dict[str, list[float | None]] = {}
    for name, settings in objectives.items():
        with contextlib.suppress(RunError, ConfigError):
            found[name] = column(records, settings, reference_costs)
    return found


def _values_of(calibration: Calibration, score: str) -> tuple[float, ...]:
    """Return the values of calibration trials.

    Raises:
        ConfigError: The calibration was made by a version that did not keep them.
    """
    values = calibration.terms[score].values
    if not values:
        raise ConfigError(
            f"objective: the calibration has no values of {score!r}, which a term of the form "
            "'rank' needs; calibrate again with this version of autoadapt"
        )
    return values


def _value(record: Record, score: str) -> float | None:
    """Return a score of a trial, or else a cost; None if it is absent or not finite."""
    value = record.scores.get(score, record.costs.get(score))
    return value if value is not None and math.isfinite(value) else None


def _budget(term: TermSettings, reference_costs: Mapping[str, float]) -> float:
    budget = term.budget if term.budget is not None else reference_costs.get(term.score)
    if budget is None or budget <= 0:
        raise ConfigError(
            f"objective: the {term.form} term of {term.score!r} needs a 'budget' above 0; only "
            f"{', '.join(sorted(reference_costs)) or 'nothing'} can be taken from the reference"
        )
    return budget
