import pandas as pd
from sklearn.metrics import roc_auc_score

from stand_in import Parsed, made_page, model, write


def test_two_architectures_of_a_run_are_compared(run):
    page = Parsed(made_page(run))
    difference = []
    for name in ("evaluate", "training_sets"):
        rows = pd.read_parquet(run.path / f"predictions/{name}.parquet")
        by_cell = rows.groupby("test_cell", observed=True)[["label", "log_odds"]]
        difference.append(by_cell.apply(lambda x: roc_auc_score(x["label"], x["log_odds"])).mean())
    expected = f"difference {difference[0] - difference[1]:.3f}"
    assert difference[0] > difference[1] + 0.01
    assert expected in page.text["architectures"]
    assert "Does a CNN do better than a linear network?" in page.text["architectures"]
    write(run.path / "models/train/model.json", model("attentive", 55681))
    page = Parsed(made_page(run))
    assert "Does attentive do better than linear?" in page.text["architectures"]


def test_one_architecture_is_not_compared_with_itself(run):
    write(run.path / "models/training_sets/model.json", model("deepchrome", 644177))
    page = Parsed(made_page(run))
    assert "it trained one architecture, deepchrome" in page.text["architectures"]
    assert "make study" in page.text["architectures"]
