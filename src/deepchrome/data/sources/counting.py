"""Counting: the values of every bin of a folder of samples, its files counted or averaged.

Who calls says how many files are measured at a time, and shows how far they are.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from deepchrome import MARKS
from deepchrome.data.sources import reads, signal
from deepchrome.data.sources.alignments import Progress
from deepchrome.data.sources.assemblies import Assembly, fitting, of_accessions
from deepchrome.data.sources.published import MAX_COUNT, Table
from deepchrome.data.sources.reads import CountRule, Coverage
from deepchrome.data.sources.samples import INPUT, Sample, SampleFolder
from deepchrome.data.sources.windows import Windows
from deepchrome.errors import DeepChromeError, listing

ENOUGH_BINS = 100
"""Two samples that agree in so many bins with reads, and in all others, are the same data."""


@dataclass(frozen=True)
class BinValues:
    """The values of every cell type, and what was seen on the way.

    `tables`: by cell type. `truncated`: by gene, whether its window leaves the chromosome.
    `kind`: "counts" (uint16) or "signal" (float32). `assemblies`: those that all files may be of.
    `notes`: what deserves attention. `warnings`: what may make numbers wrong. Genes that no file
    covers are left out.
    """

    tables: dict[str, Table]
    truncated: pd.Series
    kind: str
    assemblies: list[Assembly]
    notes: list[str]
    warnings: list[str]


@dataclass(frozen=True)
class FileMeter:
    """Measures one file of a folder after the other; may be sent to other processes.

    limits: lengths of chromosomes, where known. genes_from: names the gene table in messages.
    """

    windows: Windows
    rule: CountRule
    limits: dict[str, int]
    genes_from: str

    def __call__(self, sample: Sample, on_progress: Progress) -> Coverage:
        """Count the reads of a file, or average its signal (`reads.count`, `signal.average`)."""
        where = self.limits, self.genes_from, on_progress
        if sample.kind == "signal":
            return signal.average(sample.path, self.windows, *where)
        return reads.count(sample.path, self.windows, self.rule, *where)


MeasureFiles = Callable[[FileMeter, list[Sample]], list[Coverage]]
"""Measures all samples, perhaps several at a time; the results are in their order."""


def bin_values(folder: SampleFolder, rule: CountRule, measure_files: MeasureFiles) -> BinValues:
    """Count the reads, or average the signal, of every file of a folder.

    Bins in genomic order. Reads of replicates are added up, signals averaged. An input control is
    subtracted, scaled to the reads of each mark, and what is below it counts 0; as bamCompare of
    deepTools does with --operation subtract --scaleFactors 1:<reads of the mark / of the input>.
    Raises DeepChromeError for every fault of a file.
    """
    windows = Windows(folder.genes, folder.naming)
    meter = FileMeter(windows, rule, _limits(folder, folder.assemblies), folder.genes_from)
    counted = measure_files(meter, folder.samples)
    candidates = folder.assemblies
    for sample, one in zip(folder.samples, counted, strict=True):
        furthest = folder.naming.by_one_name(one.furthest)
        candidates = of_accessions(candidates, one.furthest, sample.path)
        candidates = fitting(candidates, furthest, folder.naming, sample.path)
    meter = replace(meter, limits=_limits(folder, candidates))
    over = [
        i
        for i, one in enumerate(counted)
        if len(candidates) < len(folder.assemblies)  # ends of chromosomes are known only now
        and any(end > meter.limits.get(name, end) for name, end in one.furthest.items())
    ]
    if over:
        again = measure_files(meter, [folder.samples[i] for i in over])
        for i, one in zip(over, again, strict=True):
            counted[i] = one
    covered, warnings = coverage_of(folder, [one.furthest for one in counted])
    warnings += _copies(folder.samples, counted)
    of_files = folder.samples[0].kind
    files: dict[tuple[str, str], list[Coverage]] = {}
    for sample, one in zip(folder.samples, counted, strict=True):
        files.setdefault((sample.cell, sample.mark), []).append(one)
    controlled = any(mark == INPUT for _, mark in files)
    kind = "signal" if rule.depth == "cpm" or controlled else of_files
    tables = {}
    for cell in folder.cells:
        by_mark = [
            _pooled(files[cell, mark], files.get((cell, INPUT)), of_files, rule)[covered]
            for mark in MARKS
        ]
        tables[cell] = _table(folder, cell, windows.gene_id[covered], by_mark, kind)
    sizes = candidates[0].sizes if candidates else {}
    truncated = pd.Series(windows.leaving(sizes), windows.gene_id)[covered]
    notes = [note for one in counted for note in one.notes]
    return BinValues(tables, truncated, kind, candidates, notes, warnings)


def _limits(folder: SampleFolder, candidates: list[Assembly]) -> dict[str, int]:
    """Return the lengths of chromosomes, the longest of any candidate, by all names of files."""
    names = {name for one in candidates for name in one.sizes}
    longest = {name: max(one.sizes.get(name, 0) for one in candidates) for name in names}
    return folder.naming.by_any_name(longest)


def _table(
    folder: SampleFolder, cell: str, gene_id: np.ndarray, by_mark: list[np.ndarray], kind: str
) -> Table:
    """Return a cell type's values in the type that a dataset holds."""
    X = np.stack(by_mark, axis=-1)
    if kind == "counts" and X.size and X.max() > MAX_COUNT:
        gene, b, m = (int(i) for i in np.unravel_index(int(X.argmax()), X.shape))
        raise DeepChromeError(
            f"{folder.raw}: cell type {cell}: gene {gene_id[gene]}, bin {b + 1}, "
            f"{MARKS[m]}: {X[gene, b, m]:,} reads, more than a dataset holds ({MAX_COUNT:,}); "
            "use reads.drop_duplicates or reads.depth: cpm"
        )
    return Table(gene_id, X.astype(np.uint16 if kind == "counts" else np.float32), None, [])


def _copies(samples: list[Sample], counted: list[Coverage]) -> list[str]:
    """Return warnings of samples with the same values, as of one file under two names."""
    seen: dict[bytes, Sample] = {}
    warnings = []
    for sample, one in zip(samples, counted, strict=True):
        if np.count_nonzero(one.values) < ENOUGH_BINS:
            continue  # so few can agree by chance
        digest = hashlib.sha256(one.values.tobytes()).digest()
        other = seen.setdefault(digest, sample)
        if other is not sample:
            warnings.append(
                f"{sample.path} ({sample.cell}, {sample.mark}) holds the same data in every bin as "
                f"{other.path} ({other.cell}, {other.mark}). Is it a copy of that file?"
            )
    return warnings


def coverage_of(folder: SampleFolder, found: list[dict[str, int]]) -> tuple[np.ndarray, list[str]]:
    """Return which genes any file covers, shape=(genes,), and warnings of what lacks.

    found: for each sample, the chromosomes that its file holds anything of. A file with a header
    covers what the header names.
    """
    chrom = folder.genes["chrom"]
    genes = chrom.value_counts().to_dict()
    held = [set(folder.naming.of(one).values()) for one in found]
    stated = [
        set(folder.naming.of(folder.headers.get(sample.path, {})).values())
        for sample in folder.samples
    ]
    anywhere = set[str]().union(*held, *stated)
    warnings = []
    left_out = sorted(set(genes) - anywhere)
    if left_out:
        names = folder.genes.index[chrom.isin(left_out)]
        warnings.append(
            f"{folder.raw}: no file has anything on {listing(left_out, 10)}, where "
            f"{len(names):,} of {len(chrom):,} genes lie ({listing(names, 3)}); these genes are "
            "left out. Are chromosomes named as in the files?"
        )
    somewhere = set[str]().union(*held) & set(genes)
    lacking: dict[tuple[str, ...], list[Sample]] = {}
    for sample, here in zip(folder.samples, held, strict=True):
        lacking.setdefault(tuple(sorted(somewhere - here)), []).append(sample)
    for names, samples in lacking.items():
        if names:
            n = sum(genes[name] for name in names)
            files = listing((sample.path.name for sample in samples), 3)
            warnings.append(
                f"{folder.raw}: {files}: nothing on {listing(names, 10)}, unlike other files; "
                f"the mark reads as 0 in the {n:,} genes there"
            )
    return chrom.isin(anywhere).to_numpy(), warnings


def _pooled(
    files: list[Coverage], control: list[Coverage] | None, kind: str, rule: CountRule
) -> np.ndarray:
    """Return the values of one mark in one cell type, shape=(genes, bins)."""
    if kind == "signal":
        values = np.stack([one.values for one in files]).mean(axis=0)
        if control:
            values = np.maximum(values - np.stack([one.values for one in control]).mean(axis=0), 0)
        return values
    values = np.stack([one.values for one in files]).sum(axis=0, dtype=np.int64)
    reads = max(sum(one.reads for one in files), 1)
    if control:
        expected = np.stack([one.values for one in control]).sum(axis=0, dtype=np.int64)
        scale = reads / max(sum(one.reads for one in control), 1)
        values = np.maximum(values - scale * expected, 0)
    return values * (1e6 / reads) if rule.depth == "cpm" else values
