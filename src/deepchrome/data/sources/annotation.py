"""Formats of gene tables (TSV, GTF, GFF3, BED), told apart by what a file holds, not by its name.

Each is read as rows of text with their physical line numbers; `genes` checks them.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO
from urllib.parse import unquote

from deepchrome.data.sources.text import open_text, unquoted
from deepchrome.errors import DeepChromeError, listing

EXPECTED = "a gene table (TSV, GTF, GFF3 or BED)"

_GENE = re.compile(r"(\w+_)?(pseudo)?gene")
"""Features that are genes: Ensembl's GFF3 calls some ncRNA_gene or pseudogene."""

_PARTS = ("transcript", "mRNA", "exon")
"""Features that a gene reaches over, where it has no line of its own."""

_Part = tuple[int, str | None, str, str, int, int]
"""One of them: line, symbol of the gene, chromosome, strand, first and last base."""

_OF_GENE = re.compile(r'gene_id "([^"]+)"')

_ASSEMBLY = re.compile(
    r"\b(GRC[a-z]*\d+|NCBI36|NCBIM37|hg\d+|mm\d+|hs1|T2T-CHM13v2\.0|BDGP6|WBcel235|"
    r"mRatBN7\.2|Rnor_6\.0|R64-1-1)"
)
_UCSC = {
    "NCBI36": "hg18",
    "GRCh37": "hg19",
    "GRCh38": "hg38",
    "T2T-CHM13v2.0": "hs1",
    "NCBIM37": "mm9",
    "GRCm38": "mm10",
    "GRCm39": "mm39",
    "BDGP6": "dm6",
    "WBcel235": "ce11",
    "GRCz10": "danRer10",
    "GRCz11": "danRer11",
    "Rnor_6.0": "rn6",
    "mRatBN7.2": "rn7",
    "R64-1-1": "sacCer3",
}
"""What UCSC calls an assembly."""


@dataclass
class Rows:
    """What a gene table holds, as text.

    `genes`: for each gene its line, id, symbol (or None), chromosome, strand, and start and end
    (first and last base, 1-based) or the TSS alone (twice). `assembly`: what the header names, in
    UCSC's words. `notes`: what deserves attention.
    """

    genes: list[tuple[int, str, str | None, str, str, str, str]] = field(default_factory=list)
    assembly: str | None = None
    notes: list[str] = field(default_factory=list)
    first_base: int = 1
    """The number of a chromosome's first base in column start."""
    place: tuple[str, str] = ("start", "end")
    """The columns of the first and the last base."""


def read_rows(path: Path) -> Rows:
    """Read a gene table of any of the formats.

    Raises DeepChromeError with the line where it is none of them.
    """
    with open_text(path, EXPECTED) as file:
        comments, lines = _header(path, file)
        number, first = next(lines, (0, ""))
        if not number:
            raise DeepChromeError(f"{path}: no genes here; expected {EXPECTED}")
        read = _reader(first.split("\t"))
        rows = read(path, chain([(number, first)], lines))
    if read is _read_gff and not rows.genes:
        rows = _from_transcripts(path)
    rows.assembly = _assembly(comments)
    return rows


def _header(path: Path, file: IO[str]) -> tuple[list[str], Iterator[tuple[int, str]]]:
    """Return the comments before the first line of data, and the numbered lines of data."""
    comments: list[str] = []
    numbered = _data(path, file, comments)
    first = next(numbered, None)
    return comments, chain([first] if first else [], numbered)


def _data(
    path: Path, file: IO[str], comments: list[str] | None = None
) -> Iterator[tuple[int, str]]:
    """Yield lines that hold data, with their physical numbers."""
    for number, line in enumerate(file, start=1):
        if "\0" in line:  # NumPy would pass over those at a cell's end
            raise DeepChromeError(f"{path}: line {number}: found a null byte; expected {EXPECTED}")
        text = line.rstrip("\r\n")
        if text.startswith("#"):
            if comments is not None:
                comments.append(text)
        elif text.strip() and not text.startswith(("track ", "browser ")):
            yield number, text


def _assembly(comments: list[str]) -> str | None:
    """Return the assembly that comments name: the last of the first line that names any.

    GENCODE writes "..., version 35 (Ensembl 101), mapped to GRCh37 with gencode-backmap".
    """
    for comment in comments:
        if re.match(r"#+!?\s*(description|genome-build|genome-version|genome)\b", comment):
            found = _ASSEMBLY.findall(comment)
            if found:
                return _UCSC.get(found[-1], found[-1])
    return None


def _reader(fields: list[str]) -> Callable[[Path, Iterator[tuple[int, str]]], Rows]:
    """Return what reads a file whose first line of data has these fields."""
    if len(fields) >= 8 and fields[3].strip().isdigit() and fields[6] in ("+", "-", ".", "?"):
        return _read_gff
    if len(fields) >= 3 and fields[1].strip().isdigit() and fields[2].strip().isdigit():
        return _read_bed
    return _read_tsv


# --- TSV and BED ----------------------------------------------------------------------------------


def _read_tsv(path: Path, lines: Iterator[tuple[int, str]]) -> Rows:
    first, header = next(lines)
    columns = [unquoted(name) for name in header.split("\t")]
    place = ["start", "end"] if "tss" not in columns and "start" in columns else ["tss"]
    needed = ["gene_id", "chrom", *place, "strand"]
    missing = [name for name in needed if name not in columns]
    if missing:
        raise DeepChromeError(
            f"{path}: line {first}: no column {listing(missing)}; expected gene_id, chrom, tss "
            "(or start and end), strand and, if known, symbol, separated by tabs (or a GTF, GFF3 "
            f"or BED file); found {listing((name[:40] for name in columns), 10)}"
        )
    repeated = sorted({name for name in needed if columns.count(name) > 1})
    if repeated:
        raise DeepChromeError(
            f"{path}: line {first}: column {listing(repeated)} stands there more than once"
        )
    rows = Rows(place=(place[0], place[-1]))
    for number, line in lines:
        cells = [unquoted(cell) for cell in line.split("\t")]
        if len(cells) != len(columns):
            raise DeepChromeError(
                f"{path}: line {number}: found {len(cells)} columns, expected {len(columns)}"
            )
        row = dict(zip(columns, cells, strict=True))
        begin, end = row[place[0]], row[place[-1]]
        symbol = row.get("symbol") or None
        rows.genes.append((number, row["gene_id"], symbol, row["chrom"], row["strand"], begin, end))
    return rows


def _read_bed(path: Path, lines: Iterator[tuple[int, str]]) -> Rows:
    rows = Rows(first_base=0)
    for number, line in lines:
        cells = line.split("\t")
        if len(cells) < 6:
            raise DeepChromeError(
                f"{path}: line {number}: found {len(cells)} columns, expected at least 6 "
                "(chromosome, start, end, gene id, score, strand)"
            )
        chrom, begin, end, gene, _, strand = (cell.strip() for cell in cells[:6])
        rows.genes.append((number, gene, None, chrom, strand, begin, end))
    return rows


# --- GTF and GFF3 ---------------------------------------------------------------------------------


def _read_gff(path: Path, lines: Iterator[tuple[int, str]]) -> Rows:
    """Read the genes of a GTF or GFF3 file."""
    rows = Rows()
    parts: dict[str, int] = {}
    for number, line in lines:
        if line.startswith(">"):  # GFF3 may end in sequences
            break
        _check_columns(path, number, line)
        chrom, _, rest = line.partition("\t")
        _, _, rest = rest.partition("\t")
        feature, _, _ = rest.partition("\t")
        if _GENE.fullmatch(feature):
            begin, end, strand, attributes = _fields(line)
            gene, symbol = _names(path, number, attributes)
            rows.genes.append((number, gene, symbol, chrom, strand, begin, end))
        elif feature in _PARTS and (named := _OF_GENE.search(rest)):
            parts.setdefault(named[1], number)
    placed = {row[1] for row in rows.genes}
    lacking = [gene for gene in parts if gene not in placed] if placed else []
    if lacking:
        rows.notes.append(
            f"{path}: {len(lacking):,} genes have transcripts or exons and no line of their own as "
            f"others have, and are left out: {lacking[0]} (line {parts[lacking[0]]})"
            f"{f' and {len(lacking) - 1:,} more' if len(lacking) > 1 else ''}"
        )
    return rows


def _check_columns(path: Path, number: int, line: str) -> None:
    """Refuse a line without the columns of GTF and GFF3, whatever it was of: it is damaged."""
    n = line.count("\t") + 1
    if n < 9:
        raise DeepChromeError(
            f"{path}: line {number}: found {n} columns, expected the 9 of GTF and GFF3"
        )


def _fields(line: str) -> tuple[str, str, str, dict[str, str]]:
    cells = line.split("\t")
    return cells[3].strip(), cells[4].strip(), cells[6].strip(), attributes_of(cells[8])


def attributes_of(text: str) -> dict[str, str]:
    """Return the attributes of a line, of GTF (key "value";) or GFF3 (key=value;)."""
    if re.match(r"\s*[\w.-]+=", text):
        pairs = (pair.partition("=") for pair in text.strip().split(";"))
        return {key.strip(): unquote(value) for key, _, value in pairs if key.strip()}
    found = re.findall(r'([\w.-]+)\s+(?:"([^"]*)"|([^\s;"]+))\s*(?:;|$)', text)
    return {key: quoted or bare for key, quoted, bare in reversed(found)}  # the first one counts


def _names(path: Path, number: int, attributes: dict[str, str]) -> tuple[str, str | None]:
    """Return the id and the symbol of a gene's line."""
    gene = attributes.get("gene_id") or re.sub(r"^[Gg]ene[:-]", "", attributes.get("ID", ""))
    if not gene:
        raise DeepChromeError(
            f"{path}: line {number}: a gene without id; expected gene_id, or ID in GFF3, among "
            "its attributes"
        )
    symbol = next((attributes[k] for k in ("gene_name", "Name", "gene") if attributes.get(k)), None)
    return gene, symbol


def _from_transcripts(path: Path) -> Rows:
    """Read a GTF without lines of genes: from transcripts and exons.

    A gene reaches from the first to the last base of any of them, as in GENCODE's own lines of
    genes, so that its TSS is the most upstream one.
    """
    found: dict[str, list[_Part]] = {}
    features: set[str] = set()
    nameless = 0
    with open_text(path, EXPECTED) as file:
        for number, line in _data(path, file):
            if line.startswith(">"):
                break
            feature = line.split("\t", 3)[2:3]
            if feature and feature[0] in _PARTS:
                begin, end, strand, attributes = _fields(line)
                gene = attributes.get("gene_id")
                if not gene:
                    nameless += 1
                    continue
                place = _whole(path, number, begin), _whole(path, number, end)
                chrom, symbol = line.partition("\t")[0], attributes.get("gene_name")
                features.update(feature)
                found.setdefault(gene, []).append((number, symbol, chrom, strand, *place))
    if not found:
        raise DeepChromeError(
            f"{path}: no line whose third column is 'gene', and no transcripts or exons with a "
            "gene_id; expected an annotation of genes"
        )
    rows = _spanned(path, next(name for name in _PARTS if name in features), found)
    if nameless:
        rows.notes.append(f"{path}: {nameless:,} transcripts or exons have no gene_id; left out")
    return rows


def _whole(path: Path, number: int, text: str) -> int:
    """Return a position; `genes` asks whether it lies within bounds."""
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise DeepChromeError(
            f"{path}: line {number}: found {text[:40]!r} as start or end, expected a position"
        )
    return int(text)


def _spanned(path: Path, feature: str, found: dict[str, list[_Part]]) -> Rows:
    rows, scattered = Rows(), []
    for gene, parts in found.items():
        number, symbol, chrom, strand, _, _ = parts[0]
        if len({(part[2], part[3]) for part in parts}) > 1:
            scattered.append(gene)
            continue
        begin, end = min(part[4] for part in parts), max(part[5] for part in parts)
        rows.genes.append((number, gene, symbol, chrom, strand, str(begin), str(end)))
    rows.notes.append(
        f"{path}: no lines of genes; each gene reaches over its {feature}s, so its TSS is the most "
        "upstream one"
    )
    if scattered:
        rows.notes.append(
            f"{path}: {len(scattered):,} genes have {feature}s on several chromosomes or strands "
            f"and are left out: {listing(scattered)}"
        )
    return rows
