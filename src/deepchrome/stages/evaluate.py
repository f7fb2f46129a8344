"""evaluate: held-out scores of each cell type's own model."""

from typing import Any

import numpy as np
import pandas as pd

from deepchrome.console import console, progress
from deepchrome.data.dataset import Dataset, origin
from deepchrome.data.splits import overlapping_training
from deepchrome.evaluation import predictions, published_results
from deepchrome.evaluation.metrics import (
    GeneBootstrap,
    accuracy,
    auprc,
    auroc,
    precision_recall_curve,
    roc_curve,
)
from deepchrome.figures import evaluation as figures
from deepchrome.figures.published import published_beside_ours
from deepchrome.files import replacing, write_json
from deepchrome.report.terminal import show
from deepchrome.training.fit import choose_device
from deepchrome.training.store import Models, check_same_data

GRID = np.linspace(0, 1, 101)
"""Where mean curves are computed."""


def run(
    device: str,
    dataset: str = "data/dataset",
    models: str = "models/train",
    predicted: str = "predictions/evaluate.parquet",
    metrics: str = "metrics/evaluate.json",
    plots_folder: str = "plots/evaluate",
) -> None:
    """Score the validation and test genes of every cell type by its own models.

    `metrics` holds means over cell types of the test scores (each cell type's mean over seeds).
    The 95% interval of the mean AUROC is a bootstrap over genes: it says how far it would move with
    other test genes of the same cell types.
    """
    data = Dataset(dataset)
    trained = Models(models, choose_device(device))
    check_same_data(trained, data)
    rows, curves = [], []
    overlapping = set(overlapping_training(data.genes))
    apart_rows = []
    bootstrap = GeneBootstrap(data.genes.index[data.genes["split"] == "test"].to_numpy())
    resampled = []
    with replacing(predicted, metrics, plots_folder) as (predicted_out, metrics_out, plots_out):
        with (
            predictions.Writer(predicted_out) as writer,
            progress("evaluate", "cell types", len(trained.cells)) as advance,
        ):
            for cell in trained.cells:
                held_out = data.load(cell).without("train")
                score = trained.predict(held_out.X, [cell])
                writer.add([cell], trained.seeds, held_out, score)
                is_test = held_out.split == "test"
                gene_id, label = held_out.gene_id[is_test], held_out.y[is_test]
                apart = ~np.isin(gene_id, list(overlapping))
                for seed, one in zip(trained.seeds, score[0][:, is_test], strict=True):
                    rows.append(
                        {
                            "cell": cell,
                            "seed": seed,
                            "n": len(label),
                            "auroc": auroc(label, one),
                            "auprc": auprc(label, one),
                            "accuracy": accuracy(label, one),
                        }
                    )
                    apart_auroc = auroc(label[apart], one[apart])
                    apart_rows.append(
                        {"cell": cell, "seed": seed, "n": int(apart.sum()), "auroc": apart_auroc}
                    )
                    curves.append(curve_rows(cell, seed, label, one))
                    resampled.append(bootstrap.auroc(gene_id, label, one))
                advance()
        cells = pd.DataFrame(rows)
        interval = bootstrap.interval(np.mean(resampled, axis=0))
        plots_out.mkdir()
        cells.round(6).to_csv(plots_out / "cells.csv", index=False)
        without_overlap = pd.DataFrame(apart_rows)
        without_overlap.round(6).to_csv(plots_out / "without_overlap.csv", index=False)
        table = pd.concat(curves)
        drawn = {}
        for name, x, y in (("roc", "fpr", "tpr"), ("precision_recall", "recall", "precision")):
            chosen = table[table["curve"] == name].rename(columns={"x": x, "y": y})
            by_cell = chosen.groupby(["cell", x], as_index=False)[y].mean()
            drawn[f"{name}_cells"] = by_cell.round(6)
            drawn[name] = by_cell.groupby(x, as_index=False)[y].mean().round(6)
        for name, one in drawn.items():
            one.to_csv(plots_out / f"{name}.csv", index=False)
        means = cells.groupby("cell")[["auroc", "auprc", "accuracy"]].mean().mean()
        summary: dict[str, Any] = {
            "dataset": data.hash,
            "n_cells": len(trained.cells),
            "auroc": round(float(means["auroc"]), 6),
            "auroc_ci95": [round(interval.low, 6), round(interval.high, 6)],
            "auroc_without_overlap": _mean(without_overlap),
            "auprc": round(float(means["auprc"]), 6),
            "accuracy": round(float(means["accuracy"]), 6),
        }
        title = f"{trained.info['model']}, {origin(data.info)}"
        figures.curves(plots_out / "curves.png", title, cells, drawn)
        figures.cells(plots_out / "cells.png", title, cells)
        beside = published_results.beside(
            data,
            cells.groupby("cell", as_index=False).agg({"auroc": "mean", "n": "first"}),
            published_results.within(trained.info),
        )
        if beside is not None:
            beside.round(6).to_csv(plots_out / "published.csv", index=False)
            published_beside_ours(plots_out / "published.png", title, beside)
        write_json(metrics_out, summary)
    show("Test scores", cells)
    if overlapping and summary["auroc_without_overlap"] is not None:
        console.print(
            f"{len(overlapping):,} test genes have a window that overlaps a training gene's; "
            f"without them the mean AUROC is {summary['auroc_without_overlap']:.3f}"
        )
    console.print(
        f"mean AUROC {summary['auroc']:.3f} over {len(trained.cells)} cell types "
        f"(95% interval over genes {interval.low:.3f} to {interval.high:.3f})"
    )
    if beside is not None:
        console.print(published_results.describe(beside))


def _mean(rows: pd.DataFrame) -> float | None:
    """Return the mean AUROC over cell types, each a mean over seeds; None if undefined."""
    mean = float(rows.groupby("cell")["auroc"].mean().mean())
    return None if np.isnan(mean) else round(mean, 6)


def curve_rows(cell: str, seed: int, label: np.ndarray, score: np.ndarray) -> pd.DataFrame:
    """Return the ROC and precision-recall curves of one model on a common grid.

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
        [
            pd.DataFrame({"curve": name, "cell": cell, "seed": seed, "x": x, "y": y})
            for name, (x, y) in parts.items()
        ]
    )
