"""The ``data`` commands: parse, one call, print."""

import json
from pathlib import Path
from typing import Annotated

import typer

from autoadapt.cli.options import Changes, Config, Json

app = typer.Typer(
    no_args_is_help=True,
    help="Check, count and prepare data sets, render the procedural one.",
)


@app.command("check")
def data_check(
    config: Annotated[
        str, typer.Argument(help="A config by name or file; with --kind the folder of a data set.")
    ],
    kind: Annotated[
        str | None, typer.Option(help="Check one data set of this kind: gta5, cityscapes, folder.")
    ] = None,
    labels: Annotated[
        bool, typer.Option("--labels/--no-labels", help="With --kind: look at labels too.")
    ] = True,
    changes: Changes = None,
    as_json: Json = False,
) -> None:
    """Open every image and label once and say what is there; exit code 2 when unsound.

    A check that was interrupted goes on where it stopped. Labels of a target stay closed.
    """
    from autoadapt.cli.progress import counting
    from autoadapt.experiment.data_commands import check_data, check_folder

    with counting() as told:
        if kind is None:
            found, text, sound = check_data(config, changes or [], told)
        else:
            found, text, sound = check_folder(
                Path(config), kind, changes or [], labels=labels, counting=told
            )
    print(json.dumps(found, indent=2) if as_json else text)
    if not sound:
        raise typer.Exit(2)


@app.command("stats")
def data_stats(
    config: Config,
    out: Annotated[
        Path | None, typer.Option(help="Folder for source_priors.npz and .json.")
    ] = None,
    changes: Changes = None,
    as_json: Json = False,
) -> None:
    """Count classes of the source for priors and rare-class sampling; colours of all domains."""
    from autoadapt.cli.progress import counting
    from autoadapt.experiment.data_commands import data_statistics

    with counting() as told:
        found, text = data_statistics(config, changes or [], out, told)
    print(json.dumps(found, indent=2) if as_json else text)


@app.command("prepare")
def data_prepare(
    config: Config,
    out: Annotated[
        Path | None, typer.Option(help="Folder to fill instead of the cache, to carry elsewhere.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Only compare what is there with its checksums.")
    ] = False,
    changes: Changes = None,
    as_json: Json = False,
) -> None:
    """Decode and resize every image and label once into checksummed shards.

    What was interrupted goes on where it stopped. The original files are only read.
    """
    from autoadapt.cli.progress import counting
    from autoadapt.experiment.data_commands import prepare_data, verify_data

    sound = True
    with counting() as told:
        if verify:
            found, text, sound = verify_data(config, changes or [], out, told)
        else:
            found, text = prepare_data(config, changes or [], out, told)
    print(json.dumps(found, indent=2) if as_json else text)
    if not sound:
        raise typer.Exit(2)


@app.command("render")
def data_render(
    out: Annotated[Path, typer.Argument(help="New folder for the data set.")],
    style: Annotated[str, typer.Option(help="game or camera")] = "game",
    count: Annotated[int, typer.Option(min=1, help="Number of images.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
    height: Annotated[int, typer.Option(min=32, help="Pixels.")] = 120,
    width: Annotated[int, typer.Option(min=32, help="Pixels.")] = 160,
) -> None:
    """Render procedural street scenes as a folder data set."""
    from autoadapt.experiment.data_commands import render_folder

    render_folder(out, style, count, seed, (height, width))
    print(f"{count} images with labels in {out}")
