"""bedGraph: overlaps are refused wherever they stand, nan is no value, ends are clipped."""

import struct
from pathlib import Path

import numpy as np
import pyBigWig
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from counted import GENES, SIZES
from deepchrome.data.sources import intervals, signal
from deepchrome.data.sources.reads import Coverage
from deepchrome.data.sources.signal import average
from deepchrome.data.sources.windows import Windows
from deepchrome.errors import DeepChromeError

Row = tuple[str, int, int, float]


def averaged(path: Path, rows: list[Row], limits: dict[str, int] = SIZES) -> Coverage:
    path.write_text("".join(f"{c}\t{s}\t{e}\t{v}\n" for c, s, e, v in rows))
    return average(path, Windows(GENES), limits, "genes")


def naive_means(rows: list[Row]) -> np.ndarray:
    """Average base by base; nan is no value."""
    bases = {chrom: np.zeros(size + 20_000) for chrom, size in SIZES.items()}
    for chrom, start, end, value in rows:
        bases[chrom][10_000 + start : 10_000 + min(end, SIZES[chrom])] = np.nan_to_num(value)
    low = 10_000 + GENES["tss"] - 5000
    return np.array(
        [
            bases[c][s : s + 10_000].reshape(100, 100).mean(axis=1)
            for c, s in zip(GENES["chrom"], low, strict=True)
        ]
    )


intervals_of = st.lists(
    st.tuples(
        st.sampled_from(list(SIZES)),
        st.integers(0, 29_000),
        st.integers(1, 900),
        st.sampled_from([0.0, 0.25, 1.0, 3.5, 1e-3, float("nan")]),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=80, deadline=None)
@given(intervals_of, st.booleans(), st.sampled_from([1 << 22, 40]))
def test_means_are_those_of_bases_and_overlaps_are_refused(tmp_path_factory, found, sort, block):
    rows = [(c, s, s + n, v) for c, s, n, v in found]
    rows = sorted(rows, key=lambda row: row[:3]) if sort else rows
    assume(any(row[3] == row[3] for row in rows))  # else nothing tells that it is a bedGraph
    overlap = any(
        a[0] == b[0] and a[1] < b[2] and b[1] < a[2] for i, a in enumerate(rows) for b in rows[:i]
    )
    path = tmp_path_factory.mktemp("signal") / "x.bedGraph"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intervals, "BLOCK", block)
        if overlap:
            with pytest.raises(DeepChromeError, match="a base would have two values"):
                averaged(path, rows)
        else:
            np.testing.assert_allclose(
                averaged(path, rows).values, naive_means(rows), rtol=1e-5, atol=1e-6
            )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([(100, 200), (200, 300), (250, 350)], "line 3: chr1 250 to 350 overlaps 200 to 300"),
        ([(100, 200), (300, 400), (100, 200), (300, 400)], "line 3: chr1 100 to 200 stands there"),
        ([(100, 200), (200, 300), (0, 101)], "line 3: chr1 0 to 101 overlaps 100 to 200"),
        ([(500, 600), (100, 200), (150, 160)], "line 3: chr1 150 to 160 overlaps 100 to 200"),
    ],
)
def test_an_overlap_is_named_by_its_line(tmp_path, rows, said):
    with pytest.raises(DeepChromeError) as refusal:
        averaged(tmp_path / "x.bedGraph", [("chr1", s, e, 1.5) for s, e in rows])
    assert said in str(refusal.value)


@pytest.mark.parametrize("value", ["-1", "inf", "1e400", "NA", "", "0x10"])
def test_what_is_no_value(tmp_path, value):
    path = tmp_path / "x.bedGraph"
    path.write_text("chr1\t1\t5\t1e-3\n#\nchr1\t5\t9\t" + value + "\nchr1\t9\t12\t2\n")
    with pytest.raises(DeepChromeError, match="line 3: value: found"):
        average(path, Windows(GENES), SIZES, "genes")


def test_an_interval_beyond_the_end_is_clipped(tmp_path):
    rows = [("chr1", 58_000, 59_900, 1.5), ("chr1", 59_900, 60_021, 3.0)]
    found = averaged(tmp_path / "x.bdg", rows)
    np.testing.assert_allclose(found.values, naive_means(rows), rtol=1e-6)
    assert "1 of its intervals reach beyond the end of chr1, 60,000, by 21 bp" in found.notes[0]
    with pytest.raises(DeepChromeError, match="line 2: chr1: found position 61,001 beyond"):
        averaged(tmp_path / "x.bdg", [rows[0], ("chr1", 59_900, 61_001, 3.0)])


ROWS = [
    (chrom, start, start + 50, 1.5 + start % 7) for chrom in SIZES for start in range(0, 20_000, 50)
]


def write_bigwig(path: Path, rows: list[Row] = ROWS) -> None:
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader(list(SIZES.items()))
        for chrom in SIZES:
            own = [row[1:] for row in rows if row[0] == chrom]
            if own:
                starts, ends, values = map(list, zip(*own, strict=True))
                file.addEntries([chrom] * len(own), starts, ends=ends, values=values)


def patched(path: Path, at: int, form: str, value: float) -> None:
    """Write one number at a place of a file."""
    content = bytearray(path.read_bytes())
    struct.pack_into(form, content, at, value)
    path.write_bytes(content)


def number(path: Path, at: int, form: str) -> int:
    return struct.unpack_from(form, path.read_bytes(), at)[0]


def bigwig_means(path: Path) -> np.ndarray:
    return average(path, Windows(GENES), SIZES, "genes").values


SUMMARY = 44  # where the header says where its sums lie (UCSC's format)


@pytest.mark.parametrize("piece", [signal._PIECE, 3_000, 12_345])
def test_a_bigwig_has_the_means_of_its_bases(tmp_path, monkeypatch, piece):
    monkeypatch.setattr(signal, "_PIECE", piece)
    rows = [(c, s, e, float("nan") if s % 400 == 0 else v) for c, s, e, v in ROWS]
    write_bigwig(tmp_path / "x.bw", rows)
    np.testing.assert_allclose(bigwig_means(tmp_path / "x.bw"), naive_means(rows), rtol=1e-6)


@pytest.mark.parametrize("field", [0, 4], ids=["chromosome", "start"])
def test_a_damaged_index_loses_no_values_in_silence(tmp_path, field):
    path = tmp_path / "x.bw"
    write_bigwig(path)
    sound = bigwig_means(path)
    leaf = number(path, 24, "<Q") + 48 + 4  # after the index's header and the node's
    patched(path, leaf + field, "<I", 70_000)
    with pytest.raises(DeepChromeError, match=r"x\.bw: damaged, .*bases with a value: found "):
        bigwig_means(path)
    write_bigwig(path)
    at = number(path, SUMMARY, "<Q")
    patched(path, at + 24, "<d", 1e9)  # another sum
    with pytest.raises(DeepChromeError, match=r"the sum of values: found .*, expected "):
        bigwig_means(path)
    patched(path, at, "<Q", 0)  # as of a writer that sums nothing up
    np.testing.assert_array_equal(bigwig_means(path), sound)


def test_a_bigwig_without_values(tmp_path):
    write_bigwig(tmp_path / "x.bw", [])
    with pytest.raises(DeepChromeError, match=r"x\.bw: found no values in any chromosome"):
        bigwig_means(tmp_path / "x.bw")
