"""Faults to plant in a good dataset on disk, one at a time."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from conftest import sealed
from deepchrome import MARKS, seals
from deepchrome.data.label_rules import text_labels

Fault = Callable[[Path], None]


def _edit_signals(cell: str, change: Callable[[pd.DataFrame], pd.DataFrame | None]) -> Fault:
    """Return a fault that changes one cell type's signals, in place or by returning others."""

    def plant(folder: Path) -> None:
        path = folder / "signals" / f"{cell}.parquet"
        table = pd.read_parquet(path)
        table["gene_id"] = table["gene_id"].astype(str)
        changed = change(table)
        sealed(table if changed is None else changed, path)

    return plant


def _edit_table(name: str, change: Callable[[pd.DataFrame], pd.DataFrame | None]) -> Fault:
    """Return a fault that changes genes.parquet or labels.parquet."""

    def plant(folder: Path) -> None:
        path = folder / f"{name}.parquet"
        table = pd.read_parquet(path)
        changed = change(table)
        sealed(table if changed is None else changed, path)

    return plant


def _set(table: pd.DataFrame, row: int, column: str, value: object) -> None:
    values = table[column].astype(object)
    values[row] = value
    table[column] = values.astype(str) if isinstance(value, str) else values.convert_dtypes()


def set_signal(cell: str, column: str, value: object) -> Fault:
    """Put one value into a row of a cell type's signals."""

    def change(table: pd.DataFrame) -> None:
        _set(table, 130, column, value)

    return _edit_signals(cell, change)


def drop_rows(cell: str, rows: slice) -> Fault:
    """Remove rows of a cell type's signals."""
    return _edit_signals(cell, lambda table: table.drop(table.index[rows]))


def repeat_gene(cell: str, *, at_end: bool = False) -> Fault:
    """Write a cell type's first gene twice, the second time next to the first or at the end."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        first = table.iloc[:100]
        return pd.concat([table, first] if at_end else [first, table])

    return _edit_signals(cell, change)


def reorder_columns(cell: str) -> Fault:
    """Put the columns of two marks in the wrong order, each under its own name."""
    names = ["gene_id", "bin", *MARKS[1::-1], *MARKS[2:]]
    return _edit_signals(cell, lambda table: table[names])


def fractional(cell: str) -> Fault:
    """Turn a mark's counts into fractions."""
    return _edit_signals(cell, lambda table: table.assign(H3K4me1=table["H3K4me1"] / 3))


def constant_mark(mark: str, cells: list[str]) -> Fault:
    """Set a mark to zero."""

    def plant(folder: Path) -> None:
        for cell in cells:
            _edit_signals(cell, lambda table: table.assign(**{mark: np.uint16(0)}))(folder)

    return plant


def scale_mark(cell: str, mark: str, factor: float) -> Fault:
    """Multiply a mark's counts, rounded where the factor is not whole."""

    def change(table: pd.DataFrame) -> None:
        table[mark] = (table[mark] * factor).round().astype("uint16")

    return _edit_signals(cell, change)


def exchange_marks(cells: list[str], a: str, b: str) -> Fault:
    """Put each of two marks in the other's column."""

    def plant(folder: Path) -> None:
        for cell in cells:
            _edit_signals(cell, lambda t: t.assign(**{a: t[b], b: t[a]}))(folder)

    return plant


def reverse_bins(cell: str) -> Fault:
    """Reverse every gene's bins."""

    def change(table: pd.DataFrame) -> None:
        for mark in MARKS:
            table[mark] = table[mark].to_numpy().reshape(-1, 100)[:, ::-1].ravel()

    return _edit_signals(cell, change)


def orient_minus_strand(cell: str) -> Fault:
    """Flip the genes of the - strand, although the dataset says genomic orientation."""

    def plant(folder: Path) -> None:
        strand = pd.read_parquet(folder / "genes.parquet").set_index("gene_id")["strand"]

        def change(table: pd.DataFrame) -> None:
            minus = (strand.loc[table["gene_id"][::100]] == "-").to_numpy()
            for mark in MARKS:
                counts = table[mark].to_numpy().reshape(-1, 100).copy()
                counts[minus] = counts[minus, ::-1]
                table[mark] = counts.ravel()

        _edit_signals(cell, change)(folder)

    return plant


def swap_signals(a: str, b: str) -> Fault:
    """Exchange the signals of two cell types."""

    def plant(folder: Path) -> None:
        first, second = (folder / "signals" / f"{cell}.parquet" for cell in (a, b))
        content = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(content)

    return plant


def copy_signals(a: str, b: str) -> Fault:
    """Give cell type b the signals of a."""

    def plant(folder: Path) -> None:
        content = (folder / "signals" / f"{a}.parquet").read_bytes()
        (folder / "signals" / f"{b}.parquet").write_bytes(content)

    return plant


def cut_file(path: str) -> Fault:
    """Keep the first half of a file."""

    def plant(folder: Path) -> None:
        content = (folder / path).read_bytes()
        (folder / path).write_bytes(content[: len(content) // 2])

    return plant


def remove_file(path: str) -> Fault:
    """Remove a file."""
    return lambda folder: (folder / path).unlink()


def drop_genes(cell: str, share: float) -> Fault:
    """Remove the signals and labels of a share of a cell type's genes, at random."""

    def plant(folder: Path) -> None:
        labels = pd.read_parquet(folder / "labels.parquet")
        own = labels.loc[labels["cell"] == cell, "gene_id"]
        gone = set(own.sample(frac=share, random_state=0))
        _edit_signals(cell, lambda table: table[~table["gene_id"].isin(gone)])(folder)
        labels = labels[(labels["cell"] != cell) | ~labels["gene_id"].isin(gone)]
        sealed(labels, folder / "labels.parquet")

    return plant


def copy_genes(source: str, target: str, n: int) -> Fault:
    """Write n genes' signals of split `source` over those of genes of split `target`."""

    def plant(folder: Path) -> None:
        genes = pd.read_parquet(folder / "genes.parquet")
        originals = genes.loc[genes["split"] == source, "gene_id"].iloc[-n:]
        copies = genes.loc[genes["split"] == target, "gene_id"].iloc[-2 * n :]
        copies = copies[~copies.isin(originals)].iloc[-n:]
        for path in (folder / "signals").glob("*.parquet"):

            def change(table: pd.DataFrame) -> None:
                for original, copy in zip(originals, copies, strict=True):
                    rows = table["gene_id"] == original
                    table.loc[table["gene_id"] == copy, list(MARKS)] = table.loc[
                        rows, list(MARKS)
                    ].to_numpy()

            _edit_signals(path.stem, change)(folder)

    return plant


def share_tss(folder: Path) -> None:
    """Make one test gene a second gene at a training gene's TSS, as the archive has them."""
    copy_genes("test", "train", 1)(folder)

    def change(genes: pd.DataFrame) -> None:
        at = {split: genes.index[genes["split"] == split][-1] for split in ("train", "test")}
        for column in ("chrom", "tss", "strand"):
            genes.loc[at["train"], column] = genes.loc[at["test"], column]

    _edit_table("genes", change)(folder)


def shuffle_labels(cell: str, *, with_rpkm: bool) -> Fault:
    """Give a cell type's labels to its genes at random, with or without the RPKM behind them."""

    def change(labels: pd.DataFrame) -> None:
        own = labels.index[labels["cell"] == cell]
        columns = ["label", "rpkm"] if with_rpkm else ["label"]
        order = np.random.default_rng(0).permutation(own)
        labels.loc[own, columns] = labels.loc[order, columns].to_numpy()
        labels["label"] = labels["label"].astype("int8")

    return _edit_table("labels", change)


def label_all(cell: str, label: int) -> Fault:
    """Give all genes of a cell type one label."""

    def change(labels: pd.DataFrame) -> None:
        labels.loc[labels["cell"] == cell, "label"] = label

    return _edit_table("labels", change)


def labels_by_text(cell: str) -> Fault:
    """Label a cell type's genes by comparing RPKM with the median as text."""

    def plant(folder: Path) -> None:
        median = json.loads((folder / "dataset.json").read_text())["rpkm_median"][cell]

        def change(labels: pd.DataFrame) -> None:
            own = labels["cell"] == cell
            labels.loc[own, "label"] = text_labels(labels.loc[own, "rpkm"].to_numpy(), median)

        _edit_table("labels", change)(folder)

    return plant


def set_cell(table: str, column: str, value: object) -> Fault:
    """Put one value into a row of genes.parquet or labels.parquet."""

    def change(frame: pd.DataFrame) -> None:
        _set(frame, 7, column, value)

    return _edit_table(table, change)


def drop_column(table: str, column: str) -> Fault:
    """Remove a column of genes.parquet or labels.parquet."""
    return _edit_table(table, lambda frame: frame.drop(columns=column))


def gene_in_two_splits(folder: Path) -> None:
    """List a training gene in the test split as well."""

    def change(genes: pd.DataFrame) -> pd.DataFrame:
        first = genes[genes["split"] == "train"].iloc[:1]
        return pd.concat([genes, first.assign(split="test")])

    _edit_table("genes", change)(folder)


def drop_split(cell: str, split: str) -> Fault:
    """Lose all of a cell type's genes of one split."""

    def plant(folder: Path) -> None:
        genes = pd.read_parquet(folder / "genes.parquet")
        gone = set(genes.loc[genes["split"] == split, "gene_id"])
        _edit_signals(cell, lambda table: table[~table["gene_id"].isin(gone)])(folder)
        _edit_table("labels", lambda t: t[(t["cell"] != cell) | ~t["gene_id"].isin(gone)])(folder)

    return plant


def drop_label(folder: Path) -> None:
    """Remove one gene's label."""
    _edit_table("labels", lambda table: table.iloc[1:])(folder)


def set_info(**changes: object) -> Fault:
    """Change keys of dataset.json."""

    def plant(folder: Path) -> None:
        path = folder / "dataset.json"
        seals.write_json(path, seals.read_json(path, "") | changes)

    return plant


def together(*faults: Fault) -> Fault:
    """Plant several faults as one."""

    def plant(folder: Path) -> None:
        for fault in faults:
            fault(folder)

    return plant
