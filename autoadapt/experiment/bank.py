"""Making a bank: planned architectures, trained with several methods and seeds, then evaluated.

Each method and seed is a search of its own in ``cells/<method>-seed-<seed>/`` whose strategy
proposes the plan, so that executors, records and resuming are those of any search. Labelled
target images are opened once all its models are trained and scored; those of images that were
adapted to, only where the settings ask for it and once all models of the bank are.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from autoadapt import seeding
from autoadapt.config.settings import BankSettings, ExperimentSettings, PluginSettings
from autoadapt.data.open import open_target
from autoadapt.errors import ConfigError, RunError
from autoadapt.experiment.bank_file import Bank, BankModel, write_bank
from autoadapt.experiment.committee import committee_hashes
from autoadapt.experiment.executors import execute
from autoadapt.experiment.image_samples import gathered, image_scores, sample_models
from autoadapt.experiment.pool import trial_of, with_pool_scores
from autoadapt.experiment.reporting import (
    evaluation_path,
    facts,
    opened_labels,
    true_evaluation,
)
from autoadapt.experiment.rescoring import (
    Answers,
    Question,
    Rescoring,
    describe_scores,
    duration,
    sample_of,
    score_again,
)
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.score_costs import median_seconds
from autoadapt.experiment.scored_truth import check_scored_truth, reading, with_scored_truth
from autoadapt.experiment.search import Experiment
from autoadapt.experiment.trial import Task, needs_of, scores_of
from autoadapt.experiment.watching import Watcher
from autoadapt.files import owning, replacing, write_json
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

MEASURING = frozenset({"scoring", "objective", "evaluation"})
"""Settings that may differ from those a bank was made with: they change no trained model."""
ASKING = MEASURING | {
    "search.trials",
    "bank.statistics",
    "bank.image_samples",
    "bank.scored_truth",
}
"""The same for the settings of the whole bank."""
SCORED_WITH = "scored_with.json"
"""File of a cell: what the scores in its records depend on."""

STATISTICS = "statistics"
"""Folder beside the records of a bank."""

POOL = 3
"""Random architectures looked at for each one that is trained."""


def run_bank(settings: ExperimentSettings, path: Path, watcher: Watcher) -> Path:
    """Make a bank in a folder, or continue it, and return the folder of the bank.

    Models that are trained already are scored and evaluated anew where the settings ask for
    something that is not known of them; what they were trained with must be the same.

    Raises:
        ConfigError: The settings have no ``bank`` section, the space is too small for it, or a
            score cannot be had on choices of images.
        AutoAdaptError: Something else the user can mend; what was finished before is kept.
    """
    if settings.bank is None:
        raise ConfigError(
            f"{settings.name}: the config has no 'bank' section, which says what is trained; "
            "add one, such as 'bank: {architectures: 100, repeated: 20, seeds: [0, 1, 2]}'"
        )
    if settings.bank.image_samples is not None:
        image_scores(settings)
    check_scored_truth(settings)
    with owning(path):
        folder = RunFolder(path)
        folder.prepare(settings, free=ASKING)
        whole = Experiment(folder, settings, watcher)
        whole.check_data()
        watcher.stage("choosing architectures of every cost")
        plan = planned(settings, whole.controller.costs)
        models = []
        for cell in cells(settings, plan):
            models += run_cell(cell, settings.bank, path, watcher)
        models = with_pool_scores(models, settings, path, watcher)
        models = with_scored_truth(models, settings, folder, watcher)
        watcher.stage("writing the bank")
        kept = publish_statistics(models, settings, path)
        bank = Bank(
            name=settings.name,
            space=settings.search.space,
            seed=settings.seed,
            fingerprint=fingerprint(settings),
            models=tuple(map(without_seconds, with_objectives(models, settings, whole))),
            reference_costs=dict(whole.controller.reference_costs),
            facts={**bank_facts(whole, settings.bank), "Statistics": kept},
            opened_labels=tuple(opened_labels(whole)),
            score_seconds=median_seconds(model.record.score_seconds for model in models),
            image_samples=gathered(models, settings, path),
            scored_truth=reading(settings),
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


def run_cell(
    cell: ExperimentSettings, bank: BankSettings, path: Path, watcher: Watcher
) -> list[BankModel]:
    """Train and score all models of one method and seed, then compare them with the truth.

    Models that failed are left out; their records stay in the cell.
    """
    folder = RunFolder(path / "cells" / cell.name)
    with owning(folder.path):
        folder.prepare(cell, free=MEASURING)
        records = trained(folder, cell, watcher)
        asked = replace(cell, bank=bank)
        records = scored(folder, records, asked, watcher)
        sample_models(folder, [task_of(folder, one) for one in records], asked, watcher)
        return evaluated(Experiment(folder, cell, watcher), records, RunFolder(path))


def trained(folder: RunFolder, cell: ExperimentSettings, watcher: Watcher) -> list[Record]:
    """Train what is not trained yet, scored as the config of the folder says; return all."""
    before = folder.settings()
    same = {key: getattr(before, key) for key in MEASURING}
    experiment = Experiment(folder, replace(cell, **same), watcher)
    if not folder.events.read():
        question = Question.of(experiment.settings)
        write_json(folder.path / SCORED_WITH, {"sample": question.sample, "keys": question.keys})
    watcher.stage(f"{cell.name}: {experiment.plan()}")
    execute(experiment.controller, watcher)
    return sorted(finished(experiment.controller.records), key=lambda one: one.number)


def scored(
    folder: RunFolder,
    records: Sequence[Record],
    settings: ExperimentSettings,
    watcher: Watcher,
) -> list[Record]:
    """Return the records of trained models with the scores that the settings ask for.

    What is not known yet is measured with the trained models; records on disk do not change.
    """
    question = Question.of(settings)
    tasks = {record.number: task_of(folder, record) for record in records}
    adopt(folder, records, question, settings)
    answers = {number: Answers(task.folder, question) for number, task in tasks.items()}
    waiting = [tasks[number] for number, known in answers.items() if not known.whole]
    if waiting:
        name, total = settings.name, len(waiting)
        watcher.stage(f"{name}: scoring {total} of {len(records)} trained models")

        def told(done: int, left: float) -> None:
            watcher.stage(f"{name}: scored {done} of {total} models, {duration(left)} left")

        execute(Rescoring(folder, settings, waiting, told), watcher, score_again)
        answers = {number: Answers(task.folder, question) for number, task in tasks.items()}
    return [replace(record, **answers[record.number].fields()) for record in records]


def task_of(folder: RunFolder, record: Record) -> Task:
    """Return the trial that a record is of."""
    return Task(
        number=record.number,
        architecture=record.architecture,
        origin=record.origin,
        parents=record.parents,
        costs=record.costs,
        folder=folder.trial(record.number, record.architecture),
    )


def adopt(
    folder: RunFolder, records: Sequence[Record], question: Question, settings: ExperimentSettings
) -> None:
    """Take scores out of the records as far as they are what is asked for now."""
    path = folder.path / SCORED_WITH
    then = json.loads(path.read_text()) if path.is_file() else {}
    if then.get("sample") != question.sample:
        return
    former = {key: name for name, key in then["keys"].items()}
    same = {name: former[key] for name, key in question.keys.items() if key in former}
    for record in records:
        known = Answers(folder.trial(record.number, record.architecture), question)
        new = {name: before for name, before in same.items() if name in known.missing}
        if new:
            fields = {
                "value": record.scores,
                "error": record.score_errors,
                "seconds": record.score_seconds,
            }
            known.add(settings, {key: chosen(one, new) for key, one in fields.items()})
            known.write(settings)


def chosen(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return values under other names, as far as they are there."""
    return {new: values[old] for new, old in names.items() if old in values}


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
    return evaluation_path(experiment, record).exists()


def publish_statistics(
    models: Sequence[BankModel], settings: ExperimentSettings, path: Path
) -> str:
    """Copy what was measured of each model beside the bank; return in words what that is.

    ``bank/statistics/`` is a folder of its own, so that a bank can be published without.
    """
    question, target = Question.of(settings), path / "bank" / STATISTICS
    sizes, kept = [], set()
    for model in models:
        trial = trial_of(model, path)
        content = Answers(trial, question).statistics.read_bytes()
        copy = target / trial.parent.parent.name / f"{trial.name}.npz"
        if not copy.is_file() or copy.read_bytes() != content:
            with replacing(copy) as file:
                file.write(content)
        sizes.append(len(content))
        kept.add(copy)
    for old in set(target.glob("*/*.npz")) - kept:
        old.unlink()
    what = {"maps": "class maps", "full": "class maps, sums over regions and samples"}
    mean = sum(sizes) / max(1, len(sizes)) / 1e3
    return f"{what[question.detail]}; {mean:.0f} kB per model, {sum(sizes) / 1e6:.1f} MB in all"


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


def without_seconds(model: BankModel) -> BankModel:
    """Return a model without the times of its scores, of which the bank has the medians."""
    return replace(model, record=replace(model.record, score_seconds={}))


def fingerprint(settings: ExperimentSettings) -> dict[str, object]:
    """Return what scores and metrics depend on besides the models."""
    data, sample = settings.data, sample_of(settings)
    evaluation = None
    if data.evaluation is not None:  # as images alone, like ``check_evaluation``
        sized = replace(data.evaluation, size=data.size_of("evaluation"))
        evaluation = open_target(replace(data, target=sized)).fingerprint
    asked = "committee" in needs_of(scores_of(settings))
    keys = ("source", "target", "held_out", "classes", "normalisation")
    return {
        **{key: sample[key] for key in keys},
        "evaluation": evaluation,
        "convention": json_of(settings.evaluation.convention),
        "sample": {
            **{key: sample[key] for key in ("images", "pixels_per_image", "regions", "seed")},
            "committee": list(committee_hashes(settings)) if asked else [],
        },
        "scores": json_of(describe_scores(settings)),
    }


def json_of(value: object) -> Any:
    """Return settings as they look after a trip through JSON, so that they can be compared."""
    plain = dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value  # type: ignore[arg-type]
    return json.loads(json.dumps(plain))


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
