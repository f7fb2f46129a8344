"""The layout of one's own data: files of reads or signal, a gene table and an expression table.

samples.tsv          cell, mark, path (relative to the folder), perhaps replicate
genes.gtf|bed|tsv    where genes lie, perhaps .gz; without it, the table that data.genes names
expression.tsv       gene_id and a column for each cell type, RPKM, FPKM or TPM; perhaps .gz
chrom.sizes          lengths of chromosomes (UCSC's format); needed for other genomes than human

Roadmap's consolidated reads, `<EID>-<mark>.tagAlign.gz`, need no samples.tsv, and its expression
table, `57epigenomes.RPKM.pc.gz`, serves as well as expression.tsv.
"""

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from deepchrome import MARKS
from deepchrome.console import progress
from deepchrome.data.sources import expression, reads, signal
from deepchrome.data.sources.genes import read_genes, without_version
from deepchrome.data.sources.intervals import beyond
from deepchrome.data.sources.published import MAX_COUNT, Table
from deepchrome.data.sources.windows import Assembly, Windows, check_naming, human
from deepchrome.errors import DeepChromeError, listing, nearest
from deepchrome.params import ReadsParams
from deepchrome.training.executor import cores, in_processes, report

SAMPLES = "samples.tsv"
SIZES = "chrom.sizes"
GENES = ("genes.gtf", "genes.bed", "genes.tsv")
EXPRESSION = "expression.tsv"

KINDS = {
    "counts": (*reads.TEXT, *reads.BAM),
    "signal": (*signal.BIGWIG, *signal.BEDGRAPH),
}
"""What the values of bins are, by the end of a file's name (text files perhaps with .gz)."""

_ROADMAP = re.compile(rf"(E\d{{3}})-({'|'.join(MARKS)})\.tagAlign(\.gz)?")
_CELL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")

_PARALLEL_FROM = 20_000_000  # bytes of all files; for fewer, starting processes takes longer


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
class Own:
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
        if not _CELL.fullmatch(row["cell"]):
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


def read(raw: Path, cells: list[str], genes: str) -> Own:
    """Read all of a folder but its reads, and check what can be checked before they are counted.

    cells: the cell types wanted. genes: the gene table where the folder has none (data.genes).
    Raises DeepChromeError for every fault.
    """
    everything = read_samples(raw)
    samples = [sample for sample in everything if sample.cell in cells]
    table, genes_from = _gene_table(raw, genes)
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
    assemblies = _assemblies(raw, table, genes, genes_from, samples)
    return Own(raw, samples, table, genes_from, rpkm.loc[both, cells], assemblies, notes)


def _gene_table(raw: Path, fallback: str) -> tuple[pd.DataFrame, str]:
    found = [raw / f"{name}{end}" for name in GENES for end in ("", ".gz")]
    found = [path for path in found if path.is_file()]
    if len(found) > 1:
        raise DeepChromeError(
            f"{raw}: two gene tables, {listing(path.name for path in found)}; keep one"
        )
    source = str(found[0]) if found else fallback
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


# Which genome


def _assemblies(
    raw: Path, genes: pd.DataFrame, source: str, genes_from: str, samples: list[Sample]
) -> list[Assembly]:
    """Return the genomes that the gene table and the headers of files agree with.

    None where nothing is known. Raises DeepChromeError where they do not agree.
    """
    names = sorted(set(genes["chrom"]))
    path = raw / SIZES
    if path.is_file():
        candidates = [_sizes(path)]
        check_naming(path, list(candidates[0].sizes), names, genes_from)
    elif genes_from == "gencode_v10":
        candidates = human(names)[:1]
    elif genes.index.str.startswith("ENSG").mean() > 0.5:
        candidates = human(names)
    else:
        candidates = []
    candidates = _fitting(candidates, genes.groupby("chrom")["tss"].max().to_dict(), genes_from)
    for sample in samples:
        header = _header(sample.path)
        if header is None:
            continue
        check_naming(sample.path, list(header), names, genes_from)
        if not candidates:
            candidates = [Assembly(f"the header of {sample.path}", header)]
            _fitting(candidates, genes.groupby("chrom")["tss"].max().to_dict(), genes_from)
            continue
        agree = [one for one in candidates if _difference(header, one.sizes) is None]
        if not agree:
            chrom = _difference(header, candidates[0].sizes)
            assert chrom is not None
            is_of = [one.name for one in human(names) if _difference(header, one.sizes) is None]
            raise DeepChromeError(
                f"{sample.path}: of another genome: its header says that {chrom} has "
                f"{header[chrom]:,} bp{f', as in {is_of[0]}' if is_of else ''}; expected "
                + " or ".join(f"{one.sizes[chrom]:,} ({one.name})" for one in candidates)
                + f", as {genes_from} goes with. Take reads and genes of one assembly"
                + ("" if path.is_file() else f"; for another genome put {SIZES} into {raw}")
            )
        candidates = agree
    return candidates


def _sizes(path: Path) -> Assembly:
    """Read chrom.sizes: name and length, separated by a tab."""
    sizes = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        name, _, length = line.strip().partition("\t")
        if not line.strip() or line.startswith("#"):
            continue
        if not length.isdigit() or not int(length):
            raise DeepChromeError(
                f"{path}: line {number}: found {line[:60]!r}, expected a chromosome and its length "
                "in bp, separated by a tab"
            )
        sizes[name] = int(length)
    return Assembly(SIZES, sizes)


def _header(path: Path) -> dict[str, int] | None:
    """Return the lengths of chromosomes that a file states, if it does."""
    name = path.name.lower()
    if name.endswith(reads.BAM):
        with reads.open_bam(path) as bam:
            return dict(zip(bam.references, bam.lengths, strict=True))
    if name.endswith(signal.BIGWIG):
        track = signal.open_bigwig(path)
        sizes = dict(track.chroms())
        track.close()
        return sizes
    return None


def _difference(header: dict[str, int], sizes: dict[str, int]) -> str | None:
    """Name a chromosome whose length differs, if any does."""
    return next((name for name in sizes if header.get(name, sizes[name]) != sizes[name]), None)


def _fitting(candidates: list[Assembly], furthest: dict[str, int], path: object) -> list[Assembly]:
    """Return the genomes that hold these positions; at least one must, if there are any."""
    fits = [
        one
        for one in candidates
        if all(end <= one.sizes.get(chrom, end) for chrom, end in furthest.items())
    ]
    if candidates and not fits:
        sizes = candidates[0].sizes
        over = [c for c, end in furthest.items() if end > sizes.get(c, end)]
        raise DeepChromeError(
            f"{path}: {beyond(over[0], furthest[over[0]], sizes)} "
            f"(lengths: {listing(one.name for one in candidates)}). Is it of the same assembly as "
            f"the rest? For another genome put {SIZES} beside {SAMPLES}"
        )
    return fits


# Counting


@dataclass(frozen=True)
class Measured:
    """The values of every cell type, and what was seen on the way.

    `tables`: by cell type. `truncated`: by gene, whether its window leaves the chromosome.
    `kind`: "counts" (uint16) or "signal" (float32).
    """

    tables: dict[str, Table]
    truncated: pd.Series
    kind: str
    assembly: str | None


def kind_of(samples: list[Sample], params: ReadsParams) -> str:
    """Return what the values will be: "counts" or "signal"."""
    kind = samples[0].kind
    return "signal" if kind == "signal" or params.depth == "cpm" else "counts"


def measure(own: Own, params: ReadsParams) -> Measured:
    """Count the reads, or average the signal, of every file of a folder; files in parallel.

    Bins in genomic order. Reads of replicates are added up, signals averaged.
    Raises DeepChromeError for every fault of a file.
    """
    windows = Windows(own.genes)
    limits = {
        chrom: max(one.sizes.get(chrom, 0) for one in own.assemblies)
        for chrom in {name for one in own.assemblies for name in one.sizes}
    }
    counted = _in_parallel(own.samples, windows, params, limits, own.genes_from)
    candidates = own.assemblies
    for sample, one in zip(own.samples, counted, strict=True):
        candidates = _fitting(candidates, one.furthest, sample.path)
    kind = kind_of(own.samples, params)
    tables = {}
    for cell in own.cells:
        by_mark = []
        for mark in MARKS:
            files = [
                one
                for sample, one in zip(own.samples, counted, strict=True)
                if (sample.cell, sample.mark) == (cell, mark)
            ]
            by_mark.append(_pooled(files, own.samples[0].kind, params))
        X = np.stack(by_mark, axis=-1)
        if kind == "counts" and X.size and X.max() > MAX_COUNT:
            gene, b, m = (int(i) for i in np.unravel_index(int(X.argmax()), X.shape))
            raise DeepChromeError(
                f"{own.raw}: cell type {cell}: gene {windows.gene_id[gene]}, bin {b + 1}, "
                f"{MARKS[m]}: {X[gene, b, m]:,} reads, more than a dataset holds ({MAX_COUNT:,}); "
                "use reads.drop_duplicates or reads.depth: cpm"
            )
        X = X.astype(np.uint16 if kind == "counts" else np.float32)
        tables[cell] = Table(windows.gene_id, X, None, [])
    sizes = candidates[0].sizes if candidates else {}
    truncated = pd.Series(windows.leaving(sizes), windows.gene_id)
    return Measured(tables, truncated, kind, candidates[0].name if candidates else None)


def _pooled(files: list[reads.Counted], kind: str, params: ReadsParams) -> np.ndarray:
    """Return the values of one mark in one cell type, shape=(genes, bins)."""
    if kind == "signal":
        return np.stack([one.values for one in files]).mean(axis=0)
    values = np.stack([one.values for one in files]).sum(axis=0, dtype=np.int64)
    if params.depth == "cpm":
        return values * (1e6 / max(sum(one.reads for one in files), 1))
    return values


@dataclass(frozen=True)
class _Work:
    """What a worker needs beside the file."""

    windows: Windows
    params: ReadsParams
    limits: dict[str, int]
    genes_from: str


def _measure_file(sample: Sample, work: _Work, on_progress: reads.Progress) -> reads.Counted:
    if sample.kind == "signal":
        return signal.average(sample.path, work.windows, work.limits, work.genes_from, on_progress)
    return reads.count(
        sample.path, work.windows, work.params, work.limits, work.genes_from, on_progress
    )


def _in_parallel(
    samples: list[Sample],
    windows: Windows,
    params: ReadsParams,
    limits: dict[str, int],
    genes_from: str,
) -> list[reads.Counted]:
    """Measure all files, one after the other in as many processes as there are cores."""
    work = _Work(windows, params, limits, genes_from)
    sizes = [sample.path.stat().st_size for sample in samples]
    unit = "reads" if samples[0].kind == "counts" else "intervals"
    workers = min(cores(), len(samples)) if sum(sizes) > _PARALLEL_FROM else 1
    with progress("count", unit, sum(sizes)) as advance:
        seen = [0, 0]

        def on_progress(n: int, read: int) -> None:
            seen[0] += n
            seen[1] += read
            # how many reads there are in all is known by the bytes that are left
            advance.total(seen[0] * max(sum(sizes) / max(seen[1], 1), 1))
            advance(n)

        if workers == 1:
            found = [_measure_file(sample, work, on_progress) for sample in samples]
        else:
            found = in_processes(
                _measure_in_worker,
                samples,
                workers,
                on_progress,
                "a process that counts reads was killed, perhaps for lack of memory",
                partial(_take_work, work),
            )
        advance.total(seen[0])
    return found


_work: _Work


def _take_work(work: _Work) -> None:
    global _work
    _work = work


def _measure_in_worker(sample: Sample) -> reads.Counted:
    return _measure_file(sample, _work, report)
