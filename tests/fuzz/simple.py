"""A second, simple reading of raw folders, to compare with what the product makes of them.

Written apart from the product, line by line and number by number; it raises where it cannot read.
"""

import gzip
import itertools
import re
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepchrome import MARKS

BINS, WIDTH = 100, 100


@dataclass
class Simple:
    """What a raw folder holds: by gene where it lies, its expression, and its bins' values."""

    places: dict[str, tuple[str, int, str]]
    expression: dict[str, float]
    X: dict[str, np.ndarray]
    medians: set[float]


def lines_of(path: Path) -> list[str]:
    """Return the lines of a text, plain or gzip, that are neither blank nor a comment."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
    lines = re.split(r"\r\n|\r|\n", text)
    beside = ("#", "track ", "browser ")
    return [line for line in lines if line.strip() and not line.startswith(beside)]


def whole(text: str) -> int:
    """Return a whole number, written as one, spaces around it allowed."""
    if not re.fullmatch(r" *\d+ *", text, re.ASCII):
        raise ValueError(f"{text!r} is no whole number")
    return int(text)


def number(text: str) -> float:
    """Return a number of at least 0, written as one."""
    if not re.fullmatch(r"[+-]?\d*\.?\d*([eE][+-]?\d+)?", text, re.ASCII) or float(text) < 0:
        raise ValueError(f"{text!r} is no number of at least 0")
    return float(text)


def bare(chrom: str) -> str:
    """Return a chromosome's name without chr."""
    return chrom.removeprefix("chr")


def gene(name: str) -> str:
    """Return a gene's id: an Ensembl id without its version, any other as it stands."""
    found = re.fullmatch(r"(ENS[A-Z]*G\d{11})\.\d+\S*", name)
    return found[1] if found else name


def fields(line: str) -> list[str]:
    """Return the fields of a line, without quotes around them."""
    return [field.strip().strip('"') for field in line.split("\t")]


def genes(raw: Path) -> dict[str, tuple[str, int, str]]:
    """Return chromosome, TSS and strand by gene."""
    (path,) = (raw / f"genes.{end}" for end in ("tsv", "gtf", "gff3", "bed") if _there(raw, end))
    lines = lines_of(path)
    found: dict[str, tuple[str, int, str]] = {}
    columns = fields(lines[0])
    for line in lines[1:] if path.suffix == ".tsv" else lines:
        row = fields(line)
        if path.suffix == ".tsv":
            one = dict(zip(columns, row, strict=False))
            name, chrom, tss, strand = (
                one["gene_id"],
                one["chrom"],
                whole(one["tss"]),
                one["strand"],
            )
        elif path.suffix == ".bed":
            name, chrom, strand = row[3], row[0], row[5]
            tss = whole(row[1]) + 1 if strand == "+" else whole(row[2])
        elif row[2] == "gene":
            named = re.search(r'gene_id[ =]"?([^";]+)', row[8])
            named = named or re.search(r"ID=(?:gene:)?([^;]+)", row[8])
            assert named
            name, chrom, strand = named[1], row[0], row[6]
            tss = whole(row[3]) if strand == "+" else whole(row[4])
        else:
            continue
        if strand in ("+", "-"):
            found[gene(name)] = (chrom, tss, strand)
    return found


def _there(raw: Path, end: str) -> bool:
    return (raw / f"genes.{end}").is_file()


def expression(path: Path, cell: str) -> dict[str, float]:
    """Return one cell type's column of an expression table."""
    header, *rows = lines_of(path)
    at = fields(header).index(cell)
    found = {}
    for row in map(fields, rows):
        if row[at] not in ("NA", ""):
            found[gene(row[0])] = number(row[at])
    return found


def values(path: Path, places: dict[str, tuple[str, int, str]]) -> dict[str, np.ndarray]:
    """Return the bins of every gene: reads that overlap them, or the mean of a signal."""
    signal = ".bedGraph" in path.name
    intervals: dict[str, list[tuple[int, int, float]]] = {}
    if path.suffix == ".bam":
        rows = list(_alignments(path))
    else:
        rows = []
        for line in lines_of(path):
            row = line.split("\t")
            if not line.startswith(("track", "browser")):
                rows.append(
                    (row[0], whole(row[1]), whole(row[2]), number(row[3]) if signal else 1.0)
                )
    for chrom, start, end, value in rows:
        if start >= end:
            raise ValueError("an empty interval")
        intervals.setdefault(bare(chrom), []).append((start, end, value))
    if signal:
        for some in intervals.values():
            some.sort()
            if any(a[1] > b[0] for a, b in itertools.pairwise(some)):
                raise ValueError("intervals overlap")
    X = {}
    for name, (chrom, tss, _) in places.items():
        X[name] = np.zeros(BINS)
        first = tss - BINS * WIDTH // 2
        for start, end, value in intervals.get(bare(chrom), []):
            for b in range(
                max(0, (start - first) // WIDTH), min(BINS - 1, (end - 1 - first) // WIDTH) + 1
            ):
                low = first + b * WIDTH
                share = (min(end, low + WIDTH) - max(start, low)) / WIDTH
                X[name][b] += value * share if signal else 1
    return X


def _alignments(path: Path) -> list[tuple[str, int, int, float]]:
    """Return the alignments of a BAM as samtools reads them."""
    done = subprocess.run(
        ["samtools", "view", "-F", "0x604", str(path)], capture_output=True, check=True, text=True
    )
    if done.stderr:
        raise ValueError(done.stderr)
    found = []
    for line in done.stdout.splitlines():
        row = line.split("\t")
        length = sum(int(n) for n, kind in re.findall(r"(\d+)([MDN=X])", row[5]))
        if length:
            found.append((row[2], int(row[3]) - 1, int(row[3]) - 1 + length, 1.0))
    return found


def own(raw: Path) -> Simple:
    """Read a folder of one's own data with one cell type, liver."""
    header, *rows = [
        [part.strip() for part in line.split("\t")] for line in lines_of(raw / "samples.tsv")
    ]
    samples = [dict(zip(header, row, strict=False)) for row in rows]
    places = genes(raw)
    rpkm = expression(raw / "expression.tsv", samples[0]["cell"])
    both = sorted(places.keys() & rpkm.keys())
    X = {name: np.zeros((BINS, len(MARKS))) for name in both}
    for sample in samples:
        one = values(raw / sample["path"], {name: places[name] for name in both})
        for name in both:
            X[name][:, MARKS.index(sample["mark"])] += one[name]
    medians = {statistics.median(rpkm[name] for name in both)}
    return Simple(places, rpkm, X, medians)


def published(raw: Path) -> Simple:
    """Read a folder in the published layout with one cell type, E003."""
    X: dict[str, np.ndarray] = {}
    for split in ("train", "valid", "test"):
        rows: dict[str, dict[int, list[int]]] = {}
        text = (raw / "E003/classification" / f"{split}.csv").read_bytes().decode("utf-8-sig")
        for line in filter(None, re.split(r"\r\n|\r|\n", text)):
            name, *numbers = line.split(",")
            b, *counts, label = map(whole, numbers)
            if not re.fullmatch(r"\d{6}", name) or len(counts) != 5 or label > 1:
                raise ValueError("no row of a gene")
            if rows.setdefault(name, {}).setdefault(b, counts) != counts:
                raise ValueError("a bin twice")
        for name, bins in rows.items():
            if sorted(bins) != list(range(1, BINS + 1)) or f"ENSG00000{name}" in X:
                raise ValueError("not 100 bins")
            X[f"ENSG00000{name}"] = np.array([bins[b] for b in range(1, BINS + 1)]) / [
                1,
                1,
                1,
                2,
                1,
            ]
    rpkm = expression(raw / "57epigenomes.RPKM.pc.gz", "E003")
    medians = {statistics.median(rpkm.values()), statistics.median(rpkm[name] for name in X)}
    return Simple({}, rpkm, X, medians)
