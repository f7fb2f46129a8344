"""Small sound raw folders, one for each kind of file that is mutated."""

import gzip
from pathlib import Path

import numpy as np
import pyBigWig

from conftest import make_genes, write_cell, write_rpkm
from data.sources.test_reads import write_bam
from deepchrome import MARKS
from deepchrome.data.sources.chromosomes import seqinfo

HG19 = seqinfo("hg19")["length"].to_dict()
CELL = "liver"

GENES = [
    (
        f"ENSG{900 + i:011d}",
        f"SYM{i}",
        ("chr1", "chr2", "chr17")[i % 3],
        60_000 + 20_000 * i,
        "+-"[i % 2],
    )
    for i in range(1, 9)
]
"""Id, symbol, chromosome, TSS and strand."""


NUMBERS = ["000003", "000005", "000419", "000457", "000460", "000938", "000971", "001036", "001167"]
"""Of genes that the package's table knows."""


def reads_of(mark: str) -> list[tuple[str, int, str]]:
    """Return sorted reads of 36 bp within the windows: chromosome, start, strand."""
    rng = np.random.default_rng(MARKS.index(mark))
    return sorted(
        (chrom, int(start), str(rng.choice(["+", "-"])))
        for _, _, chrom, tss, _ in GENES
        for start in rng.integers(tss - 5000, tss + 4964, 15)
    )


def write_genes(raw: Path, end: str) -> None:
    """Write the genes as TSV, GTF, GFF3 or BED."""
    lines = {"tsv": ["gene_id\tsymbol\tchrom\ttss\tstrand"], "gff3": ["##gff-version 3"]}.get(
        end, []
    )
    for name, symbol, chrom, tss, strand in GENES:
        low, high = (tss, tss + 3000) if strand == "+" else (tss - 3000, tss)
        row: list[object] = [name, symbol, chrom, tss, strand]
        if end == "bed":
            row = [chrom, low - 1, high, name, 0, strand]
        elif end != "tsv":
            named = f'gene_id "{name}.3"; gene_name "{symbol}";'
            if end == "gff3":
                named = f"ID=gene:{name};Name={symbol};gene_id={name};version=3"
            row = [chrom, "havana", "gene", low, high, ".", strand, ".", named]
        lines.append("\t".join(map(str, row)))
    (raw / f"genes.{end}").write_text("\n".join(lines) + "\n")


def write_file(path: Path, mark: str) -> None:
    """Write the reads of a mark, or a signal made of them, by the end of the file's name."""
    reads = reads_of(mark)
    if path.suffix == ".bam":
        rows = [(16 * (t == "-"), c, s, "36M", 60) for c, s, t in reads]
        write_bam(path, rows, {name: HG19[name] for name in ("chr1", "chr2", "chr17")})
        return
    bases = sorted({(c, s): 1 + s % 9 / 4 for c, s, _ in reads}.items())
    steps = [(c, s - s % 10, s - s % 10 + 10, v) for (c, s), v in bases]
    distinct = list({(c, s): (c, s, e, v) for c, s, e, v in steps}.values())
    if path.suffix == ".bw":
        with pyBigWig.open(str(path), "w") as file:
            file.addHeader([(name, HG19[name]) for name in ("chr1", "chr17", "chr2")])
            chroms, starts, ends, values = map(list, zip(*distinct, strict=True))
            file.addEntries(chroms, starts, ends=ends, values=values)
        return
    if ".bedGraph" in path.name:
        lines = [f"{c}\t{s}\t{e}\t{v}" for c, s, e, v in distinct]
    else:
        lines = [f"{c}\t{s}\t{s + 36}\tN\t1000\t{t}" for c, s, t in reads]
    data = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def own(raw: Path, files: str = ".tagAlign", genes: str = "tsv") -> None:
    """Write a folder of one's own data. files: the end of its files' names."""
    raw.mkdir(parents=True)
    rows = ["cell\tmark\tpath"]
    for mark in MARKS:
        write_file(raw / f"{mark}{files}", mark)
        rows.append(f"{CELL}\t{mark}\t{mark}{files}")
    (raw / "samples.tsv").write_text("\n".join(rows) + "\n")
    write_genes(raw, genes)
    rows = [f"{name}\t{0.5 + 1.25 * i:.2f}" for i, (name, *_) in enumerate(GENES)]
    (raw / "expression.tsv").write_text("\n".join([f"gene_id\t{CELL}", *rows]) + "\n")
    sizes = [f"{name}\t{HG19[name]}" for name in ("chr1", "chr2", "chr17", "chrM")]
    (raw / "chrom.sizes").write_text("\n".join(sizes) + "\n")


def published(raw: Path) -> None:
    """Write a folder in the published layout, of one cell type and nine genes."""
    genes = make_genes(3, seed=0)
    for gene, number in zip(genes, NUMBERS, strict=True):
        gene.number = number
    raw.mkdir(parents=True)
    write_cell(raw, "E003", genes)
    write_rpkm(raw, {"E003": genes})


def combined(raw: Path) -> None:
    """Write a folder as `combine` makes it, of reads and published tables."""
    own(raw / "reads")
    published(raw / "published")
    (raw / "combined.json").write_text('{"parts": {"reads": "a", "published": "b"}}\n')
