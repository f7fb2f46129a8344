"""The layout of one's own data: files of reads or signal, a gene table and an expression table.

samples.tsv          cell, mark, path (relative to the folder), perhaps replicate
genes.gtf|bed|tsv    where genes lie, perhaps .gz; without it, the table that data.genes names
expression.tsv       gene_id and a column for each cell type, RPKM, FPKM or TPM; perhaps .gz
chrom.sizes          lengths of chromosomes (UCSC's format); needed for other genomes than human

Roadmap's consolidated reads, `<EID>-<mark>.tagAlign.gz`, need no samples.tsv, and its expression
table, `57epigenomes.RPKM.pc.gz`, serves as well as expression.tsv.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from deepchrome import MARKS
from deepchrome.data.sources import assemblies, expression, reads, signal
from deepchrome.data.sources.assemblies import Assembly
from deepchrome.data.sources.genes import named_table, read_genes, without_version
from deepchrome.data.sources.names import CELL_NAME, EID
from deepchrome.errors import DeepChromeError, listing, nearest

SAMPLES = "samples.tsv"
GENES = ("genes.gtf", "genes.bed", "genes.tsv")
EXPRESSION = "expression.tsv"

KINDS = {
    "counts": (*reads.TEXT, *reads.BAM),
    "signal": (*signal.BIGWIG, *signal.BEDGRAPH),
}
"""What the values of bins are, by the end of a file's name (text files perhaps with .gz)."""

_ROADMAP = re.compile(rf"({EID})-({'|'.join(MARKS)})\.tagAlign(\.gz)?")


@dataclass(frozen=True)
class Sample:
    """One file: of one mark in one cell type, perhaps one of several replicates."""

    cell: str
    mark: str
    path: Path
    replicate: str

    @property
    def kind(self) -> str:
        """Return "counts" or "signal"."""
        name = self.path.name.lower().removesuffix(".gz")
        return next(kind for kind, ends in KINDS.items() if name.endswith(ends))


@dataclass(frozen=True)
class SampleFolder:
    """What a folder of this layout holds, before its reads are counted.

    `genes`: symbol, chrom, tss and strand of the genes that have expression, by gene_id, sorted.
    `rpkm`: of these genes, shape=(genes, cell types). `notes`: what deserves attention.
    """

    raw: Path
    samples: list[Sample]
    genes: pd.DataFrame
    genes_from: str
    rpkm: pd.DataFrame
    assemblies: list[Assembly]
    notes: list[str]

    @property
    def cells(self) -> list[str]:
        """The cell types, sorted."""
        return sorted({sample.cell for sample in self.samples})


def is_here(raw: Path) -> bool:
    """Tell whether a folder has this layout."""
    return (raw / SAMPLES).is_file() or any(
        _ROADMAP.fullmatch(path.name) for path in raw.glob("*.tagAlign*")
    )


def cell_types(raw: Path) -> list[str]:
    """Return the cell types of a folder, sorted."""
    return sorted({sample.cell for sample in read_samples(raw)})


def read_samples(raw: Path) -> list[Sample]:
    """Return the files of a folder: those of samples.tsv, or Roadmap's by their names.

    Raises DeepChromeError where a cell type lacks a mark, a row stands there twice, a file is
    missing or lies elsewhere, or reads and signal are mixed.
    """
    path = raw / SAMPLES
    if path.is_file():
        found = _listed(raw, path)
    else:
        found = []
        for file in sorted(raw.glob("*.tagAlign*")):
            named = _ROADMAP.fullmatch(file.name)
            if named:
                found.append(Sample(named[1], named[2], file, ""))
    where = path if path.is_file() else raw
    seen: dict[tuple[str, str, str], Sample] = {}
    for sample in found:
        key = sample.cell, sample.mark, sample.replicate
        if key in seen:
            named_ = f", replicate {sample.replicate}" if sample.replicate else ""
            raise DeepChromeError(
                f"{where}: two files for {sample.cell}, {sample.mark}{named_}: "
                f"{seen[key].path.name} and {sample.path.name}; give each its own value in a "
                "column 'replicate' (replicates are pooled), or remove one"
            )
        seen[key] = sample
    marks: dict[str, set[str]] = {}
    for sample in found:
        marks.setdefault(sample.cell, set()).add(sample.mark)
    for cell, has in sorted(marks.items()):
        missing = [mark for mark in MARKS if mark not in has]
        if missing:
            raise DeepChromeError(
                f"{where}: cell type {cell} has no file of {listing(missing)}; expected all five "
                f"marks: {', '.join(MARKS)}"
            )
    kinds = {sample.kind: sample for sample in found}
    if len(kinds) > 1:
        raise DeepChromeError(
            f"{where}: reads ({kinds['counts'].path.name}) and signal "
            f"({kinds['signal'].path.name}) are mixed; a dataset holds one kind. Expected "
            "tagAlign, BED and BAM alone, or bigWig and bedGraph alone"
        )
    return sorted(found, key=lambda one: (one.cell, MARKS.index(one.mark), one.replicate))


def _listed(raw: Path, path: Path) -> list[Sample]:
    """Return the rows of samples.tsv."""
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, comment="#", keep_default_na=False)
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DeepChromeError(f"{path}: not a table of samples: {error}") from None
    missing = [name for name in ("cell", "mark", "path") if name not in table.columns]
    if missing:
        raise DeepChromeError(
            f"{path}: line 1: no column {listing(missing)}; expected cell, mark, path and perhaps "
            f"replicate, separated by tabs; found {listing(table.columns, 10)}"
        )
    if not len(table):
        raise DeepChromeError(f"{path}: no samples after the header")
    found = []
    for number, row in enumerate(table.to_dict("records"), start=2):
        where = f"{path}: line {number}: "
        if not CELL_NAME.fullmatch(row["cell"]):
            raise DeepChromeError(
                f"{where}cell: found {row['cell']!r}, expected a name of letters, digits and _.+-"
            )
        if row["mark"] not in MARKS:
            raise DeepChromeError(
                f"{where}mark: found {row['mark']!r}, expected one of {', '.join(MARKS)}"
                f"{nearest(row['mark'], MARKS)}"
            )
        file = raw / row["path"]
        if not row["path"] or not file.resolve().is_relative_to(raw.resolve()):
            raise DeepChromeError(
                f"{where}path: {row['path']!r} is outside {raw}; put the file in the folder (a "
                "copy or a hard link), so that data.raw holds all that the results depend on"
            )
        if not file.is_file():
            raise DeepChromeError(f"{where}path: {file}: no such file")
        if not file.name.lower().removesuffix(".gz").endswith(sum(KINDS.values(), ())):
            raise DeepChromeError(
                f"{where}path: {file.name}: unknown kind of file; expected a name that ends in "
                ".tagAlign, .bed, .bam, .bw, .bigWig or .bedGraph (text perhaps with .gz)"
            )
        found.append(Sample(row["cell"], row["mark"], file, row.get("replicate", "")))
    return found


def read(raw: Path, cells: list[str], genes: str, whole: Path) -> SampleFolder:
    """Read all of a folder but its reads, and check what can be checked before they are counted.

    cells: the cell types wanted. genes: what data.genes says of the gene table, which counts where
    the folder has none; `whole` is the raw directory, data.raw, that a file of this name lies in.
    Raises DeepChromeError for every fault.
    """
    everything = read_samples(raw)
    samples = [sample for sample in everything if sample.cell in cells]
    table, genes_from = _gene_table(raw, genes, whole)
    rpkm = _expression(raw, [sample.cell for sample in everything], cells)
    both = table.index.intersection(rpkm.index).sort_values()
    if not len(both):
        raise DeepChromeError(
            f"{raw}: no gene in common: the expression table has {listing(rpkm.index, 3)}, "
            f"{genes_from} has {listing(table.index, 3)}; expected the same ids, such as Ensembl's"
        )
    notes = []
    for missing, what in (
        (len(table) - len(both), f"genes of {genes_from} have no expression and are left out"),
        (len(rpkm) - len(both), f"genes of the expression table are not in {genes_from}"),
    ):
        if missing:
            notes.append(f"{raw}: {missing:,} {what}")
    table = table.loc[both]
    agreeing = assemblies.agreeing(raw, table, genes_from, _headers(samples))
    return SampleFolder(raw, samples, table, genes_from, rpkm.loc[both, cells], agreeing, notes)


def _gene_table(raw: Path, named: str, whole: Path) -> tuple[pd.DataFrame, str]:
    found = [raw / f"{name}{end}" for name in GENES for end in ("", ".gz")]
    found = [path for path in found if path.is_file()]
    if len(found) > 1:
        raise DeepChromeError(
            f"{raw}: two gene tables, {listing(path.name for path in found)}; keep one"
        )
    source = str(found[0]) if found else named_table(named, whole)
    return read_genes(source), source


def _expression(raw: Path, known: list[str], cells: list[str]) -> pd.DataFrame:
    """Return the expression of the wanted cell types, gene ids without version.

    known: all cell types of the folder; its own table may have no other.
    """
    own = [raw / f"{EXPRESSION}{end}" for end in ("", ".gz")]
    found = [path for path in (*own, raw / expression.FILE_NAME) if path.is_file()]
    if len(found) != 1:
        raise DeepChromeError(
            f"{raw}: {listing(path.name for path in found) or 'no expression table'} here; "
            f"expected one of {EXPRESSION}, {EXPRESSION}.gz (gene_id and a column for each cell "
            f"type) and Roadmap's {expression.FILE_NAME}"
        )
    path = found[0]
    rpkm = expression.read_rpkm(path)
    if path in own:
        unknown = [cell for cell in rpkm.columns if cell not in known]
        if unknown:
            raise DeepChromeError(
                f"{path}: line 1: unknown cell type {listing(unknown)}"
                f"{nearest(unknown[0], set(known))} The samples are of "
                f"{listing(sorted(set(known)))}"
            )
    lacking = [cell for cell in cells if cell not in rpkm.columns]
    if lacking:
        raise DeepChromeError(
            f"{path}: no column for cell type {listing(lacking)}{nearest(lacking[0], rpkm.columns)}"
        )
    rpkm.index = pd.Index(without_version(pd.Series(rpkm.index)))
    repeated = rpkm.index[rpkm.index.duplicated()]
    if len(repeated):
        raise DeepChromeError(
            f"{path}: gene {listing(repeated)} stands there more than once, in several versions"
        )
    return rpkm


def _headers(samples: list[Sample]) -> Iterator[tuple[Path, dict[str, int]]]:
    """Yield the files that state the lengths of chromosomes, and what they state."""
    for sample in samples:
        name = sample.path.name.lower()
        if name.endswith(reads.BAM):
            with reads.open_bam(sample.path) as bam:
                yield sample.path, dict(zip(bam.references, bam.lengths, strict=True))
        elif name.endswith(signal.BIGWIG):
            track = signal.open_bigwig(sample.path)
            sizes = dict(track.chroms())
            track.close()
            yield sample.path, sizes
