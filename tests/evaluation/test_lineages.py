"""Clusters of cell types against planted lineages and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from deepchrome.data import reference
from deepchrome.evaluation import lineages


def test_lineages_leave_collections_alone():
    cells = ["E003", "E016", "E066", "E116", "E123", "mine"]
    assert reference.lineages(cells).tolist() == ["ESC", "ESC", *cells[2:]]


def planted_losses(lineage, rng, within=0.01):
    related = lineage[:, None] == lineage
    loss = np.where(related, within, 0.03) + 0.002 * rng.normal(size=related.shape)
    loss = (loss + loss.T) / 2
    np.fill_diagonal(loss, 0)
    return loss


def test_clusters_find_lineages_where_they_are():
    rng = np.random.default_rng(4)
    lineage = np.array(["a"] * 4 + ["b"] * 3 + ["c"] * 3, object)
    found = lineages.clusters(planted_losses(lineage, rng), lineage)
    assert found.adjusted_rand == pytest.approx(1)
    assert found.p < 0.01
    assert sorted(found.order) == list(range(10))
    for name in "abc":  # stand side by side
        places = np.flatnonzero(lineage[found.order] == name)
        assert np.ptp(places) == len(places) - 1


def test_clusters_agree_with_scikit_learn_and_with_chance(monkeypatch):
    monkeypatch.setattr(lineages, "PERMUTATIONS", 300)
    rng = np.random.default_rng(5)
    lineage = np.array(["a"] * 4 + ["b"] * 3 + ["c"] * 3, object)
    p = []
    for seed in range(12):
        found = lineages.clusters(
            planted_losses(lineage, rng, within=0.03), rng.permutation(lineage), seed
        )
        p.append(found.p)
    assert np.mean(np.array(p) < 0.05) <= 0.25
    shuffled_lineage = rng.permutation(lineage)
    found = lineages.clusters(planted_losses(lineage, rng), shuffled_lineage)
    expected = adjusted_rand_score(shuffled_lineage, found.cluster)
    assert found.adjusted_rand == pytest.approx(expected)


@pytest.mark.parametrize("lineage", [list("abcd"), list("aaaa")])
def test_no_clusters_to_compare_where_lineages_do_not_repeat(lineage):
    loss = planted_losses(np.arange(4), np.random.default_rng(6))
    found = lineages.clusters(loss, np.array(lineage, object))
    assert np.isnan(found.adjusted_rand)
    assert np.isnan(found.p)
