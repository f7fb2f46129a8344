import numpy as np
import pandas as pd

from deepchrome.figures import comparison

MODELS = pd.DataFrame(
    {
        "model": ["cnn", "linear", "far"],
        "parameters": [644177, 6, 1],
        "auroc": [0.9, 0.89, 0.6],
        "low": [0.88, 0.87, 0.5],
        "high": [0.92, 0.91, 0.7],
    }
)
CELLS = pd.DataFrame(
    {
        "model": ["cnn", "linear", "far"] * 2,
        "cell": ["A"] * 3 + ["B"] * 3,
        "auroc": [0.91, 0.9, 0.6, 0.89, 0.88, 0.6],
    }
)
PAIRS = pd.DataFrame(
    {
        "first": ["cnn", "cnn", "linear"],
        "second": ["linear", "far", "far"],
        "difference": [0.01, 0.3, 0.004],
        "low": [0.005, 0.2, -np.inf],
        "high": [0.015, 0.4, np.inf],
        "verdict": ["better", "better", "undecided"],
    }
)


def test_scores(drawn):
    figure = drawn(comparison.scores, "AUROC on test genes", MODELS, CELLS)
    (panel,) = figure.panels
    assert panel.title.startswith("AUROC on test genes\nbars: 95% intervals over genes and cell")
    assert (panel.x, panel.y) == ("AUROC", "model (parameters)")
    assert panel.y_ticks == ["cnn  (644,177)", "linear  (6)", "far  (1)"]
    assert figure.texts == ["0.900", "0.890", "0.600"]


def test_scores_in_words():
    text = comparison.scores_text(MODELS)
    assert text.alt.endswith(
        "cnn 0.900 (0.880 to 0.920); linear 0.890 (0.870 to 0.910); far 0.600 (0.500 to 0.700)."
    )
    assert text.caption.startswith("Mean AUROC over cell types.")


def test_differences(drawn):
    figure = drawn(comparison.differences, "AUROC on test genes", PAIRS, 0.005)
    (panel,) = figure.panels
    assert panel.title == (
        "AUROC on test genes\nbars: 95% intervals over cell types and genes; grey: within 0.005"
    )
    assert panel.x == "difference in AUROC, first minus second"
    assert panel.y_ticks == ["cnn - linear", "cnn - far", "linear - far"]
    assert panel.legend == ["first is better", "undecided"]
    assert figure.texts == ["0.010", "0.300", "0.004"]


def test_differences_in_words():
    text = comparison.differences_text(PAIRS)
    assert "cnn minus linear 0.010 (0.005 to 0.015), better;" in text.alt
    assert "linear minus far 0.004 (–), undecided." in text.alt
