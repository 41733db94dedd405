"""How models do on the very images that scores look at, beside how they do on held-out ones.

What a score loses from the former to the latter is not its fault: it is what one sample of target
images can say of another.
"""

import math
from typing import Any

from matplotlib.axes import Axes

from autoadapt.analysis.correlation_plots import plot_agreement
from autoadapt.analysis.correlation_report import CorrelationReport, difference_values, finite
from autoadapt.analysis.drawing import Drawing, draw
from autoadapt.analysis.page import Markup, cell, picture, prose, table, tag
from autoadapt.analysis.ranks import spearman
from autoadapt.analysis.tables import decimal, percent

HEADER = ("mIoU on", "models", "mean", "least", "largest", "strongest score", "its ρ")
NOTE = (
    "Held-out images are of the target too, but no training and no score has seen them. Where the "
    "two orders differ, even a score that knew the mIoU on the images it looks at would misjudge "
    "others. “ρ, scored images” in the tables is the rank correlation of a score with the mIoU on "
    "the images it looked at."
)


def agreement_of_truths(report: CorrelationReport) -> float:
    """Return the rank correlation of both true metrics; NaN where one of them is constant."""
    assert report.on_both is not None
    scored, held_out = report.on_both
    return spearman(scored.true, held_out.true)


def strongest(report: CorrelationReport, rhos: dict[str, float]) -> str | None:
    """Return the score that ranks best by some correlations; none where none can be said to."""
    known = {one.name: rhos.get(one.name, math.nan) for one in report.scored}
    sound = {name: rho for name, rho in known.items() if not math.isnan(rho)}
    return min(sound, key=lambda name: sound[name]) if sound else None


def truth_sentences(report: CorrelationReport) -> list[str]:
    """Say how both true metrics compare; nothing where only one is known."""
    if report.on_both is None:
        return []
    scored, held_out = report.on_both
    sentence = (
        f"On the images that scores look at, the mIoU of {len(scored.models)} models is "
        f"{percent(scored.true.mean())} % on average, on held-out ones "
        f"{percent(held_out.true.mean())} %; the two order the models alike with ρ "
        f"{decimal(agreement_of_truths(report), 2)}."
    )
    return [sentence, *primary_there(report), *best_there(report)]


def primary_there(report: CorrelationReport) -> list[str]:
    """Say what the comparison that decides gives on the scored images; nothing without one."""
    if report.protocol is None or report.on_both is None:
        return []
    primary = report.protocol.primary
    one = report.on_both[0].difference(primary.first, primary.second)
    if math.isnan(one.value):
        return []
    low, high = one.interval
    return [
        f"Judged on the scored images, {one.first} against {one.second} differ in −ρ by "
        f"{decimal(one.value, 2)} (95 % interval {decimal(low, 2)} to {decimal(high, 2)})."
    ]


def best_there(report: CorrelationReport) -> list[str]:
    """Say how the best score on held-out images ranks on the scored ones, and which is best."""
    rhos = report.rhos_on_scored
    there = strongest(report, rhos)
    if there is None:
        return []
    best = report.scored[0]
    words = (
        f"“{best.name}” reaches ρ {decimal(rhos[best.name], 2)} on the scored images and "
        f"{decimal(best.rho, 2)} on held-out ones"
    )
    if there != best.name:
        words += f"; the strongest score on the former is “{there}” ({decimal(rhos[there], 2)})"
    return [f"{words}."]


def draw_truths(report: CorrelationReport) -> list[Drawing]:
    """Draw both true metrics against each other; nothing where only one is known."""
    if report.on_both is None:
        return []
    scored, held_out = report.on_both
    title = f"ρ {decimal(agreement_of_truths(report), 2)}, n = {len(scored.models)}"

    def plot(ax: Axes) -> Axes:
        plot_agreement(
            100 * scored.true,
            held_out.true,
            ax=ax,
            title=title,
            name="mIoU on scored images in %",
            groups=scored.groups,
            seed=report.seed,
        )
        ax.set(ylabel="mIoU on held-out images in %")
        return ax

    drawing = draw(
        plot,
        name="scored-and-held-out",
        description=f"mIoU on held-out target images against that on scored ones: {title}",
        size=(4.2, 3.4),
    )
    return [drawing]


def truth_part(report: CorrelationReport, drawings: list[Drawing]) -> list[Markup]:
    """Return plot and table of both true metrics; nothing where only one is known."""
    if report.on_both is None:
        return []
    rows = [
        tag(
            "tr",
            cell(str(one["images"]), class_="first"),
            cell(str(one["models"]), value=one["models"]),
            *(cell(percent(one[key]), value=one[key]) for key in ("mean", "least", "largest")),
            cell(one["strongest_score"] or "–"),
            cell(decimal(one["rho"], 2), value=math.nan if one["rho"] is None else one["rho"]),
        )
        for one in rows_of(report)
    ]
    numeric = {*HEADER} - {HEADER[0], "strongest score"}
    return [
        table(HEADER, rows, numeric=numeric),
        prose(NOTE),
        tag("div", *(picture(one, class_="plot small") for one in drawings), class_="grid"),
    ]


def rows_of(report: CorrelationReport) -> list[dict[str, Any]]:
    """Return what is known of the models on scored, then on held-out images, as plain values."""
    assert report.on_both is not None
    held_out = {one.name: one.rho for one in report.scored}
    sides = zip(
        ("scored images", "held-out images"),
        report.on_both,
        (report.rhos_on_scored, held_out),
        strict=True,
    )
    rows = []
    for name, one, rhos in sides:
        best = strongest(report, rhos)
        low, high = float(one.true.min()), float(one.true.max())
        spread = {"mean": float(one.true.mean()), "least": low, "largest": high}
        judged = {"strongest_score": best, "rho": rhos[best] if best else None}
        rows.append({"images": name, "models": len(one.models), **spread, **judged})
    return rows


def truth_values(report: CorrelationReport) -> dict[str, Any] | None:
    """Return the same as plain values; none where only one true metric is known."""
    if report.on_both is None:
        return None
    protocol, (scored, _) = report.protocol, report.on_both
    pair = (protocol.primary.first, protocol.primary.second) if protocol else None
    return {
        "rho": finite(agreement_of_truths(report)),
        "sides": rows_of(report),
        "primary": difference_values(scored.difference(*pair)) if pair else None,
    }
