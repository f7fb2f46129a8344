"""cross_cell: is the relation the same in every cell type? Every model on every cell type."""

from pathlib import Path

import numpy as np
import pandas as pd

from deepchrome.console import console, progress
from deepchrome.data.dataset import Dataset, origin
from deepchrome.evaluation import independence, predictions, published_results
from deepchrome.evaluation.cross_cell import ABSENT, CrossCellScores, label_agreement
from deepchrome.evaluation.metrics import auroc
from deepchrome.figures import cross_cell as figures
from deepchrome.figures.published import published_beside_ours
from deepchrome.files import Folder, replacing, write_json
from deepchrome.params import CrossCellParams
from deepchrome.training.jobs import choose_device
from deepchrome.training.store import Models, check_same_data

PLOTS = (
    *(f"{name}.csv" for name in ("cells", "pairs")),
    *(
        f"{name}.{kind}"
        for name in ("auroc", "clusters", "controls", "decomposition", "lineage", "published")
        for kind in ("csv", "png")
    ),
    "verdict.txt",
)


def run(
    params: CrossCellParams,
    device: str,
    dataset: str = "data/dataset",
    models: str = "models/train",
    predicted: str = "predictions/cross_cell.parquet",
    metrics: str = "metrics/cross_cell.json",
    plots_folder: str = "plots/cross_cell",
) -> None:
    """Compute the matrix of AUROCs, cell type trained on x tested on, and what it says.

    Writes the matrix (mean over seeds), the controls beside it, what rows, columns and lineages
    make of it, and a verdict (docs/cross_cell.md). gap: within a cell type minus between, with a
    95% bootstrap interval over genes and cell types.
    """
    data = Dataset(dataset)
    trained = Models(models, choose_device(device))
    check_same_data(trained, data)
    n = len(trained.cells)
    plots = Folder(plots_folder, "cross_cell", PLOTS)
    with replacing(predicted, metrics, plots) as (predicted_out, metrics_out, plots_out):
        matrix, scores = predict(data, trained, predicted_out)
        plots_out.mkdir()
        matrix.round(6).to_csv(plots_out / "auroc.csv", index=False)
        title = f"{trained.info['model']}, {origin(data.info)}"
        figures.matrix(plots_out / "auroc.png", title, matrix)
        findings = verdict = None
        if n > 1:
            with progress("controls", "pairs", n**2) as advance:
                findings = independence.find(scores, label_agreement(data.labels), advance)
            verdict = independence.verdict(findings, params.equivalence_margin)
            (plots_out / "verdict.txt").write_text(verdict.text + "\n", encoding="utf-8")
            for name, table in findings.tables().items():
                table.round(6).to_csv(plots_out / f"{name}.csv", index=False)
            figures.controls(
                plots_out / "controls.png", title, findings.estimates, params.equivalence_margin
            )
            if len(findings.decomposition):
                figures.decomposition(
                    plots_out / "decomposition.png", title, findings.cells, findings.decomposition
                )
                figures.lineage_gap(
                    plots_out / "lineage.png", title, findings.pairs, findings.lineage
                )
            if findings.clusters:
                order, said = findings.clusters.order, findings.clusters.describe()
                figures.clusters(plots_out / "clusters.png", title, findings.pairs, order, said)
        beside = published_results.beside(
            data, matrix[["train_cell", "test_cell", "auroc"]], published_results.matrix()
        )
        if beside is not None:
            beside.round(6).to_csv(plots_out / "published.csv", index=False)
            published_beside_ours(plots_out / "published.png", title, beside)
        summary = independence.summary(matrix, findings, verdict)
        write_json(metrics_out, {"dataset": data.hash} | summary)
    if findings and verdict:
        gap = findings.estimates["gap"]
        console.print(
            f"within a cell type {summary['within_mean']:.3f}, "
            f"between {summary['between_mean']:.3f}, gap {gap.value:+.3f} "
            f"(95% interval {gap.low:+.3f} to {gap.high:+.3f})"
        )
        console.print(verdict.text)
    else:
        console.print(f"one cell type: within {summary['within_mean']:.3f}, nothing between")
    if beside is not None:
        console.print(published_results.describe(beside))


def predict(data: Dataset, trained: Models, path: Path) -> tuple[pd.DataFrame, CrossCellScores]:
    """Score every cell type's test genes by every model, and write the predictions to `path`.

    Returns the matrix (train_cell, test_cell, n, auroc) and all scores: in memory, 4 bytes for each
    gene, pair of cell types and seed.
    """
    cells, n = trained.cells, len(trained.cells)
    test_genes = data.genes.index[data.genes["split"] == "test"].sort_values()
    label = np.full((n, len(test_genes)), ABSENT, np.int8)
    log_odds = np.full((len(trained.seeds), n, n, len(test_genes)), np.nan, np.float32)
    rows = []
    with (
        predictions.Writer(path) as writer,
        progress("cross_cell", "pairs", n**2) as advance,
    ):
        for tested, cell in enumerate(cells):
            test = data.load(cell).part("test")
            found = trained.log_odds(test.X, cells)  # (cells, seeds, genes)
            writer.add(cells, trained.seeds, test, found)
            at = test_genes.get_indexer(test.gene_id)
            label[tested, at] = test.y
            log_odds[:, :, tested, at] = found.swapaxes(0, 1)
            rows += [
                {
                    "train_cell": train_cell,
                    "test_cell": cell,
                    "n": len(test.y),
                    "auroc": np.mean([auroc(test.y, one) for one in by_seed]),
                }
                for train_cell, by_seed in zip(cells, found, strict=True)
            ]
            advance(n)
    rpkm = data.labels.pivot(index="cell", columns="gene_id", values="rpkm")
    expression = np.log1p(rpkm.reindex(index=cells, columns=test_genes).to_numpy(np.float64))
    matrix = pd.DataFrame(rows).sort_values(["train_cell", "test_cell"])
    return matrix, CrossCellScores(cells, label, log_odds, expression)
