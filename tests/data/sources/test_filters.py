"""Fragments, pairs of reads, blacklists and CRAM: against samtools, awk and bedtools."""

import subprocess
from pathlib import Path

import numpy as np
import pysam
import pytest

from counted import (
    GENES,
    SIZES,
    bed,
    bins_bed,
    by_bedtools,
    counted,
    needs_bedtools,
    params,
    random_reads,
    write_bam,
)
from deepchrome.data.sources.reads import count
from deepchrome.data.sources.windows import Windows
from deepchrome.errors import DeepChromeError

pytestmark = needs_bedtools


def shell(command: str, folder: Path) -> None:
    subprocess.run(["bash", "-ec", command], check=True, cwd=folder, capture_output=True)


def intersected(folder: Path, name: str) -> np.ndarray:
    """Count the intervals of a BED file in bins by `bedtools intersect -c`."""
    bins = folder / "bins.bed"
    where = bins_bed(bins, GENES)
    arguments = ["intersect", "-c", "-a", str(bins), "-b", str(folder / name)]
    return by_bedtools(arguments, bins, where)


def write_pairs(path: Path, seed: int) -> None:
    """Write paired-end reads: most proper, some not, some without mate, duplicates, mates apart."""
    rng = np.random.default_rng(seed)
    header = {"SQ": [{"SN": name, "LN": size} for name, size in SIZES.items()]}
    reads = []
    with pysam.AlignmentFile(str(path), "wb", header=header) as bam:
        for number in range(1500):
            chrom = int(rng.integers(2))
            start = int(rng.integers(0, list(SIZES.values())[chrom] - 700))
            length = int(rng.integers(20, 600))  # below 36: mates that reach past each other
            proper = rng.random() < 0.8
            shared = 0x400 if rng.random() < 0.1 else 0
            for first in (True, False):
                read = pysam.AlignedSegment(bam.header)
                read.query_name = f"r{number}"
                read.flag = 0x1 | shared | (0x2 if proper else 0) | (0x40 if first else 0x80 | 0x10)
                read.reference_id = chrom if proper or first else 1 - chrom
                read.reference_start = start if first else max(start + length - 36, 0)
                read.mapping_quality = int(rng.choice([10, 60], p=[0.1, 0.9]))
                read.cigarstring = str(rng.choice(["36M", "16M4D20M", "6S30M"]))
                read.query_sequence = "A" * 36
                reads.append(read)
        reads += [pysam.AlignedSegment.from_dict(r.to_dict(), bam.header) for r in reads[:40]]
        for read in reads[-40:]:
            read.flag |= 0x100
        for i in rng.permutation(len(reads)):
            bam.write(reads[i])


@pytest.mark.parametrize("seed", range(2))
def test_fragments_are_those_of_bedtools(tmp_path, seed):
    bam = tmp_path / "x.bam"
    write_pairs(bam, seed)
    shell(
        "samtools view -b -f 2 -F 0x704 -q 30 x.bam | samtools sort -n -o named.bam -\n"
        "bedtools bamtobed -bedpe -i named.bam 2>/dev/null"
        " | awk -v OFS='\\t' '$1 == $4 {print $1, ($2 < $5 ? $2 : $5), ($3 > $6 ? $3 : $6)}'"
        " > fragments.bed\n"
        "samtools sort -o sorted.bam x.bam\n"
        "samtools sort -n -o by_name.bam x.bam",
        tmp_path,
    )
    # bedtools reports mates as pairs only where both are left
    expected = intersected(tmp_path, "fragments.bed")
    assert expected.sum() > 500
    for name in ("x.bam", "sorted.bam", "by_name.bam"):
        rule = params(fragments=True, min_mapq=30)
        found = count(tmp_path / name, Windows(GENES), rule, {}, "genes")
        np.testing.assert_array_equal(found.values, expected)
        assert found.reads == len((tmp_path / "fragments.bed").read_text().splitlines())


def test_single_end_reads_have_no_fragments(tmp_path):
    write_bam(tmp_path / "x.bam", [(0, "chr1", 100, "36M", 60)])
    with pytest.raises(DeepChromeError, match="found single-end reads"):
        counted(tmp_path / "x.bam", fragments=True)
    (tmp_path / "x.bed").write_text(bed([("chr1", 100, 136, "+")]))
    with pytest.raises(DeepChromeError, match="found reads one by one"):
        counted(tmp_path / "x.bed", fragments=True)


def test_pairs_of_text_count_as_mates_or_as_fragments(tmp_path):
    write_pairs(tmp_path / "x.bam", 3)
    shell(
        "samtools view -b -F 0x100 x.bam | samtools sort -n -o named.bam -\n"
        "bedtools bamtobed -bedpe -i named.bam > x.bedpe\n"
        "printf '.\\t-1\\t-1\\tchr1\\t20000\\t20036\\tz\\t60\\t.\\t+\\n' >> x.bedpe\n"
        "awk -v OFS='\\t' '{print $1,$2,$3,$7,$8,$9; print $4,$5,$6,$7,$8,$10}' x.bedpe"
        " | grep -v '^[.]' > mates.bed\n"
        "awk -v OFS='\\t' '$1 == $4 {print $1, ($2 < $5 ? $2 : $5), ($3 > $6 ? $3 : $6)}' x.bedpe"
        " > fragments.bed",
        tmp_path,
    )
    np.testing.assert_array_equal(counted(tmp_path / "x.bedpe"), intersected(tmp_path, "mates.bed"))
    np.testing.assert_array_equal(
        counted(tmp_path / "x.bedpe", fragments=True), intersected(tmp_path, "fragments.bed")
    )
    np.testing.assert_array_equal(
        counted(tmp_path / "x.bedpe", count="five_prime", min_mapq=30),
        counted(tmp_path / "mates.bed", count="five_prime", min_mapq=30),
    )


@pytest.mark.parametrize("seed", range(2))
def test_a_blacklist_leaves_out_what_intersect_v_does(tmp_path, seed):
    rng = np.random.default_rng(seed)
    reads = random_reads(rng, 2000)
    (tmp_path / "reads.bed").write_text(bed(reads))
    regions = [(c, s, s + int(rng.integers(1, 900))) for c, s, _, _ in random_reads(rng, 40)]
    (tmp_path / "black.bed").write_text("".join(f"{c}\t{s}\t{e}\n" for c, s, e in regions))
    shell("bedtools intersect -v -a reads.bed -b black.bed > left.bed", tmp_path)
    rule = params(blacklist=str(tmp_path / "black.bed"))
    found = count(tmp_path / "reads.bed", Windows(GENES), rule, {}, "genes")
    np.testing.assert_array_equal(found.values, intersected(tmp_path, "left.bed"))
    left = len((tmp_path / "left.bed").read_text().splitlines())
    assert found.reads == left < len(reads)
    assert f"{len(reads) - left:,} reads in" in found.notes[0]


def test_a_blacklist_of_other_names_is_refused(tmp_path):
    (tmp_path / "reads.bed").write_text(bed([("chr1", 100, 136, "+")]))
    (tmp_path / "black.bed").write_text("NC_7\t1\t5\n")
    with pytest.raises(DeepChromeError, match="no chromosome in common with"):
        counted(tmp_path / "reads.bed", blacklist=str(tmp_path / "black.bed"))


def test_cram_counts_as_the_bam_it_was_made_of(tmp_path):
    rng = np.random.default_rng(1)
    bases = {name: "".join(rng.choice(list("ACGT"), size)) for name, size in SIZES.items()}
    fasta = "".join(f">{name}\n{sequence}\n" for name, sequence in bases.items())
    (tmp_path / "genome.fa").write_text(fasta)
    (tmp_path / "other.fa").write_text(fasta.replace("ACG", "ACC"))
    reads = [
        (int(rng.choice([0, 16])), "chr1", int(rng.integers(15_000, 25_000)), "36M", 60)
        for _ in range(500)
    ]
    write_bam(tmp_path / "x.bam", reads)
    shell("samtools view -C -T genome.fa -o x.cram x.bam; rm genome.fa.fai", tmp_path)
    before = sorted(tmp_path.iterdir())
    cram = tmp_path / "x.cram"
    np.testing.assert_array_equal(
        counted(cram, reference=str(tmp_path / "genome.fa")), counted(tmp_path / "x.bam")
    )
    with pytest.raises(DeepChromeError, match="a CRAM file, which needs the genome"):
        counted(cram)
    with pytest.raises(DeepChromeError, match=r"not made with .*other\.fa .*chr1, whose sequence"):
        counted(cram, reference=str(tmp_path / "other.fa"))
    with pytest.raises(DeepChromeError, match="not a FASTA file"):
        counted(cram, reference=str(tmp_path / "x.bam"))
    cram.write_bytes(cram.read_bytes()[:-60])
    with pytest.raises(DeepChromeError, match="truncated or damaged CRAM"):
        counted(cram, reference=str(tmp_path / "genome.fa"))
    assert sorted(tmp_path.iterdir()) == before  # no index beside the person's files
