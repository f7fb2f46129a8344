"""ingest: turn a raw directory into the dataset, and audit its labels against expression."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from deepchrome import MARKS, N_BINS, SPLITS
from deepchrome.console import console, progress, warn
from deepchrome.data import reference
from deepchrome.data.dataset import (
    CellType,
    combined_hash,
    content_hash,
    training_hash,
    write_labels,
    write_signals,
)
from deepchrome.data.sources import expression, published, samples
from deepchrome.data.sources.combined import Part, parts_of
from deepchrome.data.sources.genes import orient, read_genes
from deepchrome.data.splits import chromosome_split, random_split
from deepchrome.errors import DeepChromeError, listing, nearest
from deepchrome.files import replacing, write_json
from deepchrome.params import DataParams, ReadsParams


def run(
    params: DataParams,
    reads: ReadsParams,
    cells: str | list[str],
    dataset: str = "data/dataset",
    metrics: str = "metrics/ingest.json",
    plots: str = "plots/ingest",
) -> None:
    """Write the dataset of `params.raw`, and how its published labels fare against expression.

    The raw directory has the published layout, that of one's own reads (`sources.samples`), or is
    one that `combine` wrote. cells: "all", or the cell types wanted.
    Raises DeepChromeError for every fault of the raw files; then nothing has changed on disk.
    """
    parts = choose_cells(params.raw, parts_of(Path(params.raw)), cells)
    with (
        replacing(dataset, metrics, plots) as (out, metrics_out, plots_out),
        ThreadPoolExecutor(2) as pool,  # parsing and compression release the GIL
    ):
        contents = [
            read_published(part, params, pool)
            if part.layout == "published"
            else count_reads(part, params, reads)
            for part in parts
        ]
        values = one_kind(contents)
        # which genes there are decides the split, so all is read before any is written
        rule = split_rule(params.split, contents)
        gene_table = make_gene_table(params, rule, contents)
        jobs = sorted(
            ((cell, content) for content in contents for cell in content.part.cells),
            key=lambda job: job[0],
        )

        def write(job: tuple[str, Content]) -> Ingested:
            cell, content = job
            table = content.tables[cell]
            column = None if content.rpkm is None else content.rpkm.get(cell)
            labels, audit = make_labels(cell, table, column, params.labels, content.part.path)
            X = table.X
            if content.doubled:
                X = published.halve_h3k4me3(X, table.gene_id, content.part.path / cell)
            if params.orient == "transcription":
                X = orient(X, table.gene_id, content.genes["strand"])
            split = gene_table["split"].loc[table.gene_id].to_numpy(object)
            y = labels["label"].to_numpy(np.int8)
            write_signals(out / "signals" / f"{cell}.parquet", table.gene_id, X)
            whole = CellType(cell, table.gene_id, X, y, split)
            training = {"genes": int((split == "train").sum()), "hash": training_hash(whole)}
            return Ingested(labels, audit, content_hash(whole), training)

        done = []
        with progress("write", "cell types", len(jobs)) as advance:
            for result in pool.map(write, jobs):
                done.append(result)
                advance()
        gene_table.reset_index().to_parquet(out / "genes.parquet", index=False)
        write_labels(out / "labels.parquet", [result.labels for result in done])
        hashed = combined_hash([result.hash for result in done])
        write_json(
            out / "dataset.json",
            {
                "cells": [cell for cell, _ in jobs],
                "marks": list(MARKS),
                "bins": N_BINS,
                "values": values,
                "source": source_of(contents),
                "orientation": params.orient,
                "h3k4me3_halved": any(content.doubled for content in contents),
                "labels": params.labels,
                "rpkm_median": {
                    cell: None if content.rpkm is None else float(content.rpkm[cell].median())
                    for cell, content in jobs
                },
                "split": rule,
                **provenance(contents, reads),
                "training": {
                    cell: result.training for (cell, _), result in zip(jobs, done, strict=True)
                },
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
                "cell_types": len(jobs),
                "genes": len(gene_table),
                "published_labels_wrong": sum(audit.disagree for audit in audits),
                "explained_by_text": sum(audit.explained for audit in audits),
            },
        )
    for content in contents:
        for note in content.notes:
            console.print(note)
    report_audit(audits, params.labels)
    console.print(f"{dataset}: {len(jobs)} cell types, {len(gene_table):,} genes")


@dataclass(frozen=True)
class Content:
    """What one part of a raw directory holds, whatever its layout.

    tables: by cell type, bins in genomic order. splits: of each table's genes, None where the files
    have none. genes: symbol, chrom, tss, strand and truncated, by gene_id. rpkm: shape=(genes, cell
    types), the genes whose median makes the labels. doubled: whether H3K4me3 is to be halved.
    """

    part: Part
    tables: dict[str, published.Table]
    splits: dict[str, np.ndarray] | None
    genes: pd.DataFrame
    rpkm: pd.DataFrame | None
    values: str
    doubled: bool
    notes: list[str]


@dataclass(frozen=True)
class Ingested:
    """What is left of a cell type once its signals are written."""

    labels: pd.DataFrame
    audit: expression.Audit | None
    hash: str
    training: dict[str, object]


def choose_cells(raw: str, parts: list[Part], cells: str | list[str]) -> list[Part]:
    """Return the parts with the wanted cell types alone, all of which are there."""
    if isinstance(cells, str):  # "all"
        return parts
    present = [cell for part in parts for cell in part.cells]
    for cell in cells:
        if cell not in present:
            raise DeepChromeError(
                f"cells: {cell!r} is not in {raw}{nearest(cell, present)} "
                f"It has {listing(present, 60)}."
            )
    chosen = [part.only(cells) for part in parts]
    return [part for part in chosen if part.cells]


def read_published(part: Part, params: DataParams, pool: ThreadPoolExecutor) -> Content:
    """Read a directory in the published layout."""
    rpkm = read_expression(part.path, params.labels, part.cells)
    genes = read_genes(params.genes)
    tables: dict[str, published.Table] = {}
    splits: dict[str, np.ndarray] = {}
    with progress("read", "cell types", len(part.cells)) as advance:
        found = pool.map(lambda cell: published.read_splits(part.path, cell), part.cells)
        for cell, (table, split) in zip(part.cells, found, strict=True):
            tables[cell], splits[cell] = table, split
            advance()
    notes = []
    repeated = sorted({gene for table in tables.values() for gene in table.repeated})
    if repeated:
        notes.append(
            f"{len(repeated)} genes stand twice with identical rows and are kept once: "
            f"{listing(repeated, 7)}"
        )
    every = pd.Index(np.unique(np.concatenate([table.gene_id for table in tables.values()])))
    genes = genes.reindex(every).assign(truncated=None)
    return Content(part, tables, splits, genes, rpkm, "counts", params.h3k4me3_doubled, notes)


def count_reads(part: Part, params: DataParams, reads: ReadsParams) -> Content:
    """Count the reads of a directory of one's own, or average its signal."""
    if params.labels == "published":
        raise DeepChromeError(
            f"data.labels: published: {part.path} has reads, and no labels of its own; "
            "set data.labels: rpkm"
        )
    own = samples.read(part.path, part.cells, params.genes)
    measured = samples.measure(own, reads)
    truncated = measured.truncated
    notes = list(own.notes)
    if truncated.any():
        notes.append(
            f"{part.path}: {int(truncated.sum()):,} genes have a window that leaves its chromosome "
            f"({listing(truncated.index[truncated])}); what is missing counts 0"
        )
    genes = own.genes.assign(truncated=truncated)
    return Content(part, measured.tables, None, genes, own.rpkm, measured.kind, False, notes)


def one_kind(contents: list[Content]) -> str:
    """Return what the values are, "counts" or "signal"; refuse a mixture."""
    kinds = {content.values: content.part.path for content in contents}
    if len(kinds) > 1:
        raise DeepChromeError(
            f"{kinds['counts']} gives counts of reads and {kinds['signal']} signal (bigWig, "
            "bedGraph or reads.depth: cpm); a dataset holds one kind. Give reads for both, with "
            "reads.depth: raw"
        )
    return next(iter(kinds))


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


def split_rule(asked: str, contents: list[Content]) -> str:
    """Return the rule of the split: whole chromosomes where a part's files have none."""
    if asked == "published" and any(content.splits is None for content in contents):
        return "chromosome"
    return asked


def make_gene_table(params: DataParams, rule: str, contents: list[Content]) -> pd.DataFrame:
    """Return symbol, chrom, tss, strand, split and truncated of every gene, by gene_id, sorted.

    A gene that several parts have is one gene, in one split, with the place that the first part
    gives it; chromosomes are named as there.
    """
    genes = contents[0].genes
    for content in contents[1:]:
        further = content.genes
        further = further.assign(chrom=named_alike(further["chrom"], genes["chrom"]))
        truncated = flagged(genes["truncated"], further["truncated"])
        genes = genes.combine_first(further).assign(truncated=truncated)
    genes = genes.sort_index().rename_axis("gene_id")
    genes = genes[["symbol", "chrom", "tss", "strand", "truncated"]]
    genes["tss"] = genes["tss"].astype("Int64")
    genes["truncated"] = genes["truncated"].astype("boolean")
    if rule == "random":
        split = random_split(genes.index.to_numpy(), params.split_seed)
    elif rule == "chromosome":
        split = chromosome_split(genes["chrom"], params.split_seed)
    else:
        split = published_split(params.raw, contents).reindex(genes.index)
    genes.insert(4, "split", split)
    absent = set(SPLITS) - set(genes["split"])
    if absent:
        raise DeepChromeError(f"{params.raw}: no gene in the {listing(sorted(absent))} split")
    return genes


def published_split(raw: str, contents: list[Content]) -> pd.Series:
    """Return the files' own split of every gene; it must be the same in every cell type."""
    split = pd.concat(
        [
            pd.DataFrame({"gene_id": table.gene_id, "split": content.splits[cell], "cell": cell})
            for content in contents
            if content.splits is not None
            for cell, table in content.tables.items()
        ]
    ).drop_duplicates(["gene_id", "split"])
    moved = split[split["gene_id"].duplicated(keep=False)].sort_values("gene_id")
    if len(moved):
        first, second = moved.iloc[0], moved.iloc[1]
        raise DeepChromeError(
            f"{raw}: gene {first['gene_id']} is in {first['split']}.csv of {first['cell']} "
            f"and in {second['split']}.csv of {second['cell']}; a gene belongs to one split, the "
            f"same in every cell type ({moved['gene_id'].nunique():,} such genes)"
        )
    return split.set_index("gene_id")["split"]


def named_alike(chrom: pd.Series, like: pd.Series) -> pd.Series:
    """Return chromosome names in the style of `like`: chr1 or 1."""
    with_chr = like.dropna().str.startswith("chr").any()
    bare = chrom.str.removeprefix("chr")
    if with_chr == chrom.dropna().str.startswith("chr").any() or not like.notna().any():
        return chrom
    return "chr" + bare.replace("MT", "M") if with_chr else bare.replace("M", "MT")


def flagged(first: pd.Series, second: pd.Series) -> pd.Series:
    """Return whether a window is truncated in either; null where neither knows."""
    both = pd.concat([first, second], axis=1).astype("boolean")
    return both.any(axis=1).astype("boolean").mask(both.isna().all(axis=1))


def make_labels(
    cell: str, table: published.Table, rpkm: pd.Series | None, rule: str, raw: Path
) -> tuple[pd.DataFrame, expression.Audit | None]:
    """Return the rows of labels.parquet for one cell type, and the audit of its published labels.

    rpkm: the cell type's column over the genes whose median makes the labels, or None where there
    is none. No audit is made of files without labels.
    """
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
    if table.label is None:
        return rows, None
    audited = expression.audit(cell, table.label[~unknown], values[~unknown], median)
    return rows, audited


def source_of(contents: list[Content]) -> str:
    """Return "simulated", "roadmap" or "own": beside which results the dataset may be shown.

    Simulated where any part is. Counts of Roadmap's own reads are "own" here: they are split by
    chromosome, so published results are not comparable.
    """
    sources = set()
    for content in contents:
        part = content.part
        if (part.path / "simulated.json").is_file():
            sources.add("simulated")
        else:
            roadmap = set(part.cells) <= set(reference.cell_types().index)
            sources.add("roadmap" if roadmap and part.layout == "published" else "own")
    return "simulated" if "simulated" in sources else "own" if "own" in sources else "roadmap"


def provenance(contents: list[Content], reads: ReadsParams) -> dict[str, Any]:
    """Return what dataset.json says of where values come from, beyond the published layout."""
    found: dict[str, Any] = {}
    if any(content.part.layout == "reads" for content in contents):
        found["reads"] = reads.model_dump()
    if any(content.part.name for content in contents):
        found["parts"] = {
            content.part.name: {"layout": content.part.layout, "cells": content.part.cells}
            for content in contents
        }
    return found


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
