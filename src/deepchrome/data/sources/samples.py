"""The layout of one's own data: files of reads or signal, a gene table and an expression table.

samples.tsv          cell, mark, path (relative to the folder), perhaps replicate; the mark "input"
                     is a control
genes.gtf|bed|tsv    where genes lie, or any GTF or GFF3 file, perhaps .gz; without one, the table
                     that data.genes names
expression.tsv       gene_id and a column for each cell type, RPKM, FPKM or TPM; perhaps .gz
chrom.sizes          lengths of chromosomes (UCSC's format); needed for other genomes than human

Roadmap's consolidated reads, `<EID>-<mark>.tagAlign.gz`, need no samples.tsv, and its expression
table, `57epigenomes.RPKM.pc.gz`, serves as well as expression.tsv.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from deepchrome import MARKS
from deepchrome.data.sources import assemblies, expression, native, reads, signal
from deepchrome.data.sources.assemblies import Assembly
from deepchrome.data.sources.chromosomes import Naming
from deepchrome.data.sources.genes import find_table, read_genes
from deepchrome.data.sources.names import EID, check_cell, check_distinct
from deepchrome.data.sources.text import open_text
from deepchrome.errors import DeepChromeError, listing, nearest
from deepchrome.files import lies_in

SAMPLES = "samples.tsv"

INPUT = "input"
"""What samples.tsv calls the control of a cell type: reads without an antibody."""

KINDS = {
    "counts": (*reads.TEXT, *reads.BAM, *reads.CRAM),
    "signal": (*signal.BIGWIG, *signal.BEDGRAPH_NAMES),
}
"""What the values of bins are, by the end of a file's name (text perhaps with .gz or .bgz)."""

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
        name = _bare_name(self.path)
        return next(kind for kind, ends in KINDS.items() if name.endswith(ends))


@dataclass(frozen=True)
class SampleFolder:
    """What a folder of this layout holds, before its reads are counted.

    `genes`: symbol, chrom, tss and strand of the genes that have expression, by gene_id, sorted.
    `rpkm`: of these genes, shape=(genes, cell types). `assemblies`: those that the files may be of.
    `naming`: how files may name chromosomes. `headers`: lengths that files state.
    `notes`: what deserves attention. `warnings`: what may make labels wrong.
    """

    raw: Path
    samples: list[Sample]
    genes: pd.DataFrame
    genes_from: str
    rpkm: pd.DataFrame
    assemblies: list[Assembly]
    naming: Naming
    headers: dict[Path, dict[str, int]]
    notes: list[str]
    warnings: list[str]

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
    controlled = {cell for cell, has in marks.items() if INPUT in has}
    without = sorted(marks.keys() - controlled)
    if controlled and without:
        raise DeepChromeError(
            f"{where}: cell type {listing(without)} has no {INPUT}, unlike "
            f"{listing(sorted(controlled))}; give every cell type its control, or none"
        )
    order = [*MARKS, INPUT]
    return sorted(found, key=lambda one: (one.cell, order.index(one.mark), one.replicate))


def _listed(raw: Path, path: Path) -> list[Sample]:
    """Return the rows of samples.tsv; lines that are blank or begin with # are no rows."""
    with open_text(path, "a table of samples") as file:
        rows = [
            (number, [field.strip() for field in line.rstrip("\r\n").split("\t")])
            for number, line in enumerate(file, start=1)
            if line.strip() and not line.startswith("#")
        ]
    if not rows:
        raise DeepChromeError(f"{path}: nothing but comments; expected cell, mark and path")
    first, columns = rows.pop(0)
    _check_columns(f"{path}: line {first}: ", columns)
    if not rows:
        raise DeepChromeError(f"{path}: no samples after the header")
    found: list[Sample] = []
    files: dict[tuple[int, int], tuple[int, str]] = {}
    for number, row in rows:
        where = f"{path}: line {number}: "
        if len(row) > len(columns):
            raise DeepChromeError(f"{where}found {len(row)} columns, expected {len(columns)}")
        sample = _sample(raw, where, dict(zip(columns, row, strict=False)))
        stat = sample.path.stat()
        other, name = files.setdefault((stat.st_dev, stat.st_ino), (number, sample.path.name))
        if other != number:
            same = f"is named in line {other} too"
            if name != sample.path.name:
                same = f"is the file of line {other}, {name}, by another name"
            raise DeepChromeError(
                f"{where}path: {sample.path.name} {same}; expected a file for each sample"
            )
        found.append(sample)
    check_distinct((sample.cell for sample in found), f"{path}: ")
    return found


def _check_columns(where: str, columns: list[str]) -> None:
    missing = [name for name in ("cell", "mark", "path") if name not in columns]
    if missing:
        raise DeepChromeError(
            f"{where}no column {listing(missing)}; expected cell, mark, path and perhaps "
            f"replicate, separated by tabs; found {listing(columns, 10)}"
        )
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    if repeated:
        raise DeepChromeError(f"{where}column {listing(repeated)} stands there more than once")


def _sample(raw: Path, where: str, row: dict[str, str]) -> Sample:
    """Return one row of samples.tsv, checked. where: begins messages, with file and line."""
    for column in ("cell", "mark", "path"):
        if not row.get(column):
            raise DeepChromeError(f"{where}{column}: nothing here; expected cell, mark and path")
    check_cell(row["cell"], where)
    if row["mark"] not in (*MARKS, INPUT):
        raise DeepChromeError(
            f"{where}mark: found {row['mark'][:60]!r}, expected one of {', '.join(MARKS)}"
            f" or {INPUT}{nearest(row['mark'], (*MARKS, INPUT))}"
        )
    file = raw / row["path"]
    try:
        there, inside = file.is_file(), lies_in(file, raw)
    except (OSError, ValueError):  # too long, or a null byte
        raise DeepChromeError(f"{where}path: {row['path'][:60]!r} is no path") from None
    if not inside:
        raise DeepChromeError(
            f"{where}path: {row['path']!r} is outside {raw}; put the file in the folder (a "
            "copy or a hard link), so that data.raw holds all that the results depend on"
        )
    if not there:
        raise DeepChromeError(f"{where}path: {file}: no such file")
    if not _bare_name(file).endswith(sum(KINDS.values(), ())):
        raise DeepChromeError(
            f"{where}path: {file.name}: unknown kind of file; expected a name that ends in "
            ".tagAlign, .bed, .bedpe, .bam, .cram, .bw, .bigWig or .bedGraph (text perhaps with "
            ".gz or .bgz)"
        )
    return Sample(row["cell"], row["mark"], file, row.get("replicate", ""))


def _bare_name(path: Path) -> str:
    return path.name.lower().removesuffix(".gz").removesuffix(".bgz")


def read(raw: Path, cells: list[str], genes: str, whole: Path, with_input: bool) -> SampleFolder:
    """Read all of a folder but its reads, and check what can be checked before they are counted.

    cells: the cell types wanted. with_input: whether input controls are wanted, too. genes: what
    data.genes says of the gene table, which counts where the folder has none; `whole` is the raw
    directory, data.raw, that a file of this name lies in.
    Raises DeepChromeError for every fault.
    """
    everything = read_samples(raw)
    samples = [
        sample
        for sample in everything
        if sample.cell in cells and (with_input or sample.mark != INPUT)
    ]
    known = read_genes(find_table(raw, genes, whole))
    table, genes_from = known.genes, known.source
    rpkm, expression_from, notes = expression.of_folder(
        raw, [sample.cell for sample in everything], cells
    )
    notes = [*known.notes, *notes]
    both = table.index.intersection(rpkm.index).sort_values()
    if not len(both):
        raise DeepChromeError(
            f"{raw}: no gene in common: the expression table has {listing(rpkm.index, 3)}, "
            f"{genes_from} has {listing(table.index, 3)}; expected the same ids, such as Ensembl's"
        )
    for missing, what in (
        (len(table) - len(both), f"genes of {genes_from} have no expression and are left out"),
        (len(rpkm) - len(both), f"genes of the expression table are not in {genes_from}"),
    ):
        if missing:
            notes.append(f"{raw}: {missing:,} {what}")
    table = table.loc[both]
    headers = _headers(samples)
    naming, agreeing = assemblies.agreeing(raw, table, genes_from, headers, known.assembly)
    rpkm = rpkm.loc[both]
    warnings = expression.doubts(rpkm, expression_from)
    return SampleFolder(
        raw, samples, table, genes_from, rpkm, agreeing, naming, headers, notes, warnings
    )


def _headers(samples: list[Sample]) -> dict[Path, dict[str, int]]:
    """Return the lengths of chromosomes that files state, by file."""
    paths = [sample.path for sample in samples if native.is_native(sample.path)]
    return dict(zip(paths, native.chromosome_sizes(paths), strict=True))
