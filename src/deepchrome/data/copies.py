"""Genes with the same signals: which of them are copies, and which agree by chance.

Signals of few values, such as peak heights or binarised tracks, agree by chance; so how unlikely an
agreement is, is judged by the cell type's own signals. NumPy and pandas only.
"""

import hashlib

import numpy as np
import pandas as pd

from deepchrome import BIN_WIDTH, N_BINS

BY_CHANCE = 1e-3
"""A gene tells copies only where fewer agreements with it are expected among all pairs of genes."""

WINDOW = BIN_WIDTH * N_BINS
"""Length in bp of a gene's window."""

COMMON = 0.1
"""Share of genes; where more have the same signals, these are the rule and no copies."""

_CODES = 1 << 16
_CLASSES = 32
_BLOCK = 10
"""Bins of one stretch of a signal, which is smooth: a kernel or a fragment shapes all of them."""


def decades(X: np.ndarray) -> np.ndarray:
    """Return how unlikely it is that another gene has a gene's signals by chance.

    X: shape=(genes, bins, marks), counts or signal. Returns -log10 of that chance, shape=(genes,).

    The chance comes from a semi-Markov chain fitted on these genes, mark by mark: how often a value
    follows one of about the same size, and how often one stays for so many bins. It is taken for
    larger than the chain says, as domains of marks go together and may cover the windows of several
    genes: the value that a window begins with and how long its last one stays tell nothing, of
    marks that change at the same place one tells, of a signal's changes one in ten bins tells its
    value, and the square root of the chance counts.
    """
    told = np.zeros((len(X), X.shape[1] - 1))
    for m in range(X.shape[2]):
        gene, at, cost = _of_mark(X[:, :, m])
        told[gene, at] = np.maximum(told[gene, at], cost)
    return np.asarray(told.sum(axis=1) / 2)


def _of_mark(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where one mark's signals change: gene, bin before it, and -log10 of its chance."""
    gene, at = np.nonzero(values[:, 1:] != values[:, :-1])
    before, after = values[gene, at], values[gene, at + 1]
    first = np.diff(gene, prepend=-1) != 0
    length = np.where(first, at + 1, np.diff(at, prepend=0))
    kind = 2 * (before != 0) + first
    cost = _decades(kind, length, 4, N_BINS)
    value = _decades(_size(before), _code(after), _CLASSES, _CODES)
    if not np.issubdtype(values.dtype, np.integer):
        block = gene * N_BINS + at // _BLOCK
        value[np.diff(block, prepend=-1) == 0] = 0
    return gene, at, cost + value


def _decades(given: np.ndarray, found: np.ndarray, n_given: int, n_found: int) -> np.ndarray:
    """Return -log10 of how often each is found where the same is given; whole numbers below n."""
    both = given * n_found + found
    often = np.bincount(both, minlength=n_given * n_found).reshape(n_given, n_found)
    share = often / np.maximum(often.sum(axis=1, keepdims=True), 1)
    return -np.log10(share.ravel()[both])


def _size(values: np.ndarray) -> np.ndarray:
    """Return classes of values by powers of 2, from the largest down; 0 is a class of its own."""
    exponent = values.astype(np.float32).view(np.uint32) >> 23 & 0xFF
    below = exponent.max(initial=0) - exponent.astype(np.int64)
    return np.where(values == 0, _CLASSES - 1, np.minimum(below, _CLASSES - 2))


def _code(values: np.ndarray) -> np.ndarray:
    """Return a number of 16 bits for each value; a few values of a signal share one."""
    if np.issubdtype(values.dtype, np.integer):
        return values.astype(np.int64) % _CODES
    bits = (values.astype(np.float32) + 0.0).view(np.uint32)  # + 0.0: -0 is 0
    return (bits * np.uint32(2_654_435_769) >> 16).astype(np.int64)


def fingerprints(X: np.ndarray) -> np.ndarray:
    """Return a number of 64 bits of each gene's signals, 0 where another may agree by chance.

    X: shape=(genes, bins, marks), counts or signal.
    """
    pairs = len(X) * (len(X) - 1) / 2
    flat = np.ascontiguousarray(X).reshape(len(X), -1)
    if np.issubdtype(X.dtype, np.integer):
        flat = flat.astype("<u4")
    found = np.zeros(len(X), np.uint64)
    for i in np.flatnonzero(pairs * 10.0 ** -decades(X) < BY_CHANCE):
        found[i] = int.from_bytes(hashlib.blake2b(flat[i].tobytes(), digest_size=8).digest())
    _, which, alike = np.unique(found, return_inverse=True, return_counts=True)
    found[(alike > max(2, COMMON * len(X)))[which]] = 0
    return found


def twins(gene_id: np.ndarray, fingerprint: np.ndarray, genes: pd.DataFrame) -> pd.DataFrame:
    """Return a row per gene of a cell type that names a gene with the same signals, if any.

    fingerprint: as returned by `fingerprints`. genes: genes.parquet, indexed by gene_id. Columns:
    gene_id, split, tss, and the twin by where it is, null where there is none: across_splits and
    within_split, elsewhere in the genome; shared_tss, in another split, of a window that overlaps.
    """
    rows = pd.DataFrame({"gene_id": gene_id, "fingerprint": fingerprint})
    rows = rows.join(genes[["split", "chrom", "tss"]], on="gene_id")
    rows["across_splits"] = rows["within_split"] = rows["shared_tss"] = None
    alike = rows[(rows["fingerprint"] != 0) & rows["fingerprint"].duplicated(keep=False)]
    for _, group in alike.groupby("fingerprint"):
        for one in group.itertuples():
            others = group[group["gene_id"] != one.gene_id]
            same_place = (others["chrom"] == one.chrom) & (
                (others["tss"].astype("float64") - float(one.tss)).abs() < WINDOW
                if pd.notna(one.tss)
                else False
            )
            same_place = same_place.fillna(False).astype(bool)
            other_split = others["split"] != one.split
            for column, found in (
                ("across_splits", others[~same_place & other_split]),
                ("within_split", others[~same_place & ~other_split]),
                ("shared_tss", others[same_place & other_split]),
            ):
                if len(found):
                    twin = found.iloc[0]
                    text = f"{one.split}, as {twin['gene_id']} in {twin['split']}"
                    rows.loc[one.Index, column] = text
    return rows.drop(columns=["fingerprint", "chrom"]).astype(object)
