"""The outcome of a search in plain sentences, made from its numbers."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from autoadapt.analysis.history import ObjectiveOf, ranked, value_or_nan
from autoadapt.analysis.results import AdaptationResult
from autoadapt.analysis.tables import decimal, percent, quantity
from autoadapt.records import Record


def trials_sentence(records: Sequence[Record], planned: int | None) -> str:
    """Say how many trials there are, how many finished and why the others did not."""
    finished = sum(record.status == "finished" for record in records)
    if not records:
        return f"No trial has ended yet{f' of {planned} planned' if planned else ''}."
    total = f"{len(records)} trial{'s' * (len(records) != 1)}"
    if planned is not None and planned > len(records):
        text = f"{len(records)} of {planned} planned trials have ended; {finished} of them finished"
    else:
        text = f"{finished} of {total} finished"
    failed = [record for record in records if record.status == "failed"]
    failures = Counter(reason_words(record.reason or "error") for record in failed)
    if not failures:
        return f"{text}."
    kinds = ", ".join(f"{count} {name}" for name, count in failures.most_common())
    return f"{text}, {sum(failures.values())} failed ({kinds})."


def winner_sentence(
    records: Sequence[Record],
    objective: ObjectiveOf,
    winner: Record | None,
    reference_costs: Mapping[str, float],
) -> str:
    """Name the winner, or the best trial so far, with its objective and its costs."""
    order = ranked(records, objective)
    best = winner or (order[0] if order else None)
    if best is None:
        return "There is no best architecture yet, since no trial has an objective."
    value = value_or_nan(best, objective)
    name = f"{best.architecture.id} (trial {best.number})"
    score = "" if math.isnan(value) else f" with an objective of {decimal(value)}"
    start = "The winner is" if winner else "No winner has been chosen yet; the best so far is"
    return f"{start} {name}{score}{cost_words(best.costs, reference_costs)}."


def cost_words(costs: Mapping[str, float], reference: Mapping[str, float]) -> str:
    """Say what an architecture costs, and how that compares with the reference."""
    if "macs" not in costs:
        return ""
    text = f"; it needs {quantity(costs['macs'])} multiply-adds per image"
    if reference.get("macs"):
        text += f" ({share_words(costs['macs'] / reference['macs'])} the reference)"
    return text + (f" and has {quantity(costs['params'])} parameters" if "params" in costs else "")


def share_words(ratio: float) -> str:
    """Return ``63 % of`` or, from twice on, ``2.4 times``."""
    return f"{ratio:.1f} times" if ratio >= 2 else f"{100 * ratio:.0f} % of"


def adaptation_sentence(results: Sequence[AdaptationResult]) -> str:
    """Compare the first result, the headline, with the others; empty when there is none."""
    if not results:
        return ""
    headline, *others = results
    seeds = len(headline.values)
    over = f" over {seeds} seeds" if seeds > 1 else ""
    digits = headline.digits
    reached = percent(headline.headline_mean, headline.headline_spread, digits=digits)
    value = f"{headline.headline} of {reached} %{over}"
    text = f"After full adaptation, “{headline.name}” reaches a target {value}"
    if not others:
        return f"{text}."
    compared = [
        f"{percent(other.headline_mean, digits=digits)} % for “{other.name}”" for other in others
    ]
    listed = " and ".join(filter(None, [", ".join(compared[:-1]), compared[-1]]))
    return f"{text}, against {listed}."


def reason_words(reason: str) -> str:
    """Return why a trial failed as a reader would say it."""
    return {"nan": "NaN"}.get(reason, reason.replace("_", " "))
