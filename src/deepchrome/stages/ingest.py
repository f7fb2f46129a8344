"""ingest: turn a raw directory into the dataset, and audit its labels against expression."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from deepchrome import MARKS, N_BINS, SPLITS, reference
from deepchrome.console import console, progress, warn
from deepchrome.dataset import CellType, combined_hash, content_hash, write_signals
from deepchrome.errors import DeepChromeError, listing, nearest
from deepchrome.files import replacing, write_json
from deepchrome.params import DataParams
from deepchrome.sources import expression, published
from deepchrome.sources.genes import orient, read_genes
from deepchrome.splits import chromosome_split, random_split


def run(
    params: DataParams,
    cells: str | list[str],
    dataset: str = "data/dataset",
    metrics: str = "metrics/ingest.json",
    plots: str = "plots/ingest",
) -> None:
    """Write the dataset of `params.raw`, and how its published labels fare against expression.

    cells: "all", or the cell types wanted.
    Raises DeepChromeError for every fault of the raw files; then nothing has changed on disk.
    """
    raw = Path(params.raw)
    chosen = choose_cells(raw, cells)
    rpkm = read_expression(raw, params.labels, chosen)
    genes = read_genes(params.genes)
    with (
        replacing(dataset, metrics, plots) as (out, metrics_out, plots_out),
        progress("ingest", "cell types", len(chosen)) as advance,
        ThreadPoolExecutor(2) as pool,  # parsing and compression release the GIL
    ):
        # which genes there are decides the split, so the raw tables are read before any is written
        tables = []
        for table in pool.map(lambda cell: published.read_splits(raw, cell), chosen):
            tables.append(table)
            advance(0.5)
        gene_table = make_gene_table(params, genes, chosen, tables)
        strands = gene_table["strand"]

        def write(cell: str, table: published.Table) -> Ingested:
            column = None if rpkm is None else rpkm.get(cell)
            labels, audit = make_labels(cell, table, column, params.labels, raw)
            X = table.X
            if params.h3k4me3_doubled:
                X = published.halve_h3k4me3(X, table.gene_id, raw / cell)
            if params.orient == "transcription":
                X = orient(X, table.gene_id, strands)
            split = gene_table["split"].loc[table.gene_id].to_numpy(object)
            y = labels["label"].to_numpy(np.int8)
            write_signals(out / "signals" / f"{cell}.parquet", table.gene_id, X)
            hashed = content_hash(CellType(cell, table.gene_id, X, y, split))
            return Ingested(labels, audit, hashed)

        done = []
        for result in pool.map(write, chosen, [table for table, _ in tables]):
            done.append(result)
            advance(0.5)
        gene_table.reset_index().to_parquet(out / "genes.parquet", index=False)
        pd.concat([result.labels for result in done]).to_parquet(
            out / "labels.parquet", index=False
        )
        hashed = combined_hash([result.hash for result in done])
        medians = {cell: None if rpkm is None else float(rpkm[cell].median()) for cell in chosen}
        write_json(
            out / "dataset.json",
            {
                "cells": chosen,
                "marks": list(MARKS),
                "bins": N_BINS,
                "values": "counts",
                "source": source_of(raw, chosen),
                "orientation": params.orient,
                "h3k4me3_halved": params.h3k4me3_doubled,
                "labels": params.labels,
                "rpkm_median": medians,
                "split": params.split,
                "hash": hashed,
            },
        )
        audits = [result.audit for result in done if result.audit is not None]
        plots_out.mkdir()
        columns = [*expression.Audit.__dataclass_fields__, "verdict"]
        pd.DataFrame([audit.row() for audit in audits], columns=columns).to_csv(
            plots_out / "labels.csv", index=False
        )
        write_json(
            metrics_out,
            {
                "dataset": hashed,
                "cell_types": len(chosen),
                "genes": len(gene_table),
                "published_labels_wrong": sum(audit.disagree for audit in audits),
                "explained_by_text": sum(audit.explained for audit in audits),
            },
        )
    repeated = sorted({gene for table, _ in tables for gene in table.repeated})
    if repeated:
        console.print(
            f"{len(repeated)} genes stand twice with identical rows and are kept once: "
            f"{listing(repeated, 7)}"
        )
    report_audit(audits, params.labels)
    console.print(f"{dataset}: {len(chosen)} cell types, {len(gene_table):,} genes")


@dataclass(frozen=True)
class Ingested:
    """What is left of a cell type once its signals are written."""

    labels: pd.DataFrame
    audit: expression.Audit | None
    hash: str


def choose_cells(raw: Path, cells: str | list[str]) -> list[str]:
    """Return the wanted cell types, sorted, all of which the raw directory holds."""
    if not raw.is_dir():
        raise DeepChromeError(f"data.raw: {raw}: no such directory")
    present = published.cell_types(raw)
    if not present:
        raise DeepChromeError(
            f"data.raw: {raw}: no cell types here; expected folders such as "
            "E003/classification/ with train.csv, valid.csv and test.csv"
        )
    if cells == "all":
        return present
    for cell in cells:
        if cell not in present:
            raise DeepChromeError(
                f"cells: {cell!r} is not in {raw}{nearest(cell, present)} "
                f"It has {listing(present, 60)}."
            )
    return sorted(set(cells))


def read_expression(raw: Path, labels: str, cells: list[str]) -> pd.DataFrame | None:
    """Read the expression table beside the cell types, if there is one and labels need it."""
    path = raw / expression.FILE_NAME
    if not path.is_file():
        if labels == "published":
            return None
        raise DeepChromeError(
            f"{path}: no such file; data.labels: rpkm makes labels from it. Put the table there "
            "(from the Roadmap data portal), or take the file's own labels with "
            "data.labels: published"
        )
    rpkm = expression.read_rpkm(path)
    unknown = [cell for cell in cells if cell not in rpkm.columns]
    if unknown:
        raise DeepChromeError(
            f"{path}: no column for cell type {listing(unknown)}{nearest(unknown[0], rpkm.columns)}"
        )
    return rpkm


def make_gene_table(
    params: DataParams,
    known: pd.DataFrame,
    cells: list[str],
    tables: list[tuple[published.Table, np.ndarray]],
) -> pd.DataFrame:
    """Return symbol, chrom, tss, strand and split of every gene, indexed by gene_id, sorted."""
    split = pd.concat(
        [
            pd.DataFrame({"gene_id": table.gene_id, "split": part, "cell": cell})
            for cell, (table, part) in zip(cells, tables, strict=True)
        ]
    ).drop_duplicates(["gene_id", "split"])
    moved = split[split["gene_id"].duplicated(keep=False)].sort_values("gene_id")
    if len(moved):
        first, second = moved.iloc[0], moved.iloc[1]
        raise DeepChromeError(
            f"{params.raw}: gene {first['gene_id']} is in {first['split']}.csv of {first['cell']} "
            f"and in {second['split']}.csv of {second['cell']}; a gene belongs to one split, the "
            f"same in every cell type ({moved['gene_id'].nunique():,} such genes)"
        )
    genes = split.set_index("gene_id").sort_index()[["split"]]
    genes = genes.join(known, how="left")[["symbol", "chrom", "tss", "strand", "split"]]
    genes["tss"] = genes["tss"].astype("Int64")
    if params.split == "random":
        genes["split"] = random_split(genes.index.to_numpy(), params.split_seed)
    elif params.split == "chromosome":
        genes["split"] = chromosome_split(genes["chrom"], params.split_seed)
    absent = set(SPLITS) - set(genes["split"])
    if absent:
        raise DeepChromeError(f"{params.raw}: no gene in the {listing(sorted(absent))} split")
    return genes


def make_labels(
    cell: str, table: published.Table, rpkm: pd.Series | None, rule: str, raw: Path
) -> tuple[pd.DataFrame, expression.Audit | None]:
    """Return the rows of labels.parquet for one cell type, and the audit of its published labels.

    rpkm: the cell type's column over all genes of the expression table, or None where there is
    none. The label's median is over that whole column.
    """
    assert table.label is not None
    rows = pd.DataFrame(
        {
            "cell": cell,
            "gene_id": table.gene_id,
            "rpkm": np.nan,
            "label": table.label,
            "published_label": table.label,
        }
    )
    if rpkm is None:
        return rows, None
    values = rpkm.reindex(table.gene_id).to_numpy(np.float64)
    unknown = np.isnan(values)
    if rule == "rpkm" and unknown.any():
        raise DeepChromeError(
            f"{raw / expression.FILE_NAME}: gene {listing(table.gene_id[unknown])} of {cell} "
            "is missing from the table; data.labels: rpkm needs its RPKM"
        )
    median = float(rpkm.median())
    rows["rpkm"] = values
    if rule == "rpkm":
        rows["label"] = expression.numeric_labels(values, median)
    audited = expression.audit(cell, table.label[~unknown], values[~unknown], median)
    return rows, audited


def source_of(raw: Path, cells: list[str]) -> str:
    """Return "simulated", "roadmap" or "own": beside which results the dataset may be shown."""
    if (raw / "simulated.json").is_file():
        return "simulated"
    return "roadmap" if set(cells) <= set(reference.cell_types().index) else "own"


def report_audit(audits: list[expression.Audit], rule: str) -> None:
    """Say what the audit found; warn where wrong labels are about to be used."""
    disagree = sum(audit.disagree for audit in audits)
    if not disagree:
        return
    explained = sum(audit.explained for audit in audits)
    affected = sum(audit.disagree > 0 for audit in audits)
    found = (
        f"{disagree:,} published labels in {affected} of {len(audits)} cell types disagree with "
        f"the numeric rule RPKM > median; comparing the numbers as text explains {explained:,}"
    )
    if rule == "published":
        warn(
            f"{found}. These wrong labels are what models will learn: "
            "set data.labels: rpkm for corrected ones."
        )
    else:
        console.print(f"{found}. Labels are made from RPKM instead.")
