"""What is said of the cross-cell matrix, and the verdict both ways."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deepchrome.data import reference
from deepchrome.evaluation import independence
from deepchrome.evaluation.cross_cell import ABSENT, CrossCellScores
from deepchrome.evaluation.estimate import Estimate
from deepchrome.simulation import simulator
from scores import DEMO, random_scores


def agreement(scores: CrossCellScores) -> pd.DataFrame:
    same = (scores.label[:, None] == scores.label[None]).mean(axis=-1)
    return pd.DataFrame(same, scores.cells, scores.cells)


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
    scores = CrossCellScores(
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
