"""The commands of dvc.yaml, in its order."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepchrome.cli.app import DEFAULT_PARAMS, STAGES, ParamsFile, app

if TYPE_CHECKING:
    from deepchrome.params import Params


@app.command(rich_help_panel=STAGES)
def simulate(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Write simulated raw data, data/raw/demo, in the layout of the published archive.

    Which cell types, how many genes and how hard a problem: section [bold]simulate[/] of
    params.yaml.
    """
    from deepchrome.params import load
    from deepchrome.stages import simulate

    simulate.run(load(params).simulate)


@app.command(rich_help_panel=STAGES)
def ingest(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Turn the raw directory data.raw into the dataset, data/dataset.

    It has the published layout, or reads of your own (docs/own_data.md), or both combined. Checks
    params.yaml and every line of the raw files. Makes labels from expression and counts the
    published labels that disagree with it (plots/ingest/labels.csv).
    """
    loaded = _load_with_models(params)
    from deepchrome.stages import ingest

    ingest.run(loaded.data, loaded.reads, loaded.cells)


@app.command(rich_help_panel=STAGES)
def validate(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Check the dataset with Great Expectations and build reports/data_docs/index.html.

    A critical failure ends with status 1 and stops the pipeline; warnings are listed.
    """
    from deepchrome.params import load
    from deepchrome.stages import validate

    validate.run(load(params).validate_)


@app.command(rich_help_panel=STAGES)
def train(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Train one model for each cell type and seed, into models/train.

    The best epoch by validation AUROC is kept. Watch it with: tensorboard --logdir runs
    """
    loaded = _load_with_models(params, training=True)
    from deepchrome.stages import train

    train.run(loaded)


@app.command(rich_help_panel=STAGES)
def evaluate(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Score each cell type's test genes by its own models: metrics/evaluate.json."""
    from deepchrome.params import load
    from deepchrome.stages import evaluate

    evaluate.run(load(params).device)


@app.command("cross_cell", rich_help_panel=STAGES)
def cross_cell(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Ask whether the relation is the same in all cell types: every model scores every one.

    Controls, gap, rows, columns and lineages: plots/cross_cell, and verdict.txt there.
    """
    from deepchrome.params import load
    from deepchrome.stages import cross_cell

    loaded = load(params)
    cross_cell.run(loaded.cross_cell, loaded.device)


@app.command("training_sets", rich_help_panel=STAGES)
def training_sets(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Ask what a model gains from training on several cell types: metrics/training_sets.json.

    Which ones, tested on which, by which architecture: section [bold]training_sets[/] of
    params.yaml. The model of all cell types is kept for [bold]predict --model pooled[/].
    """
    loaded = _load_with_models(params, training=True)
    from deepchrome.stages import training_sets

    training_sets.run(loaded)


@app.command(rich_help_panel=STAGES)
def gan(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Learn to generate signals of high and low genes, and tell how far to trust them.

    Figures, quality.csv and verdict.txt: plots/gan. Which cell types, how long, and whether the
    trained classifier guides it: section [bold]gan[/] of params.yaml.
    """
    from deepchrome.params import load
    from deepchrome.stages import gan

    loaded = load(params)
    gan.run(loaded.gan, loaded.device)


@app.command(rich_help_panel=STAGES)
def interpret(params: ParamsFile = DEFAULT_PARAMS) -> None:
    """Show what the models look for: the code of histones, plots/interpret/code.png.

    Attribution to marks and positions, occlusion, activation maximisation with and without the
    generator of stage gan, and how well they agree: section [bold]interpret[/] of params.yaml.
    """
    from deepchrome.params import load
    from deepchrome.stages import interpret

    loaded = load(params)
    interpret.run(loaded.interpret, loaded.device)


@app.command(rich_help_panel=STAGES)
def report(
    experiments: Annotated[
        list[str] | None,
        typer.Argument(
            help="With --compare: names of experiments, git revisions, or 'workspace'.",
            show_default=False,
        ),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Put experiments beside each other instead."),
    ] = False,
    output: Annotated[
        Path,
        typer.Option(help="With --compare: the page to write.", show_default=True),
    ] = Path("reports/compare/index.html"),
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Write the page to open after a run: reports/index.html.

    One file that needs no network: question by question a verdict, figures, numbers and how they
    were computed. A stage that has not run is left out. With experiments, the workspace stays as
    it is. Example:

    deepchrome report --compare workspace linear
    """
    from deepchrome.params import load
    from deepchrome.stages import report

    if compare:
        report.run_comparison(experiments or [], load(params).compare, output)
    elif experiments:
        raise typer.BadParameter(f"to compare {', '.join(experiments)}, add --compare")
    else:
        report.run(load(params).compare)


def _load_with_models(path: Path, *, training: bool = False) -> "Params":
    """Read params.yaml and try the architectures that it names, before any work."""
    from deepchrome.params import load

    loaded = load(path)
    if training:
        _prepare_training(loaded.device)
    from deepchrome import MARKS, N_BINS, models

    models.check(loaded.models, N_BINS, len(MARKS))
    return loaded


def _prepare_training(device: str) -> None:
    """Where processes will train, begin to import what they need, beside this process's imports."""
    from deepchrome.training.executor import cores, prepare_processes

    gpu = device == "cuda" or (device == "auto" and Path("/dev/nvidiactl").exists())
    if cores() > 1 and not gpu:
        prepare_processes("deepchrome.training.groups")
