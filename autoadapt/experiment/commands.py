"""What the smaller commands do; each returns values or text, the command line prints."""

import dataclasses
import json
import math
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autoadapt.analysis.correlation_report import correlation_text
from autoadapt.analysis.report import summarise
from autoadapt.analysis.tables import decimal, iou_text, percent, quantity, text_table
from autoadapt.config.load import load as load_config
from autoadapt.config.settings import ExperimentSettings
from autoadapt.cost import count
from autoadapt.data.batching import chunks
from autoadapt.data.classes import CAMVID11
from autoadapt.data.images import UnlabelledImages
from autoadapt.data.open import open_evaluation
from autoadapt.data.priors import class_ratio
from autoadapt.data.statistics import DataReport, check
from autoadapt.data.street import CLASSES, render
from autoadapt.errors import AutoAdaptError, DataError
from autoadapt.experiment.evaluate import Evaluation, evaluate
from autoadapt.experiment.jobs import owned_experiment
from autoadapt.experiment.predict import predict_pictures, save_png
from autoadapt.experiment.reporting import (
    search_report,
    write_correlation_report,
    write_search_report,
)
from autoadapt.experiment.run_folder import RunFolder
from autoadapt.experiment.search import Experiment
from autoadapt.experiment.trial import device_named, domains_of, pick_device
from autoadapt.experiment.watching import Watcher
from autoadapt.files import owned, write_json, write_text
from autoadapt.networks.build import describe
from autoadapt.seeding import python_random
from autoadapt.space import WithinLimits, load, sample_feasible
from autoadapt.space.named import labelled
from autoadapt.training.model import load_model


def settings_of(source: str, changes: Sequence[str] = ()) -> ExperimentSettings:
    """Return the settings of a config, or of a run folder."""
    path = Path(source)
    if (path / "config.yaml").is_file():
        return load_config(path / "config.yaml", changes)
    return load_config(source, changes)


def evaluate_checkpoint(checkpoint: Path, data: str, changes: Sequence[str]) -> Evaluation:
    """Compare a model with the labelled target images of a config.

    Raises:
        CheckpointError: Unreadable, or made for other classes or another image size.
    """
    settings = settings_of(data, changes)
    model = load_model(checkpoint, pick_device(settings))
    card = model.card
    data_settings = settings.data.for_model(card.size, card.normalisation, card.resampling)
    return evaluate(model, open_evaluation(data_settings), settings.evaluation.batch_size)


def evaluation_text(result: Evaluation) -> str:
    """Return an evaluation as a table."""
    rows = [
        [name, percent(float(value))]
        for name, value in zip(result.classes, result.iou, strict=True)
    ]
    rows += [["mIoU", percent(result.miou)], ["pixel accuracy", percent(result.accuracy)]]
    return text_table([f"{result.images} images", "IoU in %"], rows)


def predict_checkpoint(checkpoint: Path, images: Sequence[Path], out: Path) -> list[Path]:
    """Predict images with a model file and return the label maps written."""
    return predict_pictures(load_model(checkpoint, device_named("auto")), images, out)


def correlate_run(path: Path, watcher: Watcher) -> tuple[str, Any, Path]:
    """Return the correlation of each score with the true mIoU: as text, as values, as a page."""
    with owned_experiment(path, RunFolder(path).settings(), watcher) as experiment:
        report, page = write_correlation_report(experiment)
    return (
        correlation_text(report),
        json.loads((page.parent / "correlation.json").read_text()),
        page,
    )


def report_run(path: Path) -> Path:
    """Write the search report of a run; the run may still be going on."""
    return write_search_report(Experiment(RunFolder(path), RunFolder(path).settings(), Watcher()))


def summary_text(path: Path) -> str:
    """Return the outcome of a run in sentences, and the per-class table if there is one."""
    report = search_report(Experiment(RunFolder(path), RunFolder(path).settings(), Watcher()))
    lines = summarise(report)
    if report.adaptation:
        lines += ["", iou_text(report.adaptation)]
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


def check_data(config: str, changes: Sequence[str]) -> tuple[Any, str, bool]:
    """Return what a look at every file found: as values, as text, and whether all is sound."""
    report = check(settings_of(config, changes).data)
    return as_values(report), data_text(report), report.sound


def as_values(value: Any) -> Any:
    """Return a report as JSON values; NaN becomes null, keys become text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_values(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): as_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_values(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def data_text(report: DataReport) -> str:
    """Return a data report for a terminal."""
    lines = [f"classes: {', '.join(report.classes)}"]
    for one in report.sets:
        sizes = ", ".join(f"{number} of {w}x{h}" for (h, w), number in one.sizes.items())
        lines += ["", f"{one.role}: {one.problem or f'{one.images} images, {sizes}'}"]
        lines += [f"  broken: {name}: {reason}" for name, reason in one.broken[:20]]
        lines += [f"  id {label} outside the map: {n} pixels" for label, n in one.outside.items()]
        if one.frequencies:
            rows = [[name, decimal(100 * share, 3)] for name, share in one.frequencies.items()]
            rows.append(["void, of all", decimal(100 * one.void, 3)])
            lines.append(textwrap.indent(text_table(["class", "% of pixels"], rows), "  "))
        elif not one.problem:
            lines.append("  labels are not opened")
    if report.overlap:
        lines += ["", report.overlap]
    return "\n".join([*lines, "", "sound" if report.sound else "not sound"])


def data_statistics(config: str, changes: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Return image counts, colours and source class shares: as values and as text."""
    settings = settings_of(config, changes)
    domains = domains_of(settings.data)
    shares = class_ratio(domains.source, len(domains.classes))
    sets = {
        "source": domains.source.unlabelled(),
        **{name: images.unlabelled() for name, images in domains.further.items()},
        "target": domains.target,
    }
    values: dict[str, Any] = {
        **{name: colour_statistics(images) for name, images in sets.items()},
        "source_class_shares": dict(zip(domains.classes, map(float, shares), strict=True)),
    }
    rows = [
        [name, str(values[name]["images"]), *(f"{v:.1f}" for v in both)]
        for name in sets
        for both in [[*values[name]["mean"], *values[name]["deviation"]]]
    ]
    header = ["domain", "images", "R", "G", "B", "sd R", "sd G", "sd B"]
    classes = [
        [name, decimal(100 * share, 3)] for name, share in zip(domains.classes, shares, strict=True)
    ]
    text = text_table(header, rows) + "\n\n" + text_table(["source class", "% of pixels"], classes)
    return values, text


def colour_statistics(images: UnlabelledImages) -> dict[str, Any]:
    """Return the number of images, and mean and standard deviation of R, G and B in [0, 255]."""
    total, squares, pixels = np.zeros(3), np.zeros(3), 0
    for indices in chunks(len(images), 16):
        values = images.images(indices).reshape(-1, 3).astype(np.float64)
        total, squares = total + values.sum(0), squares + (values**2).sum(0)
        pixels += len(values)
    mean = total / pixels
    deviation = np.sqrt(np.maximum(squares / pixels - mean**2, 0))
    return {"images": len(images), "mean": mean.tolist(), "deviation": deviation.tolist()}


def render_folder(out: Path, style: str, number: int, seed: int, size: tuple[int, int]) -> None:
    """Render procedural scenes as a folder data set; an existing folder is refused.

    Raises:
        DataError: The folder exists and is not empty, or the style is unknown.
    """
    if style not in ("game", "camera"):
        raise DataError(f"no style {style!r}; there are 'game' and 'camera'")
    if out.exists() and any(out.iterdir()):
        raise DataError(f"{out} exists and is not empty; name a new folder")
    names = [f"{style}/{index:05d}" for index in range(number)]
    for index, name in enumerate(names):
        image, labels = render(style, seed, index, size)
        save_png(out / "images" / f"{name}.png", image)
        save_png(out / "labels" / f"{name}.png", labels)
    palette = [list(colour) for colour in CAMVID11.palette]
    table = {
        "name": f"street-{style}",
        "classes": list(CLASSES),
        "palette": palette,
        "void_id": 255,
    }
    write_json(out / "classes.json", table)
    write_text(out / "splits" / f"{style}.txt", "".join(f"{name}\n" for name in names))
