"""The application that commands register with, and the options of every command."""

from pathlib import Path
from typing import Annotated

import typer

from deepchrome import __version__

app = typer.Typer(
    name="deepchrome",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "How well do histone marks around a gene's TSS predict whether it is expressed?\n\n"
        "The stages read [bold]params.yaml[/] and are run in order by [bold]dvc repro[/]; run one "
        "by hand to see what it does. [bold]predict[/] scores your own genes."
    ),
)
fetch = typer.Typer(
    no_args_is_help=True,
    help="Download published data: [bold]fetch roadmap[/], [bold]fetch roadmap-reads[/].",
)
STAGES = "Stages of the pipeline, in order"
TOOLS = "Tools"
app.add_typer(fetch, name="fetch", rich_help_panel=TOOLS)
debugging = False
"""Whether to show tracebacks."""


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"deepchrome {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error, not only its message.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of every command."""
    global debugging
    debugging = debug


ParamsFile = Annotated[
    Path, typer.Option("--params", help="The parameters of the run.", show_default=True)
]
DEFAULT_PARAMS = Path("params.yaml")
