"""Signal tracks (bigWig, bedGraph) averaged over the bins of genes.

A bin's value is the mean over its 100 bases; a base without a value, or with nan, counts as 0.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyBigWig

from deepchrome import BIN_WIDTH, N_BINS
from deepchrome.data.sources import contents
from deepchrome.data.sources.alignments import Progress, reading
from deepchrome.data.sources.intervals import (
    BEDGRAPH,
    SIGNAL,
    Table,
    read_blocks,
    read_measured,
    table,
)
from deepchrome.data.sources.overhang import Overhang
from deepchrome.data.sources.reads import Coverage, note_furthest
from deepchrome.data.sources.tiling import Tiling, check_unsorted
from deepchrome.data.sources.windows import Sums, Windows
from deepchrome.errors import DeepChromeError

BEDGRAPH_NAMES = (".bedgraph", ".bdg", ".bg")
BIGWIG = (".bw", ".bigwig")

_EVERY = 500
"""Genes between two reports of progress."""


def average(
    path: Path,
    windows: Windows,
    limits: dict[str, int],
    genes_from: str,
    on_progress: Progress = lambda intervals, read: None,
) -> Coverage:
    """Average one file over the bins of `windows`; float32 values.

    Arguments and errors as of `reads.count`; a negative or infinite value is refused too.
    """
    bigwig = path.name.lower().endswith(BIGWIG)
    of: Callable[..., Coverage] = _bigwig if bigwig else _bedgraph
    return of(path, windows, limits, genes_from, on_progress)


def _bedgraph(
    path: Path, windows: Windows, limits: dict[str, int], genes_from: str, on_progress: Progress
) -> Coverage:
    of = _bedgraph_table(path, limits)
    sums, tiling, hanging = Sums(windows), Tiling(path), Overhang(limits)
    furthest = dict[str, int]()
    seen = 0
    for block in read_measured(of, on_progress):
        tiling.add(block)
        note_furthest(furthest, block.names, block.codes, block.end)
        hanging.note(block.names, block.codes, block.end)
        codes, start, end = block.codes, block.start, block.end
        value = block.extra["value"]
        valued = ~np.isnan(value)  # as a bigWig has it: no value
        if not valued.all():
            codes, start, end, value = (one[valued] for one in (codes, start, end, value))
        rows, end = hanging.clip(block.names, codes, start, end)
        codes, start, value = codes[rows], start[rows], value[rows]
        if len(codes):
            code, near = windows.near(block.names, codes, start, end)
            sums.add(windows.place(code, start[near]), windows.place(code, end[near]), value[near])
        seen += len(block.start)
    if not tiling.sorted:
        check_unsorted(path, lambda: read_blocks(of))
    windows.naming.check(path, furthest, genes_from)
    notes = hanging.notes(path, "intervals")
    return Coverage(sums.means().astype(np.float32), seen, furthest, notes)


def _bedgraph_table(path: Path, limits: dict[str, int]) -> Table:
    """Return what reading a bedGraph takes; refuse what is none, whatever its name."""
    expected = "a bedGraph (chromosome, start, end, value) or a bigWig"
    binary = contents.binary_kind(path)
    if binary:
        raise contents.unexpected(path, binary, expected)
    found = contents.content_of(path, expected)
    # reads named by numbers look alike: there the file's name decides
    if found.what != contents.BEDGRAPH and not (found.what == contents.READS and found.numeric):
        raise contents.unexpected(path, found.what, expected)
    return table(path, BEDGRAPH, found.columns, {"value": pa.float64()}, limits)


def sizes_of(path: Path) -> dict[str, int]:
    """Return the lengths of chromosomes that the header of a bigWig file states."""
    with _open(path) as track:
        return dict(track.chroms())


@contextlib.contextmanager
def _open(path: Path) -> Iterator["pyBigWig.bigWigFile"]:
    """Open a bigWig file, or say that it is none, or damaged, also while the block reads."""
    contents.check_binary(path, "a bigWig file")
    with reading(path, "bigWig"):
        track = pyBigWig.open(str(path))
        try:
            if not track.isBigWig() or not track.chroms():
                raise DeepChromeError(f"{path}: a bigWig file that names no chromosomes")
            yield track
        finally:
            track.close()


def _bigwig(
    path: Path, windows: Windows, limits: dict[str, int], genes_from: str, on_progress: Progress
) -> Coverage:
    values = np.zeros((len(windows.gene_id), N_BINS), np.float32)
    share = path.stat().st_size // max(len(values), 1)
    reported = 0
    with _open(path) as track:
        sizes: dict[str, int] = track.chroms()
        windows.naming.check(path, sizes, genes_from)
        of_gene_table = {own: name for name, own in windows.naming.of(sizes).items()}
        for i, (own, first) in enumerate(zip(windows.chrom, windows.start, strict=True)):
            chrom = of_gene_table.get(own, own)
            low = max(int(first), 0)
            high = min(int(first) + N_BINS * BIN_WIDTH, sizes.get(chrom, 0))
            if low < high:
                bases = np.zeros(N_BINS * BIN_WIDTH)
                bases[low - first : high - first] = _bases(path, track, chrom, low, high)
                values[i] = bases.reshape(N_BINS, BIN_WIDTH).mean(axis=1)
            if (i + 1) % _EVERY == 0 or i + 1 == len(values):
                on_progress(i + 1 - reported, share * (i + 1 - reported))
                reported = i + 1
    return Coverage(values, 0, sizes)


def _bases(path: Path, track: "pyBigWig.bigWigFile", chrom: str, low: int, high: int) -> np.ndarray:
    """Return the value of each base from `low` to `high`, 0 where it has none."""
    there = np.asarray(track.values(chrom, low, high), np.float64)
    there = np.where(np.isnan(there), 0, there)
    wrong = ~(np.isfinite(there) & (there >= 0))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise DeepChromeError(
            f"{path}: {chrom}, base {low + at + 1:,}: found {there[at]:g}, expected {SIGNAL}"
        )
    return there
