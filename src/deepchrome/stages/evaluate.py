"""evaluate: held-out scores of each cell type's own model."""

from deepchrome.console import console, progress
from deepchrome.data.dataset import Dataset, origin
from deepchrome.evaluation import predictions, published_results
from deepchrome.evaluation.held_out import HeldOutScores
from deepchrome.figures import evaluation as figures
from deepchrome.figures.published import published_beside_ours
from deepchrome.files import Folder, replacing, write_json
from deepchrome.report.terminal import score_table
from deepchrome.training.jobs import choose_device
from deepchrome.training.store import Models, check_same_data

PLOTS = (
    "cells.csv",
    "cells.png",
    "curves.png",
    "precision_recall.csv",
    "precision_recall_cells.csv",
    "published.csv",
    "published.png",
    "roc.csv",
    "roc_cells.csv",
    "without_overlap.csv",
)


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
    held_out = HeldOutScores(data.genes)
    plots = Folder(plots_folder, "evaluate", PLOTS)
    with replacing(predicted, metrics, plots) as (predicted_out, metrics_out, plots_out):
        with (
            predictions.Writer(predicted_out) as writer,
            progress("evaluate", "cell types", len(trained.cells)) as advance,
        ):
            for cell in trained.cells:
                genes = data.load(cell).without("train")
                log_odds = trained.log_odds(genes.X, [cell])
                writer.add([cell], trained.seeds, genes, log_odds)
                test = genes.split == "test"
                held_out.add(
                    cell, trained.seeds, genes.gene_id[test], genes.y[test], log_odds[0][:, test]
                )
                advance()
        cells, curves = held_out.cells, held_out.curves()
        plots_out.mkdir()
        tables = {"cells": cells, "without_overlap": held_out.without_overlap} | curves
        for name, table in tables.items():
            table.round(6).to_csv(plots_out / f"{name}.csv", index=False)
        title = f"{trained.info['model']}, {origin(data.info)}"
        figures.curves(plots_out / "curves.png", title, cells, curves)
        figures.cells(plots_out / "cells.png", title, cells)
        beside = published_results.beside(
            data,
            cells.groupby("cell", as_index=False).agg({"auroc": "mean", "n": "first"}),
            published_results.within(trained.info),
        )
        if beside is not None:
            beside.round(6).to_csv(plots_out / "published.csv", index=False)
            published_beside_ours(plots_out / "published.png", title, beside)
        summary = held_out.summary()
        write_json(metrics_out, {"dataset": data.hash} | summary)
    console.print(score_table("Test scores", cells))
    overlapping, interval = held_out.overlapping, held_out.interval
    if len(overlapping) and summary["auroc_without_overlap"] is not None:
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
