import numpy as np
import pandas as pd

from deepchrome.figures import evaluation

SCORES = pd.DataFrame(
    {
        "cell": ["E116", "E116", "E003", "E003"],
        "seed": [0, 1, 0, 1],
        "auroc": [0.8, 0.82, 0.9, 0.92],
        "auprc": [0.7, 0.7, 0.9, 0.9],
    }
)
GRID = np.linspace(0, 1, 11)


def tables():
    roc = pd.DataFrame({"fpr": GRID, "tpr": np.sqrt(GRID)})
    recall = pd.DataFrame({"recall": GRID, "precision": 1 - GRID / 2})
    return {
        "roc": roc,
        "precision_recall": recall,
        "roc_cells": pd.concat([roc.assign(cell=cell) for cell in ("E003", "E116")]),
        "precision_recall_cells": pd.concat(
            [recall.assign(cell=cell) for cell in ("E003", "E116")]
        ),
    }


def test_cells(drawn):
    figure = drawn(evaluation.cells, "linear, own data", SCORES)
    (panel,) = figure.panels
    assert panel.title == "linear, own data\n(dots: seeds, coloured by lineage; dotted: mean)"
    assert panel.x == "AUROC on test genes"
    assert panel.y_ticks == ["E003  H1 Cells", "E116  GM12878 Lymphoblastoid Cells"]
    assert drawn(evaluation.cells, "", SCORES, "best AUROC").panels[0].x == "best AUROC"


def test_cells_in_words():
    text = evaluation.cells_text(SCORES, 0.86)
    assert "each of 2 cell types, ordered by lineage, 2 dots a row" in text.alt
    assert "Lowest E116 with 0.810, highest E003 with 0.910; mean 0.860." in text.alt
    assert text.caption == f"AUROC by cell type. {evaluation.SCORED}."
    assert evaluation.cells_text(SCORES[SCORES["cell"] == "E003"], 0.91).alt.endswith(
        "It is 0.910."
    )


def test_curves(drawn):
    figure = drawn(evaluation.curves, "linear, own data", SCORES, tables())
    assert figure.heading == (
        "Test genes: linear, own data (thin lines: cell types, coloured by lineage)"
    )
    left, right = figure.panels
    assert (left.x, left.y) == ("false positive rate", "true positive rate")
    assert left.legend == ["mean, AUROC 0.860", "chance"]
    assert (right.x, right.y, right.legend) == ("recall", "precision", ["mean, AUPRC 0.800"])


def test_curves_in_words():
    of = tables()
    text = evaluation.curves_text(2, of["roc"], of["precision_recall"])
    assert "thin for each of 2 cell types" in text.alt
    assert "mean true positive rate is 0.32" in text.alt
    assert "mean precision is 0.60" in text.alt
