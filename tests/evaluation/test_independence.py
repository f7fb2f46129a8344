"""Statistics of the cross-cell matrix against independent ones, and the verdict both ways."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from conftest import REAL, needs_real
from deepchrome.data import reference
from deepchrome.data.sources import expression, published
from deepchrome.evaluation import independence
from deepchrome.evaluation.independence import ABSENT, Estimate, Matrix, Scores
from deepchrome.evaluation.metrics import GeneBootstrap, auroc
from deepchrome.simulation import simulator

DEMO = ["E003", "E016", "E057", "E066", "E071", "E095", "E116", "E123"]


def random_scores(n=4, genes=120, seeds=2, *, own=0.0, seed=0, lacking=10) -> Scores:
    """Cell types whose own models see the gene more clearly by `own`; some genes are absent."""
    rng = np.random.default_rng(seed)
    level = rng.normal(size=genes) + 0.7 * rng.normal(size=(n, genes))
    label = (level > np.median(level, axis=1, keepdims=True)).astype(np.int8)
    clear = 1 + own * np.eye(n)
    log_odds = clear[..., None] * level[None, None] + rng.normal(size=(seeds, n, n, genes))
    for cell in range(n):
        absent = rng.choice(genes, lacking, replace=False)
        label[cell, absent] = ABSENT
        log_odds[:, :, cell, absent] = np.nan
    return Scores(DEMO[:n], label, log_odds.astype(np.float32), level + 3)


def agreement(scores: Scores) -> pd.DataFrame:
    same = (scores.label[:, None] == scores.label[None]).mean(axis=-1)
    return pd.DataFrame(same, scores.cells, scores.cells)


square = st.integers(3, 7).flatmap(
    lambda n: hnp.arrays(np.float64, (n, n), elements=st.floats(0.3, 1))
)


@settings(max_examples=50, deadline=None)
@given(square, st.integers(0, 99))
def test_losses_average_to_the_gap_and_know_no_rows_and_columns(matrix, seed):
    n, off = len(matrix), ~np.eye(len(matrix), dtype=bool)
    loss = independence.losses(matrix)
    gap = np.diagonal(matrix).mean() - matrix[off].mean()
    assert loss[off].mean() == pytest.approx(gap, abs=1e-12)
    rows, columns = np.random.default_rng(seed).normal(size=(2, n))
    moved = independence.losses(matrix + rows[:, None] + columns)
    np.testing.assert_allclose(moved, loss, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(square)
def test_effects_are_those_of_least_squares(matrix):
    n, off = len(matrix), ~np.eye(len(matrix), dtype=bool)
    i, j = np.nonzero(off)
    design = np.column_stack([np.eye(n)[i], np.eye(n)[j]])
    fitted, *_ = np.linalg.lstsq(design, matrix[off], rcond=None)
    fit = independence.effects(matrix)
    rows, columns = fitted[:n], fitted[n:]
    np.testing.assert_allclose(fit.rows, rows - rows.mean(), atol=1e-9)
    np.testing.assert_allclose(fit.columns, columns - columns.mean(), atol=1e-9)
    predicted = rows[:, None] + columns
    np.testing.assert_allclose(fit.residual[off], (matrix - predicted)[off], atol=1e-9)
    np.testing.assert_allclose(fit.own, np.diagonal(matrix - predicted), atol=1e-9)
    gap = np.diagonal(matrix).mean() - matrix[off].mean()
    assert fit.own.mean() == pytest.approx(gap, abs=1e-9)


def test_effects_of_many_matrices_are_those_of_each():
    many = np.random.default_rng(0).random((3, 5, 5))
    together = independence.effects(many)
    for k, one in enumerate(many):
        alone = independence.effects(one)
        for name in ("mean", "rows", "columns", "own", "residual"):
            np.testing.assert_allclose(getattr(together, name)[k], getattr(alone, name))


def test_decomposition_finds_what_was_put_in():
    rng = np.random.default_rng(1)
    n = 30
    matrix = 0.8 + 0.03 * rng.normal(size=n) + 0.01 * rng.normal(size=(n, 1))
    matrix += 0.005 * rng.normal(size=(n, n))
    resampled = matrix + 0.002 * rng.normal(size=(50, n, n))
    table = independence.decomposition(Matrix(matrix, resampled)).set_index("term")
    assert table["share"].sum() == pytest.approx(1)
    assert table["sd"].to_dict() == pytest.approx(
        {"columns": 0.03, "rows": 0.01, "interaction": 0.005}, rel=0.3
    )
    assert table["sd"]["columns"] > table["sd"]["rows"] > table["sd"]["interaction"]
    assert table["chance_sd"]["interaction"] == pytest.approx(0.002, rel=0.1)
    assert table["chance_sd"]["columns"] == pytest.approx(0.002 / np.sqrt(n), rel=0.2)


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
    assert independence.within(one, counts)[0] == pytest.approx(within)
    assert independence.between(one, counts)[0] == pytest.approx(between)
    assert independence.gap(one, counts)[0] == pytest.approx(lost)
    which = np.zeros((4, 4), dtype=bool)
    which[0, 1] = which[1, 0] = which[0, 0] = True
    assert independence.between(one, counts, which)[0] == pytest.approx(
        (matrix[0, 1] + matrix[1, 0]) / 2
    )


@pytest.mark.parametrize("n", [3, 4, 56])
def test_cells_are_drawn_with_replacement_and_never_one_alone(n):
    drawn = independence.draw_cells(n)
    assert (drawn.sum(axis=-1) == n).all()
    assert ((drawn > 0).sum(axis=-1) >= 2).all()
    assert drawn.reshape(-1, n).mean(axis=0) == pytest.approx(1, abs=0.15)
    assert (drawn > 1).any()


def test_two_cell_types_are_not_drawn():
    assert independence.draw_cells(2) is None


def test_matrices_are_aurocs_of_the_genes_they_name():
    scores = random_scores()
    found = independence.matrices(scores)
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
    found = independence.matrices(scores)["all"].resampled[:, 1, 2]
    genes = np.arange(scores.label.shape[1])
    bootstrap = GeneBootstrap(genes, independence.RESAMPLES)
    expected = bootstrap.auroc(genes, scores.label[2], scores.log_odds[0, 1, 2])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_gaps_interval_covers_the_truth(monkeypatch):
    """Cell types and genes are drawn anew each time; a gene is as clear in one as in another."""
    monkeypatch.setattr(independence, "RESAMPLES", 60)
    rng = np.random.default_rng(3)
    n, genes, clear, spread = 5, 80, 0.9, 0.4
    # AUROC of two normals d apart, d normal itself: Phi(mean / sqrt(2 + variance))
    truth = phi((clear + 0.5) / np.sqrt(2 + spread**2)) - phi(clear / np.sqrt(2))
    bootstrap = GeneBootstrap(np.arange(genes), independence.RESAMPLES)
    hits = 0
    for _ in range(60):
        label = np.arange(genes) % 2
        more = 0.5 + spread * rng.normal(size=n)
        noise = rng.normal(size=genes)
        value, resampled = np.empty((n, n)), np.empty((independence.RESAMPLES, n, n))
        for a in range(n):
            for b in range(n):
                own = 0.8 * noise + 0.6 * rng.normal(size=genes)
                score = own + label * (clear + more[a] * (a == b))
                value[a, b] = auroc(label, score)
                resampled[:, a, b] = bootstrap.auroc(np.arange(genes), label, score)
        matrix = Matrix(value, resampled)
        drawn = independence.draw_cells(n)
        both = independence.estimate(independence.gap, matrix, drawn)
        alone = independence.estimate(independence.gap, matrix, None)
        assert both.high - both.low > alone.high - alone.low
        hits += both.low <= truth <= both.high
    assert hits / 60 >= 0.88


def phi(x: float) -> float:
    from scipy.stats import norm

    return float(norm.cdf(x))


def test_shuffled_labels_give_one_half_whatever_the_scores():
    scores = random_scores(genes=400, seeds=1)
    for log_odds in (scores.log_odds, np.round(scores.log_odds)):  # and with ties
        found = independence.shuffled(replace(scores, log_odds=log_odds))
        assert found.low < 0.5 < found.high
        assert found.value == pytest.approx(0.5, abs=0.01)
        assert found.high - found.low < 0.15


def test_lineages_leave_collections_alone():
    cells = ["E003", "E016", "E066", "E116", "E123", "mine"]
    assert independence.lineages(cells).tolist() == ["ESC", "ESC", *cells[2:]]


def planted_losses(lineage, rng, within=0.01):
    related = lineage[:, None] == lineage
    loss = np.where(related, within, 0.03) + 0.002 * rng.normal(size=related.shape)
    loss = (loss + loss.T) / 2
    np.fill_diagonal(loss, 0)
    return loss


def test_clusters_find_lineages_where_they_are():
    rng = np.random.default_rng(4)
    lineage = np.array(["a"] * 4 + ["b"] * 3 + ["c"] * 3, object)
    found = independence.clusters(planted_losses(lineage, rng), lineage)
    assert found.adjusted_rand == pytest.approx(1)
    assert found.p < 0.01
    assert sorted(found.order) == list(range(10))
    for name in "abc":  # stand side by side
        places = np.flatnonzero(lineage[found.order] == name)
        assert np.ptp(places) == len(places) - 1


def test_clusters_agree_with_scikit_learn_and_with_chance(monkeypatch):
    monkeypatch.setattr(independence, "PERMUTATIONS", 300)
    rng = np.random.default_rng(5)
    lineage = np.array(["a"] * 4 + ["b"] * 3 + ["c"] * 3, object)
    p = []
    for seed in range(12):
        found = independence.clusters(
            planted_losses(lineage, rng, within=0.03), rng.permutation(lineage), seed
        )
        p.append(found.p)
    assert np.mean(np.array(p) < 0.05) <= 0.25
    shuffled_lineage = rng.permutation(lineage)
    found = independence.clusters(planted_losses(lineage, rng), shuffled_lineage)
    expected = adjusted_rand_score(shuffled_lineage, found.cluster)
    assert found.adjusted_rand == pytest.approx(expected)


@pytest.mark.parametrize("lineage", [list("abcd"), list("aaaa")])
def test_no_clusters_to_compare_where_lineages_do_not_repeat(lineage):
    loss = planted_losses(np.arange(4), np.random.default_rng(6))
    found = independence.clusters(loss, np.array(lineage, object))
    assert np.isnan(found.adjusted_rand)
    assert np.isnan(found.p)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_few_cell_types(n):
    scores = random_scores(n)
    found = independence.find(scores, agreement(scores))
    assert len(found.pairs) == n * (n - 1)
    assert len(found.cells) == n
    assert (found.cells["averaged_cells"] == n - 1).all()
    assert (found.clusters is not None) == (n > 3)
    assert ("rows" in found.cells) == (len(found.decomposition) > 0) == (n > 2)
    off = found.pairs
    assert found.estimates["between"].value == pytest.approx(off["auroc"].mean())
    assert found.estimates["switching"].value == pytest.approx(off["switching"].mean())
    assert found.estimates["gap"].value == pytest.approx(off["loss"].mean())
    assert not np.isnan([one.low for one in found.estimates.values()]).any()


def test_gap_by_lineage():
    scores = random_scores(4)  # the first two are of one lineage
    found = independence.find(scores, agreement(scores))
    table = found.lineage.set_index("lineage")
    same = found.pairs["same_lineage"]
    assert table.loc["same", "pairs"] == 1
    assert table.loc["other", "pairs"] == 5
    assert table.loc["same", "gap"] == pytest.approx(found.pairs.loc[same, "loss"].mean())
    assert table.loc["other", "gap"] == pytest.approx(found.pairs.loc[~same, "loss"].mean())


def test_without_expression_there_is_no_baseline():
    scores = random_scores()
    scores = replace(scores, expression=np.full_like(scores.expression, np.nan))
    found = independence.find(scores, agreement(scores))
    assert np.isnan(found.estimates["no_chromatin"].value)
    assert "expression (RPKM) is not known" in independence.verdict(found, 0.01).text


def test_a_cell_type_of_one_class_is_undecided():
    scores = random_scores()
    scores.label[1][scores.label[1] != ABSENT] = 1
    found = independence.find(scores, agreement(scores))
    assert independence.verdict(found, 0.01).word == "undecided"


# gap over genes and cell types, over genes alone, difference -> verdict
RULE = {
    "small": ((-0.002, 0.006), (0.001, 0.004), (0.7, 0.9), "same"),
    "others do better": ((-0.04, -0.02), (-0.035, -0.025), (0.7, 0.9), "same"),
    "small but may be the gene": ((-0.002, 0.006), (0.001, 0.004), (0.48, 0.9), "undecided"),
    "across": ((-0.002, 0.02), (0.008, 0.012), (0.7, 0.9), "undecided"),
    "large here": ((-0.002, 0.2), (0.09, 0.11), (0.7, 0.9), "differs"),
    "large": ((0.02, 0.1), (0.05, 0.07), (0.7, 0.9), "differs"),
}


@pytest.mark.parametrize(("both", "alone", "difference", "word"), RULE.values(), ids=RULE)
def test_the_rule(both, alone, difference, word):
    scores = random_scores()
    found = independence.find(scores, agreement(scores))
    found.estimates["gap"] = Estimate(np.mean(both), *both)
    found.estimates["gap_genes"] = Estimate(np.mean(both), *alone)
    found.estimates["difference"] = Estimate(np.mean(difference), *difference)
    verdict = independence.verdict(found, 0.01)
    assert verdict.word == word
    for quoted in ("switching", "difference", "no_chromatin", "shuffled"):
        assert f"{found.estimates[quoted].value:.3f}" in verdict.text


def simulated(specificity: float) -> independence.Findings:
    """Logistic regression on maxima of the marks (what `linear` sees), at calibrated depth."""
    statistics = simulator.load_statistics()
    genes = reference.genes().drop_duplicates("gene_id")[::16][:1200]
    rpkm = simulator.expression(genes["gene_id"], DEMO, 0, statistics)
    high = (rpkm > np.median(rpkm, axis=0)).astype(np.int8).T
    strand = genes["strand"].to_numpy()
    features = [
        np.log1p(
            simulator.counts(
                cell, rpkm[:, i], strand, 0, statistics, cell_specificity=specificity
            ).max(axis=1)
        )
        for i, cell in enumerate(DEMO)
    ]
    train = np.arange(len(genes)) % 2 == 0
    models = [
        make_pipeline(StandardScaler(), LogisticRegression()).fit(X[train], y[train])
        for X, y in zip(features, high, strict=True)
    ]
    log_odds = [[model.decision_function(X[~train]) for X in features] for model in models]
    scores = Scores(
        DEMO,
        high[:, ~train],
        np.array([log_odds], np.float32),
        np.log1p(rpkm[~train].T),
    )
    return independence.find(scores, agreement(scores))


@pytest.mark.parametrize(("specificity", "word"), [(0.0, "same"), (0.5, "differs")])
def test_the_verdict_on_simulated_cell_types(specificity, word):
    found = simulated(specificity)
    verdict = independence.verdict(found, 0.01)
    assert verdict.word == word, verdict.text
    one = found.estimates
    assert one["no_chromatin"].value > 0.88
    assert one["switching_no_chromatin"].value < 0.45 < one["switching"].value
    assert one["shuffled"].low < 0.5 < one["shuffled"].high
    if word == "same":
        assert one["switching"].value == pytest.approx(one["switching_own"].value, abs=0.02)
    else:
        assert one["switching"].value < one["switching_own"].value - 0.03


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
    two = Scores(cells, label, log_odds, np.log1p(rpkm.loc[known.index, cells].to_numpy().T))
    assert two.switching(0, 1).sum() == 20
    found = independence.matrices(two)["difference_own"].value[0, 1]
    assert found == pytest.approx(0.95, abs=0.005)

    every = np.log1p(rpkm.loc[known.index].to_numpy().T)
    scores = Scores(list(rpkm.columns), label, log_odds, every)
    for b, (cell, expected) in enumerate({"E003": 0.917, "E123": 0.925}.items()):
        baseline = scores.no_chromatin(scores.cells.index(cell))
        have = label[b] != ABSENT
        assert auroc(label[b][have], baseline[have]) == pytest.approx(expected, abs=0.0006)
