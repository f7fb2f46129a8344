"""Expression tables as nf-core, R, GTEx and others write them."""

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepchrome.data.sources.expression import doubts, of_folder, read_columns
from deepchrome.errors import DeepChromeError

PLAIN = "gene_id\tliver\tlung\nA.1\t0.5\t1\nB\t7\t2.25\n"
EXPECTED = pd.DataFrame({"liver": [0.5, 7.0], "lung": [1.0, 2.25]}, ["A.1", "B"])
WRITTEN = {
    "plain": PLAIN,
    "carriage returns": PLAIN.replace("\n", "\r\n"),
    "a byte order mark": "\ufeff" + PLAIN,
    "no last newline": PLAIN.rstrip("\n"),
    "blank lines and comments": "\n# of mine\n" + PLAIN.replace("B\t", "\n# more\nB\t"),
    "quotes of R": '"gene_id"\t"liver"\t"lung"\n"A.1"\t0.5\t1\n"B"\t7\t2.25\n',
    "row names of R": '"liver"\t"lung"\n"A.1"\t0.5\t1\n"B"\t7\t2.25\n',
    "an index of pandas": PLAIN.replace("gene_id", ""),
    "names of nf-core": "gene_id\tgene_name\tliver\tlung\nA.1\t#a\t0.5\t1\nB\tb b\t7\t2.25\n",
    "GTEx": "Name\tDescription\tliver\tlung\nA.1\ta\t0.5\t1\nB\tb\t7\t2.25\n",
    "more samples": "gene_id\tlung\tskin\tliver\nA.1\t1\tNA\t.5\nB\t2.25\t\t7e0\n",
    "tabs at the ends of rows": PLAIN.replace("1\n", "1\t\n").replace("25\n", "25\t\n"),
}


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN.keys())
@pytest.mark.parametrize("packed", [False, True])
def test_tables_as_tools_write_them(tmp_path, text, packed):
    path = tmp_path / "expression.tsv.gz"  # a name tells nothing
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    found, notes = read_columns(path, ["liver", "lung"])
    pd.testing.assert_frame_equal(found, EXPECTED, check_names=False, check_index_type=False)
    others = [name for name in ("gene_name", "Description", "skin") if name in text]
    assert [note for note in notes if "left out" in note] == [
        f"{path}: columns of no cell type here are left out: {name}" for name in others
    ]


BAD = {
    "empty": ("", "the file is empty"),
    "comments": ("# a\n\n", "nothing but comments"),
    "no rows": ("gene_id\tliver\tlung\n", "no genes after the header"),
    "commas": (
        "gene_id,liver,lung\nA,1,2\n",
        "line 1: found 'gene_id,liver,lung', expected 'gene_id'",
    ),
    "GCT": ("#1.2\n2\t1\nName\tDescription\tliver\nA\ta\t1\n", "a GCT file"),
    "another header": ("sample\tliver\tlung\nA\t1\t2\n", "line 1: found 'sample liver lung'"),
    "no such cell type": ("gene_id\tlivre\tlung\nA\t1\t2\n", "liver; did you mean 'livre'?"),
    "a column twice": ("gene_id\tliver\tliver\tlung\nA\t1\t2\t3\n", "column liver stands twice"),
    "a gene twice": (PLAIN + "\nB\t1\t2\n", "gene B stands there more than once, in lines 3 and 5"),
    "a short row": (PLAIN + "C\t1\n", "line 4: gene C: found 2 columns, expected 3"),
    "a long row": (PLAIN + "C\t1\t2\t3\n", "line 4: gene C: found 4 columns, expected 3"),
    "text": (PLAIN + "C\t1\thigh\n", "line 4: gene C, cell type lung: found 'high'"),
    "missing": (PLAIN + "C\tNA\t1\n", "line 4: gene C, cell type liver: found 'NA'"),
    "nothing": (PLAIN + "C\t\t1\n", "found ''"),
    "negative": (PLAIN + "\n\nC\t-1\t1\n", "line 6: gene C, cell type liver: found '-1'"),
    "infinite": (PLAIN + "C\tinf\t1\n", "found 'inf'"),
    "a comma": (PLAIN + "C\t1,5\t1\n", "found '1,5'"),
    "no id": (PLAIN + "\t1\t1\n", "line 4: gene_id: found ''"),
    "an id like a path": (PLAIN + "../C\t1\t1\n", "gene_id: found '../C'"),
    "an id in words": (PLAIN + "C D\t1\t1\n", "gene_id: found 'C D'"),
}


@pytest.mark.parametrize(("text", "expected"), BAD.values(), ids=BAD.keys())
def test_bad_tables(tmp_path, text, expected):
    path = tmp_path / "expression.tsv"
    path.write_text(text)
    with pytest.raises(DeepChromeError) as raised:
        read_columns(path, ["liver", "lung"])
    assert str(path) in str(raised.value)
    assert expected in str(raised.value)


def test_packed_otherwise(tmp_path):
    for content, expected in (
        (b"PK\x03\x04", "Excel"),
        (PLAIN.encode("utf-16"), "UTF-16"),
        (b"gene_id\tliver\xff\n", "not a text file"),
        (gzip.compress(PLAIN.encode())[:-5], "damaged gzip"),
    ):
        (tmp_path / "expression.tsv").write_bytes(content)
        with pytest.raises(DeepChromeError, match=expected):
            read_columns(tmp_path / "expression.tsv", ["liver"])


NUMBERS = st.floats(0, 1e6, allow_nan=False).map(lambda value: round(value, 3))


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=6),
    quoted=st.booleans(),
    ends=st.sampled_from(["\n", "\r\n"]),
    between=st.sampled_from(["", "\n", "# comment\t1\n"]),
    mark=st.sampled_from(["", "\ufeff"]),
    packed=st.booleans(),
)
def test_tables_read_back(tmp_path, values, quoted, ends, between, mark, packed):
    quote = '"' if quoted else ""
    text = f"{quote}gene_id{quote}\t{quote}liver{quote}\tlung\n"
    for i, (one, other) in enumerate(values):
        text += f"{between}{quote}G{i}.{i}{quote}\t{one}\t{other:e}\n"
    content = (mark + text).replace("\n", ends).encode()
    (tmp_path / "t").write_bytes(gzip.compress(content) if packed else content)
    found, notes = read_columns(tmp_path / "t", None)
    np.testing.assert_allclose(found.to_numpy(), np.array(values), rtol=1e-6, atol=1e-9)
    assert found.index.tolist() == [f"G{i}.{i}" for i in range(len(values))]
    assert notes == []


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_are_read_or_refused(tmp_path, data):
    content = bytearray(PLAIN.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    (tmp_path / "t").write_bytes(content)
    try:
        found, _ = read_columns(tmp_path / "t", None)
    except DeepChromeError:
        pass
    else:
        assert np.isfinite(found.to_numpy()).all()
        assert (found.to_numpy() >= 0).all()
        assert found.index.is_unique


def test_one_table_in_a_folder(tmp_path):
    with pytest.raises(DeepChromeError, match="no expression table here"):
        of_folder(tmp_path, ["liver"], ["liver"])
    (tmp_path / "expression.tsv").write_text(PLAIN.replace("A.1", "ENSG00000000001.7_2"))
    found, path, notes = of_folder(tmp_path, ["liver", "lung"], ["lung"])
    assert found.index.tolist() == ["ENSG00000000001", "B"]
    assert found.columns.tolist() == ["lung"]
    assert path == tmp_path / "expression.tsv"
    assert notes == []  # lung is a cell type, though not wanted
    (tmp_path / "expression.tsv.gz").write_text(PLAIN)
    with pytest.raises(DeepChromeError, match=r"expression\.tsv, expression\.tsv\.gz here"):
        of_folder(tmp_path, ["liver"], ["liver"])


def test_two_versions_of_a_gene_are_not_joined(tmp_path):
    text = PLAIN.replace("A.1", "ENSG00000000001.1").replace("B", "ENSG00000000001.2")
    (tmp_path / "expression.tsv").write_text(text)
    with pytest.raises(
        DeepChromeError, match="ENSG00000000001 stands there more than once, in sev"
    ):
        of_folder(tmp_path, ["liver"], ["liver"])
    (tmp_path / "expression.tsv").write_text(text.replace("ENSG00000000001", "W02C12"))
    assert of_folder(tmp_path, ["liver"], ["liver"])[0].index.tolist() == ["W02C12.1", "W02C12.2"]


def table(*values: float) -> pd.DataFrame:
    return pd.DataFrame({"liver": values, "lung": np.linspace(0.1, 9.7, len(values))})


def test_what_is_unusual_for_expression(tmp_path):
    assert doubts(table(0.5, 7, 2, 0), tmp_path) == []
    counts = doubts(table(0, 7, 2, 1027), tmp_path)
    assert "all values of liver are whole numbers. Are they counts of reads?" in counts[0]
    zero = doubts(table(0, 0, 0, 0.7, 1.2), tmp_path)
    assert "'high' means above 0 (40% to 40% of the genes)" in zero[0]
    sums = doubts(table(0.5, 2_000_000.25, 3_000_000.5, 7), tmp_path)
    assert "liver add up to 5,000,008, TPM to 1,000,000" in sums[0]
    floor = doubts(table(0.01, 0.01, 0.01, 0.7), tmp_path)
    assert "only 25% to 25% of the genes are high" in floor[0]


@pytest.mark.parametrize("values", [(0, 0, 0), (5.5, 5.5, 5.5), (0, 5.5, 5.5)])
def test_a_cell_type_with_one_class(tmp_path, values):
    with pytest.raises(DeepChromeError, match="liver: of 3 genes none is above the median"):
        doubts(table(*values), tmp_path)
