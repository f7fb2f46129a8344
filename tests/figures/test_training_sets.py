import pandas as pd

from deepchrome.figures import training_sets

BY_CELL = pd.DataFrame(
    {
        "test_cell": ["E003", "E116", "E003", "E116", "E003"],
        "training_set": ["own"] * 2 + ["inclusive_all"] * 2 + ["exclusive_high"],
        "difference": [0, 0, 0.01, 0.02, -0.01],
    }
)
MEANS = pd.DataFrame(
    {
        "training_set": ["own", "inclusive_all", "exclusive_high"],
        "n": [2, 2, 1],
        "n_cells": [1.0, 2.0, 1.0],
        "difference": [0, 0.015, -0.01],
        "low": [0, 0.01, -0.02],
        "high": [0, 0.02, 0.0],
    }
)
CURVE = pd.DataFrame(
    {
        "n_cells": [1, 2, 4, 1, 2, 4],
        "examples": ["all"] * 3 + ["as one cell type"] * 3,
        "auroc": [0.88, 0.89, 0.9, 0.88, 0.885, 0.886],
        "gain": [0, 0.01, 0.02, 0, 0.005, 0.006],
        "low": [0, 0, 0.01, 0, 0, 0],
        "high": [0, 0.02, 0.03, 0, 0.01, 0.01],
    }
)


def test_sets(drawn):
    (panel,) = drawn(training_sets.sets, "linear, own data", BY_CELL, MEANS).panels
    assert panel.title == (
        "Training on several cell types: linear, own data\n"
        "(mean, 95% interval; dots: tested cell types, coloured by lineage)"
    )
    assert panel.x == "AUROC minus that of the cell type's own model"
    assert panel.y_ticks == [
        "inclusive all\n2 cell types",
        "exclusive high\n1 cell type; for 1 of 2",
    ]


def test_sets_in_words():
    text = training_sets.sets_text(MEANS, "linear")
    assert text.alt.endswith(
        "inclusive all +0.015 (+0.010 to +0.020); exclusive high −0.010 (−0.020 to 0.000)."
    )
    assert text.caption.startswith("Training sets. linear, trained on each set")


def test_curve(drawn):
    found = "more data +0.01, more diverse data +0.02"
    (panel,) = drawn(training_sets.curve, "linear, own data", CURVE, found).panels
    assert panel.title == (
        "More data, or more diverse data? linear, own data\n"
        "more data +0.01\nmore diverse data +0.02"
    )
    assert panel.x == "cell types trained on, without the tested one"
    assert panel.y == "AUROC above that of one\nother cell type (0.880)"
    assert panel.x_ticks == ["1", "2", "4"]
    assert panel.legend == ["all their genes", "as many as one has"]


def test_curve_in_words():
    alt = training_sets.curve_text(CURVE).alt
    assert "At 4 cell types: +0.020 with all and +0.006 with as one cell type" in alt
