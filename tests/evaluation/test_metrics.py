import numpy as np
import pytest
from hypothesis import given, settings
from sklearn import metrics as sk

from deepchrome.evaluation import metrics
from scores import both_classes


@settings(max_examples=200)
@given(both_classes)
def test_areas_agree_with_scikit_learn(pair):
    label, score = pair
    assert metrics.auroc(label, score) == pytest.approx(sk.roc_auc_score(label, score))
    assert metrics.auprc(label, score) == pytest.approx(sk.average_precision_score(label, score))
    assert metrics.accuracy(label, score - 0.5) == pytest.approx(
        sk.accuracy_score(label, score >= 0.5)
    )


@settings(max_examples=100)
@given(both_classes)
def test_roc_curve_agrees_with_scikit_learn(pair):
    fpr, tpr = metrics.roc_curve(*pair)
    expected_fpr, expected_tpr, _ = sk.roc_curve(*pair, drop_intermediate=False)
    np.testing.assert_allclose(fpr, expected_fpr)
    np.testing.assert_allclose(tpr, expected_tpr)


def test_one_class_has_no_auroc():
    assert np.isnan(metrics.auroc(np.ones(5), np.arange(5)))
    for missing in range(3):
        score = np.where(np.arange(3) == missing, np.nan, np.arange(3.0))
        assert np.isnan(metrics.auroc(np.array([0, 1, 1]), score))


def test_bootstrap_resamples_are_aurocs_of_resampled_genes():
    rng = np.random.default_rng(0)
    gene_id = np.array([f"g{i:02d}" for i in range(40)])
    label, score = rng.integers(0, 2, 40), rng.integers(0, 8, 40) / 8
    bootstrap = metrics.GeneBootstrap(gene_id, resamples=20, seed=1)
    found = bootstrap.auroc(gene_id, label, score)
    for weights, value in zip(bootstrap.weights, found, strict=True):
        expected = sk.roc_auc_score(label, score, sample_weight=weights)
        assert value == pytest.approx(expected)


def test_bootstrap_interval_covers_the_truth():
    """The interval of a binormal AUROC holds the true value about 95% of the time."""
    rng = np.random.default_rng(2)
    true = 0.7602  # of two normals one standard deviation apart: Phi(1 / sqrt 2)
    gene_id = np.arange(120).astype(str)
    hits = 0
    for seed in range(200):
        label = np.arange(120) % 2
        score = rng.normal(size=120) + label
        bootstrap = metrics.GeneBootstrap(gene_id, resamples=300, seed=seed)
        interval = bootstrap.interval(bootstrap.auroc(gene_id, label, score))
        hits += interval.low <= true <= interval.high
    assert 0.90 <= hits / 200 <= 0.99
