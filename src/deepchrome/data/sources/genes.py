"""Gene tables: where each gene lies, from the package or a file of any format (`annotation`)."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from deepchrome.data import reference
from deepchrome.data.sources.annotation import Rows, read_rows
from deepchrome.data.sources.names import GENE_NAME
from deepchrome.errors import DeepChromeError, listing
from deepchrome.files import lies_in

COLUMNS = ["symbol", "chrom", "tss", "strand"]

PACKAGED = "gencode_v10"
"""Names the 19,795 genes of the published archive, hg19, that the package holds."""

LAST = 2**31 - 1
"""No position is larger: what BAM and bigWig can hold."""

_TABLE = re.compile(r"genes?\..+|[^.].*\.(gtf|gff[23]?)(\.[a-z0-9]+)?", re.IGNORECASE)
"""Names of files that are gene tables, also packed ones and others that cannot be read."""

_BESIDE = re.compile(r".*(~|\.(dvc|tbi|csi|idx|md5|sha256|bak|orig|tmp|swp|db))", re.IGNORECASE)
"""Names of files that stand beside a gene table: indexes, checksums, copies of editors."""

_CHROM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:|*#+=@~-]{0,99}")
_STRANDS = {"+": "+", "-": "-", "1": "+", "-1": "-", "+1": "+"}
"""Strands as written; Ensembl's BioMart writes 1 and -1."""
_NO_STRAND = (".", "?", "", "NA", "0", "*")


@dataclass(frozen=True)
class GeneTable:
    """Where genes lie.

    `genes`: symbol, chrom, tss (1-based) and strand, by gene_id without its version. `source`: the
    file, or "gencode_v10". `assembly`: what the file says it is of, in UCSC's words, if it does.
    `notes`: what deserves attention.
    """

    genes: pd.DataFrame
    source: str
    assembly: str | None = None
    notes: list[str] = field(default_factory=list)


def find_table(raw: Path, named: str, whole: Path) -> str:
    """Return the source of a folder's gene table, for `read_genes`.

    named: what data.genes says. A file that it names in the folder counts, whatever else lies
    there; otherwise the folder's own table; without one, what data.genes names. whole: the raw
    directory that a named file lies in. Raises DeepChromeError for two tables of which none is
    named, so that none is left aside without a word, and for a named file that is not there.
    """
    source = named_table(named, whole)
    if source != PACKAGED and lies_in(Path(source), raw):
        return source
    found = sorted(
        path
        for path in raw.iterdir()
        if _TABLE.fullmatch(path.name) and not _BESIDE.fullmatch(path.name) and path.is_file()
    )
    if len(found) > 1:
        raise DeepChromeError(
            f"{raw}: {len(found)} gene tables, {listing(path.name for path in found)}; keep one, "
            "or name one of them in data.genes"
        )
    return str(found[0]) if found else source


def _in(name: str, raw: Path) -> Path | None:
    """Return the file in a raw directory that a name leads to."""
    for path in (raw / name, Path(name)):
        if path.is_file() and lies_in(path, raw):
            return path
    return None


def named_table(name: str, raw: Path) -> str:
    """Return the source, for `read_genes`, of the gene table that data.genes names.

    name: "gencode_v10", or a file in the raw directory `raw`: its path there, or any path that
    leads into it. A table elsewhere is refused: the pipeline depends on `raw` alone.
    """
    if name == PACKAGED:
        return name
    path = _in(name, raw)
    if path is not None:
        return str(path)
    if Path(name).is_file() or (raw / name).is_file():
        raise DeepChromeError(
            f"data.genes: {name} lies outside {raw}; copy it into that folder and name it there. "
            "DVC looks for changes in data.raw alone, so results would not follow a change of it"
        )
    raise DeepChromeError(
        f"data.genes: {name}: no such file in {raw}; expected {PACKAGED!r} or a TSV, GTF, GFF3 or "
        "BED file there"
    )


def read_genes(source: str) -> GeneTable:
    """Read a gene table.

    source: "gencode_v10" (the 19,795 genes of the published archive, hg19, in the package), or the
    path of a TSV (columns gene_id, chrom, tss or start and end, strand and, if known, symbol;
    1-based), a GTF, a GFF3 or a BED (gene_id as name; starts from 0), plain or gzip. A gene's TSS
    is its 5' end, 1-based. Genes without strand have none and are left out, with a note.
    Raises DeepChromeError that names the file, the line and what is wrong with it.
    """
    if source == PACKAGED:
        table = reference.genes().drop_duplicates("gene_id").set_index("gene_id")[COLUMNS]
        return GeneTable(table, source, "hg19")
    path = Path(source)
    if not path.is_file():
        raise DeepChromeError(
            f"data.genes: {path}: no such file; expected {PACKAGED!r} or a TSV, GTF, GFF3 or BED "
            "file"
        )
    rows = read_rows(path)
    notes = list(rows.notes)
    table = _checked(path, rows, notes)
    if not len(table):
        why = "none has a strand, '+' or '-', and so a TSS" if rows.genes else "expected some"
        raise DeepChromeError(f"{path}: no genes here: {why}")
    _check_distinct(path, table)
    table = table.drop_duplicates("gene_id").set_index("gene_id")[COLUMNS]
    return GeneTable(table, source, rows.assembly, notes)


def _checked(path: Path, rows: Rows, notes: list[str]) -> pd.DataFrame:
    """Return line, written (the id as it stands), gene_id and `COLUMNS` of the genes with a TSS."""
    found, strandless, nameless = [], [], []
    for number, gene, symbol, chrom, strand, begin, end in rows.genes:
        where = f"{path}: line {number}: "
        if not GENE_NAME.fullmatch(gene):
            raise DeepChromeError(
                f"{where}gene_id: found {gene[:60]!r}, expected an id of letters, digits and "
                "_.:()@|+,'*~-, 100 at most"
            )
        where += f"gene {gene}: "
        if not _CHROM.fullmatch(chrom):
            raise DeepChromeError(
                f"{where}chrom: found {chrom[:60]!r}, expected the name of a chromosome"
            )
        if strand in _NO_STRAND:
            strandless.append(gene)
            continue
        if strand not in _STRANDS:
            raise DeepChromeError(f"{where}strand: found {strand[:20]!r}, expected '+' or '-'")
        first = _position(f"{where}{rows.place[0]}: ", begin, rows.first_base)
        first += 1 - rows.first_base
        last = _position(f"{where}{rows.place[1]}: ", end, 1)
        if first > last:
            raise DeepChromeError(
                f"{where}a reversed interval, {begin} to {end}; expected start < end, on both "
                "strands"
            )
        if symbol is not None and not GENE_NAME.fullmatch(symbol):
            nameless.append(symbol)
            symbol = None
        tss = first if _STRANDS[strand] == "+" else last
        found.append((number, gene, symbol, chrom, tss, _STRANDS[strand]))
    if strandless:
        notes.append(
            f"{path}: {len(strandless):,} genes have no strand, and so no TSS, and are left out: "
            f"{listing(strandless)}"
        )
    if nameless:
        shown = listing(repr(symbol[:40]) for symbol in nameless)
        notes.append(f"{path}: {len(nameless):,} symbols are no names and left out: {shown}")
    table = pd.DataFrame(found, columns=["line", "written", *COLUMNS])
    return table.assign(gene_id=without_version(table["written"]))


def _position(where: str, text: str, first: int) -> int:
    whole = text.isascii() and text.isdigit() and len(text) < 12
    if not whole or not first <= int(text) <= LAST:
        raise DeepChromeError(
            f"{where}found {text[:40]!r}, expected a position from {first} to {LAST:,}"
        )
    return int(text)


def _check_distinct(path: Path, table: pd.DataFrame) -> None:
    """Refuse a gene that stands there twice, at different places or in different versions."""
    distinct = table.drop_duplicates(["gene_id", "written", "chrom", "tss", "strand"])
    again = distinct[distinct["gene_id"].duplicated(keep=False)]
    if len(again):
        gene = again["gene_id"].iloc[0]
        one, other = again[again["gene_id"] == gene].head(2).itertuples()
        raise DeepChromeError(
            f"{path}: gene {gene} stands there more than once: line {one.line}, {one.written} at "
            f"{one.chrom}:{one.tss:,}{one.strand}, and line {other.line}, {other.written} at "
            f"{other.chrom}:{other.tss:,}{other.strand} ({again['gene_id'].nunique():,} such "
            "genes); keep one"
        )


_VERSION = re.compile(r"^(ENS[A-Z]*\d{10,11})\.\d+(?:_\d+)?((?:_PAR_Y)?)(?:_\d+)?$")


def without_version(gene_id: pd.Series) -> pd.Series:
    """Return Ensembl ids without the version; other ids are left as they are.

    ENSG00000000003.10 is ENSG00000000003; so is .10_4, of GENCODE's lifted annotation. A dot in
    other ids (W02C12.3, RP11-34P13.7) tells genes apart. The copy of a gene on chrY that GENCODE
    marks, ENSG00000182378.15_PAR_Y, stays another gene.
    """
    return gene_id.str.replace(_VERSION, r"\1\2", regex=True)


def orient(X: np.ndarray, gene_id: np.ndarray, strands: pd.Series) -> np.ndarray:
    """Return the counts with bins in the direction of transcription: bin 1 is upstream.

    Raises DeepChromeError where a gene's strand is not known.
    """
    strand = strands.loc[gene_id]
    unknown = gene_id[strand.isna().to_numpy()]
    if len(unknown):
        raise DeepChromeError(
            f"data.orient: transcription: the strand of gene {listing(unknown)} is not known; "
            "give a gene table that has it (data.genes)"
        )
    minus = (strand == "-").to_numpy()
    X = X.copy()
    X[minus] = X[minus, ::-1]
    return X
