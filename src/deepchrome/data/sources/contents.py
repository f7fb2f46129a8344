"""What a file of reads or signal holds, by its first bytes and lines, whatever its name is.

A name is a promise that people break: peaks, segments and bedGraph are called .bed, an error page
of a server is saved as data. Counted as reads, they would give numbers that look like any others.
"""

import gzip
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from deepchrome.data.sources.text import damaged_gzip, is_gzip, open_text
from deepchrome.errors import DeepChromeError

LINES = 2_000
"""So many lines of data tell what a text file is."""

_BANNER_LINES = 100

LONGEST_LINE = 1 << 20

_BINARY = {
    b"BAM\1": "a BAM file",
    b"CRAM": "a CRAM file",
    b"\x26\xfc\x8f\x88": "a bigWig file",
    b"\x88\x8f\xfc\x26": "a bigWig file",
    b"\xeb\xf2\x89\x87": "a bigBed file",
    b"\x87\x89\xf2\xeb": "a bigBed file",
    b"BCF\2": "a BCF file of variants",
    b"BAI\1": "the index of a BAM file",
    b"CSI\1": "an index of a BAM or VCF file",
    b"TBI\1": "an index by tabix",
    b"\x89HDF": "an HDF5 file",
    b"%PDF": "a PDF file",
}
"""The first four bytes, unpacked, of files that are no text."""

_COMMENTS = ("#", "track ", "track\t", "browser ", "browser\t")
"""With which lines begin that are no data, wherever they stand."""

READS, PAIRS, BEDGRAPH = "aligned reads (BED)", "pairs of reads (BEDPE)", "a bedGraph"

_BANNERS = (
    (r"(?i)\s*(<!doctype|<html|<\?xml|<head)", "a web page, such as a server's error message"),
    (r"\s*[{[]\s*[\"{]", "JSON"),
    (r"##fileformat=VCF", "a VCF file of variants"),
    (r"##gff-version|#gtf-version", "a GTF or GFF file of annotation"),
    (r"@(HD|SQ|RG|PG|CO)\t", "SAM text"),
    (r"(fixedStep|variableStep)\s", "a wiggle file (fixedStep or variableStep)"),
    (r">\S", "a FASTA file"),
    (r"track\s.*type=['\"]?bedGraph", BEDGRAPH),
    (r"track\s.*type=['\"]?(narrowPeak|broadPeak|gappedPeak)", "a list of peaks"),
)
"""How lines begin that say by themselves what a file is."""

_ADVICE = {
    "SAM text": "make a BAM of it with 'samtools view -b'",
    "a CRAM file": "give it a name that ends in .cram, and its genome as reads.reference",
    "a BAM file": "give it a name that ends in .bam",
    "a bigWig file": "give it a name that ends in .bw",
    BEDGRAPH: "give it a name that ends in .bedGraph; it is signal, not reads",
    READS: "give it a name that ends in .bed; these are reads, not signal",
    PAIRS: "give it a name that ends in .bedpe; these are reads, not signal",
    "a bigBed file": "a bigBed holds regions, not signal; take the bigWig of the same experiment",
}


def is_comment(line: str) -> bool:
    """Tell whether a line is none of data: blank, a comment, or about display in a browser."""
    return not line.strip() or line.startswith(_COMMENTS) or line.strip() in ("track", "browser")


def unexpected(path: Path, found: str, expected: str) -> DeepChromeError:
    """Return the error for a file that holds something else than it should."""
    default = "take the file of aligned reads, or of signal, of the same experiment"
    return DeepChromeError(
        f"{path}: this is {found}; expected {expected}. What to do: {_ADVICE.get(found, default)}"
    )


def binary_kind(path: Path) -> str | None:
    """Name what a file is that is no text, such as "a BAM file"; None where it may be text."""
    try:
        with open(path, "rb") as file:
            start = file.read(4)
        if is_gzip(path):
            with gzip.open(path, "rb") as unpacked:
                start = unpacked.read(4)
    except FileNotFoundError:
        raise DeepChromeError(f"{path}: no such file") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise damaged_gzip(path, error) from None
    except OSError as error:
        raise DeepChromeError(f"{path}: cannot be read ({error.strerror or error})") from None
    return _BINARY.get(start)


def check_binary(path: Path, expected: str) -> None:
    """Refuse a file that is not `expected`, such as "a BAM file", and say what it is."""
    found = binary_kind(path)
    if found == expected:
        return
    if not path.stat().st_size:
        raise DeepChromeError(f"{path}: the file is empty; expected {expected}")
    if found is None:
        try:
            found = content_of(path, expected).what
        except DeepChromeError:
            raise DeepChromeError(
                f"{path}: not {expected}, or a damaged one; copy it again"
            ) from None
    raise unexpected(path, found, expected)


@dataclass(frozen=True)
class Content:
    """What a text file of intervals holds: `READS`, `PAIRS`, `BEDGRAPH` or something else.

    `columns`: how many each line has. `numeric`: whether most of column 4 are numbers.
    """

    what: str
    columns: int
    numeric: bool


def content_of(path: Path, expected: str) -> Content:
    """Tell what a text file holds, by its first lines.

    expected: what it should be, in messages. Raises DeepChromeError for what is no text.
    """
    rows: list[list[str]] = []
    banner = None
    first = 0
    with open_text(path, expected) as file:
        for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), ""), start=1):
            if len(line) == LONGEST_LINE:
                raise DeepChromeError(
                    f"{path}: line {number}: longer than {LONGEST_LINE:,} characters; expected "
                    f"{expected}"
                )
            if banner is None and number <= _BANNER_LINES:
                banner = next((what for how, what in _BANNERS if re.match(how, line)), None)
            if is_comment(line):
                continue
            first = first or number
            rows.append(line.rstrip("\r\n").split("\t"))
            if len(rows) == LINES:
                break
    if banner and banner != BEDGRAPH:
        return Content(banner, 0, False)
    if not rows:
        raise DeepChromeError(f"{path}: the file is empty; expected {expected}")
    table = _Table(rows)
    if table.width < 3:
        spaced = len(rows[0][0].split()) >= 3
        raise DeepChromeError(
            f"{path}: line {first}: found {len(rows[0])} columns"
            f"{' and spaces between words' if spaced else ''}, expected at least 3, separated by "
            "tabs: chromosome, start, end"
            + ("; put tabs in with \"tr -s ' ' '\\t'\"" if spaced else "")
        )
    what = BEDGRAPH if banner and table.width == 4 else _what(table)
    return Content(what, len(rows[0]), table.share(3, _is_number) > 0.5)


class _Table:
    """The first lines of a file, in columns numbered from 0."""

    def __init__(self, rows: list[list[str]]):
        n = len(rows[0])
        self.rows = [row for row in rows if len(row) == n]
        self.width = max(
            (i + 1 for row in self.rows for i in range(n) if row[i]), default=0
        )  # tabs at the end of lines are no columns

    def share(self, column: int, test: Callable[[str], object]) -> float:
        """Return the share of lines whose value in a column passes a test."""
        if column >= self.width:
            return 0.0
        return sum(bool(test(row[column])) for row in self.rows) / len(self.rows)

    def all(self, column: int, test: Callable[[str], object]) -> bool:
        """Tell whether a column holds what the test asks for; an odd line is let be."""
        return self.share(column, test) > 0.9

    @cached_property
    def places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Chromosome numbers, starts and ends of the intervals, sorted."""
        sound = [row for row in self.rows if _is_whole(row[1]) and _is_whole(row[2])]
        numbers = {name: i for i, name in enumerate(dict.fromkeys(row[0] for row in sound))}
        table = np.array(
            [(numbers[row[0]], int(row[1]), int(row[2])) for row in sound], np.int64
        ).reshape(-1, 3)
        return tuple(table[np.lexsort(table.T[[2, 1, 0]])].T)

    @cached_property
    def disjoint(self) -> bool:
        """Whether no interval overlaps another."""
        chrom, start, end = self.places
        return not ((chrom[1:] == chrom[:-1]) & (start[1:] < end[:-1])).any()

    @cached_property
    def adjacent(self) -> float:
        """The share of intervals that begin where another ends."""
        chrom, start, end = self.places
        same = chrom[1:] == chrom[:-1]
        return float((same & (start[1:] == end[:-1])).sum() / max(same.sum(), 1))

    @cached_property
    def alike(self) -> float:
        """The share of intervals that have the most frequent length."""
        _, start, end = self.places
        return float(np.unique(end - start, return_counts=True)[1].max(initial=0)) / len(self.rows)

    @property
    def stranded(self) -> bool:
        """Whether any line says on which strand it lies."""
        return self.share(5, lambda cell: cell in ("+", "-")) > 0


def _is_whole(cell: str) -> bool:
    return bool(re.fullmatch(r"-?[0-9]{1,18}", cell))


def _is_number(cell: str) -> bool:
    return bool(
        re.fullmatch(r"(?i)[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|[+-]?(nan|inf)", cell)
    )


def _is_strand(cell: str) -> bool:
    return cell in ("+", "-", ".", "")


def _is_cigar(cell: str) -> bool:
    return cell == "*" or bool(re.fullmatch(r"([0-9]+[MIDNSHP=X])+", cell))


_STATE = r"[EUS][0-9]+|[EUS]?[0-9]+_[A-Za-z0-9_/]+"
_PEAK = r"(?i)(.*[_.\-])?(peak|summit|region)[_.\-]?[0-9]+[a-z]?"
_GENE = r"ENS[A-Z]*[GT][0-9]{6,}.*|[NX][MR]_[0-9]+.*|uc[0-9]{3}[a-z]{3}.*"


def _what(table: _Table) -> str:
    """Say what a table holds, by its columns."""
    n, has = table.width, table.all
    if n >= 11 and has(1, _is_whole) and has(3, _is_whole) and has(5, _is_cigar):
        return "SAM text"
    if not has(1, _is_whole) and has(3, _is_whole) and has(4, _is_whole) and has(6, _is_strand):
        return "a GTF or GFF file of annotation"
    if n >= 8 and has(1, _is_whole) and not has(2, _is_whole) and has(3, _is_bases):
        return "a VCF file of variants"
    if not (has(1, _is_whole) and has(2, _is_whole)):
        return READS  # who reads on names the first line that is not what it should be
    return _what_intervals(table)


def _is_bases(cell: str) -> bool:
    return bool(re.fullmatch(r"(?i)[ACGTN]+", cell))


def _what_intervals(table: _Table) -> str:
    """Say what a table holds whose first columns are a chromosome, a start and an end."""
    n, has = table.width, table.all
    names = {row[0] for row in table.rows}
    if (
        n >= 6
        and has(4, _is_whole)
        and has(5, _is_whole)
        and table.share(3, lambda cell: cell == "." or cell in names) >= 0.5
    ):
        return PAIRS
    scores = all(has(i, _is_number) for i in (6, 7, 8))
    if n == 10 and scores and has(9, _is_whole):
        return "a list of peaks (narrowPeak)"
    if n == 9 and scores and not _has_thick(table):
        return "a list of peaks (broadPeak)"
    if n == 15 and all(has(i, _is_number) for i in (12, 13, 14)):
        return "a list of peaks (gappedPeak)"
    if has(3, _is_number) and n == 4:
        return READS if _names_are_numbers(table) else BEDGRAPH
    if has(3, _is_number) and not has(3, _is_whole):
        return "a table of regions with values in column 4"
    if n >= 4 and has(3, lambda cell: re.fullmatch(_PEAK, cell)):
        return "a list of peaks (their names say so)"
    if n >= 4 and has(3, lambda cell: re.fullmatch(_GENE, cell)):
        return "a table of genes or transcripts (their names say so)"
    if n >= 6 and not has(5, _is_strand):
        return f"a table of {n} columns, of which the sixth is no strand"
    if n in (10, 11) or n > 12:
        return f"a table of {n} columns, which no format of reads has"
    return _what_regions(table) or READS


def _has_thick(table: _Table) -> bool:
    """Tell whether columns 7 and 8 lie within the interval, as BED's thickStart and thickEnd do."""
    whole = [row for row in table.rows if all(_is_whole(row[i]) for i in (1, 2, 6, 7))]
    within = sum(int(r[1]) <= int(r[6]) <= int(r[7]) <= int(r[2]) for r in whole)
    return within > 0.9 * len(table.rows)


def _names_are_numbers(table: _Table) -> bool:
    """Tell reads in four columns, named by numbers, from a bedGraph.

    Values have decimals, or repeat along intervals of any length that do not overlap.
    """
    if not table.all(3, lambda cell: re.fullmatch(r"[0-9]+", cell)):
        return False
    if not table.disjoint:
        return True
    if table.adjacent >= 0.2 or _what_regions(table):
        return False
    distinct = len({row[3] for row in table.rows}) > 0.9 * len(table.rows)
    return distinct or table.alike > 0.9


def _what_regions(table: _Table) -> str | None:
    """Name regions without strand that do not overlap, if a table holds these: no reads do so."""
    _, start, end = table.places
    length = end - start
    if table.stranded or not table.disjoint or len(start) < 3:
        return None
    steps = not (length % 200).any()
    if table.all(3, lambda cell: re.fullmatch(_STATE, cell)) and steps:
        return "segments of the genome in chromatin states"
    tiled = table.adjacent >= (0.9 if table.alike > 0.9 else 0.5)
    if tiled and len(start) > 5:
        return "segments or bins that tile the genome"
    if np.median(length) >= 500:
        return "a list of regions (long, without strand, none overlaps another)"
    return None
