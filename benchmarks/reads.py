"""Count the reads of one file in all bins: ours beside bedtools, on the same file and machine.

    python benchmarks/reads.py --reads 30000000 --folder /tmp/reads

Needs bedtools and samtools (Debian: apt-get install bedtools samtools). Writes a simulated tagAlign
of so many reads first, and keeps it. Each row is the median of its rounds, taken in turns; multicov
takes minutes (of 30 million reads, hours) and runs in the first round alone, or not at all
(--no-multicov):

- ours: the gzipped tagAlign to counts, in a process of its own (imports and gene table included);
- multicov: bedtobam, samtools sort and index, bedtools multicov on the 1.98 million bins;
- coverage: bedtools coverage -counts on the gzipped tagAlign as it stands (all reads in memory);
- coverage -sorted: the same by sweeping, on bins sorted alike.
The counts of all four are compared.
"""

import argparse
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
from rich.console import Console
from rich.table import Table

from deepchrome import BIN_WIDTH, N_BINS
from deepchrome.data.sources.chromosomes import seqinfo
from deepchrome.data.sources.genes import read_genes
from deepchrome.data.sources.reads import CountRule, count
from deepchrome.data.sources.windows import Windows
from deepchrome.training.executor import cores

SIZES = {name: int(n) for name, n in seqinfo("hg19")["length"].items() if "_" not in name}
LENGTH = 36
AT_TSS = 0.2
"""Share of reads within the genes' windows on purpose, as a mark of promoters has."""

OURS = CountRule(
    count="overlap",
    extend=0,
    min_mapq=0,
    drop_duplicates=False,
    depth="raw",
    input="ignore",
)


def gene_table() -> pd.DataFrame:
    """Return the package's genes on chromosomes whose length is known, sorted by id."""
    genes = read_genes("gencode_v10").genes.sort_index()
    return genes[genes["chrom"].isin(SIZES)]


def write_reads(path: Path, n: int) -> None:
    """Write reads sorted by place: most anywhere, some around TSSs."""
    rng = np.random.default_rng(0)
    genes = gene_table()
    total = sum(SIZES.values())
    options = pacsv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    with pa.CompressedOutputStream(str(path), "gzip") as out:
        for chrom in sorted(SIZES):
            k = round(n * SIZES[chrom] / total)
            start = rng.integers(0, SIZES[chrom] - LENGTH, k)
            tss = genes.loc[genes["chrom"] == chrom, "tss"].to_numpy()
            near = rng.random(k) < AT_TSS
            start[near] = rng.choice(tss, near.sum()) + rng.normal(0, 1000, near.sum()).astype(int)
            start = np.sort(start.clip(0, SIZES[chrom] - LENGTH))
            table = {
                "chrom": pa.array([chrom]).take(pa.array(np.zeros(k, np.int32))),
                "start": start,
                "end": start + LENGTH,
                "name": pa.array(["N"]).take(pa.array(np.zeros(k, np.int32))),
                "score": np.full(k, 255),  # bedtobam takes it as mapping quality
                "strand": pa.array(["+", "-"]).take(pa.array(rng.integers(0, 2, k, np.int32))),
            }
            pacsv.write_csv(pa.table(table), out, options)


def write_bins(path: Path) -> np.ndarray:
    """Write all bins as BED, sorted as the reads are; return each one's place among ours."""
    genes = gene_table()
    start = genes["tss"].to_numpy(np.int64)[:, None] - 5000 + BIN_WIDTH * np.arange(N_BINS)
    table = pd.DataFrame(
        {
            "chrom": np.repeat(genes["chrom"].to_numpy(object), N_BINS),
            "start": start.ravel().clip(0),
            "end": start.ravel() + BIN_WIDTH,
        }
    )
    table = table[table["end"] > 0].sort_values(["chrom", "start", "end"])
    table.to_csv(path, sep="\t", header=False, index=False)
    return table.index.to_numpy()


def ours(path: Path, out: Path) -> None:
    """Count once and print the peak memory, as the child process that is timed does."""
    found = count(path, Windows(gene_table()), OURS, SIZES, "gencode_v10")
    np.save(out, found.values)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def shell(command: str, folder: Path) -> float:
    """Run a command in a folder and return the seconds it took."""
    start = time.perf_counter()
    subprocess.run(["bash", "-ec", command], cwd=folder, check=True)
    return time.perf_counter() - start


def last_column(path: Path) -> np.ndarray:
    """Return the counts that bedtools adds to the three columns of bins.bed."""
    return pd.read_csv(path, sep="\t", header=None, usecols=[3])[3].to_numpy()


def main() -> None:
    """Parse, measure, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--reads", type=int, default=3_000_000)
    parser.add_argument("--folder", type=Path, default=Path("benchmark-reads"))
    parser.add_argument("--rounds", type=int, default=3, help="of each but multicov")
    parser.add_argument("--no-multicov", action="store_true", help="leave multicov out")
    parser.add_argument("--count", type=Path, help="count one file and print the peak memory (GiB)")
    args = parser.parse_args()
    if args.count:
        ours(args.count, args.count.with_name("ours.npy"))
        return
    for tool in ("bedtools", "samtools"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is not at hand; on Debian: apt-get install bedtools samtools")
    folder = args.folder
    folder.mkdir(parents=True, exist_ok=True)
    reads = folder / f"{args.reads}.tagAlign.gz"
    if not reads.is_file():
        write_reads(reads, args.reads)
    at = write_bins(folder / "bins.bed")
    (folder / "genome").write_text("".join(f"{c}\t{SIZES[c]}\n" for c in sorted(SIZES)))
    commands = {
        "multicov: bedtobam": f"bedtools bedtobam -i {reads.name} -g genome > unsorted.bam",
        "multicov: sort, index": "samtools sort -o reads.bam unsorted.bam; "
        "samtools index reads.bam",
        "multicov: multicov": "bedtools multicov -bams reads.bam -bed bins.bed > multicov.tsv",
        "coverage -counts": f"bedtools coverage -counts -a bins.bed -b {reads.name} > coverage.tsv",
        "coverage -counts -sorted": "bedtools coverage -counts -sorted -g genome -a bins.bed "
        f"-b {reads.name} > sorted.tsv",
    }
    if args.no_multicov:
        commands = {name: one for name, one in commands.items() if "multicov" not in name}
    seconds: dict[str, list[float]] = {name: [] for name in ("ours", *commands)}
    memory = []
    for number in range(args.rounds):
        start = time.perf_counter()
        child = subprocess.run(
            [sys.executable, __file__, "--count", str(reads)],
            check=True,
            capture_output=True,
            text=True,
        )
        seconds["ours"].append(time.perf_counter() - start)
        memory.append(float(child.stdout))
        for name, command in commands.items():
            if number == 0 or "multicov" not in name:
                seconds[name].append(shell(command, folder))
        print({name: round(values[-1], 1) for name, values in seconds.items()}, flush=True)
    counts = np.load(folder / "ours.npy").ravel()
    for name in ("coverage", "sorted") if args.no_multicov else ("multicov", "coverage", "sorted"):
        same = np.array_equal(last_column(folder / f"{name}.tsv"), counts[at])
        print(f"counts of {name}: {'the same' if same else 'DIFFERENT'}")
    parts = ("multicov: bedtobam", "multicov: sort, index", "multicov: multicov")
    if not args.no_multicov:
        seconds["multicov with conversion"] = [sum(seconds[part][0] for part in parts)]
    table = Table(
        title=f"{args.reads:,} reads, {len(at):,} bins; {cores()} cores, {platform.processor()} "
        f"{platform.system()}; median of {args.rounds} rounds (range)",
        title_justify="left",
    )
    for name in ("", "seconds", "this / ours"):
        table.add_column(name, justify="left" if not name else "right")
    for name, values in seconds.items():
        ratios = [value / own for value, own in zip(values, seconds["ours"], strict=False)]
        table.add_row(name, _shown(values), "" if name == "ours" else _shown(ratios))
    Console(width=100).print(table)
    median = statistics.median(seconds["ours"])
    print(f"ours: {args.reads / median / 1e6:.2f} million reads/s, peak {max(memory):.2f} GiB")


def _shown(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


if __name__ == "__main__":
    main()
