"""Measures of generated signals against independent implementations and known answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import KernelDensity

from deepchrome.interpretation import quality
from deepchrome.interpretation.quality import Set


def genes(n: int, seed: int, rate: float = 2.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.poisson(rate * rng.gamma(4, 0.25, (n, 1, 5)), (n, 100, 5)).astype(np.uint16)


def a_set(n: int, seed: int, rate: float = 2.0) -> Set:
    rng = np.random.default_rng(seed)
    gene = np.array([f"ENSG{i // 2:03d}" for i in range(n)])
    return Set(genes(n, seed, rate), np.arange(n) % 2, rng.integers(0, 2, n), gene)


def test_the_same_distribution_cannot_be_separated_and_another_can():
    a, b, other = genes(150, 1), genes(150, 2), genes(150, 3, rate=4.0)
    for trees in (True, False):
        assert quality.separability(a, b, 0, trees=trees) == pytest.approx(0.5, abs=0.15)
        assert quality.separability(a, other, 0, trees=trees) > 0.9


@given(st.integers(0, 10_000), st.integers(3, 12), st.integers(3, 12))
@settings(max_examples=30)
def test_mmd_equals_its_definition(seed, n, m):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(n, 4)), rng.normal(size=(m, 4)) + 1
    apart = np.linalg.norm(a[:, None] - a[None], axis=2)
    gamma = 1 / (2 * np.median(apart[~np.eye(n, dtype=bool)]) ** 2)
    within = [(rbf_kernel(x, x, gamma).sum() - len(x)) / (len(x) * (len(x) - 1)) for x in (a, b)]
    expected = sum(within) - 2 * rbf_kernel(a, b, gamma).mean()
    assert quality.mmd(a, b) == pytest.approx(expected, abs=1e-10)


def test_coverage_is_all_within_and_none_far_away():
    rng = np.random.default_rng(0)
    cloud, same = rng.normal(size=(2, 200, 3))
    assert quality.coverage(same, cloud) > 0.85
    assert quality.coverage(same + 50, cloud) == 0
    densities = KernelDensity().fit(cloud).score_samples(same)
    inside = np.array([quality.coverage(point[None], cloud) for point in same]) == 1
    assert densities[inside].mean() > densities[~inside].mean()


@given(st.integers(0, 100), st.integers(10, 60), st.integers(10, 60))
@settings(max_examples=20)
def test_halves_are_of_equal_size_and_share_no_gene(seed, n, examples):
    test = a_set(n, 1)
    a, b = quality.halves(test, examples, seed)
    assert len(a.y) == len(b.y) <= examples
    assert not set(a.gene) & set(b.gene)
    assert 1 <= len(quality.seeds(test, examples, seed)) <= quality.AT_MOST


def test_rivals_keep_what_they_promise():
    train, like = a_set(4000, 1), a_set(3000, 2)
    rng = np.random.default_rng(0)
    bins = quality.independent_bins(train, like, rng)
    normal = quality.gaussian(train, like, rng)
    assert bins.dtype == normal.dtype == np.uint16
    for label in (0, 1):
        of, mine = bins[like.y == label], train.X[train.y == label]
        np.testing.assert_allclose(of.mean((0, 1)), mine.mean((0, 1)), rtol=0.05)
        assert abs(np.corrcoef(of[:, 3, 0], of[:, 60, 0])[0, 1]) < 0.1  # bins lost each other
    together = [np.corrcoef(np.log1p(x[:, :, 0].sum(1)), np.log1p(x[:, :, 1].sum(1)))[0, 1]
                for x in (normal, train.X)]  # fmt: skip
    assert together[0] == pytest.approx(together[1], abs=0.12)


def test_rivals_keep_labels_and_cell_types_apart():
    train = a_set(400, 1)
    X = train.X.copy()
    X[(train.y == 1) & (train.cell == 1)] = 100
    train = train.with_signals(X)
    made = quality.independent_bins(train, train, np.random.default_rng(0))
    high = (train.y == 1) & (train.cell == 1)
    assert (made[high] == 100).all()
    assert (made[~high] < 100).all()


def test_signal_is_not_rounded():
    one = a_set(40, 1)
    signal = one.with_signals((one.X / 3).astype(np.float32))
    drawn = quality.gaussian(signal, signal, np.random.default_rng(0))
    assert drawn.dtype == np.float32
    assert not np.array_equal(drawn, drawn.round())


def test_diversity_of_copies_is_none():
    real = a_set(200, 1)
    same = real.with_signals(np.broadcast_to(real.X[:1], real.X.shape).copy())
    assert quality.diversity(real, real) == pytest.approx(1)
    assert quality.diversity(same, real) == pytest.approx(0)


def test_copies_lie_on_training_genes():
    points = quality.pooled(genes(50, 1))
    assert quality.nearest_distance(points, points) == 0
    assert quality.nearest_distance(quality.pooled(genes(50, 2)), points) > 0


def test_a_classifier_of_shuffled_labels_knows_nothing():
    train, test = a_set(400, 1), a_set(400, 2)
    assert quality.classifier_auroc(train, test) == pytest.approx(0.5, abs=0.1)
    X = train.X.copy(), test.X.copy()
    for one, signals in zip((train, test), X, strict=True):
        signals[one.y == 1, 50:, 3] += 5
    assert quality.classifier_auroc(train.with_signals(X[0]), test.with_signals(X[1])) > 0.99
