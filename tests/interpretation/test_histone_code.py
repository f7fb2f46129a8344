"""The code of histones: where an effect lies, what is said of it, and how models agree."""

import numpy as np
import pandas as pd
import pytest

from deepchrome import N_BINS
from deepchrome.interpretation.histone_code import correlations, place, sentence, where


def test_where_half_of_an_effect_lies():
    profile = np.zeros(N_BINS)
    profile[60:64], profile[38] = 1.0, -9.0
    assert where(profile, 1, oriented=True) == (1.0, 1.2)
    assert where(profile, -1, oriented=True) == (-1.2, -1.1)
    assert where(profile, -1, oriented=False) == (1.1, 1.2)
    assert np.isnan(where(np.zeros(N_BINS), 1, oriented=True)).all()
    assert place(*where(np.ones(N_BINS), 1, oriented=True), oriented=True) == "all along"
    assert place(*where(np.ones(N_BINS), 1, oriented=False), oriented=False) == "all along"
    assert place(0.0, 0.8, oriented=False) == "within 0.8 kb"
    assert place(-0.5, 0.8, oriented=True) == "-0.5 to +0.8 kb"


def test_marks_without_a_direction_are_named():
    marks = pd.DataFrame(
        {
            "mark": ["A", "B", "C"],
            "sign": ["up", "unclear", "unclear"],
            "attribution": [1.0, 0.01, -0.01],
            "auroc_lost": [0.1, 0.2, 0.0],
            "place": ["within 0.5 kb", "all along", "all along"],
        }
    )
    said = sentence(marks, positions=True)
    assert said.startswith("more A (within 0.5 kb) makes it call a gene high")
    assert "B and C have no clear direction" in said
    assert said.endswith("it tells in combination: B (0.20)")
    marks["sign"] = "unclear"
    assert sentence(marks, positions=False).startswith("no mark has a direction of its own")


def test_correlations_pair_seeds_and_cell_types():
    profiles = np.random.default_rng(0).normal(size=(2, 2, 4, 5))
    profiles[1, 0] = -profiles[0, 0]
    found = correlations(profiles, ["E003", "E123"], [0, 1])
    assert found["between"].tolist() == ["seeds", "cell types", "cell types", "seeds"]
    across = found[found["seed_b"] == 0].iloc[0]
    assert across["correlation"] == pytest.approx(-1)
