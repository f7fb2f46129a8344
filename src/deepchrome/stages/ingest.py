"""ingest: turn a raw directory into the dataset, and audit its labels against expression."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from deepchrome import MARKS, N_BINS, seals
from deepchrome.console import console, progress, warn
from deepchrome.data import gene_table
from deepchrome.data.dataset import (
    CellType,
    combined_hash,
    content_hash,
    training_hash,
    write_genes,
    write_labels,
    write_signals,
)
from deepchrome.data.label_rules import Audit
from deepchrome.data.labels import make_labels
from deepchrome.data.raw_data import (
    RawData,
    check_one_assembly,
    one_kind,
    provenance,
    read_published,
    read_samples,
    source_of,
)
from deepchrome.data.sources import native, published
from deepchrome.data.sources.combined import Part, chosen, parts_of
from deepchrome.data.sources.counting import FileMeter
from deepchrome.data.sources.genes import orient
from deepchrome.data.sources.reads import CountRule, Coverage
from deepchrome.data.sources.samples import Sample
from deepchrome.data.splits import split_genes
from deepchrome.errors import DeepChromeError
from deepchrome.files import Folder, lies_in, replacing, write_json
from deepchrome.params import DataParams, ReadsParams
from deepchrome.training.executor import in_processes, processes_for, report

DATASET = ("dataset.json", "genes.parquet", "labels.parquet", "signals/*.parquet")
BYTES_A_SECOND = 5_000_000
"""About how much of a BAM one core counts; of packed text it is somewhat more."""


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
    rule = count_rule(reads, Path(params.raw))
    wanted = chosen(params.raw, parts_of(Path(params.raw)), cells)
    with (
        replacing(
            Folder(dataset, "ingest", DATASET),
            metrics,
            Folder(plots, "ingest", ("labels.csv",)),
            reads=[params.raw, params.genes],
        ) as (out, metrics_out, plots_out),
        ThreadPoolExecutor(2) as pool,  # parsing and compression release the GIL
    ):
        # which genes there are decides the split, so all is read before any is written
        parts = [
            read_published(
                part,
                params.labels,
                params.genes,
                params.h3k4me3_doubled,
                partial(read_cells, pool=pool),
            )
            if part.layout == "published"
            else read_samples(part, params.labels, params.genes, rule, measure_files)
            for part in wanted
        ]
        values = one_kind(parts)
        check_one_assembly(parts)
        moved = gene_table.moved({str(part.part.path): part.genes for part in parts})
        genes = gene_table.joined([part.genes for part in parts])
        split_rule = params.split
        if split_rule == "published" and any(part.splits is None for part in parts):
            split_rule = "chromosome"
        splits = {cell: split for part in parts for cell, split in (part.splits or {}).items()}
        split = split_genes(genes["chrom"], split_rule, params.split_seed, params.raw, splits)
        genes.insert(4, "split", split)

        jobs = sorted(
            ((cell, part) for part in parts for cell in part.tables), key=lambda job: job[0]
        )
        done = []
        with progress("write", "cell types", len(jobs)) as advance:
            write = partial(write_cell, genes=genes, params=params, folder=out / "signals")
            for result in pool.map(lambda job: write(*job), jobs):
                done.append(result)
                advance()
        write_genes(out / "genes.parquet", genes.reset_index())
        write_labels(out / "labels.parquet", [result.labels for result in done])
        hashed = combined_hash([result.hash for result in done])
        seals.write_json(
            out / "dataset.json",
            {
                "cells": [cell for cell, _ in jobs],
                "marks": list(MARKS),
                "bins": N_BINS,
                "values": values,
                "source": source_of(parts),
                "orientation": params.orient,
                "h3k4me3_halved": any(part.doubled for part in parts),
                "labels": params.labels,
                "rpkm_median": {
                    cell: float(part.rpkm[cell].median())
                    if part.rpkm is not None and cell in part.rpkm
                    else None
                    for cell, part in jobs
                },
                "split": split_rule,
                **provenance(parts, rule),
                "training": {
                    cell: result.training for (cell, _), result in zip(jobs, done, strict=True)
                },
                "hash": hashed,
            },
        )
        audits = [result.audit for result in done if result.audit is not None]
        plots_out.mkdir()
        columns = [*Audit.__dataclass_fields__, "verdict"]
        pd.DataFrame([audit.row() for audit in audits], columns=columns).to_csv(
            plots_out / "labels.csv", index=False
        )
        write_json(
            metrics_out,
            {
                "dataset": hashed,
                "cell_types": len(jobs),
                "genes": len(genes),
                "published_labels_wrong": sum(audit.disagree for audit in audits),
                "explained_by_text": sum(audit.explained for audit in audits),
            },
        )
    for part in parts:
        for note in part.notes:
            console.print(note)
    for warning in [*itertools.chain(*(part.warnings for part in parts)), *moved]:
        warn(warning)
    report_audit(audits, params.labels)
    console.print(f"{dataset}: {len(jobs)} cell types, {len(genes):,} genes")


def count_rule(reads: ReadsParams, raw: Path) -> CountRule:
    """Return how reads are counted, with the paths of the files in `raw` that it names."""
    files = {}
    for key in ("blacklist", "reference"):
        name = getattr(reads, key)
        if name is not None:
            found = [path for path in (raw / name, Path(name)) if path.is_file()]
            inside = [str(path) for path in found if lies_in(path, raw)]
            if not inside:
                wrong = "lies outside" if found else "no such file in"
                raise DeepChromeError(
                    f"reads.{key}: {name}: {wrong} {raw}; put it into that folder and name it "
                    "there, so that results follow a change of it"
                )
            files[key] = inside[0]
    return CountRule(**reads.model_dump() | files)


def read_cells(part: Part, pool: ThreadPoolExecutor) -> list[tuple[published.Table, np.ndarray]]:
    """Read the files of every cell type of a directory in the published layout."""
    found = []
    with progress("read", "cell types", len(part.cells)) as advance:
        for result in pool.map(partial(published.read_splits, part.path), part.cells):
            found.append(result)
            advance()
    return found


def measure_files(meter: FileMeter, samples: list[Sample]) -> list[Coverage]:
    """Measure files of reads or signal, in as many processes as the work is worth."""
    if meter.rule.blacklist and samples[0].kind == "signal":
        raise DeepChromeError(
            f"reads.blacklist: {meter.rule.blacklist}: {samples[0].path} is signal, from which "
            "reads cannot be left out; set reads.blacklist: null"
        )
    size = sum(sample.path.stat().st_size for sample in samples)
    unit = "reads" if samples[0].kind == "counts" else "values"  # of intervals, of bases
    with progress("count", unit, size) as advance:
        seen = [0, 0]

        def on_progress(n: int, read: int) -> None:
            seen[0] += n
            seen[1] += read
            # how many reads there are in all is known by the bytes that are left
            advance.total(seen[0] * max(size / max(seen[1], 1), 1))
            advance(n)

        _take(meter)  # where there is one process, it is this one
        found = in_processes(
            _measure,
            samples,
            processes_for(size / BYTES_A_SECOND, len(samples)),
            on_progress,
            "a process that counts reads was killed, perhaps for lack of memory",
            partial(_take, meter),
            _crashed if any(native.is_native(sample.path) for sample in samples) else None,
        )
        advance.total(seen[0])
    return found


_meter: FileMeter


def _take(meter: FileMeter) -> None:
    """Keep the meter in a process, which measures many files by it."""
    global _meter
    _meter = meter


def _crashed(sample: Sample, number: int) -> str:
    return native.crashed(sample.path, number)


def _measure(sample: Sample) -> Coverage:
    return _meter(sample, report)


@dataclass(frozen=True)
class CellRecord:
    """What is left of a cell type once its signals are written."""

    labels: pd.DataFrame
    audit: Audit | None
    hash: str
    training: dict[str, object]


def write_cell(
    cell: str, part: RawData, genes: pd.DataFrame, params: DataParams, folder: Path
) -> CellRecord:
    """Label a cell type's genes and write its signals, as models see them, into a folder."""
    table = part.tables[cell]
    column = None if part.rpkm is None else part.rpkm.get(cell)
    labels, audit = make_labels(cell, table, column, params.labels, part.part.path)
    X = table.X
    if part.doubled:
        X = published.halve_h3k4me3(X, table.gene_id, part.part.path / cell)
    if params.orient == "transcription":
        X = orient(X, table.gene_id, part.genes["strand"])
    split = genes["split"].loc[table.gene_id].to_numpy(object)
    y = labels["label"].to_numpy(np.int8)
    write_signals(folder / f"{cell}.parquet", table.gene_id, X)
    whole = CellType(cell, table.gene_id, X, y, split)
    training = {"genes": int((split == "train").sum()), "hash": training_hash(whole)}
    return CellRecord(labels, audit, content_hash(whole), training)


def report_audit(audits: list[Audit], rule: str) -> None:
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
