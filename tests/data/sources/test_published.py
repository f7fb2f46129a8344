import gzip
import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from conftest import Gene, lines_of, make_genes, write_cell, write_rpkm
from deepchrome.data.dataset import Dataset
from deepchrome.data.sources import published
from deepchrome.errors import DeepChromeError


@settings(max_examples=30)
@given(
    counts=hnp.arrays(
        np.int64,
        st.tuples(st.integers(1, 4), st.just(100), st.just(5)),
        elements=st.integers(0, 65_535),
    ),
    order=st.randoms(use_true_random=False),
    labels=st.lists(st.integers(0, 1), min_size=4, max_size=4),
)
def test_reads_back_any_counts_in_any_row_order(tmp_path_factory, counts, order, labels):
    numbers = [f"{7 * i + 3:06d}" for i in range(len(counts))]
    lines = [
        line
        for number, X, label in zip(numbers, counts, labels, strict=False)
        for line in lines_of(Gene(number, "train", X, 0.0), label)
    ]
    order.shuffle(lines)
    path = tmp_path_factory.mktemp("csv") / "train.csv"
    path.write_text("\n".join(lines) + "\n")
    table = published.read(path)
    assert table.gene_id.tolist() == [f"ENSG00000{number}" for number in numbers]
    np.testing.assert_array_equal(table.X, counts)
    assert table.label.tolist() == labels[: len(counts)]


def test_agrees_with_pandas(tmp_path):
    write_cell(tmp_path, "E003", make_genes(20, seed=1))
    path = tmp_path / "E003/classification/train.csv"
    names = list(published.COLUMNS)
    plain = pd.read_csv(path, header=None, names=names, dtype={"gene": str})
    plain = plain.sort_values(["gene", "bin"])
    table = published.read(path)
    marks = names[2:7]
    np.testing.assert_array_equal(table.X.reshape(-1, 5), plain[marks].to_numpy())
    assert table.gene_id.tolist() == ("ENSG00000" + plain["gene"].unique()).tolist()
    np.testing.assert_array_equal(table.label, plain["label"].to_numpy()[::100])


def test_a_gene_held_twice_is_kept_once(tmp_path):
    genes = make_genes(3, seed=0)
    write_cell(tmp_path, "E003", [*genes, genes[0]])
    table, split = published.read_splits(tmp_path, "E003")
    assert table.repeated == [genes[0].gene_id]
    assert table.gene_id.tolist() == [gene.gene_id for gene in genes]
    assert split.tolist() == [gene.split for gene in genes]


def test_halving_refuses_counts_that_are_not_doubled():
    X = np.zeros((2, 100, 5), np.uint16)
    X[..., 3] = 4
    gene_id = np.array(["ENSG00000000001", "ENSG00000000002"], object)
    assert (published.halve_h3k4me3(X, gene_id, "x")[..., 3] == 2).all()
    X[1, 7, 3] = 3
    with pytest.raises(DeepChromeError, match="ENSG00000000002, bin 8: H3K4me3 is 3"):
        published.halve_h3k4me3(X, gene_id, "x")


ROWS = lines_of(make_genes(1, seed=0)[0], 1)
NOT_NUMBERS = ["+5", " 5", "5 ", "\t5", "5.0", "0x1F", "1_000", '"5"', "'5'", "\uff15", "-0", "-1"]
NOT_NUMBERS += ["", "1e2", "NaN", "NA", "true", "5\0", "\u0665", "\xa05", "65536", "9" * 30, "5;"]


@pytest.mark.parametrize("column", ["bin", "H3K27me3", "H3K9me3", "label"])
@pytest.mark.parametrize("text", NOT_NUMBERS)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_what_is_no_number_is_refused_with_its_line(tmp_path, column, text, ends):
    fields = ROWS[7].split(",")
    fields[published.COLUMNS.index(column)] = text
    path = tmp_path / "train.csv"
    path.write_bytes(ends.join([*ROWS[:3], "", *ROWS[3:7], ",".join(fields), *ROWS[8:]]).encode())
    reads = [published.read]
    if column == "label":  # all that `read_labels` looks at
        reads.append(lambda path: read_labels_of(tmp_path, path))
    for read in reads:
        with pytest.raises(DeepChromeError) as caught:
            read(path)
        assert f"train.csv: line 9: gene ENSG00000000001, {column}: found" in str(caught.value)


def read_labels_of(folder, path):
    inside = folder / "raw/E003/classification"
    inside.mkdir(parents=True, exist_ok=True)
    for split in ("train", "valid", "test"):
        shutil.copy(path, inside / f"{split}.csv")
    return published.read_labels(folder / "raw", "E003")


@pytest.mark.parametrize("text", ["3", "0000003", " 00003", "00000a", "\uff10" * 6, "", "0x0003"])
def test_what_is_no_gene_is_refused_with_its_line(tmp_path, text):
    path = tmp_path / "train.csv"
    path.write_text("\n".join([*ROWS[:7], ",".join([text, *ROWS[7].split(",")[1:]])]))
    with pytest.raises(DeepChromeError, match=r"train\.csv: line 8: gene: found '"):
        published.read(path)


WRITTEN = {
    "as published": "\n".join(ROWS) + "\n",
    "no newline at the end": "\n".join(ROWS),
    "of Windows": "\r\n".join(ROWS) + "\r\n",
    "of an old Mac": "\r".join(ROWS) + "\r",
    "byte order mark": "\ufeff" + "\n".join(ROWS) + "\n",
    "empty lines": "\n\n".join(ROWS) + "\n\n\n",
    "comments": "# counts\n" + "\n".join([*ROWS[:50], "#, more", *ROWS[50:]]) + "\n# end",
    "byte order mark and comment": "\ufeff# counts\r\n" + "\r\n".join(ROWS),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
def test_takes_text_as_people_write_it(tmp_path, written, packed):
    path = tmp_path / "train.csv"
    path.write_bytes(gzip.compress(written.encode()) if packed else written.encode())
    table = published.read(path)
    expected = np.array([[int(one) for one in row.split(",")[2:7]] for row in ROWS])
    np.testing.assert_array_equal(table.X[0], expected)
    assert table.label.tolist() == [1]


@settings(max_examples=150, deadline=None)
@given(
    start=st.integers(0, len("\n".join(ROWS))),
    length=st.integers(0, 12),
    new=st.binary(max_size=6) | st.text("0123456789,\n\r# x+-.", max_size=6).map(str.encode),
)
def test_mutated_files_are_refused_or_read_as_python_reads_them(
    tmp_path_factory, start, length, new
):
    content = "\n".join(ROWS).encode()
    content = content[:start] + new + content[start + length :]
    path = tmp_path_factory.mktemp("csv") / "train.csv"
    path.write_bytes(content)
    try:
        table = published.read(path)
    except DeepChromeError:
        return
    lines = [one for one in content.decode("utf-8-sig").splitlines() if one and one[0] != "#"]
    rows = sorted({tuple(map(int, line.split(","))) for line in lines})
    np.testing.assert_array_equal(table.X.reshape(-1, 5), np.array(rows)[:, 2:7])


def test_a_file_that_unpacks_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(published, "MAX_BYTES", 1000)
    path = tmp_path / "train.csv"
    path.write_bytes(gzip.compress("\n".join(ROWS).encode()))
    with pytest.raises(DeepChromeError, match=r"more than 1,000 bytes; expected CSV"):
        published.read(path)


def test_cell_types_with_empty_files_are_named_with_the_way_out(small):
    for cell in ("E005", "E006"):
        shutil.copytree(small.raw / "E003", small.raw / cell)
    for name in ("E005/classification/train.csv", "E006/classification/test.csv"):
        (small.raw / name).write_bytes(b"")
    genes = make_genes(40, 0)
    write_rpkm(small.raw, dict.fromkeys(["E003", "E005", "E006", "E123"], genes))
    message = small.refused("ingest")
    assert (
        "empty files of cell type E005 (train.csv), E006 (test.csv); expected 100 rows" in message
    )
    assert "leave them out in params.yaml, with cells: [E003, E123]" in message
    small.set("cells", ["E003", "E123"])
    small.ok("ingest")
    assert Dataset("data/dataset").cells == ["E003", "E123"]


def test_published_labels_of_a_cell_type_that_the_table_lacks(small):
    write_rpkm(small.raw, {"E003": make_genes(40, 0)})
    assert "no column for cell type E123" in small.refused("ingest")
    small.set("data.labels", "published")
    assert "no column for cell type E123: their published labels are taken" in small.ok("ingest")
    labels = Dataset("data/dataset").labels.set_index("cell")
    assert labels.loc["E123", "rpkm"].isna().all()
    assert labels.loc["E003", "rpkm"].notna().all()
    gene_id, label = published.read_labels(small.raw, "E123")
    of_cell = labels.loc["E123"].set_index("gene_id")["label"]
    np.testing.assert_array_equal(of_cell[gene_id], label)
    audited = pd.read_csv("plots/ingest/labels.csv")
    assert audited["cell"].tolist() == ["E003"]
