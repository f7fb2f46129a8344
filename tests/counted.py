"""Reads for the tests, and how often they lie in bins: by a count one by one, and by bedtools."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import pytest

from deepchrome.data.sources.reads import CountRule, count
from deepchrome.data.sources.windows import Windows

needs_bedtools = pytest.mark.skipif(
    not (shutil.which("bedtools") and shutil.which("samtools")),
    reason="bedtools and samtools are not at hand (Debian: apt-get install bedtools samtools)",
)

SIZES = {"chr1": 60_000, "chr2": 30_000}
DEFAULTS = {"count": "overlap", "extend": 0, "min_mapq": 0, "drop_duplicates": False}


def params(**changed: object) -> CountRule:
    return CountRule(**{**DEFAULTS, "depth": "raw", "input": "ignore", **changed})


def gene_table(*genes: tuple[str, int, str]) -> pd.DataFrame:
    """Make a gene table of (chromosome, TSS, strand)."""
    table = pd.DataFrame(genes, columns=["chrom", "tss", "strand"])
    return table.set_axis(pd.Index([f"ENSG{i:011d}" for i in range(len(genes))]))


# overlapping, alike, at both ends of a chromosome, and on both strands
GENES = gene_table(
    ("chr1", 20_000, "+"),
    ("chr1", 20_000, "-"),
    ("chr1", 24_321, "-"),
    ("chr1", 1_234, "+"),
    ("chr1", 58_765, "-"),
    ("chr2", 15_001, "+"),
)

Read = tuple[str, int, int, str]  # chromosome, start, end, strand


def naive(reads: list[Read], genes: pd.DataFrame, five_prime: bool = False) -> np.ndarray:
    """Count read by read and bin by bin."""
    counts = np.zeros((len(genes), 100), int)
    for chrom, start, end, strand in reads:
        if five_prime:
            start, end = (start, start + 1) if strand == "+" else (end - 1, end)
        for i, gene in enumerate(genes.itertuples()):
            for b in range(100):
                low = gene.tss - 5000 + 100 * b
                if chrom == gene.chrom and start < low + 100 and end > low:
                    counts[i, b] += 1
    return counts


def bed(reads: list[Read], score: int = 1000) -> str:
    return "".join(f"{c}\t{s}\t{e}\tN\t{score}\t{strand}\n" for c, s, e, strand in reads)


def counted(path: Path, genes: pd.DataFrame = GENES, **changed: object) -> np.ndarray:
    return count(path, Windows(genes), params(**changed), {}, "genes.tsv").values


def random_reads(rng: np.random.Generator, n: int, longest: int = 400) -> list[Read]:
    chrom = rng.choice(list(SIZES), n)
    length = np.where(rng.random(n) < 0.6, 36, rng.integers(1, longest, n))
    start = np.array(
        [rng.integers(0, SIZES[c] - k + 1) for c, k in zip(chrom, length, strict=True)]
    )
    # many at the ends of bins, and at the first and last base of a chromosome
    at = rng.random(n)
    start = np.where(at < 0.2, start // 100 * 100 + rng.integers(-1, 2, n), start)
    start = np.where(at > 0.97, 0, np.maximum(start, 0))
    end = np.minimum(start + length, [SIZES[c] for c in chrom])
    end = np.where((at > 0.8) & (at < 0.83), [SIZES[c] for c in chrom], end)
    strand = rng.choice(["+", "-"], n)
    return [
        (str(c), int(s), int(e), str(t))
        for c, s, e, t in zip(chrom, start, end, strand, strict=True)
        if s < e
    ]


def bins_bed(path: Path, genes: pd.DataFrame) -> list[tuple[int, int]]:
    """Write the bins that lie on their chromosome, cut at its start; return gene and bin of each.

    BED has no negative positions.
    """
    rows, where = [], []
    for i, gene in enumerate(genes.itertuples()):
        for b in range(100):
            low = gene.tss - 5000 + 100 * b
            if low + 100 > 0 and low < SIZES[gene.chrom]:
                rows.append(f"{gene.chrom}\t{max(low, 0)}\t{low + 100}\n")
                where.append((i, b))
    path.write_text("".join(rows))
    return where


def by_bedtools(arguments: list[str], bins: Path, where: list[tuple[int, int]]) -> np.ndarray:
    out = subprocess.run(
        ["bedtools", *arguments], capture_output=True, text=True, check=True
    ).stdout
    counts = np.zeros((len(GENES), 100), int)
    lines = out.splitlines()
    assert len(lines) == len(where)
    for (i, b), line in zip(where, lines, strict=True):
        counts[i, b] = int(line.split("\t")[-1])
    return counts


def multicov(bam: Path, *options: str) -> np.ndarray:
    bins = bam.with_name("bins.bed")
    where = bins_bed(bins, GENES)
    return by_bedtools(["multicov", *options, "-bams", str(bam), "-bed", str(bins)], bins, where)


def write_bam(path: Path, reads: list[tuple[int, str, int, str, int]], sizes=SIZES) -> None:
    """Write alignments (flag, chromosome, start, CIGAR, mapping quality), sorted and indexed."""
    header = {
        "HD": {"VN": "1.6", "SO": "coordinate"},
        "SQ": [{"SN": name, "LN": size} for name, size in sizes.items()],
    }
    order = sorted(reads, key=lambda read: (list(sizes).index(read[1]), read[2]))
    with pysam.AlignmentFile(str(path), "wb", header=header) as bam:
        for number, (flag, chrom, start, cigar, quality) in enumerate(order):
            read = pysam.AlignedSegment(bam.header)
            read.query_name, read.flag = f"r{number}", flag
            read.reference_id, read.reference_start = list(sizes).index(chrom), start
            read.mapping_quality, read.cigarstring = quality, cigar
            length = read.infer_query_length() or 1
            read.query_sequence = "A" * length
            read.query_qualities = pysam.qualitystring_to_array("I" * length)
            bam.write(read)
    pysam.index(str(path))
