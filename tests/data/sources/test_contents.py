"""What files are by their content: no list of peaks counts as reads, and no reads are refused."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from counted import GENES, SIZES, bed, params, random_reads
from deepchrome.data.sources.contents import BEDGRAPH, PAIRS, READS, binary_kind, content_of
from deepchrome.data.sources.reads import count
from deepchrome.data.sources.signal import average
from deepchrome.data.sources.windows import Windows
from deepchrome.errors import DeepChromeError


def rows(template: str, n: int = 12, step: int = 1000, length: int = 400) -> str:
    """Fill a template with an interval and a number for each of `n` lines."""
    return "".join(
        template.format(s=10_000 + i * step, e=10_000 + i * step + length, i=i, h=i / 4) + "\n"
        for i in range(n)
    )


NOT_READS = {
    "narrowPeak": (rows("chr1\t{s}\t{e}\tp{i}\t731\t.\t2.6\t15.3\t29.1\t352"), "narrowPeak"),
    "broadPeak": (rows("chr1\t{s}\t{e}\tp{i}\t731\t.\t2.6\t15.3\t29.1"), "broadPeak"),
    "gappedPeak": (
        rows(
            "chr1\t{s}\t{e}\tp{i}\t731\t.\t{s}\t{e}\t0\t1\t400\t0\t2.6\t15.3\t29.1",
        ),
        "gappedPeak",
    ),
    "peaks by name": (rows("chr1\t{s}\t{e}\tx_peak_{i}\t73\t."), "list of peaks"),
    "peaks in three columns": (rows("chr1\t{s}\t{e}", step=9000, length=1700), "list of regions"),
    "bedGraph": (rows("chr1\t{s}\t{e}\t{h}"), "a bedGraph"),
    "bedGraph of counts": (rows("chr1\t{s}\t{e}\t1", length=1000), "a bedGraph"),
    "bedGraph that says so": ("track type=bedGraph\nchr1\t1\t37\t5\nchr1\t90\t126\t7\n", BEDGRAPH),
    "scores": (rows("chr1\t{s}\t{e}\t{h}\t3\tchr1:5-9"), "values in column 4"),
    "SEACR": (rows("chr1\t{s}\t{e}\t{i}\t3\tchr1:5-9"), "sixth is no strand"),
    "states": (rows("chr1\t{s}\t{e}\tE5"), "chromatin states"),
    "states named": (rows("chr1\t{s}\t{e}\t1_TssA"), "chromatin states"),
    "dense states": (
        rows("chr1\t{s}\t{e}\t7\t0\t.\t{s}\t{e}\t255,0,0", length=1000),
        "tile the genome",
    ),
    "bins": (rows("chr1\t{s}\t{e}", step=200, length=200), "tile the genome"),
    "genes": (rows("chr1\t{s}\t{e}\tENST0000012345{i}\t0\t+"), "genes or transcripts"),
    "GTF": (rows('chr1\tH\texon\t{s}\t{e}\t.\t+\t.\tgene_id "g";'), "GTF or GFF"),
    "GFF": ("##gff-version 3\n" + rows("chr1\tH\texon\t{s}\t{e}\t.\t+\t.\tID=1"), "GTF or GFF"),
    "SAM": ("@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:60000\n", "SAM text"),
    "SAM without header": (rows("r{i}\t0\tchr1\t{s}\t60\t36M\t*\t0\t0\tACGT\tIIII"), "SAM text"),
    "VCF": (rows("chr1\t{s}\trs{i}\tA\tG\t50\tPASS\tDP=3"), "VCF"),
    "VCF header": ("##fileformat=VCFv4.2\n#CHROM\tPOS\n", "VCF"),
    "wiggle": ("track type=wiggle_0\nfixedStep chrom=chr1 start=1 step=5\n3\n4\n", "wiggle"),
    "variable wiggle": ("variableStep chrom=chr1\n100 3\n", "wiggle"),
    "web page": ("<!DOCTYPE html>\n<html><body>404</body></html>\n", "web page"),
    "JSON": ('{"error": "not found"}\n', "JSON"),
    "FASTA": (">chr1\nACGT\n", "FASTA"),
    "bedMethyl": (rows("chr1\t{s}\t{e}\tm\t9\t+\t{s}\t{e}\t0,0,0\t9\t50"), "11 columns"),
}


@pytest.mark.parametrize("case", NOT_READS)
def test_what_is_no_reads_is_refused_by_its_name(tmp_path, case):
    text, named = NOT_READS[case]
    for name in ("x.bed", "x.tagAlign.gz"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
        with pytest.raises(DeepChromeError, match=named) as refusal:
            count(path, Windows(GENES), params(), {}, "genes")
        assert "this is " in str(refusal.value)


READS_BY_STYLE = {
    "BED3": "{c}\t{s}\t{e}",
    "tagAlign": "{c}\t{s}\t{e}\tN\t1000\t{t}",
    "numbered": "{c}\t{s}\t{e}\t{i}",
    "numbered from 0 by one number": "{c}\t{s}\t{e}\t0\t37\t{t}",
    "BED5 with scores": "{c}\t{s}\t{e}\tr{i}\t37",
    "BED6 with scores": "{c}\t{s}\t{e}\tr{i}\t37\t{t}",
    "names of Illumina": "{c}\t{s}\t{e}\tHWI:1:{i}#0/1\t37\t{t}",
    "without strand": "{c}\t{s}\t{e}\t.\t0\t.",
    "with CIGAR": "{c}\t{s}\t{e}\tr{i}\t37\t{t}\t36M",
    "BED12": "{c}\t{s}\t{e}\tr{i}\t37\t{t}\t{s}\t{e}\t255,0,0\t1\t36\t0",
    "tab at the end": "{c}\t{s}\t{e}\tN\t1000\t{t}\t",
}


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("style", READS_BY_STYLE)
def test_reads_of_every_style_count_alike(tmp_path, style, few):
    """Also a dozen reads that do not overlap, of which little can be told."""
    reads = random_reads(np.random.default_rng(5), 400)
    if few:
        reads = [("chr1", 15_000 + i * 700, 15_036 + i * 700, "+") for i in range(12)]
    path = tmp_path / "reads.bed"
    path.write_text(
        "".join(
            READS_BY_STYLE[style].format(c=c, s=s, e=e, t=t, i=i) + "\n"
            for i, (c, s, e, t) in enumerate(reads)
        )
    )
    plain = tmp_path / "plain.tagAlign"
    plain.write_text(bed(reads))
    found = count(path, Windows(GENES), params(), {}, "genes")
    expected = count(plain, Windows(GENES), params(), {}, "genes")
    np.testing.assert_array_equal(found.values, expected.values)
    assert found.reads == len(reads)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (bed(random_reads(np.random.default_rng(6), 50)), "give it a name that ends in .bed"),
        (NOT_READS["narrowPeak"][0], "narrowPeak"),
        (NOT_READS["wiggle"][0], "wiggle"),
        (NOT_READS["web page"][0], "web page"),
    ],
)
def test_what_is_no_signal_is_refused_by_its_name(tmp_path, text, named):
    for name in ("x.bedGraph", "x.bw"):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(DeepChromeError, match=named):
            average(path, Windows(GENES), SIZES, "genes")


@pytest.mark.parametrize(
    ("start", "name", "named"),
    [
        (b"\xeb\xf2\x89\x87", "x.bw", "a bigBed file"),
        (b"BAM\1", "x.bed", "a BAM file"),
        (b"CRAM\3", "x.bam", "a CRAM file"),
        (b"\x26\xfc\x8f\x88", "x.bedGraph", "a bigWig file"),
        (b"BAI\1", "x.bam", "the index of a BAM file"),
        (b"@HD\tVN:1.6\n", "x.bam", "SAM text"),
        (b"chr1\t0\t200\t0.5\n", "x.bw", "a bedGraph"),
        (b"\x00\x01\x02\x03", "x.bam", "not a BAM file"),
        (b"", "x.bam", "the file is empty"),
    ],
)
def test_files_are_known_by_their_first_bytes(tmp_path, start, name, named):
    path = tmp_path / name
    measure = count_it if name.endswith((".bam", ".bed")) else average_it
    for content in [start, gzip.compress(start)] if start else [start]:
        path.write_bytes(content)
        with pytest.raises(DeepChromeError, match=named):
            measure(path)


def count_it(path: Path) -> None:
    count(path, Windows(GENES), params(), {}, "genes")


def average_it(path: Path) -> None:
    average(path, Windows(GENES), SIZES, "genes")


def test_pairs_and_spaces(tmp_path):
    path = tmp_path / "x.bedpe"
    path.write_text(
        "chr1\t1\t37\tchr1\t200\t236\tr1\t60\t+\t-\n.\t-1\t-1\tchr1\t5\t41\tr\t0\t.\t+\n"
    )
    assert content_of(path, "reads").what == PAIRS
    path.write_text("chr1 1 37\nchr1 5 41\n")
    with pytest.raises(DeepChromeError, match="line 1: found 1 columns and spaces"):
        content_of(path, "reads")
    path.write_text("#" + "x" * 3_000_000)
    with pytest.raises(DeepChromeError, match="line 1: longer than"):
        content_of(path, "reads")
    path.write_text(bed([("chr1", 1, 37, "+")]))
    assert content_of(path, "reads").what == READS
    assert binary_kind(path) is None
    with pytest.raises(DeepChromeError, match="expected pairs of reads"):
        count(path, Windows(GENES), params(), {}, "genes")
