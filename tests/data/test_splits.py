import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepchrome.data.reference import genes
from deepchrome.data.splits import chromosome_split, overlapping_training, random_split
from deepchrome.errors import DeepChromeError

REFERENCE = genes().drop_duplicates("gene_id").set_index("gene_id")


def test_random_split_does_not_depend_on_the_other_genes():
    gene_id = REFERENCE.index.to_numpy()
    whole = pd.Series(random_split(gene_id, 0), gene_id)
    assert whole.value_counts(normalize=True).between(0.32, 0.35).all()
    some = gene_id[::7]
    assert (whole[some] == random_split(some, 0)).all()
    assert (random_split(some, 1) != random_split(some, 0)).mean() > 0.5


@pytest.mark.parametrize("seed", range(5))
def test_chromosome_split_is_about_thirds_of_whole_chromosomes(seed):
    split = pd.Series(chromosome_split(REFERENCE["chrom"], seed), REFERENCE.index)
    assert (split.groupby(REFERENCE["chrom"]).nunique() == 1).all()
    assert split.value_counts(normalize=True).between(0.28, 0.39).all()


def test_chromosome_split_differs_by_seed_and_needs_chromosomes():
    splits = [chromosome_split(REFERENCE["chrom"], seed) for seed in (0, 1)]
    assert (splits[0] != splits[1]).any()
    chrom = REFERENCE["chrom"].copy()
    chrom.iloc[3] = None
    with pytest.raises(DeepChromeError, match=chrom.index[3]):
        chromosome_split(chrom, 0)
    with pytest.raises(DeepChromeError, match="found 2 chromosomes"):
        chromosome_split(pd.Series(["chr1", "chr2"], ["a", "b"]), 0)


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["chr1", "chr2"]),
            st.integers(1, 60_000),
            st.sampled_from(["train", "valid", "test"]),
        ),
        min_size=1,
        max_size=25,
    )
)
def test_overlapping_windows_agree_with_all_pairs(rows):
    table = pd.DataFrame(rows, columns=["chrom", "tss", "split"])
    table.index = [f"g{i}" for i in range(len(table))]
    expected = {
        test
        for test, a in table[table["split"] == "test"].iterrows()
        for _, b in table[table["split"] == "train"].iterrows()
        if a["chrom"] == b["chrom"] and abs(a["tss"] - b["tss"]) < 10_000
    }
    assert set(overlapping_training(table)) == expected


def test_nine_percent_of_published_test_windows_overlap_a_training_window():
    table = REFERENCE.rename(columns={"published_split": "split"})
    share = len(overlapping_training(table)) / (table["split"] == "test").sum()
    assert np.round(share, 2) == 0.09


def test_unknown_places_do_not_overlap():
    table = pd.DataFrame(
        {"chrom": [None, None], "tss": [pd.NA, pd.NA], "split": ["train", "test"]}, index=["a", "b"]
    )
    assert len(overlapping_training(table)) == 0
