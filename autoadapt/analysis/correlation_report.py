"""The correlation report: which label-free score ranks models as the true metric does.

Everything is computed from plain columns of numbers, one entry per model.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from autoadapt import seeding
from autoadapt.analysis.correlation import (
    TOP,
    Agreement,
    Choice,
    Difference,
    GroupAgreement,
    Ranking,
    Side,
    as_floats,
    choose_by_half,
    compare,
    correlate,
    ranking_of,
    strongest_first,
)
from autoadapt.analysis.image_samples import (
    ImageColumns,
    ImageFinding,
    image_finding,
    image_values,
)
from autoadapt.analysis.ranks import Float, spearman, spearman_matrix
from autoadapt.analysis.resampling import DRAWS, PERMUTATIONS, noise_ceiling, oriented, size
from autoadapt.analysis.score_costs import ScoreCost, cost_words
from autoadapt.analysis.tables import csv_table, decimal, percent
from autoadapt.config.correlation_protocol import CorrelationProtocol, LeaveOut

Columns = Mapping[str, Sequence[float | None]]
HEADER = (
    "score",
    "ρ",
    "95 % interval",
    "τ-b",
    "weighted ρ",
    "pairs right",
    "ρ, top half",
    "ρ, given MACs",
    "ρ within",
    *(f"regret@{k}" for k in TOP),
    f"precision@{TOP[-1]}",
    "worst pick",
    "p",
    "p, Holm",
    "n",
    "cost",
)
ON_SCORED = "ρ, scored images"
"""A column that is there where the true metric on the scored images is known, and its place."""
SECOND = HEADER.index("τ-b")
CONTROL = "control"
NAMED = "named beforehand"
POOLED = "needs all models"
GIVEN = "macs"
"""The control whose part in a correlation is taken out."""
RANDOM = "random"
"""A control of random numbers: what chance alone gives in this bank."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CorrelationReport:
    """A bank of models with their scores and their true metric.

    Attributes:
        title: Name of the bank.
        models: Label of each model, e.g. the id of its architecture.
        truth: True target mIoU of each model, in [0, 1]; none where it is not known.
        truth_on_scored: The same on the very images that scores look at; empty: not known.
        scores: Label-free scores, one value per model, smaller is better; none where absent.
        controls: What a good score has to beat: costs of the models and the like, the same way.
            Random numbers are added.
        named: Combinations that the protocol names, the same way; empty without a protocol.
        protocol: What was named beforehand; everything else is exploratory.
        terms: What a combination is made of, by its name.
        absent: Why a combination cannot be had, by its name.
        score_costs: What scores and combinations take to be had, by name, as far as it is known.
        pooled: Scores that compare each model with all others, which no search can compute.
        groups: Name of the group of each model, e.g. its method; empty: all are of one.
        clusters: Equal for models that are one architecture, trained with several seeds or
            methods; empty: every model is one of its own.
        panels: Columns whose scatter plots come first.
        comparisons: Pairs of columns whose strengths are compared.
        facts: What all models have in common (method, steps, images), by name.
        opened_labels: One note for each time target labels were opened.
        seed: Of the resampling.
        image_samples: Some of the columns on choices of the target images; none where the bank
            has no such choices.

    Raises:
        ValueError: Columns of different lengths, or a name that stands for two columns.
    """

    title: str
    models: Sequence[str]
    truth: Sequence[float | None]
    scores: Columns
    truth_on_scored: Sequence[float | None] = ()
    controls: Columns = field(default_factory=dict)
    named: Columns = field(default_factory=dict)
    protocol: CorrelationProtocol | None = None
    terms: Mapping[str, str] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    score_costs: Mapping[str, ScoreCost] = field(default_factory=dict)
    pooled: Collection[str] = ()
    groups: Sequence[str] = ()
    clusters: Sequence[str] = ()
    panels: Sequence[str] = ()
    comparisons: Sequence[tuple[str, str]] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    opened_labels: Sequence[str] = ()
    seed: int = 0
    image_samples: ImageColumns | None = None

    def __post_init__(self) -> None:
        number = len(self.models)
        if len(self.truth) != number:
            raise ValueError(f"{number} models but {len(self.truth)} true metrics")
        parts = {"groups": self.groups, "clusters": self.clusters}
        for name, labels in {**parts, "mIoU on scored images": self.truth_on_scored}.items():
            if labels and len(labels) != number:
                raise ValueError(f"{number} models but {len(labels)} {name}")
        if both := sorted(self.scores.keys() & self.controls.keys()):
            raise ValueError(f"both score and control: {both}; rename one of them")
        if both := sorted(self.named.keys() & {RANDOM, *self.scores, *self.controls}):
            raise ValueError(f"named beforehand, and also a score or control: {both}; rename it")
        for name, values in {**self.scores, **self.controls, **self.named}.items():
            as_floats(name, values, number)
        if self.image_samples is not None:
            for name, found in self.image_samples.columns.items():
                if len(found) != number:
                    raise ValueError(f"{number} models but {len(found)} image samples of {name!r}")

    @cached_property
    def all_controls(self) -> dict[str, Sequence[float | None]]:
        """The controls, and random numbers."""
        if RANDOM in self.controls:  # models of another report, with its numbers
            return dict(self.controls)
        noise = seeding.generator(self.seed, RANDOM).normal(size=len(self.models))
        return {**self.controls, RANDOM: noise.tolist()}

    @cached_property
    def columns(self) -> dict[str, Sequence[float | None]]:
        """Controls, combinations named beforehand and scores by name."""
        return {**self.all_controls, **self.named, **self.scores}

    def cost(self, name: str) -> ScoreCost:
        """Return what it takes to have a column; of unknown seconds where nothing is known."""
        return self.score_costs.get(name, ScoreCost())

    def kind(self, name: str) -> str:
        """Return whether a column is a control, named beforehand, or a score like any other.

        A score that needs the whole pool is of a kind of its own: it serves no search.
        """
        if name in self.all_controls:
            return CONTROL
        if name in self.pooled:
            return POOLED
        return NAMED if name in self.named else "score"

    @cached_property
    def judged(self) -> list[int]:
        """Places of the models whose true metric is known."""
        return known_places(self.truth)

    @cached_property
    def true(self) -> Float:
        """True metrics that are known, in the order of ``judged``."""
        return np.array([self.truth[place] for place in self.judged], dtype=np.float64)

    def values(self, name: str) -> Float:
        """Return a column for the models whose truth is known; NaN where it is missing."""
        values = as_floats(name, self.columns[name], len(self.models))
        chosen: Float = values[self.judged]
        return chosen

    @cached_property
    def ranking(self) -> Ranking:
        """What every column is compared with."""
        given = self.controls.get(GIVEN)
        return ranking_of(
            self.true.tolist(),
            groups=self.chosen(self.groups),
            clusters=self.chosen(self.clusters),
            given=None if given is None else [given[place] for place in self.judged],
            seed=self.seed,
        )

    def chosen(self, labels: Sequence[str]) -> list[str] | None:
        """Return the labels of the models whose truth is known; nothing without labels."""
        return [labels[place] for place in self.judged] if labels else None

    @cached_property
    def agreements(self) -> list[Agreement]:
        """All columns, strongest first; each kind is corrected for itself."""
        if not self.judged:
            return []
        kinds = (self.named, self.scores, self.all_controls)
        found = [
            correlate({name: self.values(name).tolist() for name in kind}, self.ranking)
            for kind in kinds
        ]
        said = (
            replace(one, reason=self.absent.get(one.name, one.reason)) for k in found for one in k
        )
        return strongest_first(list(said))

    @cached_property
    def scored(self) -> list[Agreement]:
        """The scores alone, from the best to the most wrong.

        Those that fewer than half of the models have are left out: they are no candidates for
        the best, since three models are in perfect order one time in six.
        """
        known = (one for one in self.agreements if one.name in self.scores and not one.reason)
        common = (one for one in known if 2 * one.n >= len(self.judged))
        return sorted(common, key=lambda one: one.rho)

    @cached_property
    def on_both(self) -> "tuple[CorrelationReport, CorrelationReport] | None":
        """The models that have both true metrics, judged on scored and on held-out images.

        None where fewer than 3 have both.
        """
        places = sorted({*self.judged} & {*known_places(self.truth_on_scored)})
        if len(places) < 3:
            return None
        held_out = replace(self.only(places), truth_on_scored=())
        return replace(held_out, truth=[self.truth_on_scored[i] for i in places]), held_out

    @cached_property
    def rhos_on_scored(self) -> dict[str, float]:
        """Rank correlation of each column with the true metric on the scored images, by name.

        NaN where fewer than 3 models have the column or it is constant; empty where the metric
        is not known.
        """
        if self.on_both is None:
            return {}
        there = self.on_both[0]
        found = {}
        for name in there.columns:
            values = there.values(name)
            known = ~np.isnan(values)
            enough = known.sum() >= 3
            found[name] = spearman(values[known], there.true[known]) if enough else math.nan
        return found

    @cached_property
    def choice(self) -> Choice | None:
        """What the best of the scores is worth on architectures that did not choose it."""
        return choose_by_half(
            {one.name: self.values(one.name) for one in self.scored}, self.ranking
        )

    @cached_property
    def differences(self) -> list[Difference]:
        """The comparisons asked for, then the strongest score against each control."""
        pairs = [pair for pair in self.comparisons if set(pair) <= set(self.columns)]
        if self.scored:
            pairs += [(self.scored[0].name, control) for control in self.all_controls]
        return [self.difference(*pair) for pair in dict.fromkeys(pairs) if self.judged]

    def difference(self, first: str, second: str) -> Difference:
        """Compare two columns by name; the strength of a control is its size."""
        one, other = (
            Side(name, self.values(name), size if name in self.all_controls else oriented)
            for name in (first, second)
        )
        return compare(one, other, self.ranking)

    @cached_property
    def ceiling(self) -> float:
        """Largest correlation that the noise of retraining leaves possible; NaN: not known."""
        least = self.protocol.repetitions if self.protocol else 1
        if len(self.judged) < 2:
            return math.nan
        return noise_ceiling(self.true, self.ranking.repetitions, least=least)

    @cached_property
    def trained(self) -> "CorrelationReport | None":
        """The same without collapsed models, as the protocol says; none without such a rule."""
        rule = self.protocol.leave_out if self.protocol else None
        if rule is None or rule.score not in self.columns:
            return None
        return self.only(fit_models(self, rule))

    def only(self, places: Sequence[int]) -> "CorrelationReport":
        """Return the same for some of the models; no column changes its values."""

        def chosen(values: Sequence[Any]) -> list[Any]:
            return [values[place] for place in places] if values else []

        def columns(kind: Columns) -> Columns:
            return {name: chosen(values) for name, values in kind.items()}

        return replace(
            self,
            models=chosen(self.models),
            truth=chosen(self.truth),
            truth_on_scored=chosen(self.truth_on_scored),
            scores=columns(self.scores),
            controls=columns(self.all_controls),
            named=columns(self.named),
            groups=chosen(self.groups),
            clusters=chosen(self.clusters),
            image_samples=self.image_samples and self.image_samples.only(places),
        )

    @cached_property
    def by_images(self) -> dict[str, ImageFinding]:
        """How columns depend on the target images, by name, those that do; empty if not known."""
        if self.image_samples is None or not self.judged:
            return {}
        given = self.image_samples.only(self.judged)
        names = [name for name in given.varying if name in self.columns]
        return {name: image_finding(name, given, self.true) for name in names}

    @cached_property
    def redundancy(self) -> Float:
        """(m, m) rank correlation of each pair of columns, in the order of ``columns``."""
        number = len(self.models)
        columns = [as_floats(name, values, number) for name, values in self.columns.items()]
        return spearman_matrix(np.column_stack(columns))


def known_places(truth: Sequence[float | None]) -> list[int]:
    """Return the places of the models that have a true metric."""
    return [i for i, v in enumerate(truth) if v is not None and math.isfinite(v)]


def fit_models(report: CorrelationReport, rule: LeaveOut) -> list[int]:
    """Return the models whose quality is not below its share of the median.

    The median is that of the models with a truth; a model without the score stays.
    """
    values = as_floats(rule.score, report.columns[rule.score], len(report.models))
    known = values[report.judged]
    if np.isnan(known).all():
        return list(range(len(values)))
    least = rule.below * float(np.nanmedian(-known))
    return [place for place, value in enumerate(values) if not -value < least]


def header_of(report: CorrelationReport) -> tuple[str, ...]:
    """Return the columns of the table: ``HEADER``, and one more for both true metrics."""
    return (*HEADER[:SECOND], *[ON_SCORED] * bool(report.rhos_on_scored), *HEADER[SECOND:])


def agreement_cells(one: Agreement, report: CorrelationReport) -> list[str]:
    """Return one row of the table, with the columns of ``header_of``."""
    kind, second = report.kind(one.name), report.rhos_on_scored
    return [
        one.name if kind == "score" else f"{one.name} ({kind})",
        decimal(one.rho, 2),
        interval_words(one.interval),
        *([decimal(second[one.name], 2)] if second else []),
        decimal(one.tau, 2),
        decimal(one.weighted_rho, 2),
        percent(one.pair_accuracy) + " %" * (not math.isnan(one.pair_accuracy)),
        decimal(one.top_half, 2),
        decimal(one.partial_rho, 2),
        decimal(one.within_rho, 2),
        *map(percent, one.regrets),
        percent(one.precision, digits=0) + " %" * (not math.isnan(one.precision)),
        str(one.worst_rank) if one.worst_rank else "–",
        p_words(one.p_value),
        p_words(one.p_holm) if kind != CONTROL else "–",
        f"{one.n} of {one.n + one.dropped}",
        cost_words(report.cost(one.name)),
    ]


def sort_keys(one: Agreement, report: CorrelationReport) -> list[float]:
    """Return what the cells of a row are sorted by, all but the name."""
    second = report.rhos_on_scored
    return [
        one.rho,
        one.interval[0],
        *([second[one.name]] if second else []),
        one.tau,
        one.weighted_rho,
        one.pair_accuracy,
        one.top_half,
        one.partial_rho,
        one.within_rho,
        *one.regrets,
        one.precision,
        float(one.worst_rank) or math.nan,
        one.p_value,
        one.p_holm,
        float(one.n),
        report.cost(one.name).seconds,
    ]


def interval_words(ends: tuple[float, float]) -> str:
    """Return an interval in brackets; a dash where there is none."""
    low, high = ends
    return "–" if math.isnan(low) else f"[{decimal(low, 2)}, {decimal(high, 2)}]"


def p_words(p: float) -> str:
    """Return a p-value; below what the permutations resolve, only that."""
    return "<0.001" if p < 0.001 else decimal(p, 3)


def agreement_values(one: Agreement, report: CorrelationReport) -> dict[str, Any]:
    """Return one score as plain values, NaN where undefined."""
    return {
        "score": one.name,
        "kind": report.kind(one.name),
        "n": one.n,
        "dropped": one.dropped,
        "rho": one.rho,
        "rho_low": one.interval[0],
        "rho_high": one.interval[1],
        "rho_low_bonett_wright": one.closed_interval[0],
        "rho_high_bonett_wright": one.closed_interval[1],
        "tau_b": one.tau,
        "rho_weighted": one.weighted_rho,
        "rho_given_macs": one.partial_rho,
        "rho_within": one.within_rho,
        "rho_scored_images": report.rhos_on_scored.get(one.name, math.nan),
        "p_value": one.p_value,
        "p_holm": one.p_holm,
        "pair_accuracy": one.pair_accuracy,
        "rho_top_half": one.top_half,
        "rho_top_half_low": one.top_interval[0],
        "rho_top_half_high": one.top_interval[1],
        **{f"regret_at_{k}": value for k, value in zip(TOP, one.regrets, strict=True)},
        **{f"random_regret_at_{k}": v for k, v in zip(TOP, one.random_regrets, strict=True)},
        f"precision_at_{TOP[-1]}": one.precision,
        "worst_rank": one.worst_rank or None,
        "seconds": report.cost(one.name).seconds,
        "needs": " ".join(report.cost(one.name).needs),
        "reason": one.reason,
    }


def agreements_csv(report: CorrelationReport) -> str:
    """Return one line per score in full precision, strongest first."""
    rows = [agreement_values(one, report) for one in report.agreements]
    header = list(agreement_values(Agreement(name="", n=0, dropped=0), report))
    return csv_table(header, [list(row.values()) for row in rows])


def models_csv(report: CorrelationReport) -> str:
    """Return one line per model: what it is, its true metric, and every score and control."""
    labels: dict[str, Sequence[Any]] = {
        "group": report.groups,
        "cluster": report.clusters,
        "scored_miou": report.truth_on_scored,
    }
    known = {name: values for name, values in labels.items() if values}
    rows = zip(report.models, *known.values(), report.truth, *report.columns.values(), strict=True)
    return csv_table(["model", *known, "target_miou", *report.columns], rows)


def as_json(report: CorrelationReport) -> dict[str, Any]:
    """Return results and raw numbers as plain values; what is undefined is null."""
    return {
        "title": report.title,
        "facts": dict(report.facts),
        "seed": report.seed,
        "bootstrap_draws": DRAWS,
        "permutations": PERMUTATIONS,
        "noise_ceiling": finite(report.ceiling),
        "agreements": all_values(report),
        "without_collapsed": all_values(report.trained) if report.trained else None,
        "best_by_half": choice_values(report.choice),
        "differences": [difference_values(one) for one in report.differences],
        **image_sample_values(report),
        "models": list(report.models),
        "groups": list(report.groups),
        "clusters": list(report.clusters),
        "truth": [finite(value) for value in report.truth],
        "truth_on_scored_images": [finite(value) for value in report.truth_on_scored],
        "columns": {
            name: [finite(value) for value in values] for name, values in report.columns.items()
        },
        "opened_labels": list(report.opened_labels),
    }


def all_values(report: CorrelationReport) -> list[dict[str, Any]]:
    """Return every column as plain values, with its correlation inside the groups."""
    return [
        {
            **{name: finite(value) for name, value in agreement_values(one, report).items()},
            "within": [group_values(group) for group in one.within],
        }
        for one in report.agreements
    ]


def image_sample_values(report: CorrelationReport) -> dict[str, Any]:
    """Return how columns depend on the target images as plain values; nothing if not known."""
    if report.image_samples is None:
        return {}
    found = [image_values(one) for one in report.by_images.values()]
    values = [{name: finite(value) for name, value in one.items()} for one in found]
    return {"target_images": {"scored": report.image_samples.images, "scores": values}}


def choice_values(one: Choice | None) -> dict[str, Any] | None:
    """Return what choosing by one half gives on the other as plain values."""
    if one is None:
        return None
    low, high = map(finite, one.interval)
    known = {"picked": dict(one.picked), "rho": finite(one.rho), "seen": finite(one.seen)}
    return {**known, "low": low, "high": high}


def group_values(one: GroupAgreement) -> dict[str, Any]:
    """Return the correlation inside a group as plain values."""
    low, high = map(finite, one.interval)
    return {"group": one.name, "n": one.n, "rho": finite(one.rho), "low": low, "high": high}


def difference_values(one: Difference) -> dict[str, Any]:
    """Return a comparison of two scores as plain values."""
    low, high = map(finite, one.interval)
    pair = {"first": one.first, "second": one.second, "n": one.n}
    return {**pair, "difference": finite(one.value), "low": low, "high": high}


def finite(value: Any) -> Any:
    """Return a value that JSON can hold: NaN and infinities become null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
