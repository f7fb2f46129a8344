"""Aligned reads (tagAlign, BED, BAM) counted in the bins of genes.

A read counts in every bin that its alignment overlaps by 1 bp or more, from its first to its last
aligned base (introns and deletions included, clipped bases not): the counts of `bedtools multicov`
with its defaults. Of a BAM, alignments flagged as duplicates or as failing quality checks are left
out, secondary and supplementary ones are counted, as there; unmapped reads, which multicov counts
where their mate lies, are not.
"""

import itertools
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pysam

from deepchrome.data.sources.intervals import read_blocks
from deepchrome.data.sources.windows import Overlaps, Windows
from deepchrome.errors import DeepChromeError

TEXT = (".tagalign", ".bed")
BAM = (".bam",)

_LEFT_OUT = 0x4 | 0x200 | 0x400
"""Flags of a BAM: unmapped, failed quality checks, duplicate."""

_BATCH = 1 << 16
"""Alignments of a BAM taken together."""


@dataclass(frozen=True)
class CountRule:
    """How aligned reads become the values of bins.

    count: "overlap", in every bin that a read overlaps, or "five_prime", in that of its 5' end.
    extend: bp that a read covers at least, from its 5' end. min_mapq: the least mapping quality.
    drop_duplicates: of reads with the same 5' end and strand, keep the first. depth: "raw" counts,
    or "cpm", per million reads of the file that pass the filters. input: "subtract" the input
    control of each cell type, where samples.tsv names one, or "ignore" it.
    """

    count: str
    extend: int
    min_mapq: int
    drop_duplicates: bool
    depth: str
    input: str

    @property
    def needs_strand(self) -> bool:
        return self.count == "five_prime" or self.extend > 0 or self.drop_duplicates


@dataclass(frozen=True)
class Coverage:
    """What one file gives: `values`, shape=(genes, bins), and what was seen on the way.

    `reads`: those that passed the filters, wherever they lie. `furthest`: the last base of each
    chromosome that any read reaches.
    """

    values: np.ndarray
    reads: int
    furthest: dict[str, int]


@dataclass(frozen=True)
class Reads:
    """Some reads: names of chromosomes and, per read, an index into them, start, end, strand."""

    names: list[str]
    codes: np.ndarray
    start: np.ndarray
    end: np.ndarray
    minus: np.ndarray | None
    seen: int
    """Reads before filters."""


Progress = Callable[[int, int], None]
"""Called with reads and bytes since the last call."""


def count(
    path: Path,
    windows: Windows,
    rule: CountRule,
    limits: dict[str, int],
    genes_from: str,
    on_progress: Progress = lambda reads, read: None,
) -> Coverage:
    """Count the reads of one file in the bins of `windows`, in one pass.

    limits: lengths of chromosomes, where known. genes_from: names the gene table in messages.
    Raises DeepChromeError that names the file, the line and what is wrong with it.
    """
    bam = path.name.lower().endswith(BAM)
    blocks = _bam(path, rule, on_progress) if bam else _text(path, rule, limits, on_progress)
    overlaps = Overlaps(windows)
    duplicates = _Duplicates() if rule.drop_duplicates else None
    total, furthest = 0, dict[str, int]()
    for reads in blocks:
        total += len(reads.start)
        if not len(reads.start):
            continue
        note_furthest(furthest, reads.names, reads.codes, reads.end)
        if duplicates:
            reads, dropped = duplicates.without(reads)
            total -= dropped
            if not len(reads.start):
                continue
        start, end = _extent(reads, rule)
        code, near = windows.near(reads.names, reads.codes, start, end)
        overlaps.add(windows.place(code, start[near]), windows.place(code, end[near]))
    if not furthest:
        raise DeepChromeError(f"{path}: no aligned reads here")
    windows.naming.check(path, furthest, genes_from)
    counts = overlaps.counts()
    if counts.max() <= np.iinfo(np.uint16).max:
        counts = counts.astype(np.uint16)  # many files are held at once
    return Coverage(counts, total, furthest)


def note_furthest(
    furthest: dict[str, int], names: list[str], codes: np.ndarray, end: np.ndarray
) -> None:
    """Raise the last position seen of each chromosome by those of a block."""
    present = np.flatnonzero(np.bincount(codes, minlength=len(names)))
    for number in present:
        here = end if len(present) == 1 else end[codes == number]
        furthest[names[number]] = max(furthest.get(names[number], 0), int(here.max()))


def _extent(reads: Reads, rule: CountRule) -> tuple[np.ndarray, np.ndarray]:
    """Return where each read counts: as aligned, extended from its 5' end, or that end alone."""
    start, end = reads.start, reads.end
    if rule.count == "five_prime":
        assert reads.minus is not None
        first = np.where(reads.minus, end - 1, start)
        return first, first + 1
    if rule.extend:
        minus = reads.minus
        assert minus is not None
        long = end - start >= rule.extend
        ends = np.where(minus | long, end, start + rule.extend)
        starts = np.where(minus & ~long, np.maximum(end - rule.extend, 0), start)
        return starts, ends
    return start, end


class _Duplicates:
    """Remembers the 5' ends seen: one bit for each position and strand.

    The bits of a chromosome are allocated whole but, untouched, take no memory.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, bool], np.ndarray] = {}

    def without(self, reads: Reads) -> tuple[Reads, int]:
        """Return the reads whose chromosome, 5' end and strand are new, and how many are not."""
        assert reads.minus is not None
        first = np.where(reads.minus, reads.end - 1, reads.start)
        keep = np.zeros(len(first), bool)
        for code in np.flatnonzero(np.bincount(reads.codes, minlength=len(reads.names))):
            for minus in (False, True):
                rows = np.flatnonzero((reads.codes == code) & (reads.minus == minus))
                if not len(rows):
                    continue
                place, at = np.unique(first[rows], return_index=True)
                bits = self._bits((reads.names[code], minus), int(place[-1]))
                byte, bit = place >> 3, (1 << (place & 7)).astype(np.uint8)
                new = (bits[byte] & bit) == 0
                np.bitwise_or.at(bits, byte[new], bit[new])
                keep[rows[at[new]]] = True
        kept = Reads(
            reads.names,
            reads.codes[keep],
            reads.start[keep],
            reads.end[keep],
            reads.minus[keep],
            reads.seen,
        )
        return kept, int((~keep).sum())

    def _bits(self, key: tuple[str, bool], position: int) -> np.ndarray:
        """Return the bits of a chromosome's strand, long enough for a position."""
        bits = self._seen.get(key)
        size = (position >> 3) + 1
        if bits is None or len(bits) < size:
            longer = np.zeros(max(size, 1 << 16, 0 if bits is None else 2 * len(bits)), np.uint8)
            if bits is not None:
                longer[: len(bits)] = bits
            self._seen[key] = bits = longer
        return bits


def _text(
    path: Path, rule: CountRule, limits: dict[str, int], on_progress: Progress
) -> Iterator[Reads]:
    """Yield the reads of a tagAlign or BED file; a mapping quality stands in its score column."""
    columns: dict[str, pa.DataType] = {}
    if rule.min_mapq:
        columns["score"] = pa.int64()
    if rule.needs_strand:
        columns["strand"] = pa.dictionary(pa.int32(), pa.string())
    position = done = 0

    def on_bytes(read: int) -> None:
        nonlocal position
        position = read

    for block in read_blocks(path, columns, limits, on_bytes):
        codes, start, end = block.codes, block.start, block.end
        minus = block.extra.get("strand")
        seen = len(start)
        if rule.min_mapq:
            good = block.extra["score"] >= rule.min_mapq
            codes, start, end = codes[good], start[good], end[good]
            minus = minus[good] if minus is not None else None
        yield Reads(block.names, codes, start, end, minus, seen)
        on_progress(seen, position - done)
        done = position


def _bam(path: Path, rule: CountRule, on_progress: Progress) -> Iterator[Reads]:
    """Yield the alignments of a BAM file, in any order."""
    with open_bam(path) as bam:
        names = list(bam.references)
        position = done = 0
        iterator = bam.fetch(until_eof=True)
        seen = _BATCH
        while seen == _BATCH:
            codes, start, end, minus = array("i"), array("q"), array("q"), array("b")
            seen = 0
            try:
                for read in itertools.islice(iterator, _BATCH):
                    seen += 1
                    if read.flag & _LEFT_OUT or read.mapping_quality < rule.min_mapq:
                        continue
                    length = read.reference_length  # None: unmapped; 1: perhaps no base is aligned
                    if length and (length > 1 or _is_aligned(read)):
                        codes.append(read.reference_id)
                        start.append(read.reference_start)
                        end.append(read.reference_start + length)
                        minus.append(read.is_reverse)
            except OSError as error:
                raise _damaged_bam(path, error) from None
            position = bam.tell() >> 16  # the file's own offset of a virtual one
            yield Reads(
                names,
                np.frombuffer(codes, np.int32) if codes else np.empty(0, np.int32),
                np.array(start, np.int64),
                np.array(end, np.int64),
                np.array(minus, bool),
                seen,
            )
            on_progress(seen, position - done)
            done = position


def _is_aligned(read: pysam.AlignedSegment) -> bool:
    """Tell whether an alignment covers a base of the reference (M, D, N, = or X in its CIGAR)."""
    return any(operation in (0, 2, 3, 7, 8) for operation, _ in read.cigartuples or ())


def open_bam(path: Path) -> pysam.AlignmentFile:
    """Open a BAM file that is whole and has a header.

    Raises DeepChromeError where it is not.
    """
    pysam.set_verbosity(0)  # its message is ours
    try:
        bam = pysam.AlignmentFile(str(path), "rb", check_sq=False, threads=1)
    except FileNotFoundError:
        raise DeepChromeError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        if path.stat().st_size == 0:
            raise DeepChromeError(f"{path}: the file is empty; expected a BAM file") from None
        raise _damaged_bam(path, error) from None
    if not bam.nreferences:
        bam.close()
        raise DeepChromeError(
            f"{path}: a BAM file without header: it names no chromosomes (@SQ); "
            "put the header back with 'samtools reheader'"
        )
    return bam


def _damaged_bam(path: Path, error: Exception) -> DeepChromeError:
    return DeepChromeError(
        f"{path}: truncated or damaged BAM file ({str(error).strip()}); copy or sort it again"
    )
