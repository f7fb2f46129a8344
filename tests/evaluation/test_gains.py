"""What is gained by training on several cell types: effects that were put in are found."""

import numpy as np
import pandas as pd
import pytest

from deepchrome.evaluation.gains import DesignScores, effects, over_draws
from deepchrome.evaluation.training_sets import ALL, AS_ONE


def test_effects_tell_more_data_from_more_diverse_data():
    values = {(1, ALL): 0.7, (1, AS_ONE): 0.6, (3, ALL): 0.9, (3, AS_ONE): 0.65}
    points = pd.DataFrame(
        [
            {"test_cell": cell, "repeat": r, "n_cells": n, "examples": e, "auroc": v + shift}
            for (n, e), v in values.items()
            for cell, shift in (("A", 0.0), ("B", 0.05))
            for r in range(2)
        ]
    )
    rng = np.random.default_rng(0)
    genes = rng.normal(0, 0.03, 200)  # what genes favour by chance, they favour in every model
    resampled = {
        at: pd.DataFrame({"A": v + genes, "B": v + 0.05 + genes}) for at, v in values.items()
    }
    scores = DesignScores(pd.DataFrame(), points, resampled)
    found = effects(scores)
    assert found["more_diverse"].value == pytest.approx(0.05)
    assert found["more_data"].value == pytest.approx(0.25)
    for one in found.values():
        assert one.low == pytest.approx(one.value)
        assert one.high == pytest.approx(one.value)
    curve = over_draws(scores).set_index(["n_cells", "examples"])
    assert curve.loc[(3, ALL), "auroc"] == pytest.approx(0.925)
    assert curve.loc[(3, ALL), "gain"] == pytest.approx(0.3)
    assert curve.loc[(1, AS_ONE), "gain"] == 0
