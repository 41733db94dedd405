"""The ``weights`` commands: parse, one call, print."""

import json
from pathlib import Path
from typing import Annotated

import typer

from autoadapt.cli.options import Json

app = typer.Typer(no_args_is_help=True, help="Weights of other projects: look, fetch, convert.")

Project = Annotated[str | None, typer.Option(help="Who wrote it, where its keys leave that open.")]


@app.command("list")
def weights_list(as_json: Json = False) -> None:
    """List published files by the names that a config may use, and which of them are here."""
    from autoadapt.experiment.weights_commands import list_weights, weights_text

    found = list_weights()
    print(json.dumps(found, indent=2) if as_json else weights_text(found))


@app.command("fetch")
def weights_fetch(
    name: Annotated[str, typer.Argument(help="A name of 'autoadapt weights list'.")],
) -> None:
    """Download a published file to the cache and check it; continues what was interrupted."""
    from autoadapt.cli.progress import counting
    from autoadapt.experiment.weights_commands import fetch_weights

    with counting() as told:
        path = fetch_weights(name, told(f"bytes of {name}"))
    print(path)


@app.command("show")
def weights_show(
    file: Annotated[Path, typer.Argument(help="A checkpoint of any known project.")],
    project: Project = None,
) -> None:
    """Print what is known of a checkpoint by its keys, as JSON."""
    from autoadapt.experiment.weights_commands import describe_weights

    print(json.dumps(describe_weights(file, project), indent=2))


@app.command("convert")
def weights_convert(
    file: Annotated[Path, typer.Argument(help="A checkpoint of any known project.")],
    out: Annotated[Path, typer.Option(help="Folder for model.safetensors and its card.")],
    architecture: Annotated[
        str, typer.Option(help="A named network, or a file of one.")
    ] = "deeplabv2_resnet101",
    protocol: Annotated[str, typer.Option(help="Its classes.")] = "cityscapes19",
    height: Annotated[int, typer.Option(min=16, help="Pixels.")] = 512,
    width: Annotated[int, typer.Option(min=16, help="Pixels.")] = 1024,
    project: Project = None,
    normalisation: Annotated[
        str | None, typer.Option(help="Input convention, where the keys leave it open.")
    ] = None,
) -> None:
    """Turn a published checkpoint into a model for evaluate, predict and export."""
    from autoadapt.experiment.weights_commands import convert_weights

    model, report = convert_weights(
        file,
        out,
        architecture=architecture,
        protocol=protocol,
        size=(height, width),
        project=project,
        normalisation=normalisation,
    )
    print(f"{report.text()}\n{model}")
