"""Raw data in arrays: what one part of a raw directory holds, whatever its layout."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from deepchrome.data import reference
from deepchrome.data.sources import expression, published, samples
from deepchrome.data.sources.assemblies import Assembly, agreeing
from deepchrome.data.sources.chromosomes import bare
from deepchrome.data.sources.combined import Part
from deepchrome.data.sources.counting import MeasureFiles, bin_values
from deepchrome.data.sources.genes import find_table, read_genes
from deepchrome.data.sources.reads import CountRule
from deepchrome.errors import DeepChromeError, joined, listing, nearest


@dataclass(frozen=True)
class RawData:
    """What one part of a raw directory holds.

    tables: by cell type, bins in genomic order. splits: by cell type, the split of each gene by
    gene_id; None where the files have none. genes: symbol, chrom, tss, strand and truncated, by
    gene_id. rpkm: shape=(genes, cell types), the genes whose median makes the labels; None where
    there is no expression. values: "counts" or "signal". doubled: whether H3K4me3 is to be halved.
    assemblies: those that the part may be of; none where nothing tells. notes: what deserves
    attention. warnings: what may make numbers wrong.
    """

    part: Part
    tables: dict[str, published.Table]
    splits: dict[str, pd.Series] | None
    genes: pd.DataFrame
    rpkm: pd.DataFrame | None
    values: str
    doubled: bool
    assemblies: list[Assembly]
    notes: list[str]
    warnings: list[str]


ReadCells = Callable[[Part], Iterable[tuple[published.Table, np.ndarray]]]
"""Reads every cell type of a part by `published.read_splits`, perhaps several at a time."""


def read_published(
    part: Part, labels: str, genes: str, doubled: bool, read_cells: ReadCells
) -> RawData:
    """Read a directory in the published layout.

    labels: "rpkm" or "published", where labels come from. genes: which gene table (`find_table`).
    doubled: whether the files hold twice the H3K4me3 counts.
    Raises DeepChromeError for every fault of a file.
    """
    published.refuse_empty(part.path, part.cells)
    known = read_genes(find_table(part.path, genes, part.whole))
    _, assemblies = agreeing(part.path, known.genes, known.source, {}, known.assembly)
    notes = list(known.notes)
    rpkm = _read_expression(part, labels, notes)
    tables: dict[str, published.Table] = {}
    splits: dict[str, pd.Series] = {}
    for cell, (table, split) in zip(part.cells, read_cells(part), strict=True):
        tables[cell], splits[cell] = table, pd.Series(split, table.gene_id)
    repeated = sorted({gene for table in tables.values() for gene in table.repeated})
    if repeated:
        notes.append(
            f"{len(repeated)} genes stand twice with identical rows and are kept once: "
            f"{listing(repeated, 7)}"
        )
    every = pd.Index(np.unique(np.concatenate([table.gene_id for table in tables.values()])))
    there = known.genes.reindex(every).assign(truncated=None)
    placed = int(there["tss"].notna().sum())
    if not placed:
        raise DeepChromeError(
            f"{part.path}: no gene in common with {known.source}, which has "
            f"{listing(known.genes.index, 3)}; expected the ids of the counts, such as "
            f"{listing(every, 3)}"
        )
    if placed < len(every):
        notes.append(
            f"{part.path}: {len(every) - placed:,} of {len(every):,} genes are not in "
            f"{known.source}: where they lie is unknown"
        )
    warnings = []
    if rpkm is not None and labels == "rpkm":
        shown = rpkm[[cell for cell in part.cells if cell in rpkm]]
        warnings = expression.doubts(shown, part.path / expression.FILE_NAME)
    return RawData(
        part, tables, splits, there, rpkm, "counts", doubled, assemblies, notes, warnings
    )


def read_samples(
    part: Part, labels: str, genes: str, rule: CountRule, measure_files: MeasureFiles
) -> RawData:
    """Count the reads of a directory of one's own, or average its signal.

    labels, genes: as of `read_published`; genes where the directory has no table of its own.
    Raises DeepChromeError for every fault of a file.
    """
    if labels == "published":
        raise DeepChromeError(
            f"data.labels: published: {part.path} has reads, and no labels of its own; "
            "set data.labels: rpkm"
        )
    folder = samples.read(
        part.path, part.cells, genes, part.whole, with_input=rule.input == "subtract"
    )
    measured = bin_values(folder, rule, measure_files)
    kept = measured.truncated.index  # genes that files cover
    truncated = measured.truncated
    notes = [*folder.notes, *measured.notes]
    if truncated.any():
        notes.append(
            f"{part.path}: {int(truncated.sum()):,} genes have a window that leaves its chromosome "
            f"({listing(truncated.index[truncated])}); what is missing counts 0"
        )
    return RawData(
        part=part,
        tables=measured.tables,
        splits=None,
        genes=folder.genes.loc[kept].assign(truncated=truncated),
        rpkm=folder.rpkm.loc[kept],
        values=measured.kind,
        doubled=False,
        assemblies=measured.assemblies,
        notes=notes,
        warnings=[*folder.warnings, *measured.warnings],
    )


def one_kind(parts: list[RawData]) -> str:
    """Return what the values are, "counts" or "signal"; refuse a mixture."""
    kinds = {one.values: one.part.path for one in parts}
    if len(kinds) > 1:
        raise DeepChromeError(
            f"{kinds['counts']} gives counts of reads and {kinds['signal']} signal (bigWig, "
            "bedGraph, reads.depth: cpm or an input control); a dataset holds one kind. Give "
            "reads for both, with reads.depth: raw and reads.input: ignore"
        )
    return next(iter(kinds))


def check_one_assembly(parts: list[RawData]) -> None:
    """Refuse parts whose genes lie on different assemblies: one gene has one place."""
    for one, other in itertools.combinations(parts, 2):
        mine, theirs = ([_bare(a) for a in part.assemblies] for part in (one, other))
        if mine and theirs and all(a.differs(b.sizes) for a in mine for b in theirs):
            raise DeepChromeError(
                f"{one.part.path} is of {joined(a.name for a in mine)} and {other.part.path} of "
                f"{joined(b.name for b in theirs)}: expected parts of one assembly. Bring the "
                "reads and genes of one of them to the other's"
            )


def _bare(one: Assembly) -> Assembly:
    return Assembly(one.name, {bare(name): size for name, size in one.sizes.items()})


def _read_expression(part: Part, labels: str, notes: list[str]) -> pd.DataFrame | None:
    """Read the expression table beside the cell types, if there is one.

    A cell type that it lacks is refused where labels are made from it, and noted where not.
    """
    path = part.path / expression.FILE_NAME
    if not path.is_file():
        if labels == "published":
            return None
        raise DeepChromeError(
            f"{path}: no such file; data.labels: rpkm makes labels from it. Put the table there "
            "(from the Roadmap data portal), or take the file's own labels with "
            "data.labels: published"
        )
    rpkm = expression.read_rpkm(path)
    unknown = [cell for cell in part.cells if cell not in rpkm.columns]
    if unknown and labels == "rpkm":
        raise DeepChromeError(
            f"{path}: no column for cell type {listing(unknown)}{nearest(unknown[0], rpkm.columns)}"
        )
    if unknown:
        notes.append(
            f"{path}: no column for cell type {listing(unknown)}: their published labels are "
            "taken without comparing them with expression"
        )
    return rpkm


def source_of(parts: list[RawData]) -> str:
    """Return "simulated", "roadmap" or "own": beside which results the dataset may be shown.

    Simulated where any part is. Counts of Roadmap's own reads are "own" here: they are split by
    chromosome, so published results are not comparable.
    """
    sources = set()
    for part in (one.part for one in parts):
        if (part.path / "simulated.json").is_file():
            sources.add("simulated")
        else:
            roadmap = set(part.cells) <= set(reference.cell_types().index)
            sources.add("roadmap" if roadmap and part.layout == "published" else "own")
    return "simulated" if "simulated" in sources else "own" if "own" in sources else "roadmap"


def provenance(parts: list[RawData], rule: CountRule) -> dict[str, Any]:
    """Return what dataset.json says of where values come from, beyond the published layout."""
    found: dict[str, Any] = {}
    if any(one.part.layout == "reads" for one in parts):
        found["reads"] = asdict(rule)
    if any(one.part.name for one in parts):
        found["parts"] = {
            one.part.name: {"layout": one.part.layout, "cells": one.part.cells} for one in parts
        }
    return found
