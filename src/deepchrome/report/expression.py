"""How well expression is predicted: what `evaluate` found."""

from deepchrome.figures import evaluation as figures
from deepchrome.figures import training
from deepchrome.figures.text import count, interval, number
from deepchrome.report.cell_names import cell_name
from deepchrome.report.page import Section, Table
from deepchrome.report.published import published
from deepchrome.report.run import Run


def section(run: Run) -> Section:
    """Answer: How well is expression predicted? From `evaluate`."""
    metrics = run.metrics("evaluate")
    cells = run.table("evaluate/cells.csv", "cell seed n auroc auprc accuracy")
    seeds = cells["seed"].nunique()
    by_cell = cells.groupby("cell")[["n", "auroc", "auprc", "accuracy"]].mean()
    spread = cells.groupby("cell")["auroc"].std()
    low, high = metrics["auroc_ci95"]
    n = count(len(by_cell), "cell type")
    worst, best = by_cell["auroc"].idxmin(), by_cell["auroc"].idxmax()
    one = len(by_cell) == 1
    table = Table(
        "Test scores by cell type" + (f", means over {seeds} seeds" if seeds > 1 else ""),
        ["cell type", "name", "test genes", "AUROC", *(["sd"] * (seeds > 1)), "AUPRC", "accuracy"],
        [
            [
                str(cell),
                cell_name(str(cell)),
                f"{row['n']:,.0f}",
                number(row["auroc"]),
                *([number(spread[cell])] * (seeds > 1)),
                number(row["auprc"]),
                number(row["accuracy"]),
            ]
            for cell, row in by_cell.iterrows()
        ],
        text=["cell type", "name"],
    )
    beside, said = published(run, "evaluate")
    return Section(
        "expression",
        "How well is expression predicted?",
        f"High and low test genes are told apart with AUROC {number(metrics['auroc'])} "
        f"(95% interval {interval(low, high)}; chance is 0.5)"
        + ("." if one else f", the mean of {n}, from {number(by_cell['auroc'][worst])} ({worst}) "
           f"to {number(by_cell['auroc'][best])} ({best})."),
        more=said,
        numbers=[
            ("AUROC", number(metrics["auroc"])),
            ("95% interval over genes", interval(low, high)),
            (
                "AUROC without genes whose window overlaps a training gene's",
                number(metrics["auroc_without_overlap"]),
            ),
            ("AUPRC", number(metrics["auprc"])),
            ("accuracy", number(metrics["accuracy"])),
        ],
        figures=run.figures(
            {
                "evaluate/cells.png": lambda: figures.cells_text(cells, metrics["auroc"]),
                "evaluate/curves.png": lambda: figures.curves_text(
                    len(by_cell),
                    run.table("evaluate/roc.csv", "fpr tpr"),
                    run.table("evaluate/precision_recall.csv", "recall precision"),
                ),
                "train/curves.png": lambda: training.curves_text(
                    run.table("train/curves.csv", "epoch train_loss valid_auroc")
                ),
            }
        )
        + beside,
        tables=[table],
        method=[
            f"{figures.SCORED}. A score is the mean over seeds, then over cell types. The interval "
            "is a bootstrap over genes, the same in every cell type: how far the mean would move "
            "with other test genes of these cell types.",
        ],
        files=["metrics/evaluate.json", "plots/evaluate/cells.csv", "predictions/evaluate.parquet"],
    )  # fmt: skip
