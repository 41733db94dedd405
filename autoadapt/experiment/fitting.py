"""Fitting the weights of a combination on one bank, and testing them on another, never the same.

What is fitted is an objective: ridge regression of the rank of the true metric on the terms as
the objective standardises them. So the file that is written is what was fitted, and on another
bank it is standardised by that bank, as in a search by its first trials.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from scipy.stats import rankdata

from autoadapt.analysis.correlation import Agreement, agreement, ranking_of
from autoadapt.analysis.correlation_report import interval_words
from autoadapt.analysis.endpoints import flipped
from autoadapt.analysis.ranks import Float
from autoadapt.analysis.resampling import numbered
from autoadapt.analysis.ridge import Ridge, fit_ridge
from autoadapt.analysis.tables import decimal, percent, text_table
from autoadapt.config.load import COSTS
from autoadapt.config.named_objectives import fitted_on
from autoadapt.config.settings import ObjectiveSettings, TermSettings
from autoadapt.errors import ConfigError, RunError
from autoadapt.experiment.bank_file import Bank, BankModel, check_apart
from autoadapt.files import write_text
from autoadapt.objective import RANK_SPREAD, column
from autoadapt.plugins import available
from autoadapt.records import Record
from autoadapt.scores._compute import make

Form = Literal["rank", "standard"]
LEAST = 10
"""Models below which nothing is fitted."""
COMMON = 0.95
"""A score that a smaller share of the models has is not used; models that lack one are left out."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """An objective whose weights were fitted on a bank.

    Attributes:
        bank: Its name.
        settings: The objective.
        ridge: The fit.
        models: Number of models it was fitted on.
        left_out: Models of the bank that lack a score or the true metric.
        unused: Why a score was not used, by name.
        held_out: Agreement of the held-out predictions with the truth, on the same bank.
    """

    bank: str
    settings: ObjectiveSettings
    ridge: Ridge
    models: int
    left_out: int
    unused: Mapping[str, str]
    held_out: Agreement


def candidates(bank: Bank, *, costs: bool = False) -> tuple[list[str], dict[str, str]]:
    """Return the scores that a search can compute, and why the others are not among them.

    Args:
        bank: Whose scores are meant.
        costs: Whether costs count too; a search can compute them, but they say nothing of the
            target.
    """
    known = sorted({name for model in bank.models for name in model.record.scores})
    unused = {name: why for name in known if (why := not_in_a_search(bank, name, costs=costs))}
    names = [name for name in known if name not in unused]
    if costs:
        of_records = {name for model in bank.models for name in model.record.costs}
        names += sorted(of_records - set(known))
    return names, unused


def not_in_a_search(bank: Bank, name: str, *, costs: bool) -> str:
    """Return why a score is not used; empty if it is."""
    described = bank.fingerprint.get("scores", {}).get(name, {"score": name})
    if described["score"] in COSTS:
        return "" if costs else "a cost"
    if described["score"] not in available("scores"):
        return "no score of this version, so a search cannot compute it"
    needs = described["needs"] if "needs" in described else make(name, {}).needs
    return "it needs all other candidates" if "pool" in needs else ""


def fit_bank(
    bank: Bank,
    names: Sequence[str],
    *,
    form: Form = "rank",
    unused: Mapping[str, str] | None = None,
) -> Fitted:
    """Fit the weights of scores to the ranks of the true metric.

    Args:
        bank: With true metrics.
        names: Of the scores.
        form: How a term is standardised, in the fit and in the objective.
        unused: Why other scores are not among them.

    Raises:
        RunError: Fewer than 10 models have all of it, or no score varies.
    """
    judged = [model for model in bank.models if model.miou is not None]
    terms, why = usable(judged, names)
    models = [
        one for one in judged if all(value_of(one.record, name) is not None for name in terms)
    ]
    if len(models) < LEAST or not terms:
        raise RunError(
            f"{bank.name}: {len(models)} models have a true mIoU and {len(terms)} common scores; "
            f"at least {LEAST} models and 1 score that varies are needed to fit weights"
        )
    clusters = [model.record.architecture.id for model in models]
    ridge = fit_ridge(
        standardised([model.record for model in models], terms, form),
        truth_ranks(models),
        numbered(clusters, len(models)),
        seed=bank.seed,
    )
    ranking = ranking_of([miou_of(one) for one in models], clusters=clusters, seed=bank.seed)
    return Fitted(
        bank=bank.name,
        settings=ObjectiveSettings(
            terms=tuple(
                TermSettings(score=name, weight=round(float(weight), 6), form=form)
                for name, weight in zip(terms, ridge.weights, strict=True)
            )
        ),
        ridge=ridge,
        models=len(models),
        left_out=len(bank.models) - len(models),
        unused={**(unused or {}), **why},
        held_out=agreement("held out", ridge.held_out, ranking),
    )


def usable(models: Sequence[BankModel], names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the scores that nearly all models have and that vary, and why others are not."""
    kept, why = [], {}
    for name in names:
        values = [value for model in models if (value := value_of(model.record, name)) is not None]
        if not values or len(values) < COMMON * len(models):
            why[name] = f"{len(values)} of {len(models)} models have it"
        elif np.ptp(values) == 0:
            why[name] = "all models have the same value"
        else:
            kept.append(name)
    return kept, why


def value_of(record: Record, name: str) -> float | None:
    """Return a finite score or cost of a model, or None."""
    value = record.scores.get(name, record.costs.get(name))
    return value if value is not None and np.isfinite(value) else None


def standardised(records: Sequence[Record], names: Sequence[str], form: Form) -> Float:
    """Return (models, scores): each score as a term of weight 1 of an objective gives it."""
    terms = [ObjectiveSettings(terms=(TermSettings(score=name, form=form),)) for name in names]
    found = [column(records, one, {}) for one in terms]
    return np.array(found, dtype=np.float64).T


def truth_ranks(models: Sequence[BankModel]) -> Float:
    """Return the places of the true metrics, the best one lowest: what an objective should be."""
    places = (rankdata([-miou_of(model) for model in models]) - 0.5) / len(models)
    found: Float = RANK_SPREAD * (places - 0.5)
    return found


def miou_of(model: BankModel) -> float:
    """Return the true metric of a model that has one."""
    assert model.miou is not None
    return model.miou


def fingerprint_hash(bank: Bank) -> str:
    """Return a hash of what the scores of a bank depend on."""
    text = json.dumps(bank.fingerprint, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_not_fitted_on(name: str, marks: Mapping[str, Any], where: str) -> None:
    """Refuse to use an objective where its weights were fitted: the fit saw those target labels.

    Args:
        name: Of an objective, or the path of its file.
        marks: Fingerprints of images by role: ``target``, ``evaluation``.
        where: What has these images.

    Raises:
        ConfigError: It was fitted on the same target or evaluation images.
    """
    fitted = fitted_on(name) if name else {}
    for key in ("target", "evaluation"):
        if fitted.get(key) and fitted[key] == marks.get(key):
            raise ConfigError(
                f"the weights of the objective {name} were fitted to the target labels of "
                f"{fitted.get('bank')!r}, which has the same {key} images as {where}; use it for "
                "another target"
            )


def judged_on(bank: Bank, fitted: Fitted) -> Agreement:
    """Return how a fitted objective ranks the models of another bank.

    Raises:
        RunError: No model of the bank has all its scores.
    """
    judged = [model for model in bank.models if model.miou is not None]
    records = [model.record for model in judged]
    values = column(records, fitted.settings, bank.reference_costs)
    ranking = ranking_of(
        [miou_of(model) for model in judged],
        clusters=[record.architecture.id for record in records],
        given=[record.costs.get("macs") for record in records],
        seed=bank.seed,
    )
    known = np.array([np.nan if value is None else value for value in values])
    return agreement(f"fitted on {fitted.bank}", known, ranking)


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """A fit on one bank and its test on another.

    Attributes:
        tested_on: Name of the other bank.
        fitted: The objective.
        agreement: How it ranks the models of the other bank.
    """

    tested_on: str
    fitted: Fitted
    agreement: Agreement


def transfer(
    first: Bank,
    second: Bank,
    names: Sequence[str] = (),
    *,
    form: Form = "rank",
    costs: bool = False,
) -> Transfer:
    """Fit on one bank with the scores that both have, and test on the other.

    Args:
        first: Fitted on.
        second: Tested on.
        names: Scores to use; absent: all that a search can compute.
        form: How terms are standardised.
        costs: Whether costs are used too.

    Raises:
        RunError: The banks share images or models, or nothing can be fitted.
    """
    check_apart(first, second)
    fitted = fit_for(first, names, form=form, costs=costs, other=second)
    return Transfer(tested_on=second.name, fitted=fitted, agreement=judged_on(second, fitted))


def fit_for(
    bank: Bank, names: Sequence[str], *, form: Form, costs: bool, other: Bank | None
) -> Fitted:
    """Fit a bank with given scores, or with all that a search can compute and both banks have.

    Raises:
        RunError: A score asked for is not in the bank, or nothing can be fitted.
    """
    allowed, unused = candidates(bank, costs=costs)
    if names:
        known = {*allowed, *unused, *(name for one in bank.models for name in one.record.costs)}
        if absent := [name for name in names if name not in known]:
            raise RunError(
                f"{bank.name} has no score {absent[0]!r}; it has {', '.join(sorted(known))}"
            )
        allowed, unused = list(dict.fromkeys(names)), {}
    if other is not None:
        there = [model for model in other.models if model.miou is not None]
        allowed, missing = usable(there, allowed)
        unused = {**unused, **{name: f"in {other.name}: {why}" for name, why in missing.items()}}
    return fit_bank(bank, allowed, form=form, unused=unused)


def write_fitted(fitted: Fitted, bank: Bank, path: Path) -> None:
    """Write an objective file that search and correlate can use.

    Raises:
        RunError: The disk is full.
    """
    content = {
        "summary": f"ridge regression on the {len(fitted.settings.terms)} scores below, fitted on "
        f"{bank.name}",
        "source": f"autoadapt fit; {fitted.models} models of {bank.name}",
        "fitted": {
            "bank": bank.name,
            "models": fitted.models,
            "fingerprint": fingerprint_hash(bank),
            "target": bank.fingerprint.get("target"),
            "evaluation": bank.fingerprint.get("evaluation"),
            "penalty": fitted.ridge.penalty,
            "strength_held_out": round(-fitted.held_out.rho, 4),
        },
        "terms": [
            {"score": term.score, "weight": term.weight, "form": term.form}
            for term in fitted.settings.terms
        ],
    }
    head = (
        f"# Fitted on {fitted.models} models of {bank.name}; held out by architecture, -rho is "
        f"{-fitted.held_out.rho:.2f}.\n"
        "# Test it on a bank of another target: autoadapt correlate BANK --objective THIS_FILE\n"
        "# A search standardises the terms by its own calibration trials, as any objective.\n"
    )
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    write_text(path, head + text)


def fit_text(fitted: Fitted, transfers: Sequence[Transfer]) -> str:
    """Return weights, what was not used, and the tests, for a terminal."""
    terms = sorted(fitted.settings.terms, key=lambda term: -abs(term.weight))
    rows = [[term.score, decimal(term.weight)] for term in terms]
    one = fitted.held_out
    lines = [
        f"{fitted.bank}: {fitted.models} models, {len(terms)} scores, penalty "
        f"{fitted.ridge.penalty:.2g}; held out by architecture, −ρ {decimal(-one.rho, 2)} "
        f"{interval_words(flipped(one.interval))}",
    ]
    if fitted.left_out:
        lines.append(f"{fitted.left_out} models lack a score or the true mIoU and were left out.")
    lines += [f"not used: {name}: {why}" for name, why in fitted.unused.items()]
    lines += ["", text_table(["score", "weight"], rows)]
    if transfers:
        lines += ["", transfers_text(transfers)]
    return "\n".join(lines)


def transfers_text(transfers: Sequence[Transfer]) -> str:
    """Return the tests on other banks as a table."""
    header = ["fitted on", "tested on", "−ρ", "95 % interval", "top half", "given MACs"]
    header += ["regret@1", "regret@5", "n"]
    rows = [
        [
            one.fitted.bank,
            one.tested_on,
            decimal(-one.agreement.rho, 2),
            interval_words(flipped(one.agreement.interval)),
            decimal(-one.agreement.top_half, 2),
            decimal(-one.agreement.partial_rho, 2),
            percent(one.agreement.regrets[0]),
            percent(one.agreement.regrets[1]),
            str(one.agreement.n),
        ]
        for one in transfers
    ]
    return text_table(header, rows, words=2)


def fit_command(
    bank: Bank, other: Bank | None, out: Path, names: Sequence[str], *, form: Form, costs: bool
) -> str:
    """Fit a bank, write the objective, test it both ways if there is another bank.

    Raises:
        RunError: The banks share images or models, or nothing can be fitted.
    """
    if other is not None:
        check_apart(bank, other)
    fitted = fit_for(bank, names, form=form, costs=costs, other=other)
    transfers = []
    if other is not None:
        there = Transfer(tested_on=other.name, fitted=fitted, agreement=judged_on(other, fitted))
        transfers = [there, transfer(other, bank, names, form=form, costs=costs)]
    write_fitted(fitted, bank, out)
    return fit_text(fitted, transfers)
