import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from conftest import Gene, lines_of, make_genes, write_cell
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
