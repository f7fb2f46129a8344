"""Write a simulated data set in the layout of the published archive, quirks included.

    <EID>/classification/{train,valid,test}.csv   six-digit gene, bin, counts of five marks, label
    57epigenomes.RPKM.pc.gz                       expression, in the form Roadmap publishes
    simulated.json                                how it was made; says that it is simulated

The quirks: H3K4me3 is doubled, bins run in genomic order on both strands, seven genes appear twice,
genes with one TSS have one signal, and labels compare RPKM with the median as text.
"""

import gzip
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from deepchrome import MARKS, N_BINS, SPLITS, files
from deepchrome.console import progress
from deepchrome.data import reference
from deepchrome.data.sources.expression import FILE_NAME, text_labels
from deepchrome.errors import DeepChromeError, listing, nearest
from deepchrome.params import SimulateParams
from deepchrome.simulation import simulator
from deepchrome.training.executor import cores

_REFERENCE_RNA = "E000"
_PARALLEL_FROM = 30_000  # genes x cell types; for fewer, starting processes takes longer


def run(params: SimulateParams, output: str | Path = "data/raw/demo") -> None:
    """Simulate `params.cells` and write them to the folder `output`, replacing what is there.

    Raises DeepChromeError for an unknown or repeated cell type.
    """
    _check_cells(params.cells)
    statistics = simulator.load_statistics()
    universe = reference.genes()["gene_id"].drop_duplicates().to_numpy()
    columns = [_REFERENCE_RNA, *params.cells]
    rpkm = simulator.expression(universe, columns, params.seed, statistics)
    chosen = choose_genes(params.genes, params.seed)
    rows = np.flatnonzero(np.isin(universe, chosen))

    with files.replacing(output) as (folder,):
        folder.mkdir()
        # marks the folder, so that published results are never shown beside simulated data
        files.write_json(folder / "simulated.json", params.model_dump())
        write_expression(folder / FILE_NAME, universe, columns, rpkm)
        jobs = []
        for cell, values in zip(params.cells, rpkm.T[1:], strict=True):
            labels = text_labels(values[rows], float(np.median(values)))
            jobs.append((folder, cell, chosen, values[rows], labels, params))
        with progress("simulate", "cell types", len(jobs)) as advance:
            for cell in _done(jobs, parallel=len(jobs) * len(chosen) >= _PARALLEL_FROM):
                advance(note=cell)


def _check_cells(cells: list[str]) -> None:
    known = reference.cell_types().index
    for cell in cells:
        if cell not in known:
            raise DeepChromeError(
                f"simulate.cells: unknown cell type {cell!r}{nearest(cell, known)} "
                f"(allowed: {listing(known)})"
            )
    repeated = [cell for i, cell in enumerate(cells) if cell in cells[:i]]
    if repeated:
        raise DeepChromeError(f"simulate.cells: {listing(repeated)} named more than once")


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


_Job = tuple[Path, str, np.ndarray, np.ndarray, np.ndarray, SimulateParams]


def _done(jobs: list[_Job], parallel: bool) -> Iterator[str]:
    """Work the jobs off and yield each cell type as it is written."""
    if not parallel:
        yield from map(_write_cell, jobs)
        return
    # spawn: a forked child may inherit a lock that a thread of Arrow holds
    context = multiprocessing.get_context("spawn")
    workers = min(cores(), len(jobs))
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from pool.map(_write_cell, jobs)


def _write_cell(job: _Job) -> str:
    """Simulate one cell type and write its three files; return its EID."""
    folder, cell, chosen, rpkm, label, params = job
    table = reference.genes()
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
    return cell


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
