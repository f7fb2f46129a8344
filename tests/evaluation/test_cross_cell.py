"""The cross-cell matrix and its statistics against independent ones."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from conftest import REAL, needs_real
from deepchrome.data.sources import expression, published
from deepchrome.evaluation import cross_cell
from deepchrome.evaluation.cross_cell import ABSENT, CrossCellScores, Matrix
from deepchrome.evaluation.metrics import GeneBootstrap, auroc
from scores import random_scores

square = st.integers(3, 7).flatmap(
    lambda n: hnp.arrays(np.float64, (n, n), elements=st.floats(0.3, 1))
)


@settings(max_examples=50)
@given(square, st.integers(0, 99))
def test_losses_average_to_the_gap_and_know_no_rows_and_columns(matrix, seed):
    n, off = len(matrix), ~np.eye(len(matrix), dtype=bool)
    loss = cross_cell.losses(matrix)
    gap = np.diagonal(matrix).mean() - matrix[off].mean()
    assert loss[off].mean() == pytest.approx(gap, abs=1e-12)
    rows, columns = np.random.default_rng(seed).normal(size=(2, n))
    moved = cross_cell.losses(matrix + rows[:, None] + columns)
    np.testing.assert_allclose(moved, loss, atol=1e-12)


def test_a_cell_type_drawn_twice_makes_no_pair_with_itself():
    matrix = np.random.default_rng(2).random((4, 4))
    drawn = np.array([2.0, 1.0, 0.0, 1.0])
    copies = [0, 0, 1, 3]
    pairs = [(a, b) for a in copies for b in copies if a != b]
    within = np.mean([matrix[a, a] for a in copies])
    between = np.mean([matrix[pair] for pair in pairs])
    lost = np.mean(
        [(matrix[a, a] + matrix[b, b] - matrix[a, b] - matrix[b, a]) / 2 for a, b in pairs]
    )
    one, counts = matrix[None], drawn[None]
    assert cross_cell.within(one, counts)[0] == pytest.approx(within)
    assert cross_cell.between(one, counts)[0] == pytest.approx(between)
    assert cross_cell.gap(one, counts)[0] == pytest.approx(lost)
    which = np.zeros((4, 4), dtype=bool)
    which[0, 1] = which[1, 0] = which[0, 0] = True
    assert cross_cell.between(one, counts, which)[0] == pytest.approx(
        (matrix[0, 1] + matrix[1, 0]) / 2
    )


@pytest.mark.parametrize("n", [3, 4, 56])
def test_cells_are_drawn_with_replacement_and_never_one_alone(n):
    drawn = cross_cell.draw_cells(n)
    assert (drawn.sum(axis=-1) == n).all()
    assert ((drawn > 0).sum(axis=-1) >= 2).all()
    assert drawn.reshape(-1, n).mean(axis=0) == pytest.approx(1, abs=0.15)
    assert (drawn > 1).any()


def test_two_cell_types_are_not_drawn():
    assert cross_cell.draw_cells(2) is None


def test_matrices_are_aurocs_of_the_genes_they_name():
    scores = random_scores()
    found = cross_cell.matrices(scores)
    label, log_odds, n = scores.label, scores.log_odds, len(scores.cells)
    for a in range(n):
        for b in range(n):
            if a == b:
                have = label[b] != ABSENT
                others = [k for k in range(n) if k != b]
                baseline = scores.expression[others].mean(axis=0)
                expected = {"all": roc(label[b], log_odds[:, a, b], have)}
                expected["no_chromatin"] = roc(label[b], baseline[None], have)
            else:
                switch = (label[a] + label[b] == 1) & (label[a] != ABSENT) & (label[b] != ABSENT)
                at_home, away, theirs = log_odds[:, a, a], log_odds[:, a, b], log_odds[:, b, b]
                expected = {
                    "all": roc(label[b], away, label[b] != ABSENT),
                    "switching": roc(label[b], away, switch),
                    "switching_own": roc(label[b], theirs, switch),
                    "difference": roc(label[a], at_home - away, switch),
                    "difference_own": roc(label[a], at_home - theirs, switch),
                }
            for name, value in expected.items():
                assert found[name].value[a, b] == pytest.approx(value), name


def roc(label, by_seed, on) -> float:
    return np.mean([roc_auc_score(label[on], score[on]) for score in by_seed])


def test_resamples_are_those_of_the_gene_bootstrap():
    scores = random_scores(seeds=1, lacking=0)
    found = cross_cell.matrices(scores)["all"].resampled[:, 1, 2]
    genes = np.arange(scores.label.shape[1])
    bootstrap = GeneBootstrap(genes, cross_cell.RESAMPLES)
    expected = bootstrap.auroc(genes, scores.label[2], scores.log_odds[0, 1, 2])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_gaps_interval_covers_the_truth(monkeypatch):
    """Cell types and genes are drawn anew each time; a gene is as clear in one as in another."""
    monkeypatch.setattr(cross_cell, "RESAMPLES", 60)
    rng = np.random.default_rng(3)
    n, genes, clear, spread = 5, 80, 0.9, 0.4
    # AUROC of two normals d apart, d normal itself: Phi(mean / sqrt(2 + variance))
    truth = phi((clear + 0.5) / np.sqrt(2 + spread**2)) - phi(clear / np.sqrt(2))
    bootstrap = GeneBootstrap(np.arange(genes), cross_cell.RESAMPLES)
    hits = 0
    for _ in range(60):
        label = np.arange(genes) % 2
        more = 0.5 + spread * rng.normal(size=n)
        noise = rng.normal(size=genes)
        value, resampled = np.empty((n, n)), np.empty((cross_cell.RESAMPLES, n, n))
        for a in range(n):
            for b in range(n):
                own = 0.8 * noise + 0.6 * rng.normal(size=genes)
                score = own + label * (clear + more[a] * (a == b))
                value[a, b] = auroc(label, score)
                resampled[:, a, b] = bootstrap.auroc(np.arange(genes), label, score)
        matrix = Matrix(value, resampled)
        drawn = cross_cell.draw_cells(n)
        both = cross_cell.estimate(cross_cell.gap, matrix, drawn)
        alone = cross_cell.estimate(cross_cell.gap, matrix, None)
        assert both.high - both.low > alone.high - alone.low
        hits += both.low <= truth <= both.high
    assert hits / 60 >= 0.88


def phi(x: float) -> float:
    from scipy.stats import norm

    return float(norm.cdf(x))


def test_shuffled_labels_give_one_half_whatever_the_scores():
    scores = random_scores(genes=400, seeds=1)
    for log_odds in (scores.log_odds, np.round(scores.log_odds)):  # and with ties
        found = cross_cell.shuffled(replace(scores, log_odds=log_odds))
        assert found.low < 0.5 < found.high
        assert found.value == pytest.approx(0.5, abs=0.01)
        assert found.high - found.low < 0.15


@needs_real
def test_the_real_samples_known_numbers():
    """0.917 and 0.925 without chromatin; of 80 genes that switch, 20 to test on, 0.95."""
    rpkm = expression.read_rpkm(REAL / "57epigenomes.RPKM.pc.gz").drop(columns="E000")
    cells = ["E003", "E123"]
    tables = {cell: published.read_splits(REAL / "roadmap-subset", cell) for cell in cells}
    models, known = {}, pd.DataFrame(index=sorted(set(tables["E003"][0].gene_id)))
    for cell, (table, split) in tables.items():
        label = (rpkm[cell][table.gene_id] > rpkm[cell].median()).to_numpy()
        sums = np.log1p(table.X.sum(axis=1, dtype=float))
        train, test = split == "train", split == "test"
        regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        models[cell] = regression.fit(sums[train], label[train])
        at = known.index.get_indexer(table.gene_id)
        known[f"label_{cell}"] = ABSENT
        known.iloc[at[test], -1] = label[test].astype(int)
        for mark in range(5):
            known[f"sum_{cell}_{mark}"] = np.nan
            known.iloc[at, -1] = sums[:, mark]
    log_odds = np.full((1, 2, 2, len(known)), np.nan, np.float32)
    for b, cell in enumerate(cells):
        sums = known[[f"sum_{cell}_{mark}" for mark in range(5)]].dropna()
        at = known.index.get_indexer(sums.index)
        for a, trained in enumerate(cells):
            log_odds[0, a, b, at] = models[trained].decision_function(sums.to_numpy())
    label = known[[f"label_{cell}" for cell in cells]].to_numpy(np.int8).T
    two = CrossCellScores(
        cells, label, log_odds, np.log1p(rpkm.loc[known.index, cells].to_numpy().T)
    )
    assert two.switching(0, 1).sum() == 20
    found = cross_cell.matrices(two)["difference_own"].value[0, 1]
    assert found == pytest.approx(0.95, abs=0.005)

    every = np.log1p(rpkm.loc[known.index].to_numpy().T)
    scores = CrossCellScores(list(rpkm.columns), label, log_odds, every)
    for b, (cell, expected) in enumerate({"E003": 0.917, "E123": 0.925}.items()):
        baseline = scores.no_chromatin(scores.cells.index(cell))
        have = label[b] != ABSENT
        assert auroc(label[b][have], baseline[have]) == pytest.approx(expected, abs=0.0006)
