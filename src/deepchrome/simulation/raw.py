"""A simulated raw directory in the layout of the published archive, quirks included.

    <EID>/classification/{train,valid,test}.csv   six-digit gene, bin, counts of five marks, label
    57epigenomes.RPKM.pc.gz                       expression, in the form Roadmap publishes

The quirks: H3K4me3 is doubled, bins run in genomic order on both strands, seven genes appear twice,
genes with one TSS have one signal, and labels compare RPKM with the median as text.
"""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from deepchrome import MARKS, N_BINS, SPLITS
from deepchrome.data import reference
from deepchrome.data.label_rules import text_labels
from deepchrome.params import SimulateParams
from deepchrome.simulation import simulator


def choose_genes(n: int, seed: int) -> np.ndarray:
    """Choose n distinct genes, in published order, among them the seven that come twice.

    A larger n under the same seed keeps the genes of a smaller one.
    """
    table = reference.genes()["gene_id"]
    distinct = table.drop_duplicates().to_numpy()
    twice = np.isin(distinct, table[table.duplicated()])
    order = np.random.default_rng([seed, 1]).random(len(distinct))
    order[twice] = -1
    return distinct[np.sort(np.argsort(order, kind="stable")[:n])]


def write_expression(path: Path, gene_id: np.ndarray, cells: list[str], rpkm: np.ndarray) -> None:
    """Write RPKM, shape=(genes, cells), in Roadmap's form: every data row ends in a tab."""
    row = "%s\t" + "%.3f\t" * len(cells) + "\n"
    lines = ["\t".join(["gene_id", *cells]) + "\n"]
    lines += [row % (gene, *values) for gene, values in zip(gene_id, rpkm.tolist(), strict=True)]
    # no time and no name inside, so that the same numbers make the same file
    path.write_bytes(gzip.compress("".join(lines).encode(), compresslevel=6, mtime=0))


def write_cell(
    folder: Path, cell: str, rpkm: np.ndarray, chosen: np.ndarray, params: SimulateParams
) -> None:
    """Simulate one cell type and write its three files.

    rpkm: shape=(genes,), of all genes of the published list, each once and in its order. chosen:
    ids of those to write, as `choose_genes` returns them.
    """
    table = reference.genes()
    median = float(np.median(rpkm))
    rpkm = rpkm[np.isin(table["gene_id"].drop_duplicates(), chosen)]
    label = text_labels(rpkm, median)
    table = table[table["gene_id"].isin(chosen)]
    distinct = table.drop_duplicates("gene_id").reset_index(drop=True)
    X = simulator.counts(
        cell,
        rpkm,
        distinct["strand"].to_numpy(),
        params.seed,
        simulator.load_statistics(),
        cell_specificity=params.cell_specificity,
        interaction=params.interaction,
        depth=params.depth,
    )
    # genes that share a TSS share a window, and so their reads
    X = X[distinct.index.to_series().groupby([distinct["chrom"], distinct["tss"]]).transform("min")]
    X[:, :, MARKS.index("H3K4me3")] *= 2

    row_of = pd.Series(distinct.index, index=distinct["gene_id"])
    for split in SPLITS:
        genes = table.loc[table["published_split"] == split, "gene_id"]
        rows = row_of[genes].to_numpy()
        path = folder / cell / "classification" / f"{split}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_counts(path, genes.to_numpy(), X[rows], label[rows])


def _write_counts(path: Path, gene_id: np.ndarray, X: np.ndarray, label: np.ndarray) -> None:
    n = len(gene_id)
    digits = pa.array([gene[-6:] for gene in gene_id])
    each_gene = pa.array(np.repeat(np.arange(n, dtype=np.int32), N_BINS))
    flat = X.reshape(n * N_BINS, len(MARKS))
    columns = [
        digits.take(each_gene),
        pa.array(np.tile(np.arange(1, N_BINS + 1), n)),
        *(pa.array(np.ascontiguousarray(flat[:, i])) for i in range(len(MARKS))),
        pa.array(np.repeat(label, N_BINS)),
    ]
    names = ["gene", "bin", *MARKS, "label"]
    options = pa.csv.WriteOptions(include_header=False, quoting_style="none")
    pa.csv.write_csv(pa.table(columns, names=names), path, options)
