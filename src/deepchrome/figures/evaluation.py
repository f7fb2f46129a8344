"""Figures of how well expression is predicted."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from deepchrome.data.reference import lineage
from deepchrome.figures.style import figure, tick_names
from deepchrome.figures.text import Text, count, number

SCORED = "Each cell type's test genes, scored by its own models, which never saw them"
"""What every score of stage evaluate is."""


def cells(
    path: Path, title: str, scores: pd.DataFrame, xlabel: str = "AUROC on test genes"
) -> None:
    """Draw each cell type's AUROC as a dot, one for each seed, ordered by lineage."""
    order = lineage(sorted(scores["cell"].unique()))
    height = 1.6 + 0.28 * len(order)
    with figure(path, 8, height) as (_, ax):
        for row, (cell, known) in enumerate(order.iterrows()):
            values = scores.loc[scores["cell"] == cell, "auroc"]
            ax.plot(values, [row] * len(values), "o", color=known["color"], alpha=0.6, ms=6)
            ax.plot(values.mean(), row, "|", color="black", ms=14, mew=1.5)
        ax.set_yticks(range(len(order)), tick_names(order))
        ax.set(ylim=(len(order) - 0.5, -0.5), xlabel=xlabel)
        ax.axvline(scores.groupby("cell")["auroc"].mean().mean(), color="black", lw=1, ls=":")
        ax.grid(axis="x", color="#dddddd")
        ax.set_axisbelow(True)
        ax.set_title(f"{title}\n(dots: seeds, coloured by lineage; dotted: mean)")


def cells_text(scores: pd.DataFrame, mean: float) -> Text:
    """Return the words of `cells`. scores: cell, seed, auroc. mean: over cell types."""
    by_cell = scores.groupby("cell")["auroc"].mean()
    worst, best = by_cell.idxmin(), by_cell.idxmax()
    said = (
        f"It is {number(mean)}."
        if len(by_cell) == 1
        else f"Lowest {worst} with {number(by_cell[worst])}, highest {best} with "
        f"{number(by_cell[best])}; mean {number(mean)}."
    )
    return Text(
        f"Dot plot of test AUROC, a row for each of {count(len(by_cell), 'cell type')}, ordered by "
        f"lineage, {count(scores['seed'].nunique(), 'dot')} a row. {said}",
        f"AUROC by cell type. {SCORED}.",
    )


def curves(
    path: Path, title: str, scores: pd.DataFrame, tables: Mapping[str, pd.DataFrame]
) -> None:
    """Draw ROC and precision-recall curves: cell types and their mean.

    scores: cell, seed, auroc, auprc. tables: "roc" (fpr, tpr), "precision_recall" (recall,
    precision), and both by cell type, "roc_cells" and "precision_recall_cells".
    """
    colors = lineage(sorted(scores["cell"].unique()))["color"]
    panels = (
        ("roc", "fpr", "tpr", "false positive rate", "true positive rate", "auroc", "AUROC"),
        ("precision_recall", "recall", "precision", "recall", "precision", "auprc", "AUPRC"),
    )
    with figure(path, 10, 4.8, ncols=2) as (fig, axes):
        for ax, (name, x, y, x_label, y_label, metric, shown) in zip(axes, panels, strict=True):
            for cell, rows in tables[f"{name}_cells"].groupby("cell"):
                ax.plot(rows[x], rows[y], color=colors[cell], lw=1, alpha=0.7)
            mean = tables[name]
            score = scores.groupby("cell")[metric].mean().mean()
            ax.plot(mean[x], mean[y], color="black", lw=2.5, label=f"mean, {shown} {score:.3f}")
            if name == "roc":
                ax.plot([0, 1], [0, 1], color="#999999", lw=1, ls=":", label="chance")
            ax.set(xlabel=x_label, ylabel=y_label, xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
            ax.legend(loc="lower right" if name == "roc" else "lower left")
        fig.suptitle(f"Test genes: {title} (thin lines: cell types, coloured by lineage)")


def curves_text(cell_types: int, roc: pd.DataFrame, precision_recall: pd.DataFrame) -> Text:
    """Return the words of `curves`. roc: fpr, tpr; precision_recall: recall, precision: means."""
    at_fpr = roc.loc[(roc["fpr"] - 0.1).abs().idxmin(), "tpr"]
    at_recall = precision_recall.loc[(precision_recall["recall"] - 0.8).abs().idxmin(), "precision"]
    return Text(
        f"Two panels of curves on test genes, thin for each of {count(cell_types, 'cell type')}, "
        f"thick for their mean. Left, ROC: at a false positive rate of 0.1 the mean true positive "
        f"rate is {number(at_fpr, 2)}. Right, precision and recall: at a recall of 0.8 the mean "
        f"precision is {number(at_recall, 2)}.",
        "Curves on the test genes, interpolated on a common grid and averaged over cell types.",
    )
