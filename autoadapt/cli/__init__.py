"""The command line: parse, one call, print. Heavy imports wait inside the commands."""

import errno
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from autoadapt import __version__
from autoadapt.cli.data import app as data_app
from autoadapt.cli.options import Changes, Config, Download, Json
from autoadapt.cli.weights import app as weights_app
from autoadapt.errors import AutoAdaptError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Find the segmentation network that adapts best, without reading a target label.",
)
space_app = typer.Typer(no_args_is_help=True, help="Look at a search space.")
app.add_typer(space_app, name="space")
app.add_typer(data_app, name="data")
app.add_typer(weights_app, name="weights")

SPINS = "5000"
"""Times that a waiting thread of GNU OpenMP looks for work before it sleeps; its own is 300,000.

One that spins uses up its share of a core that other jobs use too, and all others then wait for it:
training becomes ten times slower. On a calm machine the difference is not measurable
(``benchmarks/busy_machine.py``).
"""

Run = Annotated[Path, typer.Argument(help="A run folder.")]
Snapshot = Annotated[
    str | None,
    typer.Option(help="Of a training: last or selected; absent: selected where there is one."),
]
Space = Annotated[str, typer.Argument(help="A shipped search space by name, or a YAML file.")]


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Handle options that stand before any command."""
    if show:
        print(f"autoadapt {__version__}")
        raise typer.Exit


@app.command()
def search(
    config: Config,
    run: Annotated[
        Path | None, typer.Option(help="Run folder; an existing one is resumed.")
    ] = None,
    changes: Changes = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run and what it takes, then stop.")
    ] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="Time a few steps for the dry run.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the dry run as JSON.")] = False,
    download: Download = False,
) -> None:
    """Search, adapt the winner, evaluate, report. The same command resumes."""
    from autoadapt.cli.progress import watching
    from autoadapt.config.load import load
    from autoadapt.experiment.jobs import run_search
    from autoadapt.experiment.weights import allowing_download

    if (measure or as_json) and not dry_run:
        raise typer.BadParameter("--measure and --json belong to --dry-run")
    settings = load(config, changes or [])
    settings = allowing_download(settings) if download else settings
    folder = run or Path("runs") / settings.name
    if dry_run:
        print_plan(settings, folder, measure=measure, as_json=as_json)
        return
    with watching() as watcher:
        page = run_search(settings, folder, watcher)
    print_summary(folder, page)


@app.command()
def adapt(
    source: Annotated[str, typer.Argument(help="A run folder; or a config, with --architecture.")],
    method: Annotated[
        str | None, typer.Option(help="Adaptation method; absent: that of the config.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps.")] = None,
    finalists: Annotated[
        int | None, typer.Option(min=1, help="Best candidates compared as full models.")
    ] = None,
    select: Annotated[
        bool, typer.Option("--select", help="Choose among snapshots without target labels.")
    ] = False,
    architecture: Annotated[
        list[str] | None,
        typer.Option(help="A named network, or a file of one, instead of the winner."),
    ] = None,
    run: Annotated[Path | None, typer.Option(help="Run folder for a config.")] = None,
    changes: Changes = None,
    download: Download = False,
) -> None:
    """Adapt the winner of a run fully, beside its references; or named networks alone."""
    from autoadapt.cli.progress import watching
    from autoadapt.experiment.jobs import place_of, run_adapt
    from autoadapt.experiment.weights import allowing_download

    folder, settings = place_of(source, run, changes or [])
    settings = allowing_download(settings) if download else settings
    networks = architecture or []
    with watching() as watcher:
        page = run_adapt(
            folder,
            settings,
            watcher,
            networks=networks,
            method=method,
            steps=steps,
            finalists=finalists,
            select=select,
        )
    print_summary(folder, page)


@app.command()
def evaluate(
    checkpoints: Annotated[
        list[Path], typer.Argument(help="Models: model files, their folders, or run folders.")
    ],
    data: Annotated[
        str, typer.Option(help="Config (or run folder) whose evaluation images are used.")
    ],
    convention: Annotated[
        str | None, typer.Option(help="How to compare, by name: adaptsegnet, crst, daformer, ...")
    ] = None,
    scales: Annotated[
        str | None, typer.Option(help="Average over these scales: 0.9,1.0,1.2")
    ] = None,
    flip: Annotated[
        bool | None, typer.Option("--flip/--no-flip", help="Average over mirrored images too.")
    ] = None,
    subset: Annotated[
        str | None, typer.Option(help="Classes of the mean: synthia16, synthia13, or names.")
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="text, csv, latex, markdown or json")
    ] = "text",
    out: Annotated[Path | None, typer.Option(help="File for the table; absent: print it.")] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder for pictures of the confusion matrices.")
    ] = None,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Evaluate all models as one: mean of the logits.")
    ] = False,
    snapshot: Annotated[
        str | None,
        typer.Option(help="Of each training: last, selected, or all with the best by labels."),
    ] = None,
    changes: Changes = None,
    as_json: Json = False,
) -> None:
    """Compare models with target labels, class by class, side by side."""
    from autoadapt.cli.progress import counting
    from autoadapt.experiment.commands import evaluate_checkpoints, evaluation_changes
    from autoadapt.files import write_text

    changed = evaluation_changes(changes or [], convention, scales, flip, subset)
    form = "json" if as_json else form
    with counting() as counted:
        table = evaluate_checkpoints(
            checkpoints,
            data,
            changed,
            counted,
            form=form,
            pictures=pictures,
            ensemble=ensemble,
            snapshot=snapshot,
        )
    if out is None:
        print(table)
    else:
        write_text(out, f"{table}\n")
        print(f"table in {out}")


@app.command()
def validate(
    checkpoints: Annotated[
        list[Path], typer.Argument(help="Models: model files, their folders, or run folders.")
    ],
    data: Annotated[str, typer.Option(help="Config (or run folder) with data.source.hold_out.")],
    beta: Annotated[
        float, typer.Option(min=0, max=0.5, help="Share of the frequencies taken from the target.")
    ] = 0.05,
    form: Annotated[
        str, typer.Option("--format", help="text, csv, latex, markdown or json")
    ] = "text",
    changes: Changes = None,
) -> None:
    """Compare models without target labels: on held-out source images in the target's look."""
    from autoadapt.cli.progress import watching
    from autoadapt.experiment.commands import validate_checkpoints

    with watching() as watcher:
        table = validate_checkpoints(
            checkpoints, data, changes or [], watcher, beta=beta, form=form
        )
    print(table)


@app.command()
def predict(
    checkpoint: Annotated[
        Path, typer.Argument(help="A model.safetensors or its folder, a .pt2 or an .onnx.")
    ],
    images: Annotated[list[Path], typer.Argument(help="Image files or folders.")],
    out: Annotated[Path, typer.Option(help="Folder for label maps and overlays.")],
    others: Annotated[
        list[Path] | None, typer.Option("--with", help="Average logits with this model too.")
    ] = None,
    adabn: Annotated[
        float | None,
        typer.Option(
            min=0, help="Measure batch-norm statistics on the images first; share of old ones."
        ),
    ] = None,
    snapshot: Snapshot = None,
) -> None:
    """Write a label map and a coloured overlay per image."""
    from autoadapt.experiment.commands import predict_checkpoint

    written = predict_checkpoint(
        checkpoint, images, out, others=others or [], alpha=adabn, snapshot=snapshot
    )
    print(f"{len(written)} label maps and overlays in {out}")


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="A model.safetensors, or its folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the program and its card.")],
    form: Annotated[str, typer.Option("--format", help="torch, onnx or both")] = "both",
    snapshot: Snapshot = None,
) -> None:
    """Write a program that runs without autoadapt, and compare it with the model."""
    from autoadapt.experiment.commands import export_checkpoint, export_formats

    print(export_checkpoint(checkpoint, out, export_formats(form), snapshot=snapshot))


@app.command()
def bank(
    config: Config,
    run: Annotated[
        Path | None, typer.Option(help="Folder of the bank; an existing one is continued.")
    ] = None,
    changes: Changes = None,
) -> None:
    """Train many architectures, score and evaluate them, for 'correlate'. Resumes."""
    from autoadapt.cli.progress import watching
    from autoadapt.experiment.commands import make_bank

    with watching() as watcher:
        folder = make_bank(config, run, changes or [], watcher)
    print(f"bank: {folder}")


@app.command()
def replay(
    bank: Annotated[Path, typer.Argument(help="A bank, or the folder it was made in.")],
    strategies: Annotated[
        list[str] | None, typer.Option("--strategy", help="Strategy; may be given repeatedly.")
    ] = None,
    objectives: Annotated[
        list[str] | None,
        typer.Option("--objective", help="What is minimised, by name or file; may be repeated."),
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="Models of this method; absent: of the first one.")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="Trials of each search.")] = 20,
    searches: Annotated[int, typer.Option(min=1, help="Searches, each with another seed.")] = 50,
) -> None:
    """Simulate searches on the models of a bank; nothing is trained."""
    from autoadapt.experiment.simulation import Replay, replay_bank

    wanted = Replay(
        strategies=strategies or ["evolution"],
        objectives=objectives or [],
        method=method,
        trials=trials,
        searches=searches,
    )
    print(replay_bank(bank, wanted))


@app.command()
def correlate(
    runs: Annotated[list[Path], typer.Argument(help="A run folder, or one or several banks.")],
    objectives: Annotated[
        list[str] | None,
        typer.Option("--objective", help="A combination by name or file; may be repeated."),
    ] = None,
    protocol: Annotated[
        Path | None, typer.Option(help="What was named beforehand (YAML), reported first.")
    ] = None,
    side_by_side: Annotated[
        bool,
        typer.Option("--side-by-side", help="Compare banks of different data; none is pooled."),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder of the report.")] = None,
    as_json: Json = False,
) -> None:
    """Compare label-free scores with the true target mIoU of the models of a run or of banks."""
    from autoadapt.cli.progress import watching
    from autoadapt.experiment.commands import compare_banks, correlate_models, request_of

    request = request_of(objectives or [], protocol)
    with watching() as watcher:
        if side_by_side:
            text, values, page = compare_banks(runs, request, out=out)
        else:
            text, values, page = correlate_models(runs, watcher, request, out=out)
    print(json.dumps(values, indent=2) if as_json else f"{text}\n\nreport: {page}")


@app.command()
def fit(
    bank: Annotated[Path, typer.Argument(help="The bank whose true mIoU is fitted.")],
    out: Annotated[Path, typer.Option(help="File of the objective (YAML).")],
    test: Annotated[
        Path | None, typer.Option(help="A bank of another target; both directions are tested.")
    ] = None,
    scores: Annotated[
        str | None, typer.Option(help="Scores, with commas; absent: all a search can compute.")
    ] = None,
    form: Annotated[str, typer.Option(help="Terms are standardised by: rank, standard.")] = "rank",
    costs: Annotated[bool, typer.Option("--costs", help="Use costs as scores too.")] = False,
) -> None:
    """Fit the weights of a combination on one bank, for searches on other targets."""
    from autoadapt.experiment.commands import fit_objective

    names = [name.strip() for name in (scores or "").split(",") if name.strip()]
    text = fit_objective(bank, out, test=test, names=names, standardise=form, costs=costs)
    print(f"{text}\n\nobjective: {out}")


@app.command()
def report(run: Run) -> None:
    """Write the report of a run, finished or not."""
    from autoadapt.experiment.commands import report_run

    print_summary(run, report_run(run))


@app.command()
def runs(
    root: Annotated[Path, typer.Argument(help="Folder of run folders.")] = Path("runs"),
    as_json: Json = False,
) -> None:
    """List runs and their state."""
    from autoadapt.experiment.commands import list_runs, runs_text

    found = list_runs(root)
    print(json.dumps(found, indent=2) if as_json else runs_text(root, found))


@app.command()
def methods(
    name: Annotated[
        str | None, typer.Argument(help="A method: its options and their defaults.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List adaptation methods: what they need, what they cost, where they come from."""
    from autoadapt.experiment.methods import described, list_methods, method_text, methods_text

    if name is not None:
        one = described(name)
        print(json.dumps(one, indent=2) if as_json else method_text(one))
        return
    found = list_methods()
    print(json.dumps(found, indent=2) if as_json else methods_text(found))


@app.command()
def scores(
    name: Annotated[
        str | None, typer.Argument(help="A score: its options and their defaults.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List label-free scores, what they need, and the objectives that have a name."""
    from autoadapt.experiment.score_list import (
        described_score,
        list_scores,
        score_text,
        scores_text,
    )

    if name is not None:
        one = described_score(name)
        print(json.dumps(one, indent=2) if as_json else score_text(one))
        return
    found = list_scores()
    print(json.dumps(found, indent=2) if as_json else scores_text(found))


@space_app.command("show")
def space_show(space: Space) -> None:
    """Print choices, conditions, rules, limits and the reference."""
    from autoadapt.experiment.commands import space_text

    print(space_text(space))


@space_app.command("count")
def space_count(space: Space) -> None:
    """Print the exact number of architectures, limits not considered."""
    from autoadapt.space import load

    print(load(space).count())


@space_app.command("check")
def space_check(space: Space) -> None:
    """Check a search space file."""
    from autoadapt.space import load

    found = load(space)
    print(f"{found.name}: sound, {len(found.choices)} choices, {found.count()} architectures")


@space_app.command("sample")
def space_sample(
    space: Space,
    count: Annotated[int, typer.Option(min=1, help="Number of architectures.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
    classes: Annotated[int, typer.Option(min=2, help="Classes, for the costs.")] = 19,
) -> None:
    """Print random architectures within the limits, with their costs, as JSON lines."""
    from autoadapt.experiment.commands import space_samples

    for line in space_samples(space, count, seed, classes):
        print(json.dumps(line))


@space_app.command("networks")
def space_networks(
    classes: Annotated[int, typer.Option(min=2, help="Classes.")] = 19,
    height: Annotated[int, typer.Option(min=32, help="Pixels.")] = 512,
    width: Annotated[int, typer.Option(min=32, help="Pixels.")] = 1024,
    as_json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
) -> None:
    """List the named networks, fixed points of any search or table, with their costs."""
    from autoadapt.experiment.networks import network_costs, networks_markdown, networks_text

    found = network_costs(classes, (height, width))
    if as_json:
        print(json.dumps([one.to_json() for one in found], indent=2))
    else:
        print(networks_markdown(found) if markdown else networks_text(found))


@space_app.command("network")
def space_network(
    network: Annotated[str, typer.Argument(help="A named network, or a file of one.")],
) -> None:
    """Print one network in words and as YAML, to start a file of your own from."""
    from autoadapt.experiment.networks import network_text

    print(network_text(network))


def print_plan(settings: Any, folder: Path, *, measure: bool, as_json: bool) -> None:
    """Print what a search would do and take."""
    from autoadapt.experiment.commands import as_values
    from autoadapt.experiment.dry_run import plan_of
    from autoadapt.experiment.plan_text import plan_text

    plan = plan_of(settings, folder, measure=measure)
    print(json.dumps(as_values(plan), indent=2) if as_json else plan_text(plan))


def print_summary(run: Path, page: Path) -> None:
    """Print the outcome in words, the per-class table and where the report is."""
    from autoadapt.experiment.commands import summary_text

    print(f"{summary_text(run)}\n\nreport: {page}")


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; what a user can mend is one message and exit code 2."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    try:
        return app(arguments)
    except AutoAdaptError as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        if error.filename is None and error.errno != errno.ENOSPC:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror}", file=sys.stderr)
    raise SystemExit(2)
