"""The generative model: reproducible, nested, shaped like chromatin, and moved by its knobs."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from conftest import ROOT as REPOSITORY
from deepchrome import MARKS
from deepchrome.data import reference
from deepchrome.data.dataset import CellType
from deepchrome.errors import DeepChromeError
from deepchrome.params import load
from deepchrome.simulation import simulator
from deepchrome.training.fit import fit
from deepchrome.training.jobs import Job

CELLS = ["E003", "E037", "E071", "E123"]
N = 1200
STATISTICS = simulator.load_statistics()
GENES = reference.genes().drop_duplicates("gene_id")[::16][:N]
STRAND = GENES["strand"].to_numpy()


@pytest.fixture(scope="module")
def rpkm():
    return simulator.expression(GENES["gene_id"], CELLS, 0, STATISTICS)


def simulate(cell, rpkm, seed=0, strand=STRAND, **knobs):
    column = rpkm[:, CELLS.index(cell)]
    return simulator.counts(cell, column, strand, seed, STATISTICS, **knobs)


# --- expression ---


def test_expression_depends_on_seed_gene_and_cell_type_alone(rpkm):
    again = simulator.expression(GENES["gene_id"], CELLS, 0, STATISTICS)
    assert np.array_equal(rpkm, again)
    fewer = simulator.expression(GENES["gene_id"][5:50], ["E123", "E003"], 0, STATISTICS)
    assert np.array_equal(fewer, rpkm[5:50][:, [3, 0]])
    assert not np.array_equal(rpkm, simulator.expression(GENES["gene_id"], CELLS, 1, STATISTICS))


def test_expression_has_three_decimals_zeros_and_a_long_tail(rpkm):
    assert np.array_equal(rpkm, np.round(rpkm, 3))
    assert (rpkm >= 0).all()
    assert rpkm.max() > 500
    assert ((rpkm == 0).mean(axis=0) > 0.05).all()
    assert ((rpkm == 0).mean(axis=0) < 0.35).all()


def test_labels_agree_between_cell_types_as_in_the_real_table():
    all_genes = reference.genes()["gene_id"].drop_duplicates()
    blood, other = ["E037", "E038", "E062"], ["E003", "E071", "E100"]
    values = simulator.expression(all_genes, blood + other, 0, STATISTICS)
    high = values > np.median(values, axis=0)
    agree = (high[:, :, None] == high[:, None]).mean(axis=0)
    within = agree[:3, :3][np.triu_indices(3, 1)]
    between = agree[:3, 3:]
    assert between.mean() == pytest.approx(0.820, abs=0.015)
    assert within.mean() == pytest.approx(0.888, abs=0.015)


@pytest.mark.parametrize("cell", ["E03", "K562", "E002"])
def test_an_unknown_cell_type_is_named(cell):
    with pytest.raises(DeepChromeError, match=cell):
        simulator.expression(GENES["gene_id"], [cell], 0, STATISTICS)
    with pytest.raises(DeepChromeError, match=cell):
        simulator.counts(cell, np.ones(3), np.full(3, "+"), 0, STATISTICS)


def test_an_unknown_gene_is_named():
    with pytest.raises(DeepChromeError, match="ENSG00000999999"):
        simulator.expression(["ENSG00000999999"], ["E003"], 0, STATISTICS)


def test_missing_statistics_are_named(tmp_path):
    with pytest.raises(DeepChromeError, match="none"):
        simulator.load_statistics(tmp_path / "none.json")


# --- counts ---


def test_counts_are_reproducible_counts(rpkm):
    X = simulate("E003", rpkm)
    assert X.shape == (N, 100, 5)
    assert X.dtype == np.uint16
    assert np.array_equal(X, simulate("E003", rpkm))
    assert not np.array_equal(X, simulate("E003", rpkm, seed=1))
    assert not np.array_equal(X, simulate("E037", rpkm))


def test_minus_strand_genes_are_the_mirror_image(rpkm):
    forward = simulate("E003", rpkm, strand=np.full(N, "+"))
    backward = simulate("E003", rpkm, strand=np.full(N, "-"))
    assert np.array_equal(forward, backward[:, ::-1])
    expected = np.where((STRAND == "-")[:, None, None], backward, forward)
    assert np.array_equal(simulate("E003", rpkm), expected)


@pytest.mark.parametrize("cell", CELLS)
def test_marks_lie_where_chromatin_has_them(cell, rpkm):
    X = simulate(cell, rpkm, strand=np.full(N, "+")).astype(float)
    column = rpkm[:, CELLS.index(cell)]
    profile = X[column > np.median(column)].mean(axis=0)
    tss, body = slice(44, 58), slice(80, 100)
    k4me3, k36me3 = MARKS.index("H3K4me3"), MARKS.index("H3K36me3")
    assert 35 < profile[:, k4me3].argmax() < 65
    assert profile[tss, k4me3].mean() > 4 * profile[body, k4me3].mean()
    assert profile[body, k36me3].mean() > 1.5 * profile[tss, k36me3].mean()


def test_counts_are_overdispersed_and_neighbours_correlate(rpkm):
    X = simulate("E003", rpkm).astype(float)
    assert (X.var(axis=0).mean(axis=0) > 1.3 * X.mean(axis=(0, 1))).all()
    for i in range(len(MARKS)):
        flank = X[:, :30, i]
        assert np.corrcoef(flank[:, 1:].ravel(), flank[:, :-1].ravel())[0, 1] > 0.25


def test_calibrated_depth_follows_the_reads_of_the_cell_type():
    one = np.full(N, 5.0)
    shallow = simulator.counts("E013", one, STRAND, 0, STATISTICS)  # 4.3 M reads of H3K27me3
    deep = simulator.counts("E016", one, STRAND, 0, STATISTICS)  # 30 M; both have E003's signal
    k27me3 = MARKS.index("H3K27me3")
    ratio = shallow.mean(axis=(0, 1))[k27me3] / deep.mean(axis=(0, 1))[k27me3]
    assert ratio == pytest.approx(4.32 / 30, rel=0.1)


# --- knobs ---


def log_sums(X):
    return np.log1p(X.astype(float).sum(axis=1))


def matrix(rpkm, **knobs):
    """AUROC of logistic regression on log sums, trained and tested on each pair of cell types."""
    high = rpkm > np.median(rpkm, axis=0)
    features = [log_sums(simulate(cell, rpkm, **knobs)) for cell in CELLS]
    train = np.arange(N) % 2 == 0
    result = np.empty((len(CELLS), len(CELLS)))
    for i in range(len(CELLS)):
        model = make_pipeline(StandardScaler(), LogisticRegression())
        model.fit(features[i][train], high[train, i])
        for j in range(len(CELLS)):
            score = model.decision_function(features[j][~train])
            result[i, j] = roc_auc_score(high[~train, j], score)
    return result


def gap(auroc):
    within = np.diag(auroc).mean()
    return within - auroc[~np.eye(len(auroc), dtype=bool)].mean()


def test_the_default_predicts_as_well_as_real_chromatin(rpkm):
    auroc = matrix(rpkm)
    assert 0.82 < auroc[0, 0] < 0.91  # E003, real 0.87
    assert 0.89 < auroc[3, 3] < 0.97  # E123, real 0.94
    assert gap(auroc) < 0.03


def test_equal_depth_leaves_no_gap(rpkm):
    assert abs(gap(matrix(rpkm, depth="equal"))) < 0.015


def test_cell_specificity_opens_the_gap_and_keeps_prediction_within(rpkm):
    half, full = (matrix(rpkm, cell_specificity=share) for share in (0.5, 1.0))
    assert 0.05 < gap(half) < gap(full)
    assert gap(full) > 0.25
    assert np.diag(full).mean() > 0.85


@pytest.fixture(scope="module")
def interacting(rpkm):
    """Counts of E003 where only the interaction tells, and whether expression is high."""
    X = simulate("E003", rpkm, strand=np.full(N, "+"), interaction=1.0)
    return X, rpkm[:, 0] > np.median(rpkm[:, 0])


def test_interaction_takes_expression_out_of_the_amounts(interacting):
    X, high = interacting
    train = np.arange(N) % 2 == 0
    for amounts in (log_sums(X), np.log1p(X.max(axis=1).astype(float))):
        linear = LogisticRegression().fit(amounts[train], high[train])
        assert roc_auc_score(high[~train], linear.decision_function(amounts[~train])) < 0.6


def test_interaction_puts_expression_into_whether_two_marks_lie_together(interacting):
    X, high = interacting
    upstream, downstream = (np.log1p(X[:, at].sum(axis=1)) for at in (slice(15, 29), slice(73, 87)))
    contrast = (upstream - downstream)[:, [MARKS.index("H3K36me3"), MARKS.index("H3K9me3")]]
    assert roc_auc_score(high, contrast.prod(axis=1)) > 0.88
    for one in contrast.T:
        assert abs(roc_auc_score(high, one) - 0.5) < 0.06


def test_the_cnn_sees_the_interaction_that_linear_does_not(interacting):
    X, high = interacting
    split = np.resize(np.array(["train", "train", "train", "valid"], dtype=object), N)
    data = CellType("E003", GENES["gene_id"].to_numpy(), X, high.astype(np.int8), split)
    models = load(REPOSITORY / "params.yaml").models
    valid_auroc = {
        name: fit(
            [Job("E003", 0)],
            {"E003": data},
            models[name].model_copy(update={"epochs": 12}),
            torch.device("cpu"),
        )[0].valid_auroc
        for name in ("linear", "deepchrome")
    }
    assert valid_auroc["linear"] < 0.62  # the best of 12 epochs
    assert valid_auroc["deepchrome"] > 0.85
