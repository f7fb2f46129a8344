"""What the cross-cell matrix consists of: rows, columns, and what is particular to a pair."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from deepchrome.evaluation.cross_cell import Matrix


@dataclass(frozen=True)
class Effects:
    """AUROC = mean + rows + columns + residual between cell types, and + own within.

    rows: how well a cell type teaches, columns: how easy it is to predict; both sum to 0.
    own: what a cell type's own model has over the others', shape=(..., cells); its mean is the gap.
    residual: NaN on the diagonal, shape=(..., cells, cells).
    """

    mean: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    own: np.ndarray
    residual: np.ndarray


def effects(matrix: np.ndarray) -> Effects:
    """Fit rows and columns to what lies off the diagonal, by least squares.

    matrix: shape=(..., cells, cells), three cell types or more.
    """
    n = matrix.shape[-1]
    others = np.where(np.eye(n, dtype=bool), 0, np.asarray(matrix, np.float64))
    by_row, by_column = others.sum(axis=-1), others.sum(axis=-2)
    mean = by_row.sum(axis=-1, keepdims=True) / (n * (n - 1))
    # the normal equations: a row's sum lacks its own column's effect, as the diagonal is left out
    row, column = by_row - (n - 1) * mean, by_column - (n - 1) * mean
    rows = ((n - 1) * row + column) / (n * (n - 2))
    columns = ((n - 1) * column + row) / (n * (n - 2))
    residual = matrix - mean[..., None] - rows[..., :, None] - columns[..., None, :]
    own = np.diagonal(residual, axis1=-2, axis2=-1).copy()
    residual[..., np.eye(n, dtype=bool)] = np.nan
    return Effects(mean[..., 0], rows, columns, own, residual)


def decomposition(matrix: Matrix) -> pd.DataFrame:
    """Return how much cell types differ in AUROC, and in what: a row a term.

    columns: how easy a cell type is to predict. rows: how well it teaches. interaction: what is
    particular to the pair. sd: over cell types (pairs), in AUROC. chance_sd: what the choice of
    test genes alone makes of it. share: of the variance between cell types; columns first, then
    what rows add.
    """
    fit, resampled = effects(matrix.value), effects(matrix.resampled)
    off = ~np.eye(len(matrix.value), dtype=bool)
    total = np.sum((matrix.value[off] - fit.mean) ** 2)
    interaction = np.nansum(fit.residual**2)
    easy = np.where(off, matrix.value, np.nan)
    columns = np.sum(off.sum(axis=0) * (np.nanmean(easy, axis=0) - fit.mean) ** 2)
    shares = {
        "columns": columns,
        "rows": total - interaction - columns,
        "interaction": interaction,
    }
    parts = {
        "columns": (fit.columns, resampled.columns),
        "rows": (fit.rows, resampled.rows),
        "interaction": (fit.residual[off], resampled.residual[:, off]),
    }
    return pd.DataFrame(
        [
            {
                "term": term,
                "sd": np.sqrt(np.mean(value**2)),
                "chance_sd": np.sqrt(np.mean(np.nanvar(drawn, axis=0))),
                "share": shares[term] / total,
            }
            for term, (value, drawn) in parts.items()
        ]
    )
