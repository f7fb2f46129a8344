"""validate: check the dataset with Great Expectations; a critical failure stops the pipeline."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from deepchrome import N_BINS
from deepchrome.console import console, progress, warn
from deepchrome.data import measures
from deepchrome.data.dataset import Dataset
from deepchrome.data.expectations import cell_types, coverage, tables
from deepchrome.data.measures import CellMeasures
from deepchrome.data.suites import Outcome, Suites
from deepchrome.errors import DeepChromeError
from deepchrome.files import Folder, refuse, replacing, write_json
from deepchrome.params import ValidateParams
from deepchrome.training.executor import in_processes, processes_for, report

PLOTS = ("expectations.csv", "failed.csv")
DATA_DOCS = (
    "index.html",
    "expectations/*.html",
    "validations/*/*/*/*.html",
    "static/*/*",
    "static/*/*/*",
)
"""What Great Expectations writes."""
ALL = "all cell types"
"""The suite across cell types."""

_SECONDS_A_CELL, _SECONDS_A_GENE = 0.28, 70e-6
"""What a cell type takes on one core, and each of its genes more."""


def run(
    params: ValidateParams,
    dataset: str = "data/dataset",
    metrics: str = "metrics/validate.json",
    plots: str = "plots/validate",
    data_docs: str = "reports/data_docs",
) -> None:
    """Check the dataset, write what was found and build Great Expectations' Data Docs.

    Warnings are printed. Raises DeepChromeError that names every critical failure; then the
    outputs are as they were, and the Data Docs of the failed run lie in `failed_data_docs` beside
    `data_docs`.
    """
    failed_docs = Path(data_docs).parent / "failed_data_docs"
    failed = Folder(failed_docs, "validate", DATA_DOCS)
    outputs = (
        metrics,
        Folder(plots, "validate", PLOTS),
        Folder(data_docs, "validate", DATA_DOCS),
        failed,
    )
    refuse(*outputs)
    data = Dataset(dataset)
    suites = Suites(dataset, params.severity)
    try:
        check(data, params, suites)
    except (OSError, pa.ArrowException) as error:
        raise DeepChromeError(
            f"{dataset}: a file cannot be read ({error}); "
            "make the dataset again with 'dvc repro ingest'"
        ) from error
    failures = [outcome for outcome in suites.outcomes if outcome.failure]
    if failures:
        with replacing(failed) as (docs_out,):
            suites.build_docs(docs_out)
        raise DeepChromeError(
            f"{dataset} breaks {len(failures)} expectations:\n"
            + "\n".join(f"  {outcome.message()}" for outcome in failures)
            + f"\nDetails: {failed_docs / 'index.html'}"
        )
    with replacing(*outputs) as (metrics_out, plots_out, docs_out, _):  # none of a failed run
        suites.build_docs(docs_out)
        plots_out.mkdir()
        suites.counts([*data.cells, ALL]).to_csv(plots_out / "expectations.csv", index=False)
        suites.failed().to_csv(plots_out / "failed.csv", index=False)
        write_json(
            metrics_out,
            {
                "dataset": data.hash,
                "expectations": len(suites.outcomes),
                "warnings": sum(outcome.warning for outcome in suites.outcomes),
                "failures": 0,
            },
        )
    warned = [outcome for outcome in suites.outcomes if outcome.warning]
    for outcome in warned:
        warn(outcome.message())
    console.print(
        f"{dataset}: {len(suites.outcomes):,} expectations, {len(warned)} warnings, 0 failures; "
        f"see {data_docs}/index.html"
    )


def check(data: Dataset, params: ValidateParams, suites: Suites) -> None:
    """Check every cell type and then all together.

    What presumes that files have the right form is checked only where they do.
    """
    forms = (
        (data.path / "genes.parquet", tables.GENES_COLUMNS),
        (data.path / "labels.parquet", tables.LABELS_COLUMNS),
    )
    sound = [suites.check(ALL, tables.of_file(path, columns)) for path, columns in forms]
    if not all(sound):
        return
    sound = [
        suites.check(ALL, tables.of_gene_table(data.genes.reset_index())),
        suites.check(ALL, tables.of_label_table(data.labels, data.cells)),
    ]
    if not all(sound):
        return
    labels = dict(iter(data.labels.groupby("cell")))
    items = [(data.path, cell, labels[cell], params) for cell in data.cells]
    seconds = len(items) * (_SECONDS_A_CELL + _SECONDS_A_GENE * len(data.genes))
    workers = processes_for(seconds, len(items))
    with progress("validate", "cell types", len(items)) as advance:
        checked = in_processes(_check_alone, items, workers, lambda cell: advance(note=cell))
    for cell, (_, results, outcomes) in zip(data.cells, checked, strict=True):
        suites.add(cell, results, outcomes)
    measured = [one for one, _, _ in checked if one is not None]
    if measured:
        suites.check(ALL, cell_types.of_comparison(measured))


def _check_alone(
    item: tuple[Path, str, pd.DataFrame, ValidateParams],
) -> tuple[CellMeasures | None, list[Any], list[Outcome]]:
    """Check one cell type by suites of its own, in whatever process this is."""
    path, cell, labels, params = item
    suites = Suites(str(path), params.severity)
    measured = check_cell(Dataset(path), cell, labels, params, suites)
    report(cell)
    return measured, suites.results(cell), suites.outcomes


def check_cell(
    data: Dataset, cell: str, labels: pd.DataFrame, params: ValidateParams, suites: Suites
) -> CellMeasures | None:
    """Check one cell type; return its measures, or None where its form is broken.

    labels: the cell type's rows of labels.parquet.
    """
    path = data.signals_path(cell)
    columns = tables.SIGNALS_COLUMNS[data.info["values"]]
    if not suites.check(cell, tables.of_file(path, columns)):
        return None
    signals = measures.read_signals(path)
    median = data.info["rpkm_median"][cell]
    rows = measures.gene_rows(signals.genes, labels, data.genes, median)
    most = params.max_count if data.info["values"] == "counts" else None
    if not suites.check(cell, cell_types.of_genes(rows, data.info["labels"], most)):
        return None
    gene_id = signals.genes["gene_id"].to_numpy()
    y = labels.set_index("gene_id")["label"].loc[gene_id].to_numpy()
    X = signals.X.reshape(len(gene_id), N_BINS, -1)
    measured = measures.measure(cell, gene_id, X, y)
    strand = data.genes["strand"].loc[gene_id].to_numpy(object)
    orientation, balance = data.info["orientation"], params.class_balance
    chrom = data.genes["chrom"].loc[gene_id].to_numpy(object)
    for stated in coverage.of_zeros(gene_id, X, chrom):
        suites.check(cell, stated)
    suites.check(cell, cell_types.of_copies(measured, data.genes))
    suites.check(cell, cell_types.of_profile(measured, strand, X, orientation, balance))
    return measured
