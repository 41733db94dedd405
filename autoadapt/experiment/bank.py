"""Making a bank: planned architectures, trained with several methods and seeds, then evaluated.

Each method and seed is a search of its own in ``cells/<method>-seed-<seed>/`` whose strategy
proposes the plan, so that executors, records and resuming are those of any search. Labelled
target images are opened once all its models are trained and scored.
"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from autoadapt import seeding
from autoadapt.config.load import score_names
from autoadapt.config.settings import BankSettings, ExperimentSettings, PluginSettings
from autoadapt.data.open import open_target
from autoadapt.errors import ConfigError, RunError
from autoadapt.experiment.bank_file import Bank, BankModel, write_bank
from autoadapt.experiment.executors import execute
from autoadapt.experiment.reporting import facts, opened_labels, true_evaluation
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.search import Experiment
from autoadapt.experiment.trial import domains_of
from autoadapt.experiment.watching import Watcher
from autoadapt.files import owning
from autoadapt.objective import Objective, calibrate
from autoadapt.records import Record, finished
from autoadapt.space import (
    Architecture,
    Costs,
    SearchSpace,
    WithinLimits,
    load,
    narrowed,
    sample_feasible,
)

POOL = 3
"""Random architectures looked at for each one that is trained."""


def run_bank(settings: ExperimentSettings, path: Path, watcher: Watcher) -> Path:
    """Make a bank in a folder, or continue it, and return the folder of the bank.

    Raises:
        ConfigError: The settings have no ``bank`` section, or the space is too small for it.
        AutoAdaptError: Something else the user can mend; what was finished before is kept.
    """
    if settings.bank is None:
        raise ConfigError(
            f"{settings.name}: the config has no 'bank' section, which says what is trained; "
            "add one, such as 'bank: {architectures: 100, repeated: 20, seeds: [0, 1, 2]}'"
        )
    with owning(path):
        folder = RunFolder(path)
        folder.prepare(settings)
        whole = Experiment(folder, settings, watcher)
        whole.check_data()
        watcher.stage("choosing architectures of every cost")
        plan = planned(settings, whole.controller.costs)
        models = []
        for cell in cells(settings, plan):
            models += run_cell(cell, path, watcher)
        watcher.stage("writing the bank")
        bank = Bank(
            name=settings.name,
            space=settings.search.space,
            seed=settings.seed,
            fingerprint=fingerprint(settings),
            models=tuple(with_objectives(models, settings, whole)),
            reference_costs=dict(whole.controller.reference_costs),
            facts=bank_facts(whole, settings.bank),
            opened_labels=tuple(opened_labels(whole)),
        )
        write_bank(bank, path / "bank")
    return path / "bank"


def planned(settings: ExperimentSettings, costs: Costs) -> list[Architecture]:
    """Return the architectures of a bank: one random one from each stratum of multiply-adds.

    Those that are to be repeated come first, spread over the costs in the same way.

    Raises:
        ConfigError: Random draws found fewer architectures than the bank wants.
        SpaceError: Nothing is within the limits.
    """
    assert settings.bank is not None
    wanted = settings.bank.architectures
    space = load(settings.search.space)
    pool = drawn(space, settings, costs, POOL * wanted)
    if len(pool) < wanted:
        raise ConfigError(
            f"bank.architectures: {wanted} asked for, but only {len(pool)} different ones were "
            f"found in {space.name} within its limits; ask for fewer, or widen them"
        )
    pool.sort(key=lambda one: (costs(one)["macs"], one.id))
    rng = seeding.python_random(settings.seed, "bank strata")
    edges = np.linspace(0, len(pool), wanted + 1).astype(int)
    chosen = [pool[rng.randrange(low, high)] for low, high in pairwise(edges.tolist())]
    first = np.linspace(0, wanted - 1, settings.bank.repeated).round().astype(int).tolist()
    return [chosen[i] for i in first] + [chosen[i] for i in range(wanted) if i not in set(first)]


def drawn(
    space: SearchSpace, settings: ExperimentSettings, costs: Costs, number: int
) -> list[Architecture]:
    """Return up to ``number`` different random architectures within the limits."""
    within = WithinLimits(costs, narrowed(space.limits, {**settings.search.limits}))
    rng = seeding.python_random(settings.seed, "bank")
    found: dict[str, Architecture] = {}
    for _ in range(4 * number):
        one = sample_feasible(space, rng, within)
        found[one.id] = one
        if len(found) == number:
            break
    return list(found.values())


def cells(settings: ExperimentSettings, plan: Sequence[Architecture]) -> list[ExperimentSettings]:
    """Return the settings of each method and seed: a search that tries the plan."""
    bank = settings.bank
    assert bank is not None
    found = []
    for method in bank.methods or (settings.search.method,):
        for place, seed in enumerate(bank.seeds):
            part = plan if place == 0 else plan[: bank.repeated]
            if part:
                found.append(cell_of(settings, method, seed, part))
    return found


def cell_of(
    settings: ExperimentSettings, method: PluginSettings, seed: int, part: Sequence[Architecture]
) -> ExperimentSettings:
    """Return the settings of the search that trains some architectures in one way."""
    listed = [architecture.to_json() for architecture in part]
    search = replace(
        settings.search,
        trials=len(part),
        include=(),
        strategy=PluginSettings(name="planned", options={"architectures": listed}),
        method=method,
        training_seed=seed,
    )
    objective = replace(settings.objective, calibration=None)
    name = f"{method.name}-seed-{seed}"
    return replace(settings, name=name, search=search, objective=objective, adapt=None, bank=None)


def run_cell(cell: ExperimentSettings, path: Path, watcher: Watcher) -> list[BankModel]:
    """Train and score all models of one method and seed, then compare them with the truth.

    Models that failed are left out; their records stay in the cell.
    """
    folder = RunFolder(path / "cells" / cell.name)
    with owning(folder.path):
        folder.prepare(cell)
        experiment = Experiment(folder, cell, watcher)
        watcher.stage(f"{cell.name}: {experiment.plan()}")
        execute(experiment.controller, watcher)
        records = sorted(finished(experiment.controller.records), key=lambda one: one.number)
        return evaluated(experiment, records, RunFolder(path))


def evaluated(
    experiment: Experiment, records: Sequence[Record], whole: RunFolder
) -> list[BankModel]:
    """Return the models of a cell with their true metric, where there are labels."""
    settings = experiment.settings
    labelled = settings.data.evaluation is not None
    if labelled and not all(is_evaluated(experiment, record) for record in records):
        whole.note_labels_opened(f"{len(records)} models of {settings.name}", "true mIoU of a bank")
    models = []
    for position, record in enumerate(records, start=1):
        if labelled:
            experiment.watcher.stage(f"{settings.name}: evaluating {position} of {len(records)}")
        models.append(
            BankModel(
                method=settings.search.method.name,
                training_seed=settings.search.training_seed,
                record=record,
                evaluation=true_evaluation(experiment, record) if labelled else None,
            )
        )
    return models


def is_evaluated(experiment: Experiment, record: Record) -> bool:
    """Whether the true metric of a model is already in its folder."""
    trial = experiment.folder.trial(record.number, record.architecture)
    return (trial / "evaluation.json").exists()


def with_objectives(
    models: Sequence[BankModel], settings: ExperimentSettings, whole: Experiment
) -> list[BankModel]:
    """Return the models with the objective of the settings, standardised over the whole bank."""
    records = [model.record for model in models]
    everything = replace(settings.objective, calibration=None, calibration_from=None)
    try:
        calibration = calibrate(records, everything)
    except RunError:  # no model has a score that the objective needs
        return list(models)
    objective = Objective(everything, calibration, whole.controller.reference_costs)
    return [replace(model, objective=objective(model.record)) for model in models]


def fingerprint(settings: ExperimentSettings) -> dict[str, object]:
    """Return what scores and metrics depend on besides the models."""
    domains, data, scoring = domains_of(settings.data), settings.data, settings.scoring
    evaluation = None
    if data.evaluation is not None:  # as images alone, like ``check_evaluation``
        sized = replace(data.evaluation, size=data.size_of("evaluation"))
        evaluation = open_target(replace(data, target=sized)).fingerprint
    options = {name: scoring.options.get(name, {}) for name in score_names(settings)}
    return {
        "source": domains.source.fingerprint,
        "target": domains.target.fingerprint,
        "evaluation": evaluation,
        "classes": list(domains.classes),
        "normalisation": data.normalisation,
        "convention": json_of(settings.evaluation.convention),
        "sample": {
            "images": scoring.images,
            "pixels_per_image": scoring.pixels_per_image,
            "regions": json_of(scoring.regions),
            "committee": list(scoring.committee),
            "seed": settings.seed,
        },
        "score_options": digest(options),
    }


def json_of(value: object) -> object:
    """Return settings as they look after a trip through JSON, so that they can be compared."""
    plain = dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value  # type: ignore[arg-type]
    return json.loads(json.dumps(plain))


def digest(value: object) -> str:
    """Return a hash of plain values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def bank_facts(whole: Experiment, bank: BankSettings) -> dict[str, str]:
    """Return what a reader of the bank's report wants to know."""
    settings = whole.settings
    methods = [method.name for method in bank.methods or (settings.search.method,)]
    strategy = f"{bank.architectures} random ones, spread over multiply-adds"
    known = {key: value for key, value in facts(whole).items() if key != "Strategy"}
    return {
        **known,
        "Architectures": strategy,
        "Method of the candidates": f"{', '.join(methods)}; {settings.search.training.steps} steps",
        "Seeds": f"{', '.join(map(str, bank.seeds))}; {bank.repeated} architectures with all",
    }
