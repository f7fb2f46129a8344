"""Alignments of BAM and CRAM files, in any order: read by read, or fragment by fragment.

The readers are native code, which a damaged file can crash: who calls gives them a process of
their own (`native`, `in_processes`).
"""

import contextlib
import hashlib
import itertools
import os
import tempfile
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pysam

from deepchrome.data.sources.contents import check_binary
from deepchrome.data.sources.filters import Reads
from deepchrome.errors import DeepChromeError

BAM = (".bam",)
CRAM = (".cram",)

LEFT_OUT = 0x4 | 0x200 | 0x400
"""Flags: unmapped, failed quality checks, duplicate."""

_PAIRED, _PROPER, _NOT_PRIMARY = 0x1, 0x2, 0x100 | 0x800

_BATCH = 1 << 16
"""Alignments taken together."""

Progress = Callable[[int, int], None]
"""Called with reads and bytes since the last call."""


def kind_of(path: Path) -> str:
    """Return what a file should be by its name, "BAM" or "CRAM"."""
    return "CRAM" if path.name.lower().endswith(CRAM) else "BAM"


@contextlib.contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a native reader raises on a damaged file into a message."""
    try:
        yield
    except DeepChromeError:
        raise
    except Exception as error:  # the readers raise what they happen to
        reason = str(error).strip() or type(error).__name__
        raise DeepChromeError(
            f"{path}: truncated or damaged {kind} file ({reason}); copy or make it again"
        ) from None


@contextlib.contextmanager
def open_alignments(path: Path, reference: Path | None = None) -> Iterator[pysam.AlignmentFile]:
    """Open a BAM or CRAM file that is whole and has a header.

    reference: the FASTA file that a CRAM was made with; its header can be read without.
    Raises DeepChromeError where it is not, also for what is raised while the block reads.
    """
    kind = kind_of(path)
    check_binary(path, f"a {kind} file")
    pysam.set_verbosity(0)  # its message is ours
    # htslib would look for a reference that it misses on a server, or wherever the header says
    os.environ["REF_PATH"] = os.environ["REF_CACHE"] = os.devnull
    with contextlib.ExitStack() as stack:
        stack.enter_context(reading(path, kind))
        fasta = str(stack.enter_context(_indexed(reference))) if reference else None
        bam = stack.enter_context(
            pysam.AlignmentFile(str(path), check_sq=False, threads=1, reference_filename=fasta)
        )
        if not bam.nreferences:
            raise DeepChromeError(
                f"{path}: a {kind} file without header: it names no chromosomes (@SQ); "
                "put the header back with 'samtools reheader'"
            )
        yield bam


def sizes_of(path: Path) -> dict[str, int]:
    """Return the lengths of chromosomes that the header of a BAM or CRAM file states."""
    with open_alignments(path) as bam:
        return dict(zip(bam.references, bam.lengths, strict=True))


@contextlib.contextmanager
def _indexed(reference: Path) -> Iterator[Path]:
    """Give a FASTA file with an index, which is written elsewhere than beside it."""
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / reference.name
        link.symlink_to(reference.resolve())
        try:
            pysam.faidx(str(link))
        except Exception as error:
            raise DeepChromeError(
                f"{reference}: reads.reference: not a FASTA file, or a damaged one "
                f"({str(error).strip()}); expected the genome that the CRAM files were made with, "
                "plain or packed by bgzip"
            ) from None
        yield link


def alignments(
    path: Path, min_mapq: int, reference: Path | None, on_progress: Progress
) -> Iterator[Reads]:
    """Yield the alignments of a file that pass the flags and the least mapping quality."""

    def take(bam: pysam.AlignmentFile, batch: Iterator[pysam.AlignedSegment]) -> Reads:
        codes, start, end, minus = array("i"), array("q"), array("q"), array("b")
        seen = 0
        for read in batch:
            seen += 1
            if read.flag & LEFT_OUT or read.mapping_quality < min_mapq:
                continue
            length = read.reference_length  # None: unmapped; 1: perhaps no base is aligned
            if length and (length > 1 or _is_aligned(read)):
                codes.append(read.reference_id)
                start.append(read.reference_start)
                end.append(read.reference_start + length)
                minus.append(read.is_reverse)
        return _reads(bam, codes, start, end, np.array(minus, bool), seen)

    return _batches(path, reference, on_progress, take)


def fragments(
    path: Path, min_mapq: int, reference: Path | None, on_progress: Progress
) -> Iterator[Reads]:
    """Yield the fragments of paired-end reads: from the first to the last base of both mates.

    Both mates must be there, pass the flags and the least mapping quality, be flagged as properly
    paired and lie on the same chromosome; secondary and supplementary alignments are left out.
    Mates are found by name: few wait for theirs at a time, in files sorted by place or by name.
    Raises DeepChromeError for a file without such pairs.
    """
    waiting: dict[tuple[str, int], tuple[int, int, bool]] = {}
    pairs = singles = 0

    def take(bam: pysam.AlignmentFile, batch: Iterator[pysam.AlignedSegment]) -> Reads:
        nonlocal pairs, singles
        codes, start, end = array("i"), array("q"), array("q")
        seen = 0
        for read in batch:
            seen += 1
            flag = read.flag
            singles += not flag & _PAIRED
            wanted = flag & _PROPER and not flag & (LEFT_OUT | _NOT_PRIMARY)
            if not wanted or read.mapping_quality < min_mapq or not read.reference_length:
                continue
            key = read.query_name or "", read.reference_id
            first, last = read.reference_start, read.reference_start + read.reference_length
            mate = waiting.pop(key, None)
            if mate is None or mate[2] == read.is_read1:
                waiting[key] = first, last, read.is_read1
                continue
            codes.append(read.reference_id)
            start.append(min(first, mate[0]))
            end.append(max(last, mate[1]))
        pairs += len(codes)
        return _reads(bam, codes, start, end, None, seen)

    yield from _batches(path, reference, on_progress, take)
    if not pairs:
        found = "single-end reads" if singles else "no two mates that are properly paired"
        raise DeepChromeError(
            f"{path}: reads.fragments: true: found {found}, expected paired-end reads; set "
            "reads.fragments: false, and reads.extend to the length of fragments if you like"
        )


Take = Callable[[pysam.AlignmentFile, Iterator[pysam.AlignedSegment]], Reads]
"""Makes arrays of a batch of alignments, which it reads to its end."""


def _batches(
    path: Path, reference: Path | None, on_progress: Progress, take: Take
) -> Iterator[Reads]:
    """Yield what `take` makes of all alignments of a file, some at a time."""
    kind, size, done = kind_of(path), path.stat().st_size, 0
    if kind == "CRAM" and reference is None:
        raise DeepChromeError(
            f"{path}: a CRAM file, which needs the genome that it was made with: put the FASTA "
            "file into data.raw and name it as reads.reference"
        )
    try:
        with open_alignments(path, reference if kind == "CRAM" else None) as bam:
            iterator = bam.fetch(until_eof=True)
            more = True
            while more:
                reads = take(bam, itertools.islice(iterator, _BATCH))
                more = reads.seen == _BATCH
                # the file's own offset of a virtual one; a CRAM tells none
                position = bam.tell() >> 16 if kind == "BAM" and more else size
                yield reads
                on_progress(reads.seen, position - done)
                done = position
    except DeepChromeError as error:
        raise (reference and _of_another_reference(path, reference)) or error from None


def _of_another_reference(path: Path, reference: Path) -> DeepChromeError | None:
    """Return the error for a CRAM file made with another genome, by the MD5 of its sequences."""
    with open_alignments(path) as bam, _indexed(reference) as fasta:
        lines = [line for line in bam.header.to_dict()["SQ"] if "M5" in line]
        with pysam.FastaFile(str(fasta)) as sequences:
            for line in lines:
                name = line["SN"]
                if name not in sequences.references:
                    found = "which that file lacks"
                elif _md5(sequences.fetch(name)) != line["M5"]:
                    found = "whose sequence there is another (by its MD5)"
                else:
                    continue
                return DeepChromeError(
                    f"{path}: not made with {reference} (reads.reference): it has {name}, {found}; "
                    "give the genome that it was made with"
                )
    return None


def _md5(sequence: str) -> str:
    return hashlib.md5(sequence.upper().encode(), usedforsecurity=False).hexdigest()


def _reads(
    bam: pysam.AlignmentFile,
    codes: array,
    start: array,
    end: array,
    minus: np.ndarray | None,
    seen: int,
) -> Reads:
    found = np.array(codes, np.int32)
    return Reads(
        list(bam.references), found, np.array(start, np.int64), np.array(end, np.int64), minus, seen
    )


def _is_aligned(read: pysam.AlignedSegment) -> bool:
    """Tell whether an alignment covers a base of the reference (M, D, N, = or X in its CIGAR)."""
    return any(operation in (0, 2, 3, 7, 8) for operation, _ in read.cigartuples or ())
