"""Counting reads in bins: against a count read by read, and against bedtools."""

import gzip
import subprocess
from pathlib import Path

import numpy as np
import pyBigWig
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counted import (
    GENES,
    SIZES,
    bed,
    bins_bed,
    by_bedtools,
    counted,
    gene_table,
    multicov,
    naive,
    needs_bedtools,
    params,
    random_reads,
    write_bam,
)
from deepchrome.data.sources import intervals
from deepchrome.data.sources.reads import count
from deepchrome.data.sources.signal import average
from deepchrome.data.sources.windows import Sums, Windows
from deepchrome.errors import DeepChromeError


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["chr1", "chr2", "chr3"]),
            st.integers(0, 30_000),
            st.one_of(st.integers(1, 300), st.sampled_from([36, 100, 4096, 4097, 25_000])),
            st.sampled_from("+-"),
        ),
        min_size=1,
        max_size=12,
    ),
    st.lists(
        st.tuples(st.sampled_from(["chr1", "chr2"]), st.integers(1, 30_000), st.sampled_from("+-")),
        min_size=1,
        max_size=3,
    ),
    st.booleans(),
)
def test_counts_are_those_of_every_read_and_bin(tmp_path_factory, reads, genes, five_prime):
    path = tmp_path_factory.mktemp("reads") / "reads.bed"
    placed = [(chrom, start, start + length, strand) for chrom, start, length, strand in reads]
    placed.append((genes[0][0], genes[0][1], genes[0][1] + 1, "+"))
    path.write_text(bed(placed))
    table = gene_table(*genes)
    found = counted(path, table, count="five_prime" if five_prime else "overlap")
    np.testing.assert_array_equal(found, naive(placed, table, five_prime))


def test_text_files_in_blocks_in_any_order_plain_or_gzip(tmp_path, monkeypatch):
    monkeypatch.setattr(intervals, "BLOCK", 1000)
    reads = random_reads(np.random.default_rng(0), 500)
    expected = naive(reads, GENES)
    path = tmp_path / "reads.tagAlign"
    path.write_text("# made by hand\ntrack name=reads\n" + bed(reads).replace("\n", "\r\n"))
    np.testing.assert_array_equal(counted(path), expected)
    packed = tmp_path / "reads.bed.gz"
    half = len(reads) // 2  # of several members, as bgzip and cat write
    packed.write_bytes(
        gzip.compress(bed(sorted(reads))[:0].encode() + bed(reads[:half]).encode())
        + gzip.compress(bed(reads[half:]).encode())
    )
    np.testing.assert_array_equal(counted(packed), expected)
    three = tmp_path / "three.bed"
    three.write_text("".join(f"{c}\t{s}\t{e}\n" for c, s, e, _ in reads))
    np.testing.assert_array_equal(counted(three), expected)


def test_a_known_gene_and_read():
    """Bin 1 starts 5,000 bp before the TSS as printed, half-open; a read across counts twice."""
    windows = Windows(gene_table(("chr1", 20_000, "-")))
    assert windows.edges[0] + 10_000 == windows.edges[-1]
    assert windows.start.tolist() == [15_000]


def boundaries(tmp_path: Path, start: int, end: int) -> list[int]:
    path = tmp_path / "one.bed"
    path.write_text(bed([("chr1", start, end, "+")]))
    return np.flatnonzero(counted(path, gene_table(("chr1", 20_000, "+")))[0]).tolist()


def test_boundaries(tmp_path):
    assert boundaries(tmp_path, 14_964, 15_000) == []
    assert boundaries(tmp_path, 14_965, 15_001) == [0]
    assert boundaries(tmp_path, 15_064, 15_100) == [0]
    assert boundaries(tmp_path, 15_065, 15_101) == [0, 1]
    assert boundaries(tmp_path, 24_999, 25_035) == [99]
    assert boundaries(tmp_path, 25_000, 25_036) == []
    assert boundaries(tmp_path, 0, 60_000) == list(range(100))


def test_extend_reaches_at_least_so_far_from_the_five_prime_end(tmp_path):
    reads = random_reads(np.random.default_rng(1), 300)
    path = tmp_path / "reads.bed"
    path.write_text(bed(reads))
    longer = [
        (c, s, max(e, s + 200), t) if t == "+" else (c, max(min(s, e - 200), 0), e, t)
        for c, s, e, t in reads
    ]
    np.testing.assert_array_equal(counted(path, extend=200), naive(longer, GENES))


def test_drop_duplicates_keeps_one_of_each_end_and_strand(tmp_path, monkeypatch):
    monkeypatch.setattr(intervals, "BLOCK", 500)
    rng = np.random.default_rng(2)
    few = random_reads(rng, 40)
    reads = [few[i] for i in rng.integers(0, len(few), 400)]
    path = tmp_path / "reads.bed"
    path.write_text(bed(reads))
    kept, seen = [], set()
    for read in reads:
        chrom, start, end, strand = read
        key = chrom, start if strand == "+" else end - 1, strand
        if key not in seen:
            seen.add(key)
            kept.append(read)
    result = count(path, Windows(GENES), params(drop_duplicates=True), {}, "genes")
    np.testing.assert_array_equal(result.values, naive(kept, GENES))
    assert result.reads == len(kept) < 41


def test_min_mapq_of_text_is_the_score_column(tmp_path):
    reads = random_reads(np.random.default_rng(3), 100)
    quality = np.random.default_rng(4).integers(0, 60, 100)
    path = tmp_path / "reads.bed"
    path.write_text(
        "".join(
            f"{c}\t{s}\t{e}\tr\t{q}\t{t}\n" for (c, s, e, t), q in zip(reads, quality, strict=True)
        )
    )
    good = [read for read, q in zip(reads, quality, strict=True) if q >= 30]
    result = count(path, Windows(GENES), params(min_mapq=30), {}, "genes")
    np.testing.assert_array_equal(result.values, naive(good, GENES))
    assert result.reads == len(good)


# --- beside bedtools ------------------------------------------------------------------------------


@needs_bedtools
@pytest.mark.parametrize("seed", range(3))
def test_tag_align_counts_are_those_of_bedtools(tmp_path, seed):
    reads = random_reads(np.random.default_rng(seed), 3000)
    path, bins = tmp_path / "reads.tagAlign", tmp_path / "bins.bed"
    path.write_text(bed(reads))
    where = bins_bed(bins, GENES)
    ours = counted(path)
    assert ours.sum() > 3000
    arguments = ["coverage", "-counts", "-a", str(bins), "-b", str(path)]
    np.testing.assert_array_equal(ours, by_bedtools(arguments, bins, where))
    genome = tmp_path / "genome"
    genome.write_text("".join(f"{name}\t{size}\n" for name, size in SIZES.items()))
    scored = tmp_path / "scored.bed"  # bedtobam takes the score as mapping quality, at most 255
    scored.write_text(bed(reads, score=60))
    unsorted, bam = tmp_path / "unsorted.bam", tmp_path / "reads.bam"
    with open(unsorted, "wb") as file:
        subprocess.run(
            ["bedtools", "bedtobam", "-i", str(scored), "-g", str(genome)], stdout=file, check=True
        )
    subprocess.run(["samtools", "sort", "-o", str(bam), str(unsorted)], check=True)
    subprocess.run(["samtools", "index", str(bam)], check=True)
    np.testing.assert_array_equal(ours, multicov(bam))
    np.testing.assert_array_equal(ours, counted(bam))
    np.testing.assert_array_equal(ours, counted(unsorted))


CIGARS = [
    "36M",
    "18M500N18M",
    "18M90N18M",
    "10M60D26M",
    "10M16I10M",
    "10S26M",
    "26M10S",
    "10H26M",
    "12=3X20=",
    "1M",
    "250M",
    "5S10M3I7M1000N11M4H",
]
FLAGS = [0, 16, 256, 272, 2048, 2064, 1024, 512, 1536, 1 | 64, 1 | 2 | 32 | 64, 1 | 16 | 128]


@needs_bedtools
@pytest.mark.parametrize("seed", range(3))
def test_bam_counts_are_those_of_multicov(tmp_path, seed):
    """Spliced, clipped, secondary, supplementary, duplicate, failed and paired alignments."""
    rng = np.random.default_rng(seed)
    reads = []
    for _ in range(2500):
        chrom = str(rng.choice(list(SIZES)))
        start = int(rng.integers(0, SIZES[chrom] - 1200))
        if rng.random() < 0.3:
            start = start // 100 * 100 - int(rng.integers(0, 40))
        flag, cigar = int(rng.choice(FLAGS)), str(rng.choice(CIGARS))
        reads.append((flag, chrom, max(start, 0), cigar, int(rng.integers(0, 61))))
    path = tmp_path / "reads.bam"
    write_bam(path, reads)
    np.testing.assert_array_equal(counted(path), multicov(path))
    np.testing.assert_array_equal(counted(path, min_mapq=20), multicov(path, "-q", "20"))
    assert counted(path).sum() > 2500


def test_unmapped_reads_and_those_without_aligned_bases_do_not_count(tmp_path):
    path = tmp_path / "reads.bam"
    at = ("chr1", 20_010)
    write_bam(path, [(0, *at, "36M", 60), (4 | 1, *at, "", 0), (0, *at, "36I", 60)])
    result = count(path, Windows(GENES), params(), {}, "genes")
    assert result.reads == 1
    assert result.values[0].sum() == 1


def test_bam_strands(tmp_path):
    path = tmp_path / "reads.bam"
    write_bam(path, [(0, "chr1", 20_090, "36M", 60), (16, "chr1", 20_090, "36M", 60)])
    found = counted(path, count="five_prime")
    assert found[0, 50] == 1  # of +, at 20,090
    assert found[0, 51] == 1  # of -, at 20,125


# --- signal ---------------------------------------------------------------------------------------


def random_track(rng: np.random.Generator) -> list[tuple[str, int, int, float]]:
    """Make intervals that do not overlap, with gaps, some of them long."""
    rows = []
    for chrom, size in SIZES.items():
        position = 0
        while position < size - 2000:
            position += int(rng.choice([0, 0, 7, 150]))
            length = int(rng.choice([1, 20, 130, 1500]))
            rows.append((chrom, position, position + length, float(np.round(rng.gamma(1), 3))))
            position += length
    return rows


def naive_means(track: list[tuple[str, int, int, float]]) -> np.ndarray:
    bases = {chrom: np.zeros(size + 20_000) for chrom, size in SIZES.items()}
    for chrom, start, end, value in track:
        bases[chrom][10_000 + start : 10_000 + end] = value
    means = []
    for gene in GENES.itertuples():
        low = 10_000 + gene.tss - 5000
        means.append(bases[gene.chrom][low : low + 10_000].reshape(100, 100).mean(axis=1))
    return np.array(means)


@pytest.mark.parametrize("seed", range(3))
def test_signal_is_the_mean_over_bases(tmp_path, monkeypatch, seed):
    monkeypatch.setattr(intervals, "BLOCK", 1000)
    track = random_track(np.random.default_rng(seed))
    expected = naive_means(track)
    assert (expected[3, :37] == 0).all()  # before the start of chr1
    path = tmp_path / "track.bedGraph"
    path.write_text(
        "track type=bedGraph\n" + "".join(f"{c}\t{s}\t{e}\t{v}\n" for c, s, e, v in track)
    )
    found = average(path, Windows(GENES), SIZES, "genes").values
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    wig = tmp_path / "track.bw"
    with pyBigWig.open(str(wig), "w") as file:
        file.addHeader(list(SIZES.items()))
        chroms, starts, ends, values = map(list, zip(*track, strict=True))
        file.addEntries(chroms, starts, ends=ends, values=values)
    found = average(wig, Windows(GENES), SIZES, "genes").values
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_sums_of_one_gene_alone():
    windows = Windows(gene_table(("chr1", 20_000, "+")))
    sums = Sums(windows)
    start = windows.place(np.array([0]), np.array([15_050]))
    sums.add(start, start + 100, np.array([2.0]))
    assert sums.means()[0, :3].tolist() == [1.0, 1.0, 0.0]


def test_damaged_files_say_so(tmp_path):
    path = tmp_path / "reads.bam"
    write_bam(path, [(0, "chr1", 20_090 + i, "36M", 60) for i in range(20_000)])
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(DeepChromeError, match="truncated or damaged BAM"):
        counted(path)
    (tmp_path / "track.bw").write_bytes(b"not a bigWig")
    with pytest.raises(DeepChromeError, match="not a bigWig file"):
        average(tmp_path / "track.bw", Windows(GENES), {}, "genes")
