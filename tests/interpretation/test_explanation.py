"""Explanations and optimised signals of one cell type's models."""

import dataclasses

import numpy as np
import pytest

from deepchrome.data.dataset import CellType
from deepchrome.errors import DeepChromeError
from deepchrome.figures import interpretation as figures
from deepchrome.interpretation.explanation import attribute
from deepchrome.interpretation.optima import optimise
from deepchrome.params import InterpretParams
from interpretation.test_attribution import VARIANTS, counts, models_of


def small_cell(X) -> CellType:
    split = np.repeat(["train", "test"], len(X) // 2).astype(object)
    return CellType("E003", np.arange(len(X)).astype(str), X, np.arange(len(X)) % 2, split)


def test_attention_of_attentive(tmp_path, pictures):
    models = models_of(tmp_path, VARIANTS["attentive"])
    cell = small_cell(counts(16))
    params = InterpretParams(genes=4, baselines=2, starts=1, seed=0)
    found = attribute(models, cell, params, lambda: None)
    assert list(found.attention) == ["high", "low"]
    bins, marks = found.attention["high"]
    np.testing.assert_allclose(bins.sum(0), 1, rtol=1e-5)
    assert marks.sum() == pytest.approx(1)
    assert not np.array_equal(bins, found.attention["low"][0])
    path = tmp_path / "attention.png"
    figures.attention(
        path,
        "a test",
        {label: one[0] for label, one in found.attention.items()},
        {label: one[1] for label, one in found.attention.items()},
        "genomic",
    )
    pictures.check(path)


def test_signal_that_is_no_count(tmp_path):
    """Fractions are explained as they are: nothing is rounded on the way."""
    models = models_of(tmp_path, VARIANTS["linear_mean"])
    X = counts(40)
    params = InterpretParams(genes=10, baselines=2, starts=1, seed=0)
    found = attribute(models, small_cell(X.astype(np.float32) / 7), params, lambda: None)
    assert found.error < 0.01
    assert np.abs(found.total).max() > 0
    in_sevens = attribute(models, small_cell(X), params, lambda: None)
    assert not np.allclose(found.attribution, in_sevens.attribution)
    maps = optimise(models, small_cell(X.astype(np.float32) / 7), params, None)
    assert maps.table["reads"].notna().all()


def test_a_cell_type_with_one_label(tmp_path):
    models = models_of(tmp_path, VARIANTS["linear"])
    one = dataclasses.replace(small_cell(counts(20)), y=np.ones(20, np.int8))
    params = InterpretParams(genes=10, baselines=2, starts=1, seed=0)
    with pytest.raises(DeepChromeError, match="E003: all 10 training genes have one label"):
        attribute(models, one, params, lambda: None)
