"""The command line: one command for each stage and a few more. Parses, calls, prints; no logic.

Modules are imported by the command that needs them, so that `--help` answers at once.
"""

import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from deepchrome import __version__
from deepchrome.errors import DeepChromeError

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
_debug = False


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
    global _debug
    _debug = debug


ParamsFile = Annotated[
    Path, typer.Option("--params", help="The parameters of the run.", show_default=True)
]
DEFAULT_PARAMS = Path("params.yaml")


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
    from deepchrome import MARKS, N_BINS, models
    from deepchrome.params import load
    from deepchrome.stages import ingest

    loaded = load(params)
    models.check(loaded.models, N_BINS, len(MARKS))
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
    from deepchrome.params import load

    loaded = load(params)
    _prepare_training(loaded.device)
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
    from deepchrome.params import load

    loaded = load(params)
    _prepare_training(loaded.device)
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


@app.command(rich_help_panel=TOOLS)
def explain(
    gene: Annotated[str, typer.Option(help="Ensembl id or symbol of a gene of the dataset.")],
    cell: Annotated[str, typer.Option(help="A cell type such as E003.")],
    models: Annotated[Path, typer.Option(help="A folder of trained models.")] = Path(
        "models/train"
    ),
    output: Annotated[
        Path | None,
        typer.Option(help="Where to draw it (PNG).", show_default="reports/explain/GENE_CELL.png"),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Draw one gene: its signal, its prediction, and which marks moved it, where.

    Compares it with 50 training genes, half of them high. Example:

    deepchrome explain --gene ENSG00000075624 --cell E003
    """
    from deepchrome.tools import explain

    explain.run(gene, cell, models, output, device)


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


@app.command(rich_help_panel=TOOLS)
def predict(
    input: Annotated[
        Path,
        typer.Option(
            help="Genes in the published layout: gene,bin,<five marks>[,label], 100 rows a gene."
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            help="A cell type such as E003; 'all': the mean over all cell types' models; 'pooled': "
            "the model trained on all cell types (stage training_sets)."
        ),
    ],
    output: Annotated[Path, typer.Option(help="Where to write gene_id,score.")],
    models: Annotated[
        Path | None,
        typer.Option(
            help="A folder of trained models.",
            show_default="models/train; models/training_sets for pooled",
        ),
    ] = None,
    genes: Annotated[
        str,
        typer.Option(help="Gene table with strands, for models of data.orient: transcription."),
    ] = "gencode_v10",
    h3k4me3_doubled: Annotated[
        bool | None,
        typer.Option(
            "--h3k4me3-doubled/--h3k4me3-single",
            help="Whether H3K4me3 counts are doubled, as in the published archive.",
            show_default="as in the models' training data",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Score genes of any cell type with trained models.

    The score is the probability of high expression. Example:

    deepchrome predict --input data/raw/demo/E003/classification/test.csv --model E003 --output
    scores.csv
    """
    from deepchrome.tools import predict

    models = models or Path("models", "training_sets" if model == "pooled" else "train")
    predict.run(input, model, output, models, genes, h3k4me3_doubled, device)


@app.command("audit-labels", rich_help_panel=TOOLS)
def audit_labels(
    raw: Annotated[
        Path,
        typer.Option(
            help="A raw directory in the published layout, with 57epigenomes.RPKM.pc.gz in it."
        ),
    ],
    json_output: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of a table.")
    ] = False,
) -> None:
    """Compare the labels of a raw directory with expression, cell type by cell type.

    A gene is high where its RPKM is above the cell type's median. The
    published archive compared the numbers as text, which puts 13.316 below
    3.329: its labels are wrong for 49 of 56 cell types.

    Verdicts: [bold]numeric[/], all labels are right; [bold]text[/], they compare as text;
    [bold]unexplained[/], they differ for another reason. Example:

    deepchrome audit-labels --raw data/raw/roadmap
    """
    from deepchrome.tools import audit_labels

    audit_labels.run(raw, json_output)


@app.command(rich_help_panel=TOOLS)
def combine(
    raw: Annotated[
        list[Path], typer.Argument(help="Raw directories, in any layout.", show_default=False)
    ],
    output: Annotated[Path, typer.Option(help="The raw directory to write.")],
) -> None:
    """Join raw directories, such as Roadmap's and your own, for one run of the pipeline.

    Each is copied whole and keeps its layout. Genes are matched by Ensembl id without version, and
    are in the same split in all cell types. Example:

    deepchrome combine data/raw/roadmap data/raw/mine --output data/raw/both
    """
    from deepchrome.tools import combine

    combine.run(raw, output)


@app.command("simulate-reads", rich_help_panel=TOOLS)
def simulate_reads(
    output: Annotated[
        Path, typer.Option(help="The raw directory to write.", show_default=True)
    ] = Path("data/raw/reads"),
    cells: Annotated[
        str,
        typer.Option(
            help="Cell types, separated by commas: EIDs of Roadmap, or NAME=EID for a cell type of "
            "another name that is simulated as that one."
        ),
    ] = "mine_a=E118,mine_b=E114",
    genes: Annotated[int, typer.Option(help="How many genes, at most.", min=30, max=5000)] = 300,
    seed: Annotated[int, typer.Option(help="Of all random numbers.", min=0)] = 0,
) -> None:
    """Write simulated reads: tagAlign files, samples.tsv, a gene table and expression.

    To try [bold]ingest[/] on reads (docs/own_data.md): the reads lie so that they give exactly the
    counts that the simulator drew, for genes whose windows do not overlap.
    """
    from deepchrome.tools import simulate_reads

    simulate_reads.run(output, cells, genes, seed)


@fetch.command()
def roadmap(
    output: Annotated[
        Path, typer.Option(help="Where to put cell types and expression.", show_default=True)
    ] = Path("data/raw/roadmap"),
    url: Annotated[
        str | None,
        typer.Option(help="Mirror of the archive.", show_default="Zenodo record 2652278"),
    ] = None,
    expression_url: Annotated[
        str | None,
        typer.Option(help="Mirror of the RPKM table.", show_default="Roadmap data portal"),
    ] = None,
    checksum: Annotated[
        str | None,
        typer.Option(
            help="Of the archive, md5:... or sha256:...",
            show_default="what the first fetch recorded",
        ),
    ] = None,
    expression_checksum: Annotated[
        str | None,
        typer.Option(help="Of the RPKM table, likewise.", show_default="the portal's"),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Download again although everything is there.")
    ] = False,
) -> None:
    """Download the published archive of 56 cell types and Roadmap's expression table.

    A broken download goes on where it stopped. Run the pipeline on it with:
    dvc exp run -S data.raw=data/raw/roadmap
    """
    from deepchrome.tools import fetch

    fetch.run(output, url, expression_url, checksum, expression_checksum, force)


@fetch.command("roadmap-reads")
def roadmap_reads(
    cells: Annotated[str, typer.Option(help="EIDs of cell types, separated by commas.")],
    marks: Annotated[
        str, typer.Option(help="Marks, separated by commas.", show_default="all five")
    ] = "H3K27me3,H3K36me3,H3K4me1,H3K4me3,H3K9me3",
    output: Annotated[
        Path, typer.Option(help="Where to put reads and expression.", show_default=True)
    ] = Path("data/raw/roadmap-reads"),
    url: Annotated[
        str | None,
        typer.Option(
            help="Mirror of the folder of <EID>-<mark>.tagAlign.gz.",
            show_default="Roadmap data portal",
        ),
    ] = None,
    expression_url: Annotated[
        str | None,
        typer.Option(help="Mirror of the RPKM table.", show_default="Roadmap data portal"),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Download again although everything is there.")
    ] = False,
) -> None:
    """Download Roadmap's consolidated reads, and its expression table.

    Some 100 to 300 MB for each cell type and mark; what is there already is kept, and a broken
    download goes on where it stopped. [bold]ingest[/] counts them as it counts your own reads.

    Example:
    deepchrome fetch roadmap-reads --cells E003 --marks H3K4me3

    """
    from deepchrome.tools import fetch

    fetch.run_reads(
        [cell.strip() for cell in cells.split(",")],
        [mark.strip() for mark in marks.split(",")],
        output,
        url,
        expression_url,
        force,
    )


@app.command(rich_help_panel=TOOLS)
def calibrate(
    raw: Annotated[Path, typer.Option(help="A raw directory of real data, published layout.")],
    output: Annotated[Path, typer.Option(help="Where to write the fitted statistics (JSON).")],
    expression: Annotated[
        Path | None,
        typer.Option(
            help="Roadmap's RPKM table.",
            show_default="57epigenomes.RPKM.pc.gz in the raw directory",
        ),
    ] = None,
) -> None:
    """Fit the simulator to real chromatin.

    The statistics of the package were made this way; they hold no row of
    the data. Takes a few minutes. Example:

    deepchrome calibrate --raw data/raw/roadmap --output simulator.json
    """
    from deepchrome.tools import calibrate

    calibrate.run(raw, output, expression)


@app.command(rich_help_panel=TOOLS)
def compare(
    experiments: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names of experiments, git revisions, or 'workspace'.", show_default=False
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All experiments of the current commit.")
    ] = False,
    between: Annotated[
        bool,
        typer.Option(
            "--between", help="Scores on other cell types than a model was trained on (cross_cell)."
        ),
    ] = False,
    output: Annotated[
        Path, typer.Option(help="Where to put tables and figures.", show_default=True)
    ] = Path("reports/compare"),
    params: ParamsFile = DEFAULT_PARAMS,
) -> None:
    """Tell which of several experiments is better, and which are equivalent.

    Reads their predictions from DVC; the workspace stays as it is. Differences over cell types and
    genes, tests and what decides: docs/studies.md. Example:

    deepchrome compare workspace linear
    """
    from deepchrome.params import load
    from deepchrome.tools import compare

    compare.run(experiments or [], everything, between, load(params).compare, output)


@app.command(rich_help_panel=TOOLS)
def summary() -> None:
    """Print the AUROC table of the last run and what to open."""
    from deepchrome.tools import summary

    summary.run()


def main() -> None:
    """Run the command line.

    Exit status 1 for an error of the input, 2 for one of usage, 130 after Ctrl-C (Typer's own).
    """
    try:
        app()
    except BrokenPipeError:
        sys.exit(1)
    except DeepChromeError as error:
        _fail(str(error))
    except Exception as error:
        _fail(
            f"unexpected {type(error).__name__}: {error}; this is a fault of the program. "
            "Run 'deepchrome --debug ...' for the traceback"
        )


def _prepare_training(device: str) -> None:
    """Where processes will train, begin to import what they need, beside this process's imports."""
    from deepchrome.training.executor import cores, prepare_processes

    gpu = device == "cuda" or (device == "auto" and Path("/dev/nvidiactl").exists())
    if cores() > 1 and not gpu:
        prepare_processes("deepchrome.training.fit")


def _fail(message: str) -> None:
    if _debug:
        traceback.print_exc()
    from rich.console import Console
    from rich.text import Text

    text = Text("error: ", style="bold red") + Text(message, style="none")
    Console(stderr=True, soft_wrap=True, highlight=False).print(text)
    sys.exit(1)
