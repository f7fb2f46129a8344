"""The commands beside the pipeline."""

from pathlib import Path
from typing import Annotated

import typer

from deepchrome.cli.app import DEFAULT_PARAMS, TOOLS, ParamsFile, app, fetch


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
