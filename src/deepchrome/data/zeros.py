"""Where a cell type's signals are zero throughout: of a mark on a chromosome, of a gene.

A file that lacks a chromosome, or names it otherwise, reads zero there.
"""

import numpy as np
import pandas as pd

from deepchrome import MARKS

BY_CHANCE = 0.02
"""A chromosome counts as missing where fewer than this many of a cell type's would be so by chance.

Two of twelve genes are enough where all the others have values.
"""

NO_MARK, SOME_MARKS = "no mark has a value", "a mark has no value"


def by_chromosome(X: np.ndarray, chrom: np.ndarray) -> pd.DataFrame:
    """Return a row per chromosome of a cell type's genes.

    X: shape=(genes, bins, marks). chrom: shape=(genes,), null where it is not known; such genes
    are left out. Columns: chrom, and what lacks values there though chance would give some, null
    where nothing does: NO_MARK, as the number of genes; SOME_MARKS, as the marks and that number.

    How often chance gives none to so many genes comes from the share of genes with a value on the
    other chromosomes that have any.
    """
    known = pd.notna(chrom)
    names, where = np.unique(chrom[known].astype(str), return_inverse=True)
    valued = X[known].any(axis=1)  # (genes, marks)
    genes = np.bincount(where, minlength=len(names))
    found = np.zeros((len(names), len(MARKS)))
    np.add.at(found, where, valued)
    rows = []
    for k, (name, n) in enumerate(zip(names, genes, strict=True)):
        others = (found > 0) & (np.arange(len(names)) != k)[:, None]
        total = np.where(others, genes[:, None], 0).sum(axis=0)
        share = (np.where(others, found, 0).sum(axis=0) + 0.5) / (total + 1)
        by_chance = len(names) * (1 - share) ** n
        silent = (found[k] == 0) & (total > 0) & (by_chance < BY_CHANCE)
        row: dict[str, object] = {"chrom": name, NO_MARK: None, SOME_MARKS: None}
        listed = ", ".join(mark for mark, one in zip(MARKS, silent, strict=True) if one)
        if silent.any() and found[k].any():
            row[SOME_MARKS] = f"{listed} in {n:,} genes"
        elif silent.any():
            row[NO_MARK] = f"{n:,} genes"
        rows.append(row)
    return pd.DataFrame(rows, columns=["chrom", NO_MARK, SOME_MARKS]).astype(object)


def by_gene(gene_id: np.ndarray, X: np.ndarray) -> pd.DataFrame:
    """Return a row per gene: gene_id, and in `no value` whether all marks are zero, else null."""
    empty = np.asarray(~X.any(axis=(1, 2)))
    said = pd.Series("all zero", range(len(empty))).where(empty, None)
    return pd.DataFrame({"gene_id": gene_id, "no value": said})
