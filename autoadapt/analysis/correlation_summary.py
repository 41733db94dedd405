"""What the correlation report says in plain sentences, before any table."""

import math

from autoadapt.analysis.correlation import SUBSETS, TOP, Agreement
from autoadapt.analysis.correlation_report import (
    RANDOM,
    CorrelationReport,
    agreement_cells,
    header_of,
)
from autoadapt.analysis.endpoints import (
    Findings,
    absent_from,
    columns_of,
    endpoint_cells,
    findings,
    goal_words,
    primary_words,
)
from autoadapt.analysis.image_samples import image_sentences
from autoadapt.analysis.scored_truth import truth_sentences
from autoadapt.analysis.tables import decimal, percent, text_table

TERMINAL = ("score", "ρ", "95 % interval", "τ-b", "pairs right", "ρ, top half", "regret@1", "n")
"""The columns that fit a terminal."""
EXPLORATORY = "exploratory:"
TOO_MANY_MISSING = "more than half of the models lack it"


def correlation_text(report: CorrelationReport) -> str:
    """Return summary and tables for a terminal, what was named beforehand first."""
    header = header_of(report)
    places = [header.index(name) for name in TERMINAL]
    shown = [one for one in report.agreements if one.name not in report.named]
    rows = [agreement_cells(one, report) for one in shown]
    cells = [[row[place] for place in places] for row in rows]
    table = ["", EXPLORATORY, text_table(TERMINAL, cells)] if cells else []
    if report.protocol is None:
        table = [line for line in table if line != EXPLORATORY]
    return "\n".join([*summarise(report), *named_table(report), *table])


def named_table(report: CorrelationReport) -> list[str]:
    """Return the table of what was named beforehand; nothing without a protocol."""
    found = findings(report)
    if found is None:
        return []
    rows = [endpoint_cells(one) for one in found.rows]
    return ["", "named beforehand:", text_table(["name", *columns_of(found)], rows)]


def summarise(report: CorrelationReport) -> list[str]:
    """Return what the numbers say."""
    if not report.judged:
        return [opening(report), *without_truth(report)]
    scored = [one for one in report.agreements if one.name in report.scores]
    sentences = [
        *opening_with(report),
        *truth_sentences(report),
        *absent_truths(report),
        *absent_scores(scored),
    ]
    if not report.scored:
        reasons = sorted({one.reason or TOO_MANY_MISSING for one in scored}) or [
            "there is no score"
        ]
        return [*sentences, f"No score could be judged: {'; '.join(reasons)}."]
    best = report.scored[0]
    if best.rho >= 0:
        return [*sentences, "No score ranks the models in the right direction."]
    return [*sentences, *best_sentences(best), *doubts(best, report), *other_images(report)]


def opening_with(report: CorrelationReport) -> list[str]:
    """Say what was compared and, under a protocol, what came of what was named beforehand."""
    found = findings(report)
    if found is None:
        return [opening(report)]
    return [
        opening(report),
        primary_words(found),
        *without_collapsed(found, report),
        *goal_words(found, report),
        "Everything below was not named beforehand and is exploratory.",
    ]


def without_collapsed(found: Findings, report: CorrelationReport) -> list[str]:
    """Say what the primary comparison gives without collapsed models."""
    rule = report.protocol.leave_out if report.protocol else None
    if rule is None:
        return []
    if report.trained is None:
        return [f"Collapsed models cannot be told: the models have no {rule.score}."]
    left_out = len(absent_from(report.trained, report))
    what = f"a {rule.score} below {rule.below:g} of the median"
    again = findings(report.trained)
    if not left_out or again is None:
        return [f"No model has {what}, so none is left out as collapsed."]
    words = "1 model has" if left_out == 1 else f"{left_out} models have"
    low, high = again.primary.interval
    return [
        f"{words} {what}; without {'it' if left_out == 1 else 'them'} the difference is "
        f"{decimal(again.primary.value, 2)} ({decimal(low, 2)} to {decimal(high, 2)})."
    ]


def opening(report: CorrelationReport) -> str:
    """Say what was compared."""
    number = len(report.judged)
    text = f"{len(report.scores)} label-free score{'s' * (len(report.scores) != 1)}"
    if not number:
        return f"{text}, but no model with a true target mIoU yet."
    text += f" compared with the true target mIoU of {number} model{'s' * (number != 1)}"
    return f"{text} (from {percent(report.true.min())} to {percent(report.true.max())} %)."


def without_truth(report: CorrelationReport) -> list[str]:
    """Say what is left when no true metric is known."""
    number = len(report.models)
    if not number:
        return []
    return [
        f"The {number} model{'s have' if number != 1 else ' has'} scores only: how well they rank "
        "cannot be said without true metrics. Give the config a data.evaluation section to have "
        "them measured."
    ]


def absent_truths(report: CorrelationReport) -> list[str]:
    """Say how many models have no true metric."""
    missing = len(report.models) - len(report.judged)
    if not missing:
        return []
    words = "1 model has" if missing == 1 else f"{missing} models have"
    return [f"{words} no true mIoU and could not be compared."]


def absent_scores(scored: list[Agreement]) -> list[str]:
    """Say which scores are not there for all models, or cannot be used."""
    dropped = [f"“{one.name}” {one.dropped}" for one in scored if one.dropped and not one.reason]
    sentences = []
    if dropped:
        sentences.append(f"Models left out because the score is missing: {', '.join(dropped)}.")
    for one in scored:
        if one.reason and len(scored) > 1:
            sentences.append(f"“{one.name}” could not be judged: {one.reason}.")
    return sentences


def best_sentences(best: Agreement) -> list[str]:
    """Say how well the best score ranks."""
    low, high = best.interval
    sentences = [
        f"“{best.name}” ranks them best: it puts {percent(best.pair_accuracy)} % of all pairs of "
        f"models in the right order (50 % is chance), Spearman ρ {decimal(best.rho, 2)} (95 % "
        f"interval {decimal(low, 2)} to {decimal(high, 2)}).",
        f"The model it would pick is {percent(best.regret)} points of mIoU below the best one"
        + shortlist(best)
        + ".",
    ]
    if not math.isnan(best.top_half):
        low, high = best.top_interval
        words = f"Among the better half of the models alone, ρ is {decimal(best.top_half, 2)}"
        if not math.isnan(low):
            words += f" ({decimal(low, 2)} to {decimal(high, 2)})"
        unsure = not high < 0
        sentences.append(words + (", which chance alone could give." if unsure else "."))
    return sentences


def shortlist(best: Agreement) -> str:
    """Say what the best of the top 5 loses, next to five models drawn by lot."""
    regret, chance = best.regrets[1], best.random_regrets[1]
    if math.isnan(regret):
        return ""
    return (
        f"; the best of its top {TOP[1]} is {percent(regret)} points below it "
        f"(by lot: {percent(chance)})"
    )


def doubts(best: Agreement, report: CorrelationReport) -> list[str]:
    """Say what weakens the finding: chance, choosing among many scores, controls, noise."""
    sentences = []
    if not best.interval[1] < 0:
        sentences.append("Its interval reaches 0: more models are needed to tell it from chance.")
    elif best.p_holm > 0.05:
        sentences.append(
            f"As the best of {len(report.scores)} scores it could still be chance "
            f"(corrected p {decimal(best.p_holm, 2)})."
        )
    return [
        *sentences,
        *chosen_by_half(report),
        *beside_controls(best, report),
        *pooling(best),
        *noise(report),
    ]


def chosen_by_half(report: CorrelationReport) -> list[str]:
    """Say what the best score is worth where it was not chosen."""
    one = report.choice
    if one is None or math.isnan(one.rho):
        return []
    name, share = next(iter(one.picked.items()))
    low, high = one.interval
    return [
        f"Chosen on one half of the architectures and judged on the other, the best of "
        f"{len(report.scored)} scores reaches ρ {decimal(one.rho, 2)} ({decimal(low, 2)} to "
        f"{decimal(high, 2)}; on its own half {decimal(one.seen, 2)}); most often, in "
        f"{percent(share, digits=0)} % of {SUBSETS} halvings, it is “{name}”."
    ]


def other_images(report: CorrelationReport) -> list[str]:
    """Say what fewer or other target images would change, of the most telling column there is."""
    protocol = report.protocol
    names = [protocol.primary.first] if protocol else []
    names += [one.name for one in report.scored]
    known = [report.by_images[name] for name in names if name in report.by_images]
    return image_sentences(known[0]) if known else []


def beside_controls(best: Agreement, report: CorrelationReport) -> list[str]:
    """Say how strong the controls are."""
    known = [
        one
        for one in report.agreements
        if one.name in report.controls and one.name != RANDOM and not math.isnan(one.rho)
    ]
    if not known:
        return []
    control = max(known, key=lambda one: abs(one.rho))
    if abs(control.rho) >= abs(best.rho):
        verdict = "it says as much, so this is no evidence for the score"
    elif unproven(best.name, control.name, report):
        verdict = "less than the score, but by no more than chance could make"
    else:
        verdict = "less than the score"
    return [f"As a control, {control.name} alone reaches ρ {decimal(control.rho, 2)}: {verdict}."]


def unproven(first: str, second: str, report: CorrelationReport) -> bool:
    """Whether the interval of the gain of a score over a control reaches 0."""
    return any(
        not one.interval[0] > 0
        for one in report.differences
        if (one.first, one.second) == (first, second)
    )


def pooling(best: Agreement) -> list[str]:
    """Warn where groups together look unlike each of them (Simpson's paradox)."""
    if math.isnan(best.within_rho):
        return []
    words = f"Inside single groups ρ is {decimal(best.within_rho, 2)} on average"
    if best.within_rho > 0.5 * best.rho:
        words += ": much of the correlation lies between the groups, not among their models"
    return [words + "."]


def noise(report: CorrelationReport) -> list[str]:
    """Say what the noise of retraining leaves possible."""
    if math.isnan(report.ceiling):
        return []
    return [
        f"Retraining with other seeds changes the true mIoU as well: no score can be expected to "
        f"reach more than |ρ| {decimal(report.ceiling, 2)} here."
    ]
