"""Simulated reads that give exactly the counts that the simulator drew.

    samples.tsv, reads/<cell>-<mark>.tagAlign.gz    reads of 36 bp, as Roadmap's consolidated ones
    genes.tsv, expression.tsv.gz                    genes where they lie in hg19, and RPKM

Only genes whose windows do not overlap take part, so that each bin's count is its own.
"""

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv

from deepchrome import BIN_WIDTH, MARKS, N_BINS
from deepchrome.data import reference
from deepchrome.data.sources.chromosomes import seqinfo
from deepchrome.simulation import simulator
from deepchrome.simulation.raw import choose_genes

TABLES = ("samples.tsv", "genes.tsv", "expression.tsv.gz")
READ_LENGTH = 36
_HALF = BIN_WIDTH * N_BINS // 2
_BACKGROUND = 0.5
"""Reads between the windows, for each read within one."""


@dataclass(frozen=True)
class Cell:
    """A cell type by its own name, and the Roadmap epigenome that it is simulated as."""

    name: str
    eid: str


def choose_apart(n: int, seed: int) -> pd.DataFrame:
    """Return those of the n genes that `simulate` chooses whose windows do not overlap.

    symbol, chrom, tss and strand, by gene_id, sorted.
    """
    table = reference.genes().drop_duplicates("gene_id").set_index("gene_id")
    table = table[["symbol", "chrom", "tss", "strand"]]
    taken: dict[str, list[int]] = {}
    apart = []
    for gene in choose_genes(n, seed):
        chrom, tss = table.loc[gene, ["chrom", "tss"]]
        near = any(abs(tss - other) < 2 * _HALF + READ_LENGTH for other in taken.get(chrom, []))
        if tss > _HALF + READ_LENGTH and not near:
            taken.setdefault(chrom, []).append(tss)
            apart.append(gene)
    return table.loc[apart].sort_index()


def expression(table: pd.DataFrame, cells: list[Cell], seed: int) -> pd.DataFrame:
    """Return the RPKM of the genes, a column for each cell type."""
    values = simulator.expression(
        table.index.to_list(), [one.eid for one in cells], seed, simulator.load_statistics()
    )
    return pd.DataFrame(values, table.index, [one.name for one in cells])


def counts(table: pd.DataFrame, cell: Cell, rpkm: np.ndarray, seed: int) -> np.ndarray:
    """Return the counts that the reads are made from: uint16, shape=(genes, bins, marks)."""
    strand = table["strand"].to_numpy()
    return simulator.counts(cell.eid, rpkm, strand, seed, simulator.load_statistics())


def write_tables(folder: Path, cells: list[Cell], table: pd.DataFrame, rpkm: pd.DataFrame) -> None:
    """Write samples.tsv, genes.tsv and expression.tsv.gz.

    table: as `choose_apart` returns it. rpkm: as `expression` returns it.
    """
    table.to_csv(folder / "genes.tsv", sep="\t")
    text = rpkm.to_csv(sep="\t", float_format="%.3f")
    (folder / "expression.tsv.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    rows = [
        (one.name, mark, f"reads/{file_name(one.name, mark)}") for one in cells for mark in MARKS
    ]
    pd.DataFrame(rows, columns=["cell", "mark", "path"]).to_csv(
        folder / "samples.tsv", sep="\t", index=False
    )


def file_name(cell: str, mark: str) -> str:
    """Return the name of the file of a cell type's reads of a mark."""
    return f"{cell}-{mark}.tagAlign.gz"


def write_reads(folder: Path, cell: Cell, table: pd.DataFrame, rpkm: np.ndarray, seed: int) -> None:
    """Simulate one cell type and write its reads, a file for each mark, into `folder`.

    table: as `choose_apart` returns it. rpkm: shape=(genes,), the cell type's column of
    `expression`.
    """
    X = counts(table, cell, rpkm, seed)
    for m, mark in enumerate(MARKS):
        rng = np.random.default_rng([seed, m, *cell.name.encode()])
        reads = place(table, X[:, :, m], rng)
        reads.insert(2, "end", reads["start"] + READ_LENGTH)
        reads.insert(3, "name", "N")
        reads.insert(4, "score", 1000)
        text = pa.BufferOutputStream()
        options = pacsv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
        pacsv.write_csv(pa.Table.from_pandas(reads, preserve_index=False), text, options)
        packed = gzip.compress(text.getvalue(), compresslevel=6, mtime=0)
        (folder / file_name(cell.name, mark)).write_bytes(packed)


def place(table: pd.DataFrame, wanted: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Place reads so that each bin overlaps as many as wanted, and others between the windows.

    wanted: shape=(genes, bins). A read across an end of bins counts on both sides of it; how many
    cross is drawn first, as far as both sides allow. Returns chrom, start and strand, sorted.
    """
    bins = wanted.astype(np.int64)
    share = simulator.READ_CROSSES / (1 + simulator.READ_CROSSES)
    crossing = np.zeros(len(bins), np.int64)
    first = table["tss"].to_numpy(np.int64) - _HALF
    genes, starts = [], []

    def add(number: np.ndarray, low: np.ndarray, width: int) -> None:
        """Start `number` reads of each gene within `width` bases from `low`."""
        genes.append(np.repeat(np.arange(len(bins)), number))
        starts.append(np.repeat(low, number) + rng.integers(0, width, number.sum()))

    for b in range(N_BINS):
        left = bins[:, b] - crossing  # without those that come in from the bin before
        limit = np.minimum(left, bins[:, b + 1]) if b + 1 < N_BINS else left
        crossing = rng.binomial(limit, share)
        low = first + b * BIN_WIDTH
        add(left - crossing, low, BIN_WIDTH - READ_LENGTH + 1)
        add(crossing, low + BIN_WIDTH - READ_LENGTH + 1, READ_LENGTH - 1)
    # beyond the last bin and a read's length away from the next window: they count nowhere
    away = first + BIN_WIDTH * N_BINS + READ_LENGTH
    chrom, tss = table["chrom"].to_numpy(object), table["tss"].to_numpy(np.int64)
    room = np.array([_room(chrom, tss, i) for i in range(len(table))])
    total = int(_BACKGROUND * sum(len(part) for part in starts))
    free = np.flatnonzero(room > 2 * READ_LENGTH)
    at = free[rng.integers(0, len(free), total)]
    genes.append(at)
    starts.append(away[at] + rng.integers(0, room[at] - READ_LENGTH))
    gene, start = np.concatenate(genes), np.concatenate(starts)
    strand = np.array(["+", "-"], object)[rng.integers(0, 2, len(start))]
    return pd.DataFrame({"chrom": chrom[gene], "start": start, "strand": strand}).sort_values(
        ["chrom", "start"], kind="stable"
    )


def _room(chrom: np.ndarray, tss: np.ndarray, i: int) -> int:
    """Return the bases between a window and the next one, at most 20,000; less than 0 if none."""
    size = int(seqinfo("hg19").loc[chrom[i], "length"])
    after = tss[(chrom == chrom[i]) & (tss > tss[i])]
    next_ = int(after.min()) - _HALF if len(after) else size
    return min(next_ - int(tss[i]) - _HALF - 2 * READ_LENGTH, 20_000)
