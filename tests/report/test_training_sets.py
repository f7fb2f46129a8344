import pandas as pd

from stand_in import Parsed, made_page


def test_a_gain_is_said_with_its_number(run):
    path = run.path / "plots/training_sets/means.csv"
    means = pd.read_csv(path)
    means.loc[1, "low"] = 0.001
    means.to_csv(path, index=False)
    text = " ".join(Parsed(made_page(run)).text["training-sets"].split())
    assert "1 of 2 other training sets scores above" in text
    assert "inclusive all by +0.002 (95% interval +0.001 to +0.005, not corrected" in text
