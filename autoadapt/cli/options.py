"""Options that several commands share."""

from typing import Annotated

import typer

Config = Annotated[str, typer.Argument(help="A shipped config by name, or a YAML file.")]
Changes = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: search.trials=20")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Download = Annotated[
    bool, typer.Option("--download", help="Download the weights that the config names.")
]
