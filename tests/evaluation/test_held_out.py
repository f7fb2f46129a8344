"""Scores of held-out genes against the metrics of one model at a time."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, roc_auc_score

from deepchrome.evaluation.held_out import HeldOutScores


@pytest.fixture
def genes():
    """60 test genes, the first ten of them beside a training gene."""
    table = pd.DataFrame({"chrom": "chr1", "tss": np.arange(61) * 100_000, "split": "test"})
    table.index = pd.Index([f"g{i}" for i in range(61)], name="gene_id")
    table.loc["g60", "split"] = "train"
    table.loc[table.index[:10], "tss"] = table.loc["g60", "tss"] + np.arange(10) + 1
    return table


def test_tables_and_means(genes):
    rng = np.random.default_rng(0)
    test = genes.index[:60].to_numpy()
    found, expected = HeldOutScores(genes), []
    for cell in ("A", "B"):
        label = rng.integers(0, 2, 60)
        score = rng.random((2, 60)) * 0.6 + 0.4 * label
        found.add(cell, [3, 4], test, label, score - 0.5)
        expected += [
            {
                "cell": cell,
                "seed": seed,
                "n": 60,
                "auroc": roc_auc_score(label, one),
                "auprc": average_precision_score(label, one),
                "accuracy": accuracy_score(label, one >= 0.5),
                "apart": roc_auc_score(label[10:], one[10:]),
            }
            for seed, one in zip((3, 4), score, strict=True)
        ]
    table = pd.DataFrame(expected)
    pd.testing.assert_frame_equal(found.cells, table.drop(columns="apart"))
    assert sorted(found.overlapping) == sorted(test[:10])
    assert (found.without_overlap["n"] == 50).all()
    said = found.summary()
    assert said["n_cells"] == 2
    for name, column in (("auroc", "auroc"), ("auroc_without_overlap", "apart")):
        assert said[name] == pytest.approx(table[column].mean(), abs=1e-6)
    low, high = said["auroc_ci95"]
    assert low < said["auroc"] < high
    curves = found.curves()
    roc = curves["roc"]
    assert np.trapezoid(roc["tpr"], roc["fpr"]) == pytest.approx(said["auroc"], abs=0.01)
    assert len(curves["roc_cells"]) == 2 * len(roc)


def test_no_score_without_overlap_where_all_genes_overlap(genes):
    found = HeldOutScores(genes)
    label = np.arange(10) % 2
    found.add(
        "A", [0], genes.index[:10].to_numpy(), label, np.random.default_rng(1).random((1, 10))
    )
    assert found.summary()["auroc_without_overlap"] is None
