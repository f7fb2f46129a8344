"""Rows and columns of the cross-cell matrix against least squares and planted ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deepchrome.evaluation import decomposition
from deepchrome.evaluation.cross_cell import Matrix

square = st.integers(3, 7).flatmap(
    lambda n: hnp.arrays(np.float64, (n, n), elements=st.floats(0.3, 1))
)


@settings(max_examples=50)
@given(square)
def test_effects_are_those_of_least_squares(matrix):
    n, off = len(matrix), ~np.eye(len(matrix), dtype=bool)
    i, j = np.nonzero(off)
    design = np.column_stack([np.eye(n)[i], np.eye(n)[j]])
    fitted, *_ = np.linalg.lstsq(design, matrix[off], rcond=None)
    fit = decomposition.effects(matrix)
    rows, columns = fitted[:n], fitted[n:]
    np.testing.assert_allclose(fit.rows, rows - rows.mean(), atol=1e-9)
    np.testing.assert_allclose(fit.columns, columns - columns.mean(), atol=1e-9)
    predicted = rows[:, None] + columns
    np.testing.assert_allclose(fit.residual[off], (matrix - predicted)[off], atol=1e-9)
    np.testing.assert_allclose(fit.own, np.diagonal(matrix - predicted), atol=1e-9)
    gap = np.diagonal(matrix).mean() - matrix[off].mean()
    assert fit.own.mean() == pytest.approx(gap, abs=1e-9)


def test_effects_of_many_matrices_are_those_of_each():
    many = np.random.default_rng(0).random((3, 5, 5))
    together = decomposition.effects(many)
    for k, one in enumerate(many):
        alone = decomposition.effects(one)
        for name in ("mean", "rows", "columns", "own", "residual"):
            np.testing.assert_allclose(getattr(together, name)[k], getattr(alone, name))


def test_decomposition_finds_what_was_put_in():
    rng = np.random.default_rng(1)
    n = 30
    matrix = 0.8 + 0.03 * rng.normal(size=n) + 0.01 * rng.normal(size=(n, 1))
    matrix += 0.005 * rng.normal(size=(n, n))
    resampled = matrix + 0.002 * rng.normal(size=(50, n, n))
    table = decomposition.decomposition(Matrix(matrix, resampled)).set_index("term")
    assert table["share"].sum() == pytest.approx(1)
    assert table["sd"].to_dict() == pytest.approx(
        {"columns": 0.03, "rows": 0.01, "interaction": 0.005}, rel=0.3
    )
    assert table["sd"]["columns"] > table["sd"]["rows"] > table["sd"]["interaction"]
    assert table["chance_sd"]["interaction"] == pytest.approx(0.002, rel=0.1)
    assert table["chance_sd"]["columns"] == pytest.approx(0.002 / np.sqrt(n), rel=0.2)
