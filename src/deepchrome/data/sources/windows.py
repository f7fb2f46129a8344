"""The bins of a gene table on the genome, and how many reads lie in each."""

from functools import cached_property

import numpy as np
import pandas as pd

from deepchrome import BIN_WIDTH, N_BINS
from deepchrome.data.sources.chromosomes import Naming

_STRIDE = 1 << 34
"""Between the places of two chromosomes on one axis; longer than any chromosome."""

_MARGIN = 1 << 16
"""Before each chromosome's first base: windows may start before it."""

_CELL_BITS = 12
"""Chromosomes are cut into cells of 4,096 bp, to tell quickly which reads are near a window."""


class Windows:
    """The windows of genes: 100 bins of 100 bp, bin b from TSS - 5000 + 100 (b - 1), half-open.

    All chromosomes lie on one axis, and `edges` are the distinct ends of bins on it, sorted. A read
    [start, end) overlaps a bin [s, e) by 1 bp or more where start < e and not end <= s. So counting
    starts and ends between the edges counts the reads of every bin exactly, in memory that depends
    on the number of bins alone.

    genes: chrom, tss (1-based) and strand, indexed by gene_id, sorted. naming: what files may call
    their chromosomes.
    """

    def __init__(self, genes: pd.DataFrame, naming: Naming | None = None):
        self.naming = naming or Naming(genes["chrom"])
        self.gene_id = genes.index.to_numpy(object)
        self.chrom = genes["chrom"].to_numpy(object)
        self.tss = genes["tss"].to_numpy(np.int64)
        self.names = sorted(set(self.chrom))
        code = pd.Index(self.names).get_indexer(self.chrom)
        self.start = self.tss - BIN_WIDTH * N_BINS // 2
        bins = np.arange(N_BINS + 1) * BIN_WIDTH
        base = code.astype(np.int64) * _STRIDE + _MARGIN
        axis = (base + self.start)[:, None] + bins
        self.edges, at = np.unique(axis, return_inverse=True)
        self.at = at.reshape(axis.shape).astype(np.int32)
        """Where each gene's ends of bins stand among `edges`: shape=(genes, bins + 1)."""

    @cached_property
    def _near(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return which cells hold a part of a window, and each chromosome's first cell and last."""
        code = pd.Index(self.names).get_indexer(self.chrom)
        first = np.maximum(self.start, 0) >> _CELL_BITS
        last = np.maximum(self.start + BIN_WIDTH * N_BINS - 1, 0) >> _CELL_BITS
        cells = np.zeros(len(self.names), np.int64)
        np.maximum.at(cells, code, last + 2)  # the last cell is never near: what lies beyond
        begin = np.concatenate([[0], np.cumsum(cells)[:-1]])
        near = np.zeros(int(cells.sum()), bool)
        for step in range(int((last - first).max()) + 1):
            near[begin[code] + np.minimum(first + step, last)] = True
        return near, begin, begin + cells - 1

    def near(
        self, names: list[str], codes: np.ndarray, start: np.ndarray, end: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the chromosome numbers and the indices of the reads that may overlap a window.

        names, codes: chromosome names and, per read, an index into them. The numbers are for
        `place`; they are one alone where all reads lie on one chromosome, as in most blocks of a
        sorted file.
        """
        near, begin, beyond = self._near
        own = self.naming.of(names)
        code = pd.Index(self.names).get_indexer([own.get(name) for name in names]).astype(np.int64)
        same = codes[0] == codes[-1] and (codes == codes[0]).all()
        code = code[codes[:1]] if same else code[codes]
        known = code >= 0
        first, last = begin[code], beyond[code]  # of -1, of no matter

        def at(position: np.ndarray) -> np.ndarray:
            return near[np.minimum(first + (position >> _CELL_BITS), last)]

        long = end - start > 1 << _CELL_BITS
        found = np.flatnonzero(known & (at(start) | at(end - 1) | long))
        return (code if same else code[found]), found

    def place(self, code: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Return positions on the common axis, int64."""
        return code * _STRIDE + _MARGIN + position

    def leaving(self, sizes: dict[str, int]) -> np.ndarray:
        """Return which windows leave their chromosome, as far as its length is known."""
        end = self.start + BIN_WIDTH * N_BINS
        length = np.array([sizes.get(name, np.iinfo(np.int64).max) for name in self.chrom])
        return (self.start < 0) | (end > length)


class Overlaps:
    """Counts reads in bins, block by block."""

    def __init__(self, windows: Windows):
        self._windows = windows
        n = len(windows.edges) + 1
        self._starts, self._ends = np.zeros(n, np.int64), np.zeros(n, np.int64)

    def add(self, start: np.ndarray, end: np.ndarray) -> None:
        """Count reads [start, end), places on the common axis, start < end."""
        if len(start):
            edges = self._windows.edges
            _tally(self._starts, np.searchsorted(edges, start, "right"))
            _tally(self._ends, np.searchsorted(edges, end, "left"))

    def counts(self) -> np.ndarray:
        """Return the reads of every bin, int64, shape=(genes, bins)."""
        started, ended = np.cumsum(self._starts), np.cumsum(self._ends)
        at = self._windows.at
        return started[at[:, 1:]] - ended[at[:, :-1]]


def _tally(totals: np.ndarray, at: np.ndarray) -> None:
    """Add 1 to `totals` at each of `at`; only their range is touched, small in a sorted file."""
    low = int(at.min())
    counted = np.bincount(at - low)
    totals[low : low + len(counted)] += counted


class Sums:
    """Sums a signal over bins, block by block: of each base its value, 0 where it has none."""

    def __init__(self, windows: Windows):
        self._windows = windows
        self._between = np.zeros(max(len(windows.edges) - 1, 1))

    def add(self, start: np.ndarray, end: np.ndarray, value: np.ndarray) -> None:
        """Add intervals [start, end), places on the common axis, each base of which has `value`."""
        edges = self._windows.edges
        first = np.maximum(np.searchsorted(edges, start, "right") - 1, 0)
        last = np.minimum(np.searchsorted(edges, end, "left"), len(edges) - 1)
        n = np.maximum(last - first, 0)
        piece = np.repeat(first, n) + np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
        low = np.maximum(edges[piece], np.repeat(start, n))
        high = np.minimum(edges[piece + 1], np.repeat(end, n))
        weights = np.repeat(value, n) * (high - low)
        self._between += np.bincount(piece, weights, minlength=len(self._between))

    def means(self) -> np.ndarray:
        """Return the mean of every bin, float64, shape=(genes, bins)."""
        at = self._windows.at
        # pairs (first piece, one past the last); reduceat sums within pairs and between them
        pairs = np.stack([at[:, :-1], at[:, 1:]], axis=-1).ravel()
        padded = np.append(self._between, 0.0)
        return np.add.reduceat(padded, pairs)[::2].reshape(len(at), N_BINS) / BIN_WIDTH
