"""Figures of every model on every cell type."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from deepchrome.data.reference import lineage
from deepchrome.figures.style import (
    BLUE,
    GREY,
    ORANGE,
    color_ticks,
    figure,
    lineage_legend,
    tick_names,
)
from deepchrome.figures.text import Text, count, number


def matrix(path: Path, title: str, scores: pd.DataFrame) -> None:
    """Draw the cross-cell matrix: rows train, columns test, ordered and coloured by lineage."""
    order = lineage(sorted(scores["train_cell"].unique()))
    wide = scores.pivot(index="train_cell", columns="test_cell", values="auroc")
    wide = wide.loc[order.index, order.index]
    n = len(wide)
    size = float(np.clip(0.5 * n, 3.2, 14))
    with figure(path, size + 3.6, size + 1.6) as (fig, ax):
        image = ax.imshow(wide, cmap="viridis", aspect="equal")
        fig.colorbar(image, ax=ax, label="AUROC on test genes", shrink=0.8)
        if n <= 20:
            middle = (wide.to_numpy().min() + wide.to_numpy().max()) / 2
            for (i, j), value in np.ndenumerate(wide.to_numpy()):
                color = "white" if value < middle else "black"
                ax.text(j, i, f"{value:.2f}", ha="center", va="center", color=color, fontsize=9)
        small = 9 if n <= 20 else 7
        ax.set_xticks(range(n), wide.columns, rotation=90, fontsize=small)
        ax.set_yticks(range(n), wide.index, fontsize=small)
        color_ticks(ax, order["color"])
        ax.set(xlabel="tested on", ylabel="trained on")
        ax.spines[:].set_visible(False)
        lineage_legend(fig, order)
        ax.set_title(f"Cross-cell AUROC\n{title}")


def matrix_text(scores: pd.DataFrame, within: float, between: float) -> Text:
    """Return the words of `matrix`. within, between: means on and off the diagonal."""
    n = scores["train_cell"].nunique()
    apart = scores.loc[scores["train_cell"] != scores["test_cell"], "auroc"]
    lowest, highest = scores.loc[apart.idxmin()], scores.loc[apart.idxmax()]
    return Text(
        f"Matrix of AUROCs, {n} rows (trained on) by {n} columns (tested on), ordered by "
        f"lineage. On the diagonal {number(within)} on average, off it {number(between)}, from "
        f"{number(lowest['auroc'])} ({lowest['train_cell']} on {lowest['test_cell']}) to "
        f"{number(highest['auroc'])} ({highest['train_cell']} on {highest['test_cell']}).",
        "The cross-cell matrix. Every cell type's models score the test genes of every cell type; "
        "means over seeds.",
    )


def controls(path: Path, title: str, estimates: dict[str, Any], margin: float) -> None:
    """Draw the AUROCs behind the verdict on independence, and the gap beside its margin.

    estimates: value, low and high by name, as in `independence.Findings`.
    """
    rows = (
        ("All test genes", None, ""),
        ("the cell type's own model", "within", BLUE),
        ("another cell type's model", "between", ORANGE),
        ("no chromatin: mean expression\nin other cell types", "no_chromatin", GREY),
        ("shuffled labels", "shuffled", GREY),
        ("Genes whose label differs\nbetween the two cell types", None, ""),
        ("the cell type's own model", "switching_own", BLUE),
        ("the other cell type's model", "switching", ORANGE),
        ("no chromatin", "switching_no_chromatin", GREY),
        ("In which of the two are they high?\nDifference of two scores", None, ""),
        ("each by its own model", "difference_own", BLUE),
        ("both by one model", "difference", ORANGE),
    )
    sides = {"width_ratios": [3, 1], "wspace": 0.1}
    with figure(path, 10, 5.6, ncols=2, gridspec_kw=sides) as (fig, (ax, right)):
        for y, (name, key, color) in enumerate(rows):
            if key is None:
                ax.text(
                    -0.02,
                    y,
                    name,
                    transform=ax.get_yaxis_transform(),
                    ha="right",
                    va="center",
                    fontweight="bold",
                    linespacing=1.1,
                )
                continue
            ax.text(-0.02, y, name, transform=ax.get_yaxis_transform(), ha="right", va="center")
            one = estimates[key]
            if np.isnan(one.value):
                ax.text(0.52, y, "not known", va="center", color=GREY)
                continue
            ax.plot([one.low, one.high], [y, y], color=color, lw=2.5, solid_capstyle="butt")
            ax.plot(one.value, y, "o", color=color, ms=8)
            ax.text(1.02, y, f"{one.value:.3f}", transform=ax.get_yaxis_transform(), va="center")
        ax.axvline(0.5, color="black", lw=1, ls=":")
        values = [one.low for name, one in estimates.items() if not name.startswith("gap")]
        ax.set(xlim=(min(0.45, np.nanmin(values) - 0.02), 1), ylim=(len(rows) - 0.5, -0.7))
        ax.set(yticks=[], xlabel="AUROC on test genes (dotted: chance)")
        ax.spines["left"].set_visible(False)
        ax.grid(axis="x", color="#dddddd")
        ax.set_axisbelow(True)
        one = estimates["gap"]
        right.axhspan(-margin, margin, color="#dddddd", lw=0)
        right.axhline(0, color="black", lw=1, ls=":")
        alone = estimates["gap_genes"]
        right.plot([0, 0], [one.low, one.high], color="black", lw=2.5, solid_capstyle="butt")
        right.plot([0, 0], [alone.low, alone.high], color="black", lw=7, solid_capstyle="butt")
        right.plot(0, one.value, "o", color="white", ms=5)
        right.set(xlim=(-1, 1), xticks=[], ylabel="AUROC lost with another cell type's model")
        right.set_title(f"gap {one.value:+.3f}\ngrey: margin {margin:g}\nthick: over genes alone")
        fig.suptitle(f"Chromatin, or the gene? {title} (bars: 95% intervals)")


def controls_text(auroc: "pd.Series[float]") -> Text:
    """Return the words of `controls`. auroc: by name of the estimate; one may be absent."""

    def value(name: str) -> str:
        return number(auroc.get(name))

    return Text(
        f"Dots with 95% intervals. On all test genes the own model scores {value('within')}, "
        f"another cell type's {value('between')}, expression in other cell types without any "
        f"chromatin {value('no_chromatin')}, shuffled labels {value('shuffled')}. On genes "
        f"whose label differs: own {value('switching_own')}, other {value('switching')}, "
        f"without chromatin {value('switching_no_chromatin')}. Difference of two scores: own "
        f"{value('difference_own')}, one model for both {value('difference')}. At the side the "
        f"gap, {value('gap')}, beside its margin.",
        "Chromatin, or the gene? Most genes are high in all cell types or in none, so a good score "
        "elsewhere shows little by itself. The controls do: genes whose label differs between the "
        "two cell types, and a baseline that sees no chromatin.",
    )


def decomposition(path: Path, title: str, cells: pd.DataFrame, terms: pd.DataFrame) -> None:
    """Draw what each cell type's row, column and own model make of the cross-cell matrix.

    cells, terms: as in `independence.Findings`.
    """
    table = cells.set_index("cell")
    order = lineage(sorted(table.index))
    n = len(order)
    share = terms.set_index("term")["share"]
    panels = (
        ("columns", "how easy it is to predict", f"{share['columns']:.0%} of the variance"),
        ("rows", "how well it teaches others", f"{share['rows']:.0%} of the variance"),
        ("own", "what its own model has\nover the others'", "mean: the gap"),
    )
    with figure(path, 11, 2.6 + 0.28 * n, ncols=3, sharex=True, sharey=True) as (fig, axes):
        for ax, (name, label, explained) in zip(axes, panels, strict=True):
            for row, (cell, known) in enumerate(order.iterrows()):
                low, value, high = table.loc[cell, [f"{name}_low", name, f"{name}_high"]]
                ax.plot([low, high], [row, row], color=known["color"], lw=2, alpha=0.5)
                ax.plot(value, row, "o", color=known["color"], ms=6)
            ax.axvline(0, color="black", lw=1, ls=":")
            ax.set(xlabel="AUROC", title=f"{label}\n{explained}", ylim=(n - 0.5, -0.5))
            ax.grid(axis="x", color="#dddddd")
            ax.set_axisbelow(True)
            ax.locator_params(axis="x", nbins=4)
        axes[0].set_yticks(range(n), tick_names(order))
        fig.suptitle(
            f"Rows and columns of the matrix: {title}\n"
            f"(bars: 95% intervals over genes; {share['interaction']:.0%} of the variance between "
            "cell types is particular to the pair)"
        )


def decomposition_text(cells: pd.DataFrame, terms: pd.DataFrame) -> Text:
    """Return the words of `decomposition`. cells, terms: as for it."""
    share = terms.set_index("term")["share"]
    columns = cells.set_index("cell")["columns"]
    return Text(
        "Three panels of dots with 95% intervals, a row for each cell type. Of the variance "
        f"between cell types {share['columns']:.0%} is how easy they are to predict, "
        f"{share['rows']:.0%} how well they teach, {share['interaction']:.0%} particular to "
        f"the pair. Easiest to predict is {columns.idxmax()} ({number(columns.max(), sign=True)}), "
        f"hardest {columns.idxmin()} ({number(columns.min(), sign=True)}).",
        "Rows, columns and what is left. Least squares: AUROC is a mean, a term for the cell type "
        "trained on, one for that tested on, and a residual; on the diagonal, the advantage of the "
        "own model.",
    )


def lineage_gap(path: Path, title: str, pairs: pd.DataFrame, gaps: pd.DataFrame) -> None:
    """Draw what two cell types lose by swapping models, against how alike their labels are.

    pairs, gaps: as in `independence.Findings`; gaps is empty where lineages cannot be compared.
    """
    pairs = pairs[pairs["train_cell"] < pairs["test_cell"]]  # the loss is the same either way
    size = float(np.clip(400 / np.sqrt(len(pairs)), 8, 60))
    groups = (("other", "different lineages", BLUE), ("same", "the same lineage", ORANGE))
    with figure(path, 9, 4.8, ncols=2, width_ratios=[3, 1], sharey=True) as (fig, (ax, right)):
        for x, (name, label, color) in enumerate(groups):
            chosen = pairs[pairs["same_lineage"] == (name == "same")]
            label = f"{label}: {len(chosen):,}"
            agreement, loss = chosen["label_agreement"], chosen["loss"]
            ax.scatter(agreement, loss, s=size, color=color, alpha=0.6, lw=0, label=label)
            for one in gaps[gaps["lineage"] == name].itertuples() if len(gaps) else ():
                right.plot([x, x], [one.low, one.high], color=color, lw=2.5)
                right.plot(x, one.gap, "o", color=color, ms=8)
        for axes in (ax, right):
            axes.axhline(0, color="black", lw=1, ls=":")
        ax.set(
            xlabel="share of genes with the same label in both cell types",
            ylabel="AUROC lost when the two swap models",
        )
        right.set_xticks([0, 1], ["different", "same"])
        right.set(xlim=(-0.7, 1.7), xlabel="lineage")
        right.set_title("means, 95% intervals", fontsize="medium")
        if not len(gaps):
            middle = {"ha": "center", "va": "center", "transform": right.transAxes}
            right.text(0.5, 0.6, "no lineages\nto compare", color=GREY, **middle)
        fig.suptitle(f"Gap by lineage: {title} (dots: pairs of cell types)")
        fig.legend(loc="outside lower left", ncols=2, fontsize=10)


def lineage_gap_text(pairs: pd.DataFrame) -> Text:
    """Return the words of `lineage_gap`. pairs: as for it."""
    pairs = pairs[pairs["train_cell"] < pairs["test_cell"]]
    loss, same = pairs["loss"], pairs["same_lineage"].astype(bool)
    text = (
        f"Scatter of {count(len(pairs), 'pair')} of cell types: AUROC lost when the two swap "
        f"models, from {number(loss.min(), sign=True)} to {number(loss.max(), sign=True)}, "
        "against the share of genes with the same label in both."
    )
    if 0 < same.sum() < len(same):
        text += (
            f" The mean loss is {number(loss[same].mean(), sign=True)} within a lineage and "
            f"{number(loss[~same].mean(), sign=True)} between lineages."
        )
    return Text(
        text,
        "Loss by lineage. Two cell types that swap models lose the mean of their own two AUROCs "
        "minus the mean of the two swapped ones.",
    )


def clusters(
    path: Path, title: str, pairs: pd.DataFrame, order: np.ndarray, agreement: str
) -> None:
    """Draw what each two cell types lose by swapping models, ordered as clustered.

    pairs: as in `independence.Findings`. order: of the sorted cell types. agreement: of clusters
    with lineages, in words.
    """
    wide = pairs.pivot(index="train_cell", columns="test_cell", values="loss")
    names = wide.index.to_numpy()[order]
    known = lineage(sorted(names))
    n = len(names)
    size = float(np.clip(0.5 * n, 3.2, 14))
    with figure(path, size + 3.6, size + 1.6) as (fig, ax):
        image = ax.imshow(wide.loc[names, names], cmap="viridis_r", aspect="equal")
        fig.colorbar(image, ax=ax, label="AUROC lost when the two swap models", shrink=0.8)
        small = 9 if n <= 20 else 7
        ax.set_xticks(range(n), names, rotation=90, fontsize=small)
        ax.set_yticks(range(n), names, fontsize=small)
        color_ticks(ax, known.loc[names, "color"])
        ax.spines[:].set_visible(False)
        lineage_legend(fig, known)
        ax.set_title(f"Cell types, clustered by what they lose\n{title}\n{agreement}")


def clusters_text(cell_types: int, found: pd.Series) -> Text:
    """Return the words of `clusters`. found: clusters, adjusted_rand and p."""
    return Text(
        f"Matrix of what each two of {cell_types} cell types lose by swapping models, ordered by "
        f"clustering into {int(found['clusters'])} clusters; agreement with lineages: adjusted "
        f"Rand index {number(found['adjusted_rand'], 2)}, p {number(found['p'])}.",
        "Cell types clustered by what they lose when they swap models.",
    )
