import pandas as pd

from deepchrome.figures import training

HISTORY = pd.DataFrame(
    {
        "cell": ["E003"] * 3 + ["E116"] * 2,
        "seed": 0,
        "epoch": [1, 2, 3, 1, 2],
        "train_loss": [0.7, 0.5, 0.4, 0.6, 0.5],
        "valid_auroc": [0.6, 0.8, 0.7, 0.7, 0.8],
    }
)


def test_curves(drawn):
    figure = drawn(training.curves, "linear, own data", HISTORY)
    assert figure.heading == "linear, own data: 2 cell types (thin lines, coloured by lineage)"
    left, right = figure.panels
    assert (left.x, left.y, left.legend) == ("epoch", "training loss", ["mean"])
    assert (right.x, right.y) == ("epoch", "AUROC on validation genes")


def test_curves_in_words():
    text = training.curves_text(HISTORY[HISTORY["cell"] == "E003"])
    assert "over 3 epochs" in text.alt
    assert "falls from 0.700 to 0.400" in text.alt
    assert "highest, 0.800, in epoch 2" in text.alt
    assert text.caption.startswith("Training.")
