"""Chromosomes and genes without values are told from what chance leaves empty."""

import numpy as np
import pandas as pd
import pytest

from deepchrome import MARKS
from deepchrome.data import zeros

CHROM = np.repeat(["chr1", "chr2", "chrY"], [300, 12, 12]).astype(object)


def signals(share=1.0, seed=0):
    """Values of 324 genes; share: of genes with a value, in each mark."""
    rng = np.random.default_rng(seed)
    X = rng.poisson(2, (324, 100, 5)).astype(np.uint16)
    X[:, 0] += 1
    return X * (rng.random((324, 1, 5)) < share).astype(np.uint16)


def found(X, chrom=CHROM):
    table = zeros.by_chromosome(X, chrom)
    return {
        (row["chrom"], column): row[column]
        for _, row in table.iterrows()
        for column in (zeros.NO_MARK, zeros.SOME_MARKS)
        if pd.notna(row[column])
    }


def test_nothing_is_found_in_full_or_sparse_signals():
    assert found(signals()) == {}
    for seed in range(20):
        assert found(signals(0.1, seed)) == {}


def test_a_mark_that_lacks_a_chromosome_is_found():
    X = signals()
    X[300:312, :, [1, 3]] = 0
    marks = f"{MARKS[1]}, {MARKS[3]}"
    assert found(X) == {("chr2", zeros.SOME_MARKS): f"{marks} in 12 genes"}


def test_a_chromosome_without_any_mark_is_found():
    X = signals()
    X[300:312] = 0
    assert found(X) == {("chr2", zeros.NO_MARK): "12 genes"}


@pytest.mark.parametrize("empty", [1, 2])
def test_two_of_twelve_genes_are_enough(empty):
    """Two genes on each of six chromosomes, of which a mark lacks one or two."""
    X = signals()[:12]
    X[: 2 * empty, :, 1] = 0
    chrom = np.repeat([f"chr{i}" for i in range(6)], 2).astype(object)
    assert found(X, chrom) == {
        (f"chr{i}", zeros.SOME_MARKS): f"{MARKS[1]} in 2 genes" for i in range(empty)
    }


def test_of_many_scaffolds_some_are_empty_by_chance():
    for seed in range(20):
        chrom = np.repeat(np.arange(162), 2).astype(str).astype(object)
        assert found(signals(0.93, seed), chrom) == {}


def test_a_mark_on_one_scaffold_alone_is_found():
    """Of 13 genes, 12 read zero as the file has only a scaffold in common."""
    X = signals()[:13]
    X[1:] = 0
    chrom = np.array(["chrUn"] + ["chr1"] * 12, object)
    assert found(X, chrom) == {("chr1", zeros.NO_MARK): "12 genes"}


def test_chance_decides_how_many_genes_are_enough():
    X = signals(0.5)
    assert found(X) == {}
    X[300:305, :, 0] = 0
    chrom = CHROM.copy()
    chrom[:] = "chr1"
    chrom[300:305] = "chr3"  # 2 ** -5 is chance, 2 ** -12 is not
    assert found(X, chrom) == {}
    X[300:312, :, 0] = 0
    chrom[300:312] = "chr3"
    assert list(found(X, chrom)) == [("chr3", zeros.SOME_MARKS)]


@pytest.mark.parametrize("missing", [None, np.nan])
def test_unknown_chromosomes_are_left_out(missing):
    X = signals()
    X[300:312] = 0
    chrom = CHROM.copy()
    chrom[300:312] = missing
    assert found(X, chrom) == {}
    assert zeros.by_chromosome(X, np.full(324, missing, object)).empty


def test_genes_without_any_value():
    X = signals()
    X[5] = 0
    table = zeros.by_gene(np.arange(324).astype(str), X)
    assert list(table.index[table["no value"].notna()]) == [5]
    assert isinstance(table, pd.DataFrame)
