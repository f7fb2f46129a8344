"""Aligned reads (tagAlign, BED, BAM) counted in the bins of genes.

A read counts in every bin that its alignment overlaps by 1 bp or more, from its first to its last
aligned base (introns and deletions included, clipped bases not): the counts of `bedtools multicov`
with its defaults. Of a BAM, alignments flagged as duplicates or as failing quality checks are left
out, secondary and supplementary ones are counted, as there; unmapped reads, which multicov counts
where their mate lies, are not. With `CountRule.fragments`, both mates of a pair count as one, from
the first to the last base of the two.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from deepchrome.data.sources import alignments, contents, intervals
from deepchrome.data.sources.alignments import BAM, CRAM, Progress
from deepchrome.data.sources.contents import PAIRS, READS, Content
from deepchrome.data.sources.filters import Blacklist, Duplicates, Reads
from deepchrome.data.sources.overhang import Overhang
from deepchrome.data.sources.windows import Overlaps, Windows
from deepchrome.errors import DeepChromeError

TEXT = (".tagalign", ".bed", ".bedpe")


@dataclass(frozen=True)
class CountRule:
    """How aligned reads become the values of bins.

    count: "overlap", in every bin that a read overlaps, or "five_prime", in that of its 5' end.
    extend: bp that a read covers at least, from its 5' end. min_mapq: the least mapping quality.
    drop_duplicates: of reads with the same 5' end and strand, keep the first. depth: "raw" counts,
    or "cpm", per million reads of the file that pass the filters. input: "subtract" the input
    control of each cell type, where samples.tsv names one, or "ignore" it. fragments: count each
    properly paired fragment once, rather than each mate. blacklist: a BED file; reads that overlap
    it are left out. reference: the FASTA file of CRAM files.
    """

    count: str
    extend: int
    min_mapq: int
    drop_duplicates: bool
    depth: str
    input: str
    fragments: bool = False
    blacklist: str | None = None
    reference: str | None = None

    @property
    def needs_strand(self) -> bool:
        return self.count == "five_prime" or self.extend > 0 or self.drop_duplicates


@dataclass(frozen=True)
class Coverage:
    """What one file gives: `values`, shape=(genes, bins), and what was seen on the way.

    `reads`: those that passed the filters, wherever they lie. `furthest`: the last base of each
    chromosome that any read reaches. `notes`: what deserves attention, with the file's name.
    """

    values: np.ndarray
    reads: int
    furthest: dict[str, int]
    notes: list[str] = field(default_factory=list)


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
    overlaps = Overlaps(windows)
    duplicates = Duplicates() if rule.drop_duplicates else None
    blacklist = Blacklist(Path(rule.blacklist)) if rule.blacklist else None
    hanging = Overhang(limits)
    total, furthest = 0, dict[str, int]()
    for reads in _blocks(path, rule, limits, on_progress):
        if not len(reads):
            continue
        note_furthest(furthest, reads.names, reads.codes, reads.end)
        hanging.note(reads.names, reads.codes, reads.end)
        if blacklist:
            reads = blacklist.without(reads, windows.naming.of([*reads.names, *blacklist.names]))
        if duplicates and len(reads):
            reads = duplicates.without(reads)
        total += len(reads)
        if not len(reads):
            continue
        start, end = _extent(reads, rule)
        rows, end = hanging.clip(reads.names, reads.codes, start, end)
        codes, start = reads.codes[rows], start[rows]
        if not len(codes):
            continue
        code, near = windows.near(reads.names, codes, start, end)
        overlaps.add(windows.place(code, start[near]), windows.place(code, end[near]))
    if not furthest:
        raise DeepChromeError(f"{path}: no aligned reads here")
    windows.naming.check(path, furthest, genes_from)
    notes = hanging.notes(path, "reads")
    if blacklist:
        blacklist.check(path, list(furthest), windows.naming.of([*furthest, *blacklist.names]))
        notes.append(f"{path}: {blacklist.left_out:,} reads in {rule.blacklist} are left out")
    counts = overlaps.counts()
    if counts.max() <= np.iinfo(np.uint16).max:
        counts = counts.astype(np.uint16)  # many files are held at once
    return Coverage(counts, total, furthest, notes)


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


def _blocks(
    path: Path, rule: CountRule, limits: dict[str, int], on_progress: Progress
) -> Iterator[Reads]:
    """Yield the reads of a file, or its fragments, that have the least mapping quality."""
    if path.name.lower().endswith((*BAM, *CRAM)):
        of = alignments.fragments if rule.fragments else alignments.alignments
        reference = Path(rule.reference) if rule.reference else None
        return of(path, rule.min_mapq, reference, on_progress)
    expected = "aligned reads (BAM, CRAM, BED, tagAlign or BEDPE)"
    binary = contents.binary_kind(path)
    if binary:
        raise contents.unexpected(path, binary, expected)
    found = contents.content_of(path, expected)
    if found.what == PAIRS:
        return _pairs(path, found, rule, limits, on_progress)
    if found.what != READS:
        raise contents.unexpected(path, found.what, expected)
    if path.name.lower().removesuffix(".gz").removesuffix(".bgz").endswith(".bedpe"):
        raise contents.unexpected(path, READS, "pairs of reads (BEDPE), as its name says")
    if rule.fragments:
        raise DeepChromeError(
            f"{path}: reads.fragments: true: found reads one by one (BED), expected pairs (BEDPE, "
            "or a BAM of paired-end reads). Where each line is a fragment already, set "
            "reads.fragments: false"
        )
    return _text(path, found, rule, limits, on_progress)


def _text(
    path: Path, found: Content, rule: CountRule, limits: dict[str, int], on_progress: Progress
) -> Iterator[Reads]:
    """Yield the reads of a tagAlign or BED file; a mapping quality stands in its score column."""
    types: dict[str, pa.DataType] = {}
    if rule.min_mapq:
        types["score"] = pa.int64()
    if rule.needs_strand:
        types["strand"] = intervals.STRAND
    of = intervals.table(path, intervals.BED, found.columns, types, limits)
    for block in intervals.read_measured(of, on_progress):
        yield _good(block, rule)


def _pairs(
    path: Path, found: Content, rule: CountRule, limits: dict[str, int], on_progress: Progress
) -> Iterator[Reads]:
    """Yield the mates of a BEDPE file, or its fragments; column 8 holds a mapping quality.

    A mate that is not aligned ('.') counts nowhere. A fragment has both, on one chromosome.
    """
    whole = pa.int64()
    types = {"chrom2": intervals.CHROM, "start2": whole, "end2": whole}
    if rule.min_mapq:
        types["score"] = whole
    if rule.needs_strand:
        types |= {"strand": intervals.STRAND, "strand2": intervals.STRAND}
    of = intervals.table(path, intervals.BEDPE, found.columns, types, limits)
    for block in intervals.read_measured(of, on_progress):
        first, second = intervals.mates(block)
        if rule.fragments:
            yield _good(intervals.fragments(block), rule)
        else:
            yield _good(first, rule)
            yield _good(second, rule)


def _good(block: intervals.Block, rule: CountRule) -> Reads:
    """Return the reads of a block that have the least mapping quality."""
    extra = block.extra
    reads = Reads(
        block.names, block.codes, block.start, block.end, extra.get("strand"), len(block.start)
    )
    return reads.where(extra["score"] >= rule.min_mapq) if rule.min_mapq else reads
