"""From the image samples of banks to columns of the correlation report."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from autoadapt.analysis.image_samples import ImageColumns
from autoadapt.config.settings import ObjectiveSettings
from autoadapt.errors import ConfigError, RunError
from autoadapt.experiment.bank_file import Bank
from autoadapt.objective import column
from autoadapt.records import Record

SOURCE_ALONE = ("source_miou", "source_accuracy")
"""Scores that look at no target image: equal on all choices of them."""

Values = NDArray[np.float64]


def image_columns(
    banks: Sequence[Bank], objectives: Mapping[str, ObjectiveSettings]
) -> ImageColumns | None:
    """Return scores and objectives of all models of banks on the choices of target images.

    On each choice an objective is standardised anew by all models. It is left out unless each of
    its terms was computed on the choices, or does not depend on the target at all.

    Returns:
        None where a bank has no image samples, or other choices than the first.
    """
    samples = [bank.image_samples for bank in banks if bank.image_samples is not None]
    if len(samples) < len(banks) or any(one.choices != samples[0].choices for one in samples):
        return None
    names = [name for name in samples[0].values if all(name in one.values for one in samples)]
    values = {name: np.concatenate([one.values[name] for one in samples]) for name in names}
    records = [model.record for bank in banks for model in bank.models]
    fixed = set.intersection(*(fixed_names(bank) for bank in banks))
    combined = {
        name: np.array(
            [
                objective_on_choice(settings, k, values, records, banks[0].reference_costs)
                for k in range(len(samples[0].choices))
            ]
        ).T
        for name, settings in objectives.items()
        if all(term.score in values or term.score in fixed for term in settings.terms)
    }
    sizes = np.array([len(choice) for choice in samples[0].choices], dtype=np.int64)
    return ImageColumns(sizes=sizes, columns={**values, **combined})


def fixed_names(bank: Bank) -> set[str]:
    """Return costs and scores of a bank that do not depend on the target images."""
    described = bank.fingerprint.get("scores", {})
    scores = {name for name, one in described.items() if one["score"] in SOURCE_ALONE}
    return scores | {name for model in bank.models for name in model.record.costs}


def objective_on_choice(
    settings: ObjectiveSettings,
    choice: int,
    values: Mapping[str, Values],
    records: Sequence[Record],
    reference_costs: Mapping[str, float],
) -> list[float]:
    """Return an objective on one choice, one value per model; NaN where it cannot be had."""
    terms = [term.score for term in settings.terms]
    sampled = {name: values[name][:, choice].tolist() for name in terms if name in values}
    on_choice = [
        replace(record, scores={**chosen(record.scores, terms), **at(sampled, row)})
        for row, record in enumerate(records)
    ]
    try:
        found = column(on_choice, settings, reference_costs)
    except (RunError, ConfigError):
        return [math.nan] * len(records)
    return [math.nan if value is None else value for value in found]


def chosen(scores: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """Return some of the scores of a model, as far as it has them."""
    return {name: scores[name] for name in names if name in scores}


def at(columns: Mapping[str, Sequence[float]], row: int) -> dict[str, float]:
    """Return one row of columns."""
    return {name: values[row] for name, values in columns.items()}
