"""Banks of different data beside each other: which scores hold on all of them.

Models of different data are never pooled. Correlations are negated: -ρ is larger for a better
score, and negative for one that points the wrong way.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from autoadapt.analysis.correlation import Agreement
from autoadapt.analysis.correlation_plots import plot_side_by_side
from autoadapt.analysis.correlation_report import (
    CONTROL,
    NAMED,
    CorrelationReport,
    agreement_values,
    finite,
    interval_words,
    p_words,
)
from autoadapt.analysis.drawing import Drawing, draw
from autoadapt.analysis.endpoints import (
    Endpoint,
    Findings,
    absent_from,
    columns_of,
    endpoint_cells,
    findings,
    flipped,
    misses,
    named_values,
)
from autoadapt.analysis.page import Markup, cell, document, picture, prose, section, table, tag
from autoadapt.analysis.tables import csv_table, decimal, markdown_table, percent, text_table
from autoadapt.files import write_json, write_text

LISTED = 10
"""Scores that a sentence names."""
SURE = 0.05
"""Corrected p below which an exploratory score counts as one that ranks in a bank."""


@dataclass(frozen=True)
class SideBySide:
    """Reports of several banks, which were asked the same.

    Attributes:
        reports: One per bank; no two have the same title.
    """

    reports: tuple[CorrelationReport, ...]

    @cached_property
    def banks(self) -> tuple[str, ...]:
        """Names of the banks."""
        return tuple(report.title for report in self.reports)

    @cached_property
    def findings(self) -> tuple[Findings, ...]:
        """What the protocol asked, per bank; empty without a protocol, or a truth in each bank."""
        found = tuple(findings(report) for report in self.reports)
        known = tuple(one for one in found if one is not None)
        return known if len(known) == len(found) else ()

    @cached_property
    def named(self) -> list[tuple[Endpoint, ...]]:
        """Combinations and readings, one endpoint per bank."""
        per_bank = [(*found.combinations, *found.readings) for found in self.findings]
        return list(zip(*per_bank, strict=True))

    @cached_property
    def others(self) -> list[tuple[Agreement | None, ...]]:
        """Controls and exploratory scores, one agreement per bank, the safest first.

        The safest is the one whose smallest strength is the largest.
        """
        found = [{one.name: one for one in report.agreements} for report in self.reports]
        names = dict.fromkeys(name for bank in found for name in bank)
        kept = [name for name in names if all(name not in one.named for one in self.reports)]
        rows = [tuple(bank.get(name) for bank in found) for name in kept]
        return sorted(rows, key=lambda row: (math.isnan(weakest(row)), -weakest(row)))

    @cached_property
    def without_collapsed(self) -> "SideBySide | None":
        """The same without collapsed models; none where no bank has one, or cannot tell."""
        kept = tuple(report.trained or report for report in self.reports)
        fewer = any(len(a.models) < len(b.models) for a, b in zip(kept, self.reports, strict=True))
        return SideBySide(kept) if fewer else None

    @cached_property
    def recommended(self) -> str:
        """The combination with the largest smaller strength; empty if there is none."""
        if not self.findings:
            return ""
        combinations = zip(*(found.combinations for found in self.findings), strict=True)
        ranked = [(weakest([one.agreement for one in row]), row[0].name) for row in combinations]
        known = [one for one in ranked if not math.isnan(one[0])]
        return max(known)[1] if known else ""

    def holds(self, row: Sequence[Agreement | None]) -> bool:
        """Whether a score ranks the right way in every bank, by its corrected p."""
        return all(one is not None and one.rho < 0 and one.p_holm < SURE for one in row)

    def is_control(self, row: Sequence[Agreement | None]) -> bool:
        """Whether it is a control, not a score."""
        return self.reports[0].kind(name_of(row)) == CONTROL


def name_of(row: Sequence[Agreement | None]) -> str:
    """Return the name of a row."""
    return next(one.name for one in row if one is not None)


def weakest(row: Sequence[Agreement | None]) -> float:
    """Return the smallest -ρ of all banks; NaN where one of them lacks it."""
    values = [math.nan if one is None else -one.rho for one in row]
    return math.nan if any(map(math.isnan, values)) else min(values)


def named_header(banks: Sequence[str]) -> list[str]:
    """Return the columns of the table of what was named beforehand."""
    parts = ("−ρ", "top half")
    columns = (f"{part}, {bank}" for part in parts for bank in banks)
    return ["name", *columns, "smaller −ρ", "terms"]


def named_cells(row: Sequence[Endpoint]) -> list[str]:
    """Return one row of it: strengths with intervals in each bank, then the smaller one."""
    strengths = [f"{decimal(one.strength, 2)} {interval_words(one.interval)}" for one in row]
    tops = [f"{decimal(one.top_half, 2)} {interval_words(one.top_interval)}" for one in row]
    smaller = decimal(weakest([one.agreement for one in row]), 2)
    return [row[0].name, *strengths, *tops, smaller, row[0].terms]


def other_header(banks: Sequence[str]) -> list[str]:
    """Return the columns of the table of controls and exploratory scores."""
    parts = ("−ρ", "top half", "regret@1", "p, Holm")
    return ["score", *(f"{part}, {bank}" for part in parts for bank in banks), "ranks in all"]


def other_cells(row: Sequence[Agreement | None], found: SideBySide) -> list[str]:
    """Return one row of it; a dash where a bank lacks the score."""
    control = found.is_control(row)
    known = [one or Agreement(name="", n=0, dropped=0) for one in row]
    strengths = [f"{decimal(-one.rho, 2)} {interval_words(flipped(one.interval))}" for one in known]
    return [
        name_of(row) + f" ({CONTROL})" * control,
        *strengths,
        *(decimal(-one.top_half, 2) for one in known),
        *(percent(one.regret) for one in known),
        *("–" if control else p_words(one.p_holm) for one in known),
        "–" if control else "yes" if found.holds(row) else "no",
    ]


def primary_rows(found: SideBySide) -> list[list[str]]:
    """Return the comparison that decides, one row per bank."""
    return [
        [
            bank,
            f"{one.primary.first} − {one.primary.second}",
            decimal(one.primary.value, 2),
            interval_words(one.primary.interval),
            "yes" if one.confirmed else "no",
            decimal(one.ceiling, 2),
            str(one.n),
        ]
        for bank, one in zip(found.banks, found.findings, strict=True)
    ]


PRIMARY = ("bank", "primary", "difference of −ρ", "95 %", "above 0", "noise ceiling", "models")


def summary(found: SideBySide) -> list[str]:
    """Return what the banks say together, in sentences."""
    sizes = ", ".join(f"{report.title} ({len(report.judged)} models)" for report in found.reports)
    sentences = [f"{len(found.banks)} banks beside each other, never pooled: {sizes}."]
    if blind := [report.title for report in found.reports if not report.judged]:
        sentences.append(f"No true metric is known in {' and '.join(blind)}.")
    if found.findings:
        sentences += named_sentences(found)
    scores = [row for row in found.others if not found.is_control(row)]
    held = [name_of(row) for row in scores if found.holds(row)]
    more = [f"and {len(held) - LISTED} more"] if len(held) > LISTED else []
    listed = f", the safest first: {', '.join([*held[:LISTED], *more])}" if held else ""
    kind = "exploratory " if found.findings else ""
    sentences.append(
        f"{len(held)} of {len(scores)} {kind}scores rank the right way in every bank after Holm's "
        f"correction{listed}."
    )
    return sentences


def named_sentences(found: SideBySide) -> list[str]:
    """Say what came of what was named beforehand."""
    one = found.findings[0].primary
    confirmed = all(bank.confirmed for bank in found.findings)
    sentences = [
        f"Named beforehand: {one.first} against {one.second} is "
        f"{'confirmed' if confirmed else 'not confirmed'}: the interval of the difference is "
        f"{'above 0 in every bank' if confirmed else 'not above 0 in every bank'}."
    ]
    again = found.without_collapsed
    if again is not None and again.findings:
        still = all(bank.confirmed for bank in again.findings)
        sentences.append(
            f"Without collapsed models ({left_out(found)}) it is "
            f"{'confirmed' if still else 'not confirmed'}."
        )
    if found.recommended:
        row = next(row for row in found.named if row[0].name == found.recommended)
        value = decimal(weakest([end.agreement for end in row]), 2)
        sentences.append(
            f"Of the combinations, {found.recommended} ({row[0].terms}) has the largest smaller "
            f"−ρ, {value}."
        )
    return sentences + goal_sentences(found)


def goal_sentences(found: SideBySide) -> list[str]:
    """Say which combinations reach the goal in every bank, or what the recommended one lacks."""
    protocol = found.reports[0].protocol
    if protocol is None or protocol.goal is None:
        return []
    lacking = {row[0].name: lacks(row, found) for row in found.named}
    reached = [name for name in protocol.combinations if not lacking[name]]
    if reached:
        return [f"The goal is reached in every bank by {', '.join(reached)}."]
    why = "; ".join(lacking.get(found.recommended, ()))
    said = f" {found.recommended} lacks: {why}." if why else ""
    return [f"No combination reaches the goal in every bank.{said}"]


def lacks(row: Sequence[Endpoint], found: SideBySide) -> list[str]:
    """Return what a combination lacks to reach the goal, bank by bank."""
    parts = zip(row, found.findings, found.reports, strict=True)
    return [f"{r.title}: {text}" for one, there, r in parts for text in misses(one, there, r)]


def write_side_by_side(found: SideBySide, folder: Path) -> Path:
    """Write ``index.html``, ``side_by_side.csv|md|json`` and ``plots/``, and return the page.

    Raises:
        RunError: The disk is full.
    """
    drawings = draw_all(found)
    for drawing in drawings.values():
        drawing.save(folder / "plots")
    write_text(folder / "side_by_side.csv", as_csv(found))
    write_text(folder / "side_by_side.md", as_markdown(found))
    write_json(folder / "side_by_side.json", as_json(found))
    page = folder / "index.html"
    write_text(page, side_by_side_page(found, drawings))
    return page


def of_bank(bank: str) -> str:
    """Return the title of the table of what was named beforehand in one bank."""
    return f"Named beforehand, {bank}"


def tables(found: SideBySide) -> list[tuple[str, Sequence[str], list[list[str]]]]:
    """Return title, header and rows of each table, what was named beforehand first."""
    parts: list[tuple[str, Sequence[str], list[list[str]]]] = []
    if found.findings:
        named = [named_cells(row) for row in found.named]
        parts += [
            ("Primary comparison", PRIMARY, primary_rows(found)),
            ("Named beforehand", named_header(found.banks), named),
        ]
        for bank, one in zip(found.banks, found.findings, strict=True):
            cells = [endpoint_cells(end) for end in one.rows]
            parts.append((of_bank(bank), ("name", *columns_of(one)), cells))
    others = [other_cells(row, found) for row in found.others]
    title = "Exploratory scores and controls" if found.findings else "Scores and controls"
    return [*parts, (title, other_header(found.banks), others)]


def as_text(found: SideBySide) -> str:
    """Return summary and tables for a terminal; those of single banks stand in their reports."""
    shown = [one for one in tables(found) if one[0] not in map(of_bank, found.banks)]
    parts = [f"{title}:\n{text_table(header, rows)}" for title, header, rows in shown]
    return "\n\n".join(["\n".join(summary(found)), *parts])


def as_markdown(found: SideBySide) -> str:
    """Return summary and tables as Markdown, then the tables without collapsed models."""
    parts = [" ".join(summary(found))]
    for heading, one in variants(found):
        parts += [f"## {heading}"] if heading else []
        parts += [
            f"### {title}\n\n{markdown_table(header, rows)}" for title, header, rows in tables(one)
        ]
    return "\n\n".join(parts) + "\n"


def variants(found: SideBySide) -> list[tuple[str, SideBySide]]:
    """Return the banks as they are and, where that differs, without collapsed models."""
    again = found.without_collapsed
    return [
        ("", found),
        *([(f"Without collapsed models ({left_out(found)})", again)] if again else []),
    ]


def left_out(found: SideBySide) -> str:
    """Say how many models are left out as collapsed in each bank."""
    return ", ".join(
        f"{report.title}: {len(absent_from(report.trained, report)) if report.trained else 0}"
        for report in found.reports
    )


def as_csv(found: SideBySide) -> str:
    """Return one line per bank, set of models and column, in full precision."""
    names = list(agreement_values(Agreement(name="", n=0, dropped=0), found.reports[0]))
    rows = [
        [report.title, heading or "all models", *agreement_values(one, report).values()]
        for heading, variant in (("", found), ("without collapsed", found.without_collapsed))
        for report in (variant.reports if variant else ())
        for one in report.agreements
    ]
    return csv_table(["bank", "models", *names], rows)


def as_json(found: SideBySide) -> dict[str, Any]:
    """Return everything as plain values; what is undefined is null."""
    return {
        "summary": summary(found),
        "banks": list(found.banks),
        "recommended": found.recommended or None,
        "confirmed": all(one.confirmed for one in found.findings) if found.findings else None,
        "lacking_for_goal": {row[0].name: lacks(row, found) for row in found.named},
        "rank_in_all": [
            name_of(row) for row in found.others if found.holds(row) and not found.is_control(row)
        ],
        "reports": [
            {
                "bank": report.title,
                "facts": dict(report.facts),
                "named": named_values(report),
                "agreements": [
                    {name: finite(v) for name, v in agreement_values(one, report).items()}
                    for one in report.agreements
                ],
            }
            for report in found.reports
        ],
    }


def draw_all(found: SideBySide) -> dict[str, Drawing]:
    """Return a plot of what was named beforehand and one of all else."""
    plots = {}
    if found.named:
        rows = [tuple(one.agreement for one in row) for row in found.named]
        plots["named"] = draw_rows(rows, found, name="named-side-by-side")
    others = [row for row in found.others if not all(one is None or one.reason for one in row)]
    if others:
        plots["others"] = draw_rows(others, found, name="side-by-side")
    return plots


def draw_rows(
    rows: Sequence[Sequence[Agreement | None]], found: SideBySide, *, name: str
) -> Drawing:
    """Draw the strengths of some rows in all banks."""
    nothing = Agreement(name="", n=0, dropped=0)
    known = [[one or nothing for one in row] for row in rows]
    return draw(
        lambda ax: plot_side_by_side(
            [name_of(row) for row in rows],
            np.array([[-one.rho for one in row] for row in known]),
            np.array([[flipped(one.interval) for one in row] for row in known]),
            ax=ax,
            banks=found.banks,
            controls=[name_of(row) for row in rows if found.is_control(row)],
        ),
        name=name,
        description="Strength of each row in each bank, with 95 % intervals",
        size=(9.6, 1.4 + 0.38 * len(rows)),
    )


def side_by_side_page(found: SideBySide, drawings: dict[str, Drawing]) -> str:
    """Return the whole page."""
    title = " and ".join(found.banks)
    header = tag(
        "header",
        tag("p", "Banks side by side", class_="kicker"),
        tag("h1", title),
        *map(prose, summary(found)),
    )
    parts = {
        "named": ("Named", "Named beforehand", named_part(found, drawings)),
        "scores": ("Scores", tables(found)[-1][0], other_part(found, drawings)),
        "trained": ("Collapsed", "Without collapsed models", collapsed_part(found)),
        "method": ("Method", "How to read this", [tag("p", text) for text in METHOD]),
    }
    shown = {anchor: part for anchor, part in parts.items() if part[2]}
    return document(
        title,
        header,
        *(section(name, *content, anchor=key) for key, (_, name, content) in shown.items()),
        contents={anchor: short for anchor, (short, _, _) in shown.items()},
    )


def named_part(found: SideBySide, drawings: dict[str, Drawing]) -> list[Markup]:
    """Return plot and tables of what was named beforehand."""
    if not found.findings:
        return []
    shown = [picture(drawings["named"], class_="plot wide")] if "named" in drawings else []
    return [*table_parts(tables(found)[:2]), *shown, *table_parts(tables(found)[2:-1])]


def other_part(found: SideBySide, drawings: dict[str, Drawing]) -> list[Markup]:
    """Return plot and table of controls and exploratory scores."""
    shown = [picture(drawings["others"], class_="plot wide")] if "others" in drawings else []
    _, header, rows = tables(found)[-1]
    return [*shown, plain_table(header, rows)] if rows else []


def collapsed_part(found: SideBySide) -> list[Markup]:
    """Return all tables again without collapsed models; nothing where there are none."""
    again = found.without_collapsed
    if again is None:
        return []
    note = tag("p", f"Models left out: {left_out(found)}.", class_="note")
    return [note, *table_parts(tables(again))]


def table_parts(parts: Sequence[tuple[str, Sequence[str], list[list[str]]]]) -> list[Markup]:
    """Return each table under its title."""
    return [
        markup
        for title, header, rows in parts
        for markup in (tag("h3", title), plain_table(header, rows))
    ]


def plain_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """Return a table of texts."""
    lines = (tag("tr", *(cell(text) for text in row)) for row in rows)
    return table(header, lines, numeric=())


METHOD = (
    "−ρ is Spearman's rank correlation with the true target mIoU, negated: a score is better when "
    "it is smaller, so −ρ is larger for a better score and negative for one that points the wrong "
    "way. Brackets hold 95 % bootstrap intervals over architectures, all models of one together. "
    "“Gain” is −ρ minus that of the baseline on the same resamples; “top half” is −ρ among the "
    "better half of the models; regrets are in points of mIoU. Controls are no scores; costs have "
    "no right way.",
    f"A row “{NAMED}” was fixed before anybody looked. A score “ranks in all” when its correlation "
    f"has the right sign and a p below {SURE:g} in every bank, after Holm's correction for the "
    "number of scores of that bank.",
)
