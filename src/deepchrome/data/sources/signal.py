"""Signal tracks (bigWig, bedGraph) averaged over the bins of genes.

A bin's value is the mean over its 100 bases; a base without a value, or with nan, counts as 0.
"""

import contextlib
import math
import struct
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

_PIECE = 1 << 22
"""Bases that are read from a bigWig at once."""

_WINDOW = N_BINS * BIN_WIDTH


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
    """Read every base, not the windows alone: only so does the file's own sum tell of damage."""
    values = np.zeros((len(windows.gene_id), N_BINS), np.float32)
    covered, total = 0, 0.0
    with _open(path) as track:
        sizes: dict[str, int] = track.chroms()
        windows.naming.check(path, sizes, genes_from)
        of_gene_table = windows.naming.of(sizes)
        per_base = path.stat().st_size / sum(sizes.values())
        for chrom, size in sizes.items():
            genes = np.flatnonzero(windows.chrom == of_gene_table.get(chrom))
            first = windows.start[genes]
            before = np.zeros(_WINDOW, np.float32)
            for low in range(0, size, _PIECE):
                high = min(low + _PIECE, size)
                piece, n, of_piece = _piece(path, track, chrom, low, high)
                covered, total = covered + n, total + of_piece
                end = high + (_WINDOW if high == size else 0)
                whole = (first + _WINDOW > low) & (first + _WINDOW <= end)
                if whole.any():
                    after = np.zeros(end - high, np.float32)
                    bases = np.concatenate([before, piece, after])  # from low - _WINDOW
                for gene, at in zip(genes[whole], first[whole] - low + _WINDOW, strict=True):
                    of_bins = bases[at : at + _WINDOW].reshape(N_BINS, BIN_WIDTH)
                    values[gene] = of_bins.mean(axis=1, dtype=np.float64)
                before = np.concatenate([before, piece[-_WINDOW:]])[-_WINDOW:]
                on_progress(high - low, int(high * per_base) - int(low * per_base))
        _check_whole(path, covered, total)
    return Coverage(values, 0, sizes)


def _piece(
    path: Path, track: "pyBigWig.bigWigFile", chrom: str, low: int, high: int
) -> tuple[np.ndarray, int, float]:
    """Return the value of each base, 0 for none; how many have one; and the sum of all."""
    if not track.stats(chrom, low, high, type="coverage", exact=True)[0]:  # far faster
        return np.zeros(high - low, np.float32), 0, 0.0
    piece = track.values(chrom, low, high, numpy=True)
    there = ~np.isnan(piece)
    piece[~there] = 0
    wrong = ~(np.isfinite(piece) & (piece >= 0))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise DeepChromeError(
            f"{path}: {chrom}, base {low + at + 1:,}: found {piece[at]:g}, expected {SIGNAL}"
        )
    return piece, int(np.count_nonzero(there)), float(piece.sum(dtype=np.float64))


def _check_whole(path: Path, covered: int, total: float) -> None:
    """Refuse a file of which other values were read than its header sums up.

    covered, total: the number of bases with a value, and their sum, as read. A bigWig has no
    checksum: where its index is damaged, values are passed over without a word. Some writers sum
    nothing up, and leave zeros.
    """
    if not covered:
        raise DeepChromeError(
            f"{path}: found no values in any chromosome. Copy or download it again, or leave it out"
        )
    stated, stated_total = _summary(path)
    if not stated or math.isnan(stated_total):  # there values that are nan are counted, not here
        return
    for what, found, expected, off in (
        ("bases with a value", covered, stated, 0.0),
        ("the sum of values", total, stated_total, 1e-6 * total),
    ):
        if abs(found - expected) > off:
            raise DeepChromeError(
                f"{path}: damaged, or written wrong: {what}: found {found:,.0f}, expected "
                f"{expected:,.0f} as its header states. Copy or download it again, or write it "
                "anew with bigWigToBedGraph and bedGraphToBigWig"
            )


def _summary(path: Path) -> tuple[int, float]:
    """Return how many bases have a value, and the sum of values, as a bigWig's header states.

    pyBigWig 0.3.29 crashes on a sum that is nan. The places are those of Kent et al. 2010.
    """
    with path.open("rb") as file:
        file.seek(44)
        (at,) = struct.unpack("<Q", file.read(8))
        if not at:
            return 0, 0.0
        file.seek(at)
        stated, _, _, total = struct.unpack("<Qddd", file.read(32))
    return stated, total
