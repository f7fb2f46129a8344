"""Genes with the same signals: copies are told from what agrees by chance."""

import numpy as np
import pandas as pd
import pytest

from deepchrome.data.copies import WINDOW, decades, fingerprints, twins


def domains(n: int, heights: int, per_mark: float, seed: int = 0) -> np.ndarray:
    """Return peak heights, shape=(n, bins, marks): domains of one value each, few bins to many."""
    rng = np.random.default_rng(seed)
    X = np.zeros((n, 100, 5), np.float32)
    for gene, mark in np.ndindex(n, 5):
        for _ in range(rng.poisson(per_mark)):
            start, length = rng.integers(-60, 100), rng.choice([2, 4, 10, 50, 200])
            X[gene, max(start, 0) : max(start + length, 0), mark] = rng.integers(1, heights + 1)
    return X


def smooth(n: int, seed: int = 0) -> np.ndarray:
    """Return signal as of fold changes: no two values the same, neighbours alike."""
    noise = np.random.default_rng(seed).normal(size=(n, 109, 5))
    return np.exp(np.stack([noise[:, i : i + 100] for i in range(10)]).sum(0)).astype(np.float32)


def counts(n: int, mean: float, seed: int = 0) -> np.ndarray:
    """Return counts of reads whose depth differs from gene to gene."""
    rng = np.random.default_rng(seed)
    return rng.poisson(mean * rng.gamma(1, 1, (n, 1, 5)), (n, 100, 5)).astype(np.uint16)


def equal_pairs(X: np.ndarray) -> int:
    """Count pairs of genes with the same signals, beside those without any (pandas)."""
    rows = pd.DataFrame(X[X.any(axis=(1, 2))].reshape(-1, 500))
    sizes = rows.groupby(list(rows)).size()
    return int((sizes * (sizes - 1) // 2).sum())


def told(X: np.ndarray) -> int:
    """Count genes that are called a copy of another."""
    known = fingerprints(X)
    known = known[known != 0]
    return len(known) - len(np.unique(known))


@pytest.mark.parametrize(
    ("heights", "per_mark", "by_chance"), [(1, 0.3, 1000), (1, 1, 50), (1000, 0.3, 30)]
)
def test_what_agrees_by_chance_is_no_copy(heights, per_mark, by_chance):
    X = domains(14_000, heights, per_mark)
    assert equal_pairs(X) > by_chance
    assert told(X) == 0


def test_marks_of_one_segmentation_tell_once():
    """Chromatin states decide all marks, so that these change together."""
    rng = np.random.default_rng(0)
    marks = rng.integers(0, 2, (12, 5)).astype(np.float32)
    X = np.zeros((14_000, 100, 5), np.float32)
    for gene in X:
        ends = 2 * np.sort(rng.integers(1, 50, rng.poisson(2.5)))
        for start, end in zip([0, *ends], [*ends, 100], strict=True):
            gene[start:end] = marks[0 if rng.random() < 0.5 else rng.integers(1, 12)]
    assert equal_pairs(X) > 500
    assert told(X) == 0


def test_what_is_the_rule_is_no_copy():
    """Of twelve genes all have one of two signals."""
    X = smooth(12)
    X[:8], X[8:] = X[0], X[8]
    assert told(X) == 0


def test_domains_wider_than_a_window_agree():
    X = np.zeros((14_000, 100, 5), np.float32)
    X += np.repeat(np.random.default_rng(0).integers(1, 10**6, (140, 1, 5)), 100, axis=0)
    assert told(X) == 0


@pytest.mark.parametrize("value", [0, 2.5])
def test_few_flat_genes_are_no_copies(value):
    assert told(np.full((12, 100, 5), value, np.float32)) == 0


def test_shapes_of_single_fragments_are_no_copies():
    """One fragment a gene: where it lies says all its values, so many genes agree."""
    rng = np.random.default_rng(0)
    kernel = 1000 * np.exp(-(((np.arange(3000) - 1500) / 500) ** 2))
    X = np.zeros((3000, 100, 5), np.float32)
    for gene in range(len(X)):
        base = np.zeros(13_000)
        start = rng.integers(0, 1000) * 10
        base[start : start + 3000] = kernel
        X[gene, :, 0] = base[1500:11_500].reshape(100, 100).mean(1)
    assert equal_pairs(X) > 100
    assert told(X) == 0


@pytest.mark.parametrize(
    "X",
    [
        counts(2000, 2),
        counts(2000, 0.5),
        counts(2000, 2).astype(np.float32) * np.float32(0.37),
        smooth(2000),
        smooth(12),
        domains(2000, 1000, 4),
    ],
    ids=["counts", "shallow", "cpm", "signal", "few genes", "peaks"],
)
def test_copies_are_found(X):
    half = len(X) // 2
    X[:3] = X[half : half + 3]
    assert told(X) == 3


def test_more_likely_signals_tell_less():
    rare, common = smooth(500), domains(500, 1, 0.3)
    assert np.median(decades(rare)) > 10 * np.median(decades(common))
    assert not decades(np.zeros((5, 100, 5), np.uint16)).any()


def test_twins_by_where_they_are():
    X = counts(60, 2)
    X[10:14] = X[0]
    genes = pd.DataFrame(
        {"split": "train", "chrom": "chr1", "tss": np.arange(60) * 10 * WINDOW},
        index=[f"g{i}" for i in range(60)],
    )
    genes.loc[["g11", "g13"], "split"] = "test"
    genes.loc[["g12", "g13"], "tss"] = [genes.loc["g0", "tss"] + 1, genes.loc["g0", "tss"]]
    rows = twins(genes.index.to_numpy(object), fingerprints(X), genes).set_index("gene_id")
    assert rows.loc["g0", "across_splits"] == "train, as g11 in test"
    assert rows.loc["g0", "within_split"] == "train, as g10 in train"
    assert rows.loc["g0", "shared_tss"] == "train, as g13 in test"
    assert rows.loc["g1"].drop(["split", "tss"]).isna().all()


@pytest.mark.parametrize("column", ["chrom", "tss"])
def test_twins_where_places_are_unknown(column):
    X = counts(60, 2)
    X[1] = X[0]
    genes = pd.DataFrame(
        {"split": ["train", "test"] * 30, "chrom": "chr1", "tss": 5.0},
        index=[f"g{i}" for i in range(60)],
    )
    genes[column] = None
    rows = twins(genes.index.to_numpy(object), fingerprints(X), genes)
    assert list(rows["across_splits"].notna()) == [True, True, *[False] * 58]
