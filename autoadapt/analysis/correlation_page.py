"""The files of the correlation report: plots, tables, and one page that needs nothing else."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from autoadapt.analysis.correlation import (
    CURVE,
    SUBSETS,
    Agreement,
    GroupAgreement,
    learning_curve,
    regret_curve,
)
from autoadapt.analysis.correlation_plots import (
    STRENGTH,
    plot_agreement,
    plot_forest,
    plot_heat_map,
    plot_intervals,
    plot_learning,
    plot_regrets,
)
from autoadapt.analysis.correlation_report import (
    CONTROL,
    CorrelationReport,
    agreement_cells,
    agreements_csv,
    as_json,
    header_of,
    interval_words,
    models_csv,
    sort_keys,
)
from autoadapt.analysis.correlation_summary import summarise
from autoadapt.analysis.drawing import Drawing, draw, file_name
from autoadapt.analysis.endpoints import (
    Endpoint,
    Findings,
    absent_from,
    columns_of,
    endpoint_cells,
    findings,
    misses,
    named_values,
)
from autoadapt.analysis.endpoints import sort_keys as endpoint_keys
from autoadapt.analysis.image_samples_page import draw_images, image_part
from autoadapt.analysis.page import (
    Markup,
    cell,
    document,
    facts,
    join,
    picture,
    prose,
    section,
    table,
    tag,
)
from autoadapt.analysis.ranks import random_regret
from autoadapt.analysis.resampling import DRAWS, PERMUTATIONS
from autoadapt.analysis.scored_truth import draw_truths, truth_part, truth_values
from autoadapt.analysis.seed_means import seed_part, seed_values
from autoadapt.analysis.tables import decimal
from autoadapt.files import write_json, write_text

CURVES = 6
"""Scores whose curves are drawn: more could not be told apart."""
FORESTS = 6
"""Scores whose groups are drawn apart."""


def write_correlation(report: CorrelationReport, folder: Path) -> Path:
    """Write ``index.html``, ``correlation.csv|json``, ``models.csv`` and ``plots/``.

    Where the protocol leaves out collapsed models, also ``correlation_without_collapsed.csv``.

    Returns:
        The page.

    Raises:
        RunError: The disk is full.
    """
    drawings = draw_all(report)
    for parts in drawings.values():
        for drawing in parts:
            drawing.save(folder / "plots")
    write_text(folder / "correlation.csv", agreements_csv(report))
    if report.trained is not None:
        write_text(folder / "correlation_without_collapsed.csv", agreements_csv(report.trained))
    write_text(folder / "models.csv", models_csv(report))
    values = {
        "summary": summarise(report),
        "named": named_values(report),
        "scored_images": truth_values(report),
        "seed_means": seed_values(report),
        **as_json(report),
    }
    write_json(folder / "correlation.json", values)
    page = folder / "index.html"
    write_text(page, correlation_page(report, drawings))
    return page


Drawings = dict[str, list[Drawing]]
"""Plots by the part of the page they stand in."""


def draw_all(report: CorrelationReport) -> Drawings:
    """Return all plots; parts about the truth are empty where it is not known."""
    many = len(report.columns) > 1 and len(report.models) > 2
    parts: Drawings = {"redundancy": [draw_heat_map(report)] if many else []}
    if report.judged:
        parts |= {
            "named": draw_named(report),
            "truths": draw_truths(report),
            "overview": [draw_overview(report)],
            "scatter": [draw_score(i, one, report) for i, one in enumerate(panels(report))],
            "curves": draw_curves(report),
            "images": draw_images(report),
            "groups": draw_forests(report),
        }
    return parts


def draw_overview(report: CorrelationReport) -> Drawing:
    """Draw the intervals of all scores and controls, strongest first."""
    order = [one for one in report.agreements if one.name not in report.named]
    return draw(
        lambda ax: plot_intervals(
            [one.name for one in order],
            np.array([one.rho for one in order]),
            np.array([one.interval for one in order]).reshape(-1, 2),
            ax=ax,
            controls=list(report.all_controls),
            ceiling=report.ceiling,
        ),
        name="overview",
        description="Rank correlation of each score with the true mIoU, with 95 % intervals",
        size=(9.6, 1.2 + 0.34 * max(len(order), 1)),
    )


def draw_named(report: CorrelationReport) -> list[Drawing]:
    """Draw what was named beforehand; nothing without a protocol."""
    found = findings(report)
    if found is None:
        return []
    order = found.rows
    drawing = draw(
        lambda ax: plot_intervals(
            [one.name for one in order],
            np.array([one.strength for one in order]),
            np.array([one.interval for one in order]).reshape(-1, 2),
            ax=ax,
            controls=[one.name for one in found.controls],
            ceiling=report.ceiling,
            label=STRENGTH,
        ),
        name="named",
        description="Strength of what was named beforehand, with 95 % intervals",
        size=(9.6, 1.2 + 0.34 * len(order)),
    )
    return [drawing]


def panels(report: CorrelationReport) -> list[Agreement]:
    """Return all columns in the order of their scatter plots."""
    first = {name: place for place, name in enumerate(report.panels)}
    return sorted(report.agreements, key=lambda one: first.get(one.name, len(first)))


def draw_score(position: int, one: Agreement, report: CorrelationReport) -> Drawing:
    """Draw one score against the truth; the position keeps file names apart."""
    title = f"{one.name}: ρ {decimal(one.rho, 2)}, n = {one.n}"
    return draw(
        lambda ax: plot_agreement(
            report.values(one.name),
            report.true,
            ax=ax,
            title=title,
            name=one.name,
            groups=report.chosen(report.groups) or (),
            seed=report.seed,
        ),
        name=f"score-{position:02d}-{file_name(one.name)}",
        description=f"{title}, against the true target mIoU",
        size=(4.2, 3.4),
    )


def draw_curves(report: CorrelationReport) -> list[Drawing]:
    """Draw regrets and learning curves of the best scores."""
    names = [one.name for one in report.scored[:CURVES]]
    if not names:
        return []
    chance = [random_regret(report.true, k) for k in range(1, min(CURVE, len(report.true)) + 1)]
    regrets = {name: regret_curve(report.values(name), report.true) for name in names}
    learning = {name: learning_curve(report.values(name), report.ranking) for name in names[:3]}
    return [
        draw(
            lambda ax: plot_regrets(regrets, np.array(chance), ax=ax),
            name="regret",
            description="True mIoU lost by looking only at the k models with the best scores",
            size=(8.0, 4.4),
        ),
        draw(
            lambda ax: plot_learning(learning, ax=ax),
            name="learning",
            description="Rank correlation by number of models, with 95 % ranges of subsets",
            size=(8.0, 4.4),
        ),
    ]


def draw_forests(report: CorrelationReport) -> list[Drawing]:
    """Draw the correlations inside the groups, for the best scores; nothing for one group."""
    chosen = [one for one in report.scored[:FORESTS] if one.within]
    return [draw_forest(place, one) for place, one in enumerate(chosen)]


def draw_forest(place: int, one: Agreement) -> Drawing:
    """Draw the correlations of one score inside the groups."""
    pooled = GroupAgreement(name=one.name, n=one.n, rho=one.rho, interval=one.interval)
    return draw(
        lambda ax: titled(plot_forest(pooled, one.within, one.within_rho, ax=ax), one.name),
        name=f"groups-{place:02d}-{file_name(one.name)}",
        description=f"Rank correlation of {one.name} inside each group of models",
        size=(6.4, 1.6 + 0.34 * (len(one.within) + 2)),
    )


def titled(ax: Axes, title: str) -> Axes:
    """Give axes a title and return them."""
    ax.set_title(title)
    return ax


def draw_heat_map(report: CorrelationReport) -> Drawing:
    """Draw how alike scores and controls are."""
    side = 2.6 + 0.3 * len(report.columns)
    return draw(
        lambda ax: plot_heat_map(list(report.columns), report.redundancy, ax=ax),
        name="redundancy",
        description="Rank correlation of each pair of scores, alike ones side by side",
        size=(side + 1.2, side),
    )


def correlation_page(report: CorrelationReport, drawings: Drawings) -> str:
    """Return the whole page."""
    header = tag(
        "header",
        tag("p", "Correlation report", class_="kicker"),
        tag("h1", report.title),
        *map(prose, summarise(report)),
    )
    exploratory = "Exploratory: how each score ranks" if report.protocol else "How each score ranks"
    parts = {
        "named": ("Named", "Named beforehand", named_part(report, drawings)),
        "table": ("Scores", exploratory, ranking_part(report, drawings)),
        "truths": ("Scored images", "Scored and held-out images", truths(report, drawings)),
        "plots": ("Plots", "Score against truth", scatter_part(drawings)),
        "curves": ("Choosing", "What choosing by a score loses", curve_part(drawings)),
        "images": (
            "Other images",
            "Other target images",
            image_part(report, drawings.get("images", ())),
        ),
        "seeds": ("Seeds", "Averaged over training seeds", seed_part(report)),
        "groups": ("Groups", "Inside groups of models", group_part(drawings)),
        "redundancy": ("Redundancy", "Which scores say the same", redundancy_part(drawings)),
        "labels": ("Target labels", "Where target labels were opened", label_part(report)),
        "method": ("Method", "How this was computed", method(report)),
    }
    shown = {anchor: part for anchor, part in parts.items() if part[2]}
    return document(
        report.title,
        header,
        *(section(title, *content, anchor=key) for key, (_, title, content) in shown.items()),
        contents={anchor: short for anchor, (short, _, _) in shown.items()},
    )


def named_part(report: CorrelationReport, drawings: Drawings) -> list[Markup]:
    """Return what was named beforehand, on all models and without collapsed ones."""
    found = findings(report)
    if report.protocol is None or found is None:
        return []
    written = f" It is written in {report.protocol.source}." if report.protocol.source else ""
    parts = [
        prose(NAMED_NOTE + written),
        *(picture(one, class_="plot wide") for one in drawings.get("named", ())),
        endpoint_table(found),
        *(tag("p", text, class_="note") for text in endpoint_notes(found, report)),
    ]
    trained = report.trained
    again = findings(trained) if trained is not None else None
    if trained is not None and again is not None and again.n < found.n:
        left_out = ", ".join(absent_from(trained, report))
        note = tag("p", f"Left out as collapsed: {left_out}.", class_="note")
        parts += [tag("h3", "Without collapsed models"), endpoint_table(again), note]
    return parts


def endpoint_table(found: Findings) -> Markup:
    """Return the table of what was named beforehand."""
    columns = columns_of(found)
    return table(("name", *columns), map(endpoint_row, found.rows), numeric=columns[:-1])


def endpoint_row(one: Endpoint) -> Markup:
    """Return one row of the table of what was named beforehand."""
    name, *texts, terms = endpoint_cells(one)
    numbers = zip(texts, endpoint_keys(one), strict=True)
    cells = [cell(text, value=value) for text, value in numbers]
    kind = None if one.terms else CONTROL
    return tag("tr", cell(name, class_="first"), *cells, cell(terms), class_=kind)


def endpoint_notes(found: Findings, report: CorrelationReport) -> list[str]:
    """Say why something is undefined, and what each combination lacks to reach the goal."""
    notes = [f"{one.name}: {one.agreement.reason}." for one in found.rows if one.agreement.reason]
    for one in found.combinations:
        if missing := misses(one, found, report):
            notes.append(f"{one.name} misses the goal: {'; '.join(missing)}.")
    return notes


def ranking_part(report: CorrelationReport, drawings: Drawings) -> list[Markup]:
    """Return the overview, the table and the comparisons; nothing without a truth."""
    overview = [picture(one, class_="plot wide") for one in drawings.get("overview", ())]
    if not overview:
        return []
    again = report.trained
    fewer = again is not None and len(again.judged) < len(report.judged)
    return [
        *overview,
        agreement_table(report),
        undefined_notes(report),
        *comparison_part(report),
        *(
            [tag("h3", "Without collapsed models"), agreement_table(again)]
            if fewer and again
            else []
        ),
    ]


def comparison_part(report: CorrelationReport) -> list[Markup]:
    """Return how much stronger scores are than others, if anything was compared."""
    if not report.differences:
        return []
    rows = [
        tag(
            "tr",
            cell(f"{one.first} against {one.second}", class_="first"),
            cell(decimal(one.value, 2), value=one.value),
            cell(interval_words(one.interval), value=one.interval[0]),
            cell(str(one.n), value=float(one.n)),
        )
        for one in report.differences
    ]
    header = ("difference of −ρ", "value", "95 % interval", "n")
    note = (
        "Both are judged on the same resamples, so what they share cancels. A control has no right "
        "way, so it counts by its size. The strongest score was picked after looking, which "
        "flatters it."
    )
    return [tag("h3", "Against each other"), table(header, rows, numeric=header[1:]), prose(note)]


def scatter_part(drawings: Drawings) -> list[Markup]:
    """Return one scatter plot per score."""
    plots = [picture(one, class_="plot small") for one in drawings.get("scatter", ())]
    note = "Every dot is a model; a good score falls from left to right."
    return [tag("p", note, class_="note"), tag("div", *plots, class_="grid")] if plots else []


def truths(report: CorrelationReport, drawings: Drawings) -> list[Markup]:
    """Return how models do on the images that scores look at, beside others."""
    return truth_part(report, drawings.get("truths", []))


def curve_part(drawings: Drawings) -> list[Markup]:
    """Return regrets and learning curves."""
    captions = (
        "How much mIoU is lost when only the k models with the best scores are evaluated. The "
        "dotted line draws them by lot.",
        f"ρ over {SUBSETS} random subsets of the bank: median, and the range of 95 % of them. It "
        "shows what a smaller bank would have said.",
    )
    plots = drawings.get("curves", ())
    return [picture(one, caption) for one, caption in zip(plots, captions, strict=False)]


def group_part(drawings: Drawings) -> list[Markup]:
    """Return the correlations inside groups."""
    plots = [picture(one) for one in drawings.get("groups", ())]
    note = "Groups that differ can hide or feign a correlation when all are pooled."
    return [tag("p", note, class_="note"), tag("div", *plots, class_="columns")] if plots else []


def redundancy_part(drawings: Drawings) -> list[Markup]:
    """Return the map of all scores."""
    note = "Numbers are hundredths. Scores in one block say the same; pairs from two blocks add up."
    plots = [picture(one, note, class_="plot wide") for one in drawings["redundancy"]]
    return list(plots)


def label_part(report: CorrelationReport) -> list[Markup]:
    """Return when target labels were opened."""
    opened = [tag("li", note) for note in report.opened_labels]
    text = "The true mIoU needs target labels; no score and no search reads them."
    return [tag("p", text), tag("ul", *opened, class_="plain") if opened else Markup("")]


def agreement_table(report: CorrelationReport) -> Markup:
    """Return the table of scores, strongest first; what was named beforehand has its own."""
    rows = []
    for one in report.agreements:
        if one.name in report.named:
            continue
        name, *texts = agreement_cells(one, report)
        numbers = zip(texts, sort_keys(one, report), strict=True)
        cells = [cell(text, value=value) for text, value in numbers]
        kind = CONTROL if one.name in report.all_controls else None
        rows.append(tag("tr", cell(name, class_="first"), *cells, class_=kind))
    header = header_of(report)
    return table(header, rows, numeric=header[1:])


def undefined_notes(report: CorrelationReport) -> Markup:
    """Say why some scores have no numbers."""
    reasons = [f"{one.name}: {one.reason}." for one in report.agreements if one.reason]
    return join(tag("p", reason, class_="note") for reason in reasons)


def method(report: CorrelationReport) -> list[Markup]:
    """Return how the numbers came about and how to read them."""
    return [*(tag("p", text) for text in METHOD), facts(report.facts)]


NAMED_NOTE = (
    "These combinations, readings and comparisons were fixed before anybody looked. Here "
    "correlations are negated: −ρ is larger for a better score and negative for one that points "
    "the wrong way. “Gain” is −ρ minus that of the baseline on the same resamples."
)
METHOD: Sequence[str] = (
    "A score is better when it is smaller and mIoU when it is larger, so a good score has a "
    "negative correlation. ρ is Spearman's rank correlation, τ-b Kendall's; in the weighted ρ "
    "models that either side holds to be good weigh more, which makes chance come out above 0: "
    "compare it with the row “random”. The interval is the 95 % percentile "
    f"interval of {DRAWS} resamples of the models, in which all models of one architecture stay "
    f"together; p comes from {PERMUTATIONS} permutations of architectures, with what lies between "
    "the groups taken out, and is then corrected for the number of scores (Holm). A model without "
    "a score is left out for that score; n says how many are left.",
    "“Pairs right” is the share of pairs of models that the score orders as the truth does (50 % "
    "is chance). “Top half” is ρ among the better half of the models, where a search operates. "
    "“Given MACs” is what remains once the number of multiply-adds is taken out of both. “Within” "
    "is the mean of ρ inside the groups. Regret@k is the mIoU, in points, lost by looking only "
    "at the k models with the best scores; precision@10 the share of the ten best models among "
    "the ten best scores; “worst pick” the place of the worst model that the score could pick. "
    "The noise ceiling is the root of the share of the variance of mIoU that is not due to the "
    "seed. Rows marked as control are no scores: a score that ranks no better than they do tells "
    "nothing new, and “random” shows what chance gives in this bank.",
    "“Cost” is the median over the models of the processor time that a score takes once the "
    "network has been run over both samples, and after it what else has to be measured, which "
    "mostly takes more: further passes, labelled source images, other models. What several scores "
    "share is counted for the first of them; a combination takes what its parts take together.",
)
