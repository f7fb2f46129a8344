"""Signal tracks (bigWig, bedGraph) averaged over the bins of genes.

A bin's value is the mean over its 100 bases; a base without a value counts as 0.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyBigWig

from deepchrome import BIN_WIDTH, N_BINS
from deepchrome.data.sources.intervals import SIGNAL, read_blocks
from deepchrome.data.sources.reads import Coverage, Progress, note_furthest
from deepchrome.data.sources.windows import Sums, Windows
from deepchrome.errors import DeepChromeError

BEDGRAPH = (".bedgraph", ".bdg")
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
    sums = Sums(windows)
    furthest = dict[str, int]()
    position = done = seen = 0

    def on_bytes(read: int) -> None:
        nonlocal position
        position = read

    for block in read_blocks(path, {"value": pa.float64()}, limits, on_bytes):
        note_furthest(furthest, block.names, block.codes, block.end)
        code, near = windows.near(block.names, block.codes, block.start, block.end)
        value = block.extra["value"]
        sums.add(
            windows.place(code, block.start[near]),
            windows.place(code, block.end[near]),
            value[near],
        )
        seen += len(block.start)
        on_progress(len(block.start), position - done)
        done = position
    windows.naming.check(path, furthest, genes_from)
    return Coverage(sums.means().astype(np.float32), seen, furthest)


def open_bigwig(path: Path) -> "pyBigWig.bigWigFile":
    """Open a bigWig file, or say that it is none."""
    if not path.is_file():
        raise DeepChromeError(f"{path}: no such file")
    if not path.stat().st_size:
        raise DeepChromeError(f"{path}: the file is empty; expected a bigWig file")
    try:
        track = pyBigWig.open(str(path))
        if track is not None and track.isBigWig() and track.chroms():
            return track
    except RuntimeError:
        pass
    raise DeepChromeError(f"{path}: not a bigWig file, or a damaged one; copy it again")


def _bigwig(
    path: Path, windows: Windows, limits: dict[str, int], genes_from: str, on_progress: Progress
) -> Coverage:
    track = open_bigwig(path)
    sizes: dict[str, int] = track.chroms()
    windows.naming.check(path, sizes, genes_from)
    of_gene_table = {own: name for name, own in windows.naming.of(sizes).items()}
    values = np.zeros((len(windows.gene_id), N_BINS), np.float32)
    share = path.stat().st_size // max(len(values), 1)
    reported = 0
    for i, (own, first) in enumerate(zip(windows.chrom, windows.start, strict=True)):
        chrom = of_gene_table.get(own, own)
        low, high = max(int(first), 0), min(int(first) + N_BINS * BIN_WIDTH, sizes.get(chrom, 0))
        if low < high:
            try:
                there = np.asarray(track.values(chrom, low, high), np.float64)
            except RuntimeError as error:
                raise DeepChromeError(
                    f"{path}: truncated or damaged bigWig file ({error}); copy it again"
                ) from None
            there = np.where(np.isnan(there), 0, there)
            if not (np.isfinite(there) & (there >= 0)).all():
                at = int(np.argmax(~(np.isfinite(there) & (there >= 0))))
                raise DeepChromeError(
                    f"{path}: {chrom}, base {low + at + 1:,}: found {there[at]:g}, "
                    f"expected {SIGNAL}"
                )
            bases = np.zeros(N_BINS * BIN_WIDTH)
            bases[low - first : high - first] = there
            values[i] = bases.reshape(N_BINS, BIN_WIDTH).mean(axis=1)
        if (i + 1) % _EVERY == 0 or i + 1 == len(values):
            on_progress(i + 1 - reported, share * (i + 1 - reported))
            reported = i + 1
    track.close()
    return Coverage(values, 0, sizes)
