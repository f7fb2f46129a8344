import numpy as np
import pandas as pd

from deepchrome.evaluation.estimate import Estimate
from deepchrome.figures import cross_cell

CELLS = ["E116", "E003", "mine"]
ORDERED = ["E003", "E116", "mine"]
LINEAGES = {"no lineage", "ESC", "ENCODE2012"}
MATRIX = pd.DataFrame(
    [
        {"train_cell": a, "test_cell": b, "auroc": 0.9 - 0.01 * abs(i - j) - 0.001 * i}
        for i, a in enumerate(CELLS)
        for j, b in enumerate(CELLS)
    ]
)
PAIRS = MATRIX.assign(loss=lambda t: 0.9 - t["auroc"], label_agreement=0.8, same_lineage=False)
ESTIMATES = {
    name: Estimate(value, value - 0.01, value + 0.01)
    for name, value in {
        "within": 0.9,
        "between": 0.89,
        "gap": 0.01,
        "gap_genes": 0.01,
        "shuffled": 0.5,
        "no_chromatin": float("nan"),
        "switching_own": 0.8,
        "switching": 0.79,
        "switching_no_chromatin": 0.4,
        "difference_own": 0.85,
        "difference": 0.84,
    }.items()
}


def test_matrix(drawn):
    figure = drawn(cross_cell.matrix, "linear, own data", MATRIX)
    panel, bar = figure.panels
    assert panel.title == "Cross-cell AUROC\nlinear, own data"
    assert (panel.x, panel.y, bar.y) == ("tested on", "trained on", "AUROC on test genes")
    assert panel.x_ticks == panel.y_ticks == ORDERED
    assert len(figure.texts) == 9
    assert set(figure.legend) == LINEAGES


def test_matrix_in_words():
    alt = cross_cell.matrix_text(MATRIX, 0.899, 0.887).alt
    assert "3 rows (trained on) by 3 columns (tested on)" in alt
    assert "On the diagonal 0.899 on average, off it 0.887" in alt
    assert "from 0.878 (mine on E116) to 0.890 (E116 on E003)" in alt


def test_controls(drawn):
    figure = drawn(cross_cell.controls, "linear, own data", ESTIMATES, 0.02)
    assert figure.heading == ("Chromatin, or the gene? linear, own data (bars: 95% intervals)")
    left, right = figure.panels
    assert left.x == "AUROC on test genes (dotted: chance)"
    assert right.y == "AUROC lost with another cell type's model"
    assert right.title == "gap +0.010\ngrey: margin 0.02\nthick: over genes alone"
    assert {"All test genes", "shuffled labels", "not known", "0.840"} <= set(figure.texts)


def test_controls_in_words():
    auroc = pd.Series({name: one.value for name, one in ESTIMATES.items()}).drop("difference")
    alt = cross_cell.controls_text(auroc).alt
    assert "own model scores 0.900, another cell type's 0.890" in alt
    assert "without any chromatin –, shuffled labels 0.500" in alt
    assert "own 0.850, one model for both –. At the side the gap, 0.010" in alt


def terms():
    share = {"columns": 0.7, "rows": 0.2, "interaction": 0.1}
    return pd.DataFrame({"term": list(share), "share": list(share.values())})


def of_cells():
    value = np.array([0.01, -0.02, 0.03])
    return pd.DataFrame(
        {"cell": CELLS}
        | {
            f"{name}{end}": value + shift
            for name in ("columns", "rows", "own")
            for end, shift in (("_low", -0.01), ("", 0), ("_high", 0.01))
        }
    )


def test_decomposition(drawn):
    figure = drawn(cross_cell.decomposition, "linear, own data", of_cells(), terms())
    assert figure.heading == (
        "Rows and columns of the matrix: linear, own data\n(bars: 95% intervals over genes; 10% of "
        "the variance between cell types is particular to the pair)"
    )
    assert [one.title for one in figure.panels] == [
        "how easy it is to predict\n70% of the variance",
        "how well it teaches others\n20% of the variance",
        "what its own model has\nover the others'\nmean: the gap",
    ]
    assert {one.x for one in figure.panels} == {"AUROC"}
    assert figure.panels[0].y_ticks == [
        "E003  H1 Cells",
        "E116  GM12878 Lymphoblastoid Cells",
        "mine",
    ]


def test_decomposition_in_words():
    alt = cross_cell.decomposition_text(of_cells(), terms()).alt
    assert "70% is how easy they are to predict, 20% how well they teach, 10% particular" in alt
    assert "Easiest to predict is mine (+0.030), hardest E003 (−0.020)." in alt


def test_lineage_gap(drawn):
    gaps = pd.DataFrame(
        {"lineage": ["same", "other"], "gap": [0.0, 0.01], "low": [-0.01, 0], "high": [0.01, 0.02]}
    )
    figure = drawn(cross_cell.lineage_gap, "linear, own data", PAIRS, gaps)
    assert figure.heading == "Gap by lineage: linear, own data (dots: pairs of cell types)"
    left, right = figure.panels
    assert left.x == "share of genes with the same label in both cell types"
    assert left.y == "AUROC lost when the two swap models"
    assert (right.title, right.x) == ("means, 95% intervals", "lineage")
    assert right.x_ticks == ["different", "same"]
    assert figure.legend == ["different lineages: 3", "the same lineage: 0"]
    alone = drawn(cross_cell.lineage_gap, "", PAIRS, gaps[:0])
    assert alone.texts == ["no lineages\nto compare"]


def test_lineage_gap_in_words():
    alt = cross_cell.lineage_gap_text(PAIRS).alt
    assert "Scatter of 3 pairs of cell types" in alt
    assert "within a lineage" not in alt
    related = PAIRS.assign(same_lineage=PAIRS["train_cell"] == "E003")
    assert "within a lineage and" in cross_cell.lineage_gap_text(related).alt


def test_clusters(drawn):
    order = np.array([2, 0, 1])
    figure = drawn(cross_cell.clusters, "linear, own data", PAIRS, order, "(as known)")
    panel, bar = figure.panels
    assert panel.title == "Cell types, clustered by what they lose\nlinear, own data\n(as known)"
    assert panel.x_ticks == panel.y_ticks == ["mine", "E003", "E116"]
    assert bar.y == "AUROC lost when the two swap models"
    assert set(figure.legend) == LINEAGES


def test_clusters_in_words():
    found = pd.Series({"clusters": 2, "adjusted_rand": float("nan"), "p": 0.04})
    alt = cross_cell.clusters_text(3, found).alt
    assert "each two of 3 cell types" in alt
    assert "into 2 clusters; agreement with lineages: adjusted Rand index –, p 0.040." in alt
