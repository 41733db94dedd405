"""What the smaller commands do; each returns values or text, the command line prints."""

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoadapt.analysis.confusion import draw_confusion
from autoadapt.analysis.correlation_summary import correlation_text
from autoadapt.analysis.report import summarise
from autoadapt.analysis.selection import finalist_cells, selection_cells, selection_note
from autoadapt.analysis.side_by_side import SideBySide, write_side_by_side
from autoadapt.analysis.side_by_side import as_text as side_by_side_text
from autoadapt.analysis.tables import quantity, results_text, text_table
from autoadapt.config.correlation_protocol import load_protocol
from autoadapt.config.load import load as load_config
from autoadapt.config.settings import ExperimentSettings
from autoadapt.cost import count
from autoadapt.data.counting import Counting
from autoadapt.errors import (
    AutoAdaptError,
    CheckpointError,
    ConfigError,
    ExportError,
    RunError,
)
from autoadapt.experiment.bank import run_bank
from autoadapt.experiment.bank_file import Bank, find_bank, read_bank
from autoadapt.experiment.comparison import (
    FORMATS,
    comparison_as,
    evaluate_models,
    find_models,
    results_of,
)
from autoadapt.experiment.export import export_model
from autoadapt.experiment.exported import Format
from autoadapt.experiment.fitting import Form, fit_command, transfer
from autoadapt.experiment.jobs import owned_experiment, place_of
from autoadapt.experiment.predict import (
    Predicts,
    adapt_statistics,
    load_any,
    predict_pictures,
)
from autoadapt.experiment.reporting import (
    NOTHING_MORE,
    Request,
    search_report,
    write_bank_report,
    write_correlation_report,
    write_search_report,
)
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.search import Experiment
from autoadapt.experiment.selection import model_at
from autoadapt.experiment.trial import device_named
from autoadapt.experiment.validate import validate_models
from autoadapt.experiment.watching import Watcher
from autoadapt.files import owned
from autoadapt.networks.build import describe
from autoadapt.seeding import python_random
from autoadapt.space import WithinLimits, load, sample_feasible
from autoadapt.space.named import labelled
from autoadapt.training.model import Model, ensembled, load_model


def settings_of(source: str, changes: Sequence[str] = ()) -> ExperimentSettings:
    """Return the settings of a config, or of a run folder."""
    path = Path(source)
    if (path / "config.yaml").is_file():
        return load_config(path / "config.yaml", changes)
    return load_config(source, changes)


def evaluate_checkpoints(
    checkpoints: Sequence[Path],
    data: str,
    changes: Sequence[str],
    counting: Counting,
    *,
    form: str = "text",
    pictures: Path | None = None,
    ensemble: bool = False,
    snapshot: str | None = None,
) -> str:
    """Compare models with the labelled target images of a config, side by side.

    Args:
        checkpoints: Model files, their folders, or run folders.
        data: A config, or a run folder.
        changes: Overrides of its settings.
        counting: Is told how far each model is.
        form: One of ``comparison.FORMATS``.
        pictures: Folder for the confusion matrices as PNG and SVG; absent: none.
        ensemble: Evaluate all models as one, which averages their logits.
        snapshot: Which model of a training, as ``find_models`` takes it.

    Returns:
        The table, or JSON.

    Raises:
        ConfigError: There is no such form.
        CheckpointError: A model is missing, unreadable, or made for other classes.
    """
    if form not in FORMATS:
        raise ConfigError(f"no format {form!r}; expected one of {', '.join(FORMATS)}")
    settings = settings_of(data, changes)
    models = find_models(checkpoints, snapshot)
    found = evaluate_models(models, settings, counting, ensemble=ensemble)
    if pictures is not None:
        for result in results_of(found):
            draw_confusion(result).save(pictures)
            draw_confusion(result, text="counts").save(pictures)
    return comparison_as(form, found)


def validate_checkpoints(
    checkpoints: Sequence[Path],
    data: str,
    changes: Sequence[str],
    watcher: Watcher,
    *,
    beta: float,
    form: str = "text",
) -> str:
    """Compare models on held-out source images in the look of the target; arguments as above.

    Raises:
        ConfigError: No such form, no images held out, or other sizes of the domains.
        CheckpointError: A model is missing, unreadable, or made for other classes.
    """
    if form not in FORMATS:
        raise ConfigError(f"no format {form!r}; expected one of {', '.join(FORMATS)}")
    settings = settings_of(data, changes)
    return comparison_as(
        form, validate_models(find_models(checkpoints), settings, watcher, beta=beta)
    )


def evaluation_changes(
    changes: Sequence[str],
    convention: str | None,
    scales: str | None,
    flip: bool | None,
    subset: str | None,
) -> list[str]:
    """Return what a command line says as changes of settings: a name first, then its parts.

    Args:
        changes: Those given as such; they may change parts of the convention too.
        convention: Name of an evaluation convention.
        scales: Numbers with commas between them.
        flip: Whether mirrored images are averaged too.
        subset: ``synthia16``, ``synthia13``, ``all``, or class names with commas between them.
    """
    key = "evaluation.convention"
    parts: dict[str, Any] = {}
    if scales is not None:
        parts["scales"] = [value.strip() for value in scales.split(",") if value.strip()]
    if flip is not None:
        parts["flip"] = flip
    if subset is not None:
        names = [name.strip() for name in subset.split(",")]
        parts["subset"] = names if len(names) > 1 else names[0]
    named = [f"{key}={json.dumps(convention)}"] if convention is not None else []
    given = [f"{key}.{part}={json.dumps(value)}" for part, value in parts.items()]
    return [*named, *changes, *given]


def predict_checkpoint(
    checkpoint: Path,
    images: Sequence[Path],
    out: Path,
    *,
    others: Sequence[Path] = (),
    alpha: float | None = None,
    snapshot: str | None = None,
) -> list[Path]:
    """Predict images with a model or an exported program; return the label maps written.

    Args:
        checkpoint: A model or an exported program.
        images: Files or folders.
        out: Folder of the label maps and overlays.
        others: Further models, with whose logits those of the first are averaged.
        alpha: Measure batch-norm statistics on these images first, with so many images of the
            training per image mixed in (AdaBN); absent: leave them.
        snapshot: ``last`` or ``selected`` of the training whose folder is given; absent: the
            selected one where there is one.
    """
    device = device_named("auto")
    model = load_any(model_at(checkpoint, snapshot), device)
    if others:
        members = [model, *(load_any(path, device) for path in others)]
        model = ensembled([only_models(one, "average logits with --with") for one in members])
    if alpha is not None:
        adapt_statistics(only_models(model, "measure statistics with --adabn"), images, alpha)
    return predict_pictures(model, images, out)


def only_models(model: Predicts, what: str) -> Model:
    """Return a model, or refuse an exported program, whose insides are out of reach.

    Raises:
        CheckpointError: It is an exported program.
    """
    if isinstance(model, Model):
        return model
    raise CheckpointError(
        f"an exported program cannot {what}; give the model.safetensors it was exported from"
    )


def export_formats(choice: str) -> tuple[Format, ...]:
    """Return the formats that ``torch``, ``onnx`` or ``both`` stands for.

    Raises:
        ExportError: It is none of them.
    """
    choices: dict[str, tuple[Format, ...]] = {
        "torch": ("torch",),
        "onnx": ("onnx",),
        "both": ("torch", "onnx"),
    }
    if choice not in choices:
        raise ExportError(f"no format {choice!r}; there are {', '.join(choices)}")
    return choices[choice]


def export_checkpoint(
    checkpoint: Path, out: Path, formats: Sequence[Format], *, snapshot: str | None = None
) -> str:
    """Export a model and return what was written and how close it comes to the model."""
    lines = []
    model = load_model(model_at(checkpoint, snapshot), device_named("cpu"))
    for done in export_model(model, out, formats=formats):
        lines.append(f"{done.path}: free dimensions: {', '.join(done.dynamic) or 'none'}")
        lines += [f"  {one.line()}" for one in done.parity]
    return "\n".join(lines)


def request_of(objectives: Sequence[str], protocol: Path | None) -> Request:
    """Return what a correlation report is asked, from a command line.

    Raises:
        ConfigError: The protocol is missing or wrong.
    """
    return Request(tuple(objectives), load_protocol(protocol) if protocol else None)


def correlate_models(
    paths: Sequence[Path],
    watcher: Watcher,
    request: Request = NOTHING_MORE,
    *,
    out: Path | None = None,
) -> tuple[str, Any, Path]:
    """Return the correlation of each score with the true mIoU: as text, as values, as a page.

    Args:
        paths: One run folder, or banks that were measured in the same way. The report of several
            is written beside the first.
        watcher: Told how it goes.
        request: Further objectives, and what was named beforehand.
        out: Folder of the report; absent: ``correlation`` in the first folder.

    Raises:
        RunError: A folder is neither, or the banks cannot be compared.
        ConfigError: The run has no labelled target images, or an objective cannot be had.
    """
    places = [find_bank(path) for path in paths]
    if len(paths) == 1 and places[0] is None:
        with owned_experiment(paths[0], RunFolder(paths[0]).settings(), watcher) as experiment:
            report, page = write_correlation_report(experiment, request, out)
    else:
        banks = [read_bank(path) for path in paths]
        report, page = write_bank_report(banks, out or paths[0] / "correlation", request)
    values = json.loads((page.parent / "correlation.json").read_text())
    return correlation_text(report), values, page


def compare_banks(
    paths: Sequence[Path], request: Request = NOTHING_MORE, *, out: Path | None = None
) -> tuple[str, Any, Path]:
    """Compare banks of different data side by side; nothing is pooled.

    The report of each bank alone is written below the page.

    Args:
        paths: Banks, at least two.
        request: Further objectives, and what was named beforehand.
        out: Folder of the reports; absent: ``side_by_side`` in the first folder.

    Raises:
        RunError: A folder is no bank, or there are not two different ones.
        ConfigError: An objective cannot be had.
    """
    banks = [read_bank(path) for path in paths]
    names = [bank.name for bank in banks]
    if len(set(names)) < max(2, len(names)):
        raise RunError(
            f"--side-by-side needs two or more banks of different names, found {', '.join(names)}"
        )
    folder = out or paths[0] / "side_by_side"
    asked = [with_fit(request, bank, banks) for bank in banks]
    found = [
        write_bank_report([bank], folder / bank.name, one)[0]
        for bank, one in zip(banks, asked, strict=True)
    ]
    together = SideBySide(tuple(found))
    page = write_side_by_side(together, folder)
    values = json.loads((folder / "side_by_side.json").read_text())
    return side_by_side_text(together), values, page


def with_fit(request: Request, bank: Bank, banks: Sequence[Bank]) -> Request:
    """Return the request with what its protocol wants fitted on the other of two banks."""
    if request.protocol is None or not request.protocol.fitted:
        return request
    if len(banks) != 2:
        return replace(request, fitted_words="it takes exactly two banks")
    other = banks[0] if bank is banks[1] else banks[1]
    try:
        fitted = transfer(other, bank).fitted
    except RunError as error:
        return replace(request, fitted_words=str(error))
    said = f"ridge regression on the ranks of {len(fitted.settings.terms)} scores, fitted on "
    return replace(request, fitted=fitted.settings, fitted_words=said + other.name)


def fit_objective(
    bank: Path,
    out: Path,
    *,
    test: Path | None = None,
    names: Sequence[str] = (),
    standardise: str = "rank",
    costs: bool = False,
) -> str:
    """Fit the weights of an objective on a bank, write it, and say how it does on another.

    Args:
        bank: Fitted on.
        out: The file of the objective.
        test: Another bank; both directions are tested.
        names: Scores; absent: all that a search can compute.
        standardise: ``rank`` or ``standard``, the form of the terms.
        costs: Whether costs are used too.

    Raises:
        RunError: A folder is no bank, the two share images or models, or nothing can be fitted.
        ConfigError: There is no such form.
    """
    forms: dict[str, Form] = {"rank": "rank", "standard": "standard"}
    if standardise not in forms:
        raise ConfigError(f"no form {standardise!r}; expected one of {', '.join(forms)}")
    other = read_bank(test) if test else None
    form = forms[standardise]
    return fit_command(read_bank(bank), other, out, names, form=form, costs=costs)


def make_bank(source: str, run: Path | None, changes: Sequence[str], watcher: Watcher) -> Path:
    """Make the bank of a config, or continue it, and return the folder of the bank."""
    path, settings = place_of(source, run, changes)
    return run_bank(settings, path, watcher)


def report_run(path: Path) -> Path:
    """Write the search report of a run; the run may still be going on."""
    return write_search_report(Experiment(RunFolder(path), RunFolder(path).settings(), Watcher()))


def summary_text(path: Path) -> str:
    """Return the outcome of a run in sentences, and the per-class table if there is one."""
    report = search_report(Experiment(RunFolder(path), RunFolder(path).settings(), Watcher()))
    lines = summarise(report)
    if report.adaptation:
        lines += ["", results_text(report.adaptation)]
    if report.finalists:
        lines += ["", text_table(*finalist_cells(report.finalists, report.metric))]
    if report.trainings:
        lines += ["", text_table(*selection_cells(report.trainings))]
    if report.finalists or report.trainings:
        lines += ["", selection_note(report.metric)]
    return "\n".join(lines)


def list_runs(root: Path) -> list[dict[str, Any]]:
    """Return name, state and progress of each run folder below ``root``."""
    folders = sorted(path.parent for path in root.glob("*/config.yaml"))
    return [run_state(folder) for folder in folders]


def run_state(path: Path) -> dict[str, Any]:
    """Return the state of one run: running, finished, stopped or unreadable."""
    try:
        folder = RunFolder(path)
        settings, records = folder.settings(), folder.records()
    except AutoAdaptError as error:
        return {"run": path.name, "state": "unreadable", "why": str(error).splitlines()[0]}
    running, done = owned(path), (path / "report" / "index.html").exists()
    state = "running" if running else "finished" if done else "stopped"
    return {
        "run": path.name,
        "state": state,
        "trials": len(records),
        "of": settings.search.trials + len(labelled(settings.search.include)),
        "failed": sum(record.status == "failed" for record in records),
        "space": settings.search.space,
        "method": settings.search.method.name,
        "winner": winner_id(path),
    }


def winner_id(path: Path) -> str | None:
    """Return the id of the winner, if there is one."""
    import yaml

    winner = path / "winner.yaml"
    return yaml.safe_load(winner.read_text())["id"] if winner.is_file() else None


def runs_text(root: Path, found: list[dict[str, Any]]) -> str:
    """Return the list of runs as a table."""
    if not found:
        return f"no runs in {root}"
    header = ["run", "state", "trials", "failed", "space", "method", "winner"]
    rows = []
    for run in found:
        trials = f"{run['trials']}/{run['of']}" if "of" in run else "–"
        cells = [run["run"], run["state"], trials]
        rows.append(cells + [str(run.get(name) or "–") for name in header[3:]])
    return text_table(header, rows, words=2)


def space_text(source: str) -> str:
    """Return a search space as text: choices, rules, limits, reference, size."""
    space = load(source)
    rows = [
        [
            choice.name,
            ", ".join(map(plain, choice.values)),
            str(choice.when) if choice.when else "",
        ]
        for choice in space.choices
    ]
    limits = [
        f"{name}: {quantity(low)} to {quantity(high)}" for name, (low, high) in space.limits.items()
    ]
    height, width = space.input_size
    return "\n".join(
        [
            f"{space.name}: {space.summary}",
            f"family {space.family}, {space.count():,} architectures; costs are counted at "
            f"{width}x{height}; limits: {'; '.join(limits) or 'none'}",
            "",
            text_table(["choice", "values", "only when"], rows, words=3),
            "",
            f"reference {space.reference.id}: {describe(space.reference)}",
        ]
    )


def plain(value: Any) -> str:
    """Return a choice's value as YAML would show it."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(plain, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def space_samples(
    source: str, number: int, seed: int, num_classes: int
) -> Iterator[dict[str, Any]]:
    """Yield random architectures within the limits, with their costs."""
    space = load(source)
    within = WithinLimits(lambda found: count(found, num_classes, space.input_size), space.limits)
    for index in range(number):
        found = sample_feasible(space, python_random(seed, "sample", index), within)
        costs = count(found, num_classes, space.input_size)
        yield {"id": found.id, **costs, **found.to_json()}


def as_values(value: Any) -> Any:
    """Return a report as JSON values; NaN becomes null, keys and paths text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_values(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): as_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_values(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and math.isnan(value) else value
