"""Statistics against naive, library and simulated answers."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from deepchrome.evaluation import statistics
from deepchrome.evaluation.estimate import Estimate
from deepchrome.evaluation.metrics import GeneBootstrap, auroc

# scores with ties; at least two genes of each class
scores = st.lists(st.integers(0, 6), min_size=4, max_size=25)
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def error_of(estimate):
    ((error, _),) = estimate.errors
    return error


def naive_delong(label, a, b):
    """DeLong et al. 1988 as printed: all pairs of a high and a low gene, covariance matrices."""

    def kernel(high, low):
        return 1.0 if high > low else 0.5 if high == low else 0.0

    high = [i for i, one in enumerate(label) if one == 1]
    low = [i for i, one in enumerate(label) if one == 0]
    v10 = [[np.mean([kernel(s[i], s[j]) for j in low]) for i in high] for s in (a, b)]
    v01 = [[np.mean([kernel(s[i], s[j]) for i in high]) for j in low] for s in (a, b)]
    covariance = np.cov(v10) / len(high) + np.cov(v01) / len(low)
    contrast = np.array([1, -1])
    return np.mean(v10[0]) - np.mean(v10[1]), np.sqrt(max(contrast @ covariance @ contrast, 0))


@given(scores, st.randoms(use_true_random=False))
def test_delong_equals_the_naive_computation(a, random):
    b = [one + random.randint(-2, 2) for one in a]
    label = np.array([1, 0, 1, 0] + [random.randint(0, 1) for _ in a[4:]])
    found = statistics.delong(label, np.array(a), np.array(b))
    difference, error = naive_delong(label, a, b)
    assert found.value == pytest.approx(difference, abs=1e-12)
    assert error_of(found) == pytest.approx(error, abs=1e-9)
    assert found.value == pytest.approx(auroc(label, a) - auroc(label, b), abs=1e-12)


def test_delong_of_several_seeds_is_of_their_mean():
    """The mean AUROC over seeds is linear in placements, so its variance is exact: bootstrap."""
    rng = np.random.default_rng(0)
    n = 300
    label = rng.integers(0, 2, n)
    a = label + rng.normal(size=(3, n)) + rng.normal(size=n)
    b = label + 1.5 * rng.normal(size=(2, n))
    found = statistics.delong(label, a, b)
    expected = np.mean([auroc(label, one) for one in a]) - np.mean([auroc(label, one) for one in b])
    assert found.value == pytest.approx(expected)
    genes = GeneBootstrap(np.arange(n), 1500)
    drawn = [
        np.mean([genes.auroc(np.arange(n), label, one) for one in each], axis=0) for each in (a, b)
    ]
    assert error_of(found) == pytest.approx(np.std(drawn[0] - drawn[1]), rel=0.08)


def test_delong_errs_as_often_as_it_says():
    """Two models equally good in truth: p below 5% in 5% of data sets; 95% intervals hold 0."""
    rng = np.random.default_rng(1)
    repeats, n = 800, 80
    wrong = 0
    for _ in range(repeats):
        label = rng.integers(0, 2, n)
        label[:4] = 0, 1, 0, 1
        shared = label + rng.normal(size=n)
        found = statistics.delong(label, shared + rng.normal(size=n), shared + rng.normal(size=n))
        wrong += found.p < 0.05
        assert (found.p < 0.05) == (not found.low < 0 < found.high)
    assert wrong / repeats == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / repeats))


def test_delong_interval_holds_the_true_difference():
    """Normal scores: the true AUROC is known, Phi(d / sqrt(2)) for classes d apart."""
    rng = np.random.default_rng(2)
    truth = scipy_stats.norm.cdf(1.2 / np.sqrt(2)) - scipy_stats.norm.cdf(0.8 / np.sqrt(2))
    held, repeats, n = 0, 800, 120
    for _ in range(repeats):
        label = np.tile([0, 1], n // 2)
        interval = statistics.delong(
            label, 1.2 * label + rng.normal(size=n), 0.8 * label + rng.normal(size=n)
        )
        held += interval.low < truth < interval.high
    assert held / repeats == pytest.approx(0.95, abs=3 * np.sqrt(0.05 * 0.95 / repeats))


def test_identical_scores_do_not_differ():
    label, score = np.array([0, 1, 0, 1, 1]), np.array([0.1, 0.4, 0.2, 0.3, 0.1])
    found = statistics.delong(label, score, score)
    assert (found.value, error_of(found), found.p) == (0, 0, 1)
    assert found.equivalence_p(0.01) == 0


@settings(max_examples=10)
@given(p_values)
def test_holm_equals_statsmodels(p):
    expected = multipletests(p, method="holm")[1]
    np.testing.assert_allclose(statistics.holm(np.array(p)), expected, atol=1e-12)


@pytest.mark.parametrize(
    "difference", [[0.1, -0.2, 0.3], [0.1, 0.1, -0.2, 0.3, 0.5], [0, 0.1, 0.2, -0.3, 0.4], [0, 0]]
)
def test_wilcoxon_equals_scipy(difference):
    """With ties and zeros too; where nothing differs at all, p is 1."""
    expected = scipy_stats.wilcoxon(difference).pvalue if any(difference) else 1
    assert statistics.wilcoxon(np.array(difference)) == expected


@pytest.mark.parametrize("n", [1, 2, 5, 8, 12])
def test_wilcoxon_of_one_sign_by_counting_all_signs(n):
    """The exact null distribution: every choice of signs is equally likely."""
    ranks = np.arange(1, n + 1)
    sums = [
        sum(r for r, s in zip(ranks, signs, strict=True) if s)
        for signs in product((0, 1), repeat=n)
    ]
    p = min(1, 2 * np.mean(np.array(sums) >= ranks.sum()))
    assert statistics.wilcoxon(ranks / 1000) == pytest.approx(p)
    assert statistics.smallest_wilcoxon(n) == pytest.approx(p)


@given(
    st.lists(st.floats(-0.05, 0.05), min_size=2, max_size=20).filter(lambda d: np.std(d) > 1e-6),
    st.floats(0.001, 0.05),
)
def test_over_cells_equals_scipy_and_statsmodels(difference, margin):
    difference = np.array(difference)
    found = statistics.over_cells(difference)
    expected = scipy_stats.ttest_1samp(difference, 0)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    interval = expected.confidence_interval(0.95)
    assert found.low == pytest.approx(interval.low)
    assert found.high == pytest.approx(interval.high)
    tost = ttost_paired(difference, np.zeros_like(difference), -margin, margin)[0]
    assert found.equivalence_p(margin) == pytest.approx(tost, rel=1e-6, abs=1e-12)


@given(
    st.floats(-0.05, 0.05),
    st.floats(1e-4, 0.05),
    st.floats(1, 50),
    st.floats(0, 0.05),
    st.floats(0.001, 0.05),
)
def test_p_goes_with_the_interval(value, error, df, genes, margin):
    one = Estimate.from_errors(value, ((error, df), (genes, np.inf)))
    inside = -margin < one.low and one.high < margin
    assert inside == (one.equivalence_p(margin) < 0.025)
    assert (one.p < 0.05) == (not one.low <= 0 <= one.high)


def test_without_standard_errors_there_is_no_p():
    one = Estimate(0.1, 0.0, 0.2)
    with pytest.raises(ValueError, match="standard errors"):
        _ = one.p
    with pytest.raises(ValueError, match="standard errors"):
        one.equivalence_p(0.01)


def test_one_cell_type_says_nothing_of_others():
    one = statistics.over_cells(np.array([0.3]))
    assert one.low == -np.inf
    assert one.p == 1
    assert one.equivalence_p(0.01) >= 0.5
    assert statistics.over_cells_and_genes(np.array([0.3]), np.full((100, 1), 0.3)) == one


def test_over_cells_and_genes_by_hand():
    """Variance between cell types, and the mean covariance of two of them over resamples."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=5)
    resampled = rng.normal(size=(40, 1)) + rng.normal(size=(40, 5))
    pairs = [
        np.cov(resampled[:, i], resampled[:, j])[0, 1] for i in range(5) for j in range(5) if i != j
    ]
    between = np.var(values, ddof=1) / 5
    found = statistics.over_cells_and_genes(values, resampled)
    assert found.value == pytest.approx(values.mean())
    squares = scipy_stats.t.ppf(0.975, 4) ** 2 * between, 1.959964**2 * np.mean(pairs)
    assert found.high - found.value == pytest.approx(np.sqrt(sum(squares)))
    # a resample in which a cell type has one class only does not count
    with_hole = np.vstack([resampled, np.full((1, 5), np.nan)])
    assert statistics.over_cells_and_genes(values, with_hole) == found
    # genes that cell types do not share in effect add nothing, and never take away
    apart = resampled[:, :1] * np.array([1, -1, 1, -1, 1])
    alone, cells = statistics.over_cells_and_genes(values, apart), statistics.over_cells(values)
    assert (alone.low, alone.high) == (cells.low, cells.high)


def data_set(rng, n_cells, gene_noise, cell_noise, n_genes=100, resamples=150):
    """Simulate two models that are equally good in truth.

    Returns the differences of their AUROCs, shape=(cells,) and, resampled, (resamples, cells).
    gene_noise: of each model and gene, the same in every cell type. cell_noise: how much better or
    worse a model's scores are in a cell type.
    """
    expression = rng.normal(size=n_genes) + 0.5 * rng.normal(size=(n_cells, n_genes))
    label = expression > np.median(expression, axis=1, keepdims=True)
    genes = np.arange(n_genes)
    bootstrap = GeneBootstrap(genes, resamples, int(rng.integers(2**31)))
    values, resampled = [], []
    for _ in range(2):
        noise = gene_noise * rng.normal(size=n_genes) + 0.4 * rng.normal(size=expression.shape)
        score = expression + noise * np.exp(cell_noise * rng.normal(size=(n_cells, 1)))
        pairs = list(zip(label, score, strict=True))
        values.append(np.array([auroc(*pair) for pair in pairs]))
        resampled.append(np.stack([bootstrap.auroc(genes, *pair) for pair in pairs], axis=1))
    return values[0] - values[1], resampled[0] - resampled[1]


@pytest.mark.parametrize(("gene_noise", "cell_noise"), [(1.0, 0.0), (0.0, 0.5), (0.6, 0.25)])
def test_false_findings_are_rare(gene_noise, cell_noise):
    """Intervals leave 0 out in 5% of data sets at most, whether genes or cell types vary."""
    rng = np.random.default_rng(4)
    repeats = 150
    wrong = {"cells": 0, "both": 0, "bootstrap": 0}
    for _ in range(repeats):
        values, resampled = data_set(rng, 6, gene_noise, cell_noise)
        cells = statistics.over_cells(values)
        both = statistics.over_cells_and_genes(values, resampled)
        bootstrap = statistics.two_level_bootstrap(resampled)
        wrong["cells"] += cells.p < 0.05
        wrong["both"] += both.p < 0.05
        wrong["bootstrap"] += not bootstrap.low <= 0 <= bootstrap.high
    tolerance = 3 * np.sqrt(0.05 * 0.95 / repeats)
    assert wrong["both"] / repeats < 0.05 + tolerance
    assert wrong["bootstrap"] / repeats < 0.05 + tolerance
    if gene_noise == 1:  # a test across cell types alone takes what genes have in common for real
        assert wrong["cells"] > 2 * wrong["both"]


def test_two_level_bootstrap_holds_the_mean_auroc():
    """95% intervals of a mean AUROC over few cell types: not short of 95%, plain percentiles are.

    Resampled values stand for AUROCs: the true mean, what a resample's genes add in all cell types,
    and what each cell type adds.
    """
    rng = np.random.default_rng(5)
    repeats, n_cells, n_genes = 600, 6, 100
    held, plain = 0, 0
    for _ in range(repeats):
        cell = 0.03 * rng.normal(size=n_cells)
        per_gene = 0.1 * rng.normal(size=(n_genes, 1)) + 0.9 + cell
        drawn = rng.multinomial(n_genes, np.full(n_genes, 1 / n_genes), size=300) / n_genes
        resampled = drawn @ per_gene
        interval = statistics.two_level_bootstrap(resampled, int(rng.integers(2**31)))
        held += interval.low < 0.9 < interval.high
        cells = rng.multinomial(n_cells, np.full(n_cells, 1 / n_cells), size=300) / n_cells
        low, high = np.percentile((resampled * cells).sum(axis=1), [2.5, 97.5])
        plain += low < 0.9 < high
    tolerance = 3 * np.sqrt(0.05 * 0.95 / repeats)
    assert 0.95 - tolerance < held / repeats < 0.995
    assert plain < held


@pytest.mark.parametrize("n_cells", [1, 2])
def test_two_level_bootstrap_of_too_few_cell_types_is_over_genes(n_cells):
    rng = np.random.default_rng(6)
    resampled = rng.normal(size=(500, 1)) + np.arange(n_cells)
    found = statistics.two_level_bootstrap(resampled)
    low, high = np.percentile(resampled.mean(axis=1), [2.5, 97.5])
    assert (found.low, found.high) == pytest.approx((low, high))


def test_two_level_bootstrap_reaches_as_far_as_students_t():
    """Genes that all agree leave cell types alone: many resamples of them, by Hesterberg's rule."""
    values = np.array([0.82, 0.85, 0.88, 0.9, 0.93])
    found = statistics.two_level_bootstrap(np.tile(values, (20_000, 1)))
    sums = [sum(drawn) / 5 for drawn in product(values, repeat=5)]  # every resample there is
    tail = scipy_stats.norm.cdf(-scipy_stats.t.ppf(0.975, 4) * np.sqrt(5 / 4))
    low, high = np.quantile(sums, [tail, 1 - tail], method="inverted_cdf")
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.003)
    plain = np.quantile(sums, [0.025, 0.975])
    assert high - low > 1.3 * (plain[1] - plain[0])
