"""From a run folder to its reports."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoadapt.analysis.correlation_page import write_correlation
from autoadapt.analysis.correlation_report import CorrelationReport
from autoadapt.analysis.report import Sample, SearchReport, write_report
from autoadapt.analysis.results import AdaptationResult
from autoadapt.analysis.selection import ComparedFinalist, SelectedTraining, Snapshot
from autoadapt.analysis.tables import quantity
from autoadapt.config.conventions import convention_words
from autoadapt.config.correlation_protocol import CorrelationProtocol
from autoadapt.config.load import to_plain
from autoadapt.config.named_objectives import names as names_of_objectives
from autoadapt.config.settings import ObjectiveSettings
from autoadapt.data.classes import ClassTable, colorize
from autoadapt.data.open import class_table
from autoadapt.errors import ConfigError, RunError
from autoadapt.experiment.adapt import contender_folders, evaluation_beside, title_of
from autoadapt.experiment.bank_file import Bank, BankModel, check_same
from autoadapt.experiment.comparison import result_of
from autoadapt.experiment.evaluate import evaluate
from autoadapt.experiment.finalists import FINALIST, read_finalists
from autoadapt.experiment.fitting import check_not_fitted_on
from autoadapt.experiment.image_columns import image_columns
from autoadapt.experiment.predict import png_bytes
from autoadapt.experiment.rescoring import describe_scores
from autoadapt.experiment.score_costs import costs_of_scores, median_seconds
from autoadapt.experiment.search import Experiment
from autoadapt.experiment.selection import snapshots_of
from autoadapt.experiment.trial import domains_of, pick_device, scored_images
from autoadapt.files import digest, write_json
from autoadapt.metrics.evaluation import Evaluation
from autoadapt.networks.build import describe
from autoadapt.objective import column as objective_column
from autoadapt.objective import columns as objective_columns
from autoadapt.objective import named, words
from autoadapt.records import Record, finished
from autoadapt.training.model import MODEL, SELECTED, find_model, load_model, used_model

CONTROLS = ("macs", "params", "source_miou")
"""Costs and scores that say nothing of the target: what a score has to beat."""
ENDPOINTS = (("objective default", "objective mmd_reent"),)
"""What is recommended against the joint objective of the paper."""
PANELS = tuple(f"objective {name}" for name in ("mmd", "ent", "reent", "mmd_ent", "mmd_reent"))
"""The five panels of the paper's figure 1."""


@dataclass(frozen=True)
class Request:
    """What a correlation report is asked besides the scores that the models have.

    Attributes:
        objectives: Further objectives, by name or as paths of files.
        protocol: What was named beforehand.
        fitted: The objective that the protocol wants fitted on another bank.
        fitted_words: What it was fitted on, or why there is none.
    """

    objectives: tuple[str, ...] = ()
    protocol: CorrelationProtocol | None = None
    fitted: ObjectiveSettings | None = None
    fitted_words: str = "it takes a second bank: correlate BANK BANK --side-by-side"


NOTHING_MORE = Request()


def write_search_report(experiment: Experiment) -> Path:
    """Write ``report/`` of a run, finished or not, and return the page."""
    return write_report(search_report(experiment), experiment.folder.path / "report")


def search_report(experiment: Experiment) -> SearchReport:
    """Gather what the report of a run shows."""
    controller, settings = experiment.controller, experiment.settings
    objective = controller.objective
    winner = experiment.best
    table = class_table(settings.data)
    return SearchReport(
        title=settings.name,
        facts=facts(experiment),
        records=controller.records,
        objective=controller.value,
        parts=objective.parts if objective is not None else lambda record: {},
        planned=controller.total,
        names={one.id: name for name, one in controller.named.items()},
        winner=winner,
        winner_words=describe(winner.architecture) if winner else "",
        reference_costs=controller.reference_costs,
        samples=samples(experiment, table),
        classes=dict(zip(table.names, table.palette, strict=True)),
        finalists=compared_finalists(experiment),
        trainings=selected_trainings(experiment),
        adaptation=adaptation_results(experiment),
        evaluation_words=convention_words(settings.evaluation.convention),
        opened_labels=opened_labels(experiment),
    )


def opened_labels(experiment: Experiment) -> list[str]:
    """Return one line for each time labelled target images were opened."""
    opened = experiment.folder.labels_opened()
    return [f"{entry['at']}: {entry['what']} ({entry['why']})" for entry in opened]


def facts(experiment: Experiment) -> dict[str, str]:
    """Return the settings worth showing at the top of a report."""
    settings, search = experiment.settings, experiment.settings.search
    height, width = settings.data.size_of("target")
    domains = domains_of(settings.data)
    sources = {"": domains.first, **domains.further}
    terms = (f"{t.weight:g} × {t.score} ({t.form})" for t in settings.objective.terms)
    limits = (
        f"{name} {quantity(low)} to {quantity(high)}"
        for name, (low, high) in experiment.controller.limits.items()
    )
    return {
        "Search space": search.space,
        "Strategy": search.strategy.name,
        "Method of the candidates": f"{search.method.name}, {search.training.steps} steps",
        "Objective": " + ".join(terms),
        "Limits": ", ".join(limits) or "none",
        "Images": f"{width} × {height}, "
        + " + ".join(f"{len(images)} {name or 'source'}" for name, images in sources.items())
        + f", {len(domains.target)} target",
        "Seed": str(settings.seed),
        "Executor": settings.executor.kind,
    }


def adaptation_results(experiment: Experiment) -> list[AdaptationResult]:
    """Return the results of full adaptation that lie in the run folder, the winner's first."""
    results = []
    for folder in contender_folders(experiment.folder.path / "adapted"):
        found = {
            seed: evaluation
            for seed, training in seeds_of(folder).items()
            if (evaluation := evaluation_beside(used_snapshot(training))) is not None
        }
        if found:
            words = description_of(folder.name)
            if any(find_model(training / SELECTED) for training in seeds_of(folder).values()):
                words += ", at the snapshot selected without labels"
            results.append(result_of(title_of(folder.name), words, found))
    return results


def seeds_of(contender: Path) -> dict[int, Path]:
    """Return the folders of the trainings of a contender by their seed, in order."""
    named = ((path.name.removeprefix("seed-"), path) for path in contender.glob("seed-*"))
    return dict(sorted((int(seed), path) for seed, path in named if seed.isdecimal()))


def used_snapshot(training: Path) -> Path:
    """Return where the model lay, or still lies, that a training is evaluated by."""
    snapshots = snapshots_of(training)
    choice = snapshots.choice if snapshots else None
    if snapshots is None or choice is None or find_model(training / SELECTED) is None:
        return training / MODEL
    return snapshots.model(choice.selected)


def selected_trainings(experiment: Experiment) -> list[SelectedTraining]:
    """Return the full trainings of which a snapshot was selected, the winner's first."""
    return [
        selected_training(title_of(folder.name), seed, training)
        for folder in contender_folders(experiment.folder.path / "adapted")
        for seed, training in seeds_of(folder).items()
        if find_model(training / SELECTED) is not None
    ]


def selected_training(name: str, seed: int, training: Path) -> SelectedTraining:
    """Return one training with its snapshots, and their metric where it was measured."""
    snapshots = snapshots_of(training)
    assert snapshots is not None
    choice = snapshots.choice
    assert choice is not None
    found = {step: evaluation_beside(snapshots.model(step)) for step in snapshots.steps}
    metrics = {step: math.nan if one is None else one.headline for step, one in found.items()}
    return SelectedTraining(
        contender=name,
        seed=seed,
        snapshots=tuple(
            Snapshot(step=step, objective=value, metric=metrics[step])
            for step, value in choice.objectives.items()
        ),
        selected=choice.selected,
        whole=all(one is not None for one in found.values()),
        note=choice.note,
    )


def compared_finalists(experiment: Experiment) -> list[ComparedFinalist]:
    """Return the finalists of a run, in the order of the search; none if there was but one."""
    finalists = read_finalists(experiment.folder.path)
    if finalists is None:
        return []
    adapted = experiment.folder.path / "adapted"
    return [
        ComparedFinalist(
            name=f"finalist {one.place}",
            trial=one.trial,
            id=one.id,
            search_objective=one.search_objective,
            objective=one.objective,
            metric=mean_metric(adapted / f"{one.role}-{finalists.method}", len(one.objectives)),
            won=one.role == finalists.winner,
            note=one.note,
        )
        for one in finalists.entries
    ]


def mean_metric(contender: Path, seeds: int) -> float:
    """Return the mean headline of a contender over its seeds; NaN until all are evaluated."""
    found = [evaluation_beside(used_snapshot(one)) for one in seeds_of(contender).values()]
    known = [one.headline for one in found if one is not None]
    return float(np.mean(known)) if known and len(known) == seeds else math.nan


def description_of(name: str) -> str:
    """Say of the contender of a folder how it was trained."""
    role, _, method = name.partition("-")
    kind = "on source images alone" if method == "source_only" else f"with {method}"
    known = {"winner": "the winner of the search", "reference": "the hand-crafted reference"}
    words = known.get(role) or FINALIST.sub(r"the search's candidate in place \1", role)
    words = f"the network {role}" if words == role else words
    return f"{words}, trained {kind}"


def samples(experiment: Experiment, table: ClassTable) -> list[Sample]:
    """Return predictions of the trained contenders on a few target images.

    With evaluation data, its images and labels are shown; otherwise images adapted to.
    """
    settings = experiment.settings
    wanted = settings.evaluation.samples
    models = {
        folder.name: path
        for folder in contender_folders(experiment.folder.path / "adapted")
        if (path := first_model(folder)) is not None
    }
    if not models or not wanted:
        return []
    labelled = experiment.labelled_target if settings.data.evaluation else None
    images = labelled.unlabelled() if labelled else domains_of(settings.data).target
    indices = scored_images(len(images), wanted)
    pixels = images.images(indices)
    shown: list[dict[str, bytes]] = [{"input": png_bytes(image)} for image in pixels]
    for name, path in models.items():
        model = load_model(path, pick_device(settings))
        add_pictures(shown, title_of(name), model.predict(pixels, images.size), table)
    if labelled is not None:
        add_pictures(shown, "truth", labelled.labels(indices), table)
    return [
        Sample(label=images.ids[index], pictures=pictures)
        for index, pictures in zip(indices, shown, strict=True)
    ]


def first_model(folder: Path) -> Path | None:
    """Return the model of the first seed of a contender that is fully trained."""
    models = (used_model(seed) for seed in seeds_of(folder).values())
    return next((model for model in models if model is not None), None)


def add_pictures(
    shown: list[dict[str, bytes]], caption: str, labels: NDArray[np.uint8], table: ClassTable
) -> None:
    """Add one coloured label map to each sample."""
    for pictures, label in zip(shown, labels, strict=True):
        pictures[caption] = png_bytes(colorize(label, table))


def write_correlation_report(
    experiment: Experiment, request: Request = NOTHING_MORE, out: Path | None = None
) -> tuple[CorrelationReport, Path]:
    """Compute the true target mIoU of every candidate and compare each score with it.

    The mIoU of a candidate is written beside its model and not computed twice.

    Raises:
        ConfigError: The run has no labelled target images, or an objective cannot be had.
    """
    records = finished(experiment.controller.records)
    images = experiment.evaluation_set
    folder = experiment.folder
    costs = experiment.controller.reference_costs
    marks = {"target": domains_of(experiment.settings.data).target.fingerprint}
    for name in request.objectives:
        check_not_fitted_on(name, marks, experiment.settings.name)
    further = objective_scores(records, request, costs)
    beforehand = protocol_fields(records, request, costs)
    folder.note_labels_opened(f"{len(records)} candidates", "correlation of scores with mIoU")
    truth = []
    for position, record in enumerate(records, start=1):
        experiment.watcher.stage(f"evaluating candidate {position} of {len(records)}")
        truth.append(true_evaluation(experiment, record).headline)
    report = CorrelationReport(
        title=experiment.settings.name,
        models=[f"#{record.number} {name_in(experiment, record)}" for record in records],
        truth=truth,
        scores={
            **score_columns(records, request),
            "objective": [experiment.controller.value(record) for record in records],
            **further,
        },
        controls=control_columns(records, request),
        score_costs=costs_of_scores(
            describe_scores(experiment.settings),
            median_seconds(record.score_seconds for record in records),
            {**asked_objectives(request), "objective": experiment.settings.objective},
        ),
        comparisons=ENDPOINTS,
        panels=PANELS,
        facts={**facts(experiment), "Evaluation images": str(len(images))},
        opened_labels=opened_labels(experiment),
        seed=experiment.settings.seed,
        **beforehand,
    )
    return report, write_correlation(report, out or folder.path / "correlation")


def name_in(experiment: Experiment, record: Record) -> str:
    """Return the name of a network that has one, else the id of the architecture."""
    names = {one.id: name for name, one in experiment.controller.named.items()}
    return names.get(record.architecture.id, record.architecture.id)


def true_evaluation(experiment: Experiment, record: Record) -> Evaluation:
    """Compare a candidate with the labelled target images, or read what was found before."""
    path = evaluation_path(experiment, record)
    if path.exists():
        return read_evaluation(path)
    model = load_model(path.parent, pick_device(experiment.settings))
    found = evaluate(model, experiment.evaluation_set, experiment.settings.evaluation)
    write_json(path, found.to_json())
    return found


def evaluation_path(experiment: Experiment, record: Record) -> Path:
    """Return where the evaluation of a candidate by the convention of the settings is kept.

    One by another convention, made before the settings changed, stays beside it.
    """
    path = experiment.folder.trial(record.number, record.architecture) / "evaluation.json"
    convention = experiment.settings.evaluation.convention
    if not path.exists() or read_evaluation(path).convention == convention:
        return path
    return path.with_stem(f"evaluation-{digest(to_plain(convention))}")


def read_evaluation(path: Path) -> Evaluation:
    """Return an evaluation that was written to a file."""
    return Evaluation.from_json(json.loads(path.read_text()))


def write_bank_report(
    banks: Sequence[Bank], folder: Path, request: Request = NOTHING_MORE
) -> tuple[CorrelationReport, Path]:
    """Compare the scores of one or several banks with the truth they hold; nothing is opened.

    Raises:
        RunError: The banks were made with different data or samples.
        ConfigError: An objective cannot be had.
    """
    check_same(banks)
    report = bank_report(banks, request)
    return report, write_correlation(report, folder)


def bank_report(banks: Sequence[Bank], request: Request = NOTHING_MORE) -> CorrelationReport:
    """Gather what the report of banks shows: groups are methods, of each bank apart."""
    first, several = banks[0], len(banks) > 1
    models = [(f"{bank.name} " * several, model) for bank in banks for model in bank.models]
    records = [model.record for _, model in models]
    groups = [f"{place}{model.method}" for place, model in models]
    costs = first.reference_costs
    for name in request.objectives:
        check_not_fitted_on(name, first.fingerprint, first.name)
    return CorrelationReport(
        title=" + ".join(bank.name for bank in banks),
        models=[f"{place}{model.label}" for place, model in models],
        truth=[model.miou for _, model in models],
        truth_on_scored=scored_truth([model for _, model in models]),
        scores={
            **score_columns(records, request),
            "objective": [model.objective for _, model in models],
            **objective_scores(records, request, costs),
        },
        controls=control_columns(records, request),
        score_costs=costs_of_scores(
            first.fingerprint.get("scores", {}),
            median_seconds(bank.score_seconds for bank in banks),
            asked_objectives(request),
        ),
        comparisons=ENDPOINTS,
        panels=PANELS,
        pooled={name for bank in banks for name in bank.pooled},
        groups=groups,
        clusters=[record.architecture.id for record in records],
        facts={**first.facts, **numbers_of_images([model for _, model in models])},
        opened_labels=[note for bank in banks for note in bank.opened_labels],
        seed=first.seed,
        image_samples=image_columns(banks, asked_objectives(request)),
        **protocol_fields(records, request, costs),
    )


def scored_truth(models: Sequence[BankModel]) -> list[float | None]:
    """Return the true metric on the scored images; nothing where no model has it."""
    found = [model.scored_miou for model in models]
    return found if any(value is not None for value in found) else []


def numbers_of_images(models: Sequence[BankModel]) -> dict[str, str]:
    """Return on how many images the true metric is known, by what they are."""
    kinds = {
        "Evaluation images": {one.evaluation.images for one in models if one.evaluation},
        "Scored images with labels": {
            one.scored_evaluation.images for one in models if one.scored_evaluation
        },
    }
    return {name: ", ".join(map(str, sorted(found))) for name, found in kinds.items() if found}


def score_columns(
    records: Sequence[Record], request: Request = NOTHING_MORE
) -> dict[str, list[float | None]]:
    """Return each score, one value per candidate, nothing where it failed."""
    known = {name for record in records for name in record.scores}
    names = sorted(known - set(control_names(request)))
    return {name: [record.scores.get(name) for record in records] for name in names}


def objective_scores(
    records: Sequence[Record], request: Request, reference_costs: Mapping[str, float]
) -> dict[str, list[float | None]]:
    """Return objectives as columns, each standardised by these candidates.

    A shipped one whose scores are not there is left out; one that was asked for is not.

    Raises:
        ConfigError: An objective that was asked for cannot be had.
    """
    found = objective_columns(list(records), shipped_objectives(), reference_costs)
    for name in request.objectives:
        try:
            values = objective_column(list(records), named(name), reference_costs)
        except (RunError, ConfigError) as error:
            raise ConfigError(f"--objective {name}: {error}") from None
        found[column_of(name)] = values
    return found


def shipped_objectives() -> dict[str, ObjectiveSettings]:
    """Return the objectives that come with the package, by the name of their column."""
    return {column_of(name): named(name) for name in names_of_objectives()}


def column_of(objective: str) -> str:
    """Return the name of the column of an objective, given its name or path."""
    return f"objective {Path(objective).stem}"


def asked_objectives(request: Request) -> dict[str, ObjectiveSettings]:
    """Return all objectives that are columns of a report, by the name of their column."""
    protocol = request.protocol
    beforehand = dict(protocol.named) if protocol else {}
    if protocol and protocol.fitted and request.fitted:
        beforehand[protocol.fitted] = request.fitted
    further = {column_of(name): named(name) for name in request.objectives}
    return {**shipped_objectives(), **further, **beforehand}


def protocol_fields(
    records: Sequence[Record], request: Request, reference_costs: Mapping[str, float]
) -> dict[str, Any]:
    """Return what a report gets from a protocol, by field.

    Raises:
        ConfigError: A combination has the name of a score or a control.
    """
    protocol = request.protocol
    if protocol is None:
        return {}
    taken = {*score_columns(records), *control_names(request), "objective", "random"}
    if both := sorted({*protocol.named, protocol.fitted} & taken):
        raise ConfigError(
            f"the protocol names {both[0]!r}, which is a score or a control too; give the "
            "combination another name"
        )
    asked: dict[str, ObjectiveSettings | None] = {**protocol.named}
    terms = {name: words(one) for name, one in protocol.named.items()}
    if protocol.fitted:
        asked[protocol.fitted] = request.fitted
        terms[protocol.fitted] = request.fitted_words if request.fitted else "ridge regression"
    found, absent = named_columns(records, asked, reference_costs)
    if protocol.fitted in absent and request.fitted is None:
        absent[protocol.fitted] = request.fitted_words
    return {"protocol": protocol, "named": found, "terms": terms, "absent": absent}


def named_columns(
    records: Sequence[Record],
    asked: Mapping[str, ObjectiveSettings | None],
    reference_costs: Mapping[str, float],
) -> tuple[dict[str, list[float | None]], dict[str, str]]:
    """Return objectives by name as columns, and why some of them cannot be had."""
    found: dict[str, list[float | None]] = {}
    absent: dict[str, str] = {}
    for name, settings in asked.items():
        found[name] = [None] * len(records)
        try:
            if settings is None:
                raise RunError("it was not fitted")
            found[name] = objective_column(list(records), settings, reference_costs)
        except (RunError, ConfigError) as error:
            absent[name] = str(error)
    return found, absent


def control_names(request: Request) -> tuple[str, ...]:
    """Return the names of the controls, those of the protocol last."""
    further = request.protocol.controls if request.protocol else ()
    return tuple(dict.fromkeys((*CONTROLS, *further)))


def control_columns(
    records: Sequence[Record], request: Request = NOTHING_MORE
) -> dict[str, list[float | None]]:
    """Return what a good score has to beat, as far as it is known."""
    found: dict[str, list[float | None]] = {
        name: [record.costs.get(name, record.scores.get(name)) for record in records]
        for name in control_names(request)
    }
    return {name: values for name, values in found.items() if any(v is not None for v in values)}
