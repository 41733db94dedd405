"""The part of the correlation report on target images: what fewer, or others, would have said."""

from collections.abc import Sequence

from autoadapt.analysis.correlation_plots import plot_learning
from autoadapt.analysis.correlation_report import CorrelationReport, interval_words
from autoadapt.analysis.drawing import Drawing, draw
from autoadapt.analysis.image_samples import ImageFinding, distinct
from autoadapt.analysis.page import Markup, cell, picture, prose, table, tag
from autoadapt.analysis.tables import decimal

CURVES = 3
"""Columns in one plot: the ranges of more would hide each other."""
LISTED = 12
"""Scores in the table, strongest first; ``correlation.json`` has all."""
HEADER = ("ρ, all images", "deviation of ρ", "95 % of resamples", "noise / spread")
NOTE = (
    "Everything else here takes the images as given. These numbers come from choices of the target "
    "images, the same for all models, on which the scores were computed again from stored samples; "
    "those are rounded, so that ρ with all images may differ a little from the table of scores. A "
    "resample has as many images, some of them more than once. “Noise / spread” is the standard "
    "error of a model's score over the deviation of the score among models, without what moves all "
    "models alike; the true mIoU stays that of all evaluation images."
)
CAPTION = (
    "ρ over random subsets of the target images: median, and the range of 95 % of them; on the "
    "right all images. With few images the subsets differ most; towards all of them they share "
    "more and more images, and their range says less than that of the resamples."
)


def draw_images(report: CorrelationReport) -> list[Drawing]:
    """Draw ρ by number of target images: named combinations, then the best scores."""
    parts = {"images-named": named_findings(report), "images": score_findings(report)}
    shown = {name: distinct(found, CURVES) for name, found in parts.items()}
    return [draw_curves(name, found) for name, found in shown.items() if found]


def draw_curves(name: str, found: Sequence[ImageFinding]) -> Drawing:
    """Draw the curves of some columns."""
    curves = {one.name: (one.sizes, one.quantiles) for one in found}
    return draw(
        lambda ax: plot_learning(curves, ax=ax, label="target images that are scored"),
        name=name,
        description="Rank correlation by number of target images, with 95 % ranges of subsets",
        size=(8.0, 4.4),
    )


def named_findings(report: CorrelationReport) -> list[ImageFinding]:
    """Return what was named beforehand, in its order, as far as it depends on the images."""
    return [report.by_images[name] for name in report.named if name in report.by_images]


def score_findings(report: CorrelationReport) -> list[ImageFinding]:
    """Return scores and objectives, the best first, as far as they depend on the images."""
    names = [one.name for one in report.scored]
    return [report.by_images[name] for name in names if name in report.by_images]


def image_part(report: CorrelationReport, drawings: Sequence[Drawing]) -> list[Markup]:
    """Return plots and table; nothing without choices of images."""
    if not report.by_images:
        return []
    rows = [*named_findings(report), *score_findings(report)[:LISTED]]
    return [
        prose(NOTE),
        *(picture(one, CAPTION) for one in drawings),
        table(("score", *HEADER), [image_row(one) for one in rows], numeric=HEADER),
    ]


def image_row(one: ImageFinding) -> Markup:
    """Return one row of the table."""
    return tag(
        "tr",
        cell(one.name, class_="first"),
        cell(decimal(one.rho, 2), value=one.rho),
        cell(decimal(one.deviation, 3), value=one.deviation),
        cell(interval_words(one.interval), value=one.interval[0]),
        cell(decimal(one.noise, 2), value=one.noise),
    )
