"""How well models score the test genes of their own cell type: the tables of stage `evaluate`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from deepchrome.data.splits import overlapping_training
from deepchrome.evaluation.estimate import Interval
from deepchrome.evaluation.metrics import (
    GeneBootstrap,
    accuracy,
    auprc,
    auroc,
    precision_recall_curve,
    roc_curve,
)

GRID = np.linspace(0, 1, 101)
"""Where mean curves are computed."""

AXES = {"roc": ("fpr", "tpr"), "precision_recall": ("recall", "precision")}
"""Columns of the curves."""


class HeldOutScores:
    """Collects how well each model scores the test genes, one cell type after the other.

    genes: the dataset's table of genes. overlapping: ids of test genes whose window overlaps that
    of a training gene; they are left out of what `without_overlap` says.
    """

    def __init__(self, genes: pd.DataFrame):
        self.overlapping = overlapping_training(genes)
        self._bootstrap = GeneBootstrap(genes.index[genes["split"] == "test"].to_numpy())
        self._rows: list[dict[str, Any]] = []
        self._rows_apart: list[dict[str, Any]] = []
        self._curves: list[pd.DataFrame] = []
        self._resampled: list[np.ndarray] = []

    def add(
        self,
        cell: str,
        seeds: Sequence[int],
        gene_id: np.ndarray,
        label: np.ndarray,
        log_odds: np.ndarray,
    ) -> None:
        """Add the test genes of a cell type. log_odds: of high, shape=(seeds, genes)."""
        apart = ~np.isin(gene_id, list(self.overlapping))
        for seed, one in zip(seeds, log_odds, strict=True):
            model = {"cell": cell, "seed": seed}
            self._rows.append(
                model
                | {
                    "n": len(label),
                    "auroc": auroc(label, one),
                    "auprc": auprc(label, one),
                    "accuracy": accuracy(label, one),
                }
            )
            of_apart = auroc(label[apart], one[apart])
            self._rows_apart.append(model | {"n": int(apart.sum()), "auroc": of_apart})
            self._curves.append(curves_on_grid(label, one).assign(**model))
            self._resampled.append(self._bootstrap.auroc(gene_id, label, one))

    @property
    def cells(self) -> pd.DataFrame:
        """The scores of every model: cell, seed, n, auroc, auprc, accuracy."""
        return pd.DataFrame(self._rows)

    @property
    def without_overlap(self) -> pd.DataFrame:
        """The AUROC of every model without overlapping test genes: cell, seed, n, auroc."""
        return pd.DataFrame(self._rows_apart)

    @property
    def interval(self) -> Interval:
        """The 95% interval of the mean AUROC over genes.

        It says how far it would move with other test genes of the same cell types.
        """
        return self._bootstrap.interval(np.mean(self._resampled, axis=0))

    def curves(self) -> dict[str, pd.DataFrame]:
        """Return mean curves by name: roc and precision_recall, and <name>_cells by cell type.

        Of a cell type the mean over seeds; the mean is over cell types.
        """
        table = pd.concat(self._curves)
        found = {}
        for name, (x, y) in AXES.items():
            chosen = table[table["curve"] == name].rename(columns={"x": x, "y": y})
            by_cell = chosen.groupby(["cell", x], as_index=False)[y].mean()
            found[f"{name}_cells"] = by_cell.round(6)
            found[name] = by_cell.groupby(x, as_index=False)[y].mean().round(6)
        return found

    def summary(self) -> dict[str, Any]:
        """Return means over cell types, each a mean over seeds; None what is not defined."""
        cells = self.cells
        means = cells.groupby("cell")[["auroc", "auprc", "accuracy"]].mean().mean()
        interval = self.interval
        apart = float(self.without_overlap.groupby("cell")["auroc"].mean().mean())
        return {
            "n_cells": cells["cell"].nunique(),
            "auroc": round(float(means["auroc"]), 6),
            "auroc_ci95": [round(interval.low, 6), round(interval.high, 6)],
            "auroc_without_overlap": None if np.isnan(apart) else round(apart, 6),
            "auprc": round(float(means["auprc"]), 6),
            "accuracy": round(float(means["accuracy"]), 6),
        }


def curves_on_grid(label: np.ndarray, score: np.ndarray) -> pd.DataFrame:
    """Return the ROC and precision-recall curves of one model on `GRID`: curve, x, y.

    ROC is interpolated linearly; the precision at a recall is that of the first threshold that
    reaches it.
    """
    fpr, tpr = roc_curve(label, score)
    precision, recall, _ = precision_recall_curve(label, score)
    reached = np.searchsorted(recall, GRID[1:] - 1e-12)
    parts = {
        "roc": (GRID, np.interp(GRID, fpr, np.maximum.accumulate(tpr))),
        "precision_recall": (GRID[1:], precision[reached]),
    }
    return pd.concat(
        [pd.DataFrame({"curve": name, "x": x, "y": y}) for name, (x, y) in parts.items()]
    )
