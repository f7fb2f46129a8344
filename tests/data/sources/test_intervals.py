"""Text of intervals as people write it: comments, line ends, blocks; and what is refused where."""

import gzip

import numpy as np
import pytest

from counted import GENES, bed, counted, naive, params, random_reads
from deepchrome.data.sources import intervals
from deepchrome.data.sources.reads import count
from deepchrome.data.sources.windows import Windows
from deepchrome.errors import DeepChromeError

READS = random_reads(np.random.default_rng(8), 300)
LINES = bed(READS).splitlines(keepends=True)


@pytest.mark.parametrize("block", [1 << 22, 700])
@pytest.mark.parametrize(
    "text",
    [
        "".join(LINES[:9]) + "#a comment\n" + "".join(LINES[9:]),
        "".join(f"#{line}{line}" for line in LINES),
        "#chrom\tstart\tend\tname\tscore\tstrand\n"
        + "".join(LINES[:50]) * 1
        + "#chrom\tstart\tend\tname\tscore\tstrand\n"
        + "".join(LINES[50:]),
        "\n\n".join(LINES) + "\n \n\t\n",
        "browser position chr1\ntrack name=x\n" + "track name=y\n".join(LINES),
        "\ufeff" + "".join(LINES),
        "".join(LINES).replace("\n", "\r\n"),
        "".join(LINES).rstrip("\n"),
    ],
)
def test_lines_that_are_no_data(tmp_path, monkeypatch, text, block):
    monkeypatch.setattr(intervals, "BLOCK", block)
    path = tmp_path / "reads.bed"
    for content in (text.encode(), gzip.compress(text.encode())):
        path.write_bytes(content)
        np.testing.assert_array_equal(counted(path), naive(READS, GENES))


def test_blocks_that_end_with_the_file(tmp_path, monkeypatch):
    line = "chr1\t15000\t15036\tN\t0\t+\n"
    monkeypatch.setattr(intervals, "BLOCK", 4 * len(line))
    path = tmp_path / "reads.bed"
    for n in (4, 8):
        for end in ("", "\n", "\n\n\n"):
            path.write_text(line * n + end)
            assert counted(path).max() == n


@pytest.mark.parametrize("block", [1 << 22, 60])
@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("chr1\t1e6\t1000036\tN\t0\t+", "start: found '1e6', expected a whole number"),
        ("chr1\t0x10\t40\tN\t0\t+", "start: found '0x10', expected a whole number"),
        ("chr1\t20.0\t40\tN\t0\t+", "start: found '20.0'"),
        ("chr1\t40\t20\tN\t0\t+", "a reversed or empty interval"),
        ("chr1\t-4\t20\tN\t0\t+", "a negative start"),
        ("chr1\t4\t20", "found 3 columns, expected 6"),
        ("\t4\t20\tN\t0\t+", "no chromosome"),
        ("chr1\t4\t99999999999999999999\tN\t0\t+", "end: found '9999"),
        ("chr\udcff\t4\t20\tN\t0\t+", "not text"),
    ],
)
def test_a_fault_is_named_by_its_physical_line(tmp_path, monkeypatch, line, fault, block):
    monkeypatch.setattr(intervals, "BLOCK", block)
    text = "#one\n\n" + "chr1\t9\t45\tN\t0\t+\n# c\n" * 3000 + line + "\n"
    path = tmp_path / "reads.bed"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DeepChromeError) as refusal:
        count(path, Windows(GENES), params(), {}, "genes")
    assert f"line 6003: {fault}" in str(refusal.value)


@pytest.mark.parametrize("cut", [5, 40, 200])
def test_a_damaged_gzip_file_says_so(tmp_path, cut):
    path = tmp_path / "reads.bed.gz"
    path.write_bytes(gzip.compress("".join(LINES).encode())[:-cut])
    with pytest.raises(DeepChromeError, match="truncated or damaged gzip"):
        counted(path)


def test_reads_beyond_the_end_are_clipped_and_told_of(tmp_path):
    path = tmp_path / "reads.bed"
    path.write_text(bed([("chr1", 59_980, 60_016, "+"), ("chr1", 60_000, 60_036, "+")]))
    found = count(path, Windows(GENES), params(), {"chr1": 60_000}, "genes")
    cut = [("chr1", 59_980, 60_000, "+")]
    np.testing.assert_array_equal(found.values, naive(cut, GENES))
    assert found.furthest == {"chr1": 60_036}
    assert found.notes == [
        f"{path}: 2 of its reads reach beyond the end of chr1, 60,000, by 36 bp at most; they are "
        "clipped there"
    ]
    with pytest.raises(DeepChromeError, match="line 1: chr1: found position 60,016 beyond"):
        count(path, Windows(GENES), params(), {"chr1": 59_000}, "genes")
