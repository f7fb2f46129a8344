"""Counting: the values of every bin of a folder of samples, its files counted or averaged.

Who calls says how many files are measured at a time, and shows how far they are.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from deepchrome import MARKS
from deepchrome.data.sources import reads, signal
from deepchrome.data.sources.assemblies import fitting
from deepchrome.data.sources.published import MAX_COUNT, Table
from deepchrome.data.sources.reads import CountRule, Coverage, Progress
from deepchrome.data.sources.samples import Sample, SampleFolder
from deepchrome.data.sources.windows import Windows
from deepchrome.errors import DeepChromeError


@dataclass(frozen=True)
class BinValues:
    """The values of every cell type, and what was seen on the way.

    `tables`: by cell type. `truncated`: by gene, whether its window leaves the chromosome.
    `kind`: "counts" (uint16) or "signal" (float32).
    """

    tables: dict[str, Table]
    truncated: pd.Series
    kind: str


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

    Bins in genomic order. Reads of replicates are added up, signals averaged.
    Raises DeepChromeError for every fault of a file.
    """
    windows = Windows(folder.genes)
    limits = {
        chrom: max(one.sizes.get(chrom, 0) for one in folder.assemblies)
        for chrom in {name for one in folder.assemblies for name in one.sizes}
    }
    counted = measure_files(FileMeter(windows, rule, limits, folder.genes_from), folder.samples)
    candidates = folder.assemblies
    for sample, one in zip(folder.samples, counted, strict=True):
        candidates = fitting(candidates, one.furthest, sample.path)
    of_files = folder.samples[0].kind
    kind = "signal" if rule.depth == "cpm" else of_files
    tables = {}
    for cell in folder.cells:
        by_mark = []
        for mark in MARKS:
            files = [
                one
                for sample, one in zip(folder.samples, counted, strict=True)
                if (sample.cell, sample.mark) == (cell, mark)
            ]
            by_mark.append(_pooled(files, of_files, rule))
        X = np.stack(by_mark, axis=-1)
        if kind == "counts" and X.size and X.max() > MAX_COUNT:
            gene, b, m = (int(i) for i in np.unravel_index(int(X.argmax()), X.shape))
            raise DeepChromeError(
                f"{folder.raw}: cell type {cell}: gene {windows.gene_id[gene]}, bin {b + 1}, "
                f"{MARKS[m]}: {X[gene, b, m]:,} reads, more than a dataset holds ({MAX_COUNT:,}); "
                "use reads.drop_duplicates or reads.depth: cpm"
            )
        X = X.astype(np.uint16 if kind == "counts" else np.float32)
        tables[cell] = Table(windows.gene_id, X, None, [])
    sizes = candidates[0].sizes if candidates else {}
    truncated = pd.Series(windows.leaving(sizes), windows.gene_id)
    return BinValues(tables, truncated, kind)


def _pooled(files: list[Coverage], kind: str, rule: CountRule) -> np.ndarray:
    """Return the values of one mark in one cell type, shape=(genes, bins)."""
    if kind == "signal":
        return np.stack([one.values for one in files]).mean(axis=0)
    values = np.stack([one.values for one in files]).sum(axis=0, dtype=np.int64)
    if rule.depth == "cpm":
        return values * (1e6 / max(sum(one.reads for one in files), 1))
    return values
