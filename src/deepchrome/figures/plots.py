"""Figures, in one house style. Tables in, pictures out; knows nothing of torch."""

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepchrome.data.reference import cell_types

STYLE: dict[Any, Any] = {
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "savefig.bbox": "tight",
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
OTHER = "#666666"
"""The colour of a cell type that has no lineage."""


@contextmanager
def figure(
    path: Path, width: float, height: float, **subplots: Any
) -> Iterator[tuple[Figure, Any]]:
    """Draw on a new figure of width x height inches and save it at `path`."""
    with mpl.rc_context(STYLE):
        fig, axes = plt.subplots(figsize=(width, height), **subplots)
        try:
            yield fig, axes
            # no software version or date in the file: the same data give the same bytes
            fig.savefig(path, metadata={"Software": None})
        finally:
            plt.close(fig)


def describe(info: dict[str, Any]) -> str:
    """Say in a few words what data a figure shows; simulated data always say so."""
    source = {"simulated": "simulated data", "roadmap": "Roadmap data", "own": "own data"}
    labels = "" if info["labels"] == "rpkm" else ", published labels"
    return f"{source[info['source']]}{labels}"


def lineage(cells: list[str]) -> pd.DataFrame:
    """Return group, color and name of each cell type, ordered by lineage, then by id."""
    known = cell_types().reindex(cells)[["group", "color", "name", "order"]]
    known["color"] = known["color"].fillna(OTHER)
    known[["group", "name"]] = known[["group", "name"]].fillna("")
    first = known.groupby("group")["order"].transform("min")
    return known.assign(first=first, cell=known.index).sort_values(["first", "group", "cell"])


def curves(folder: Path, title: str, cells: pd.DataFrame) -> None:
    """Draw the ROC and precision-recall curves of `folder`'s tables: cell types and their mean."""
    colors = lineage(sorted(cells["cell"].unique()))["color"]
    panels = (
        ("roc", "fpr", "tpr", "false positive rate", "true positive rate", "auroc", "AUROC"),
        ("precision_recall", "recall", "precision", "recall", "precision", "auprc", "AUPRC"),
    )
    with figure(folder / "curves.png", 10, 4.8, ncols=2) as (fig, axes):
        for ax, (name, x, y, x_label, y_label, metric, shown) in zip(axes, panels, strict=True):
            by_cell = pd.read_csv(folder / f"{name}_cells.csv")
            for cell, rows in by_cell.groupby("cell"):
                ax.plot(rows[x], rows[y], color=colors[cell], lw=1, alpha=0.7)
            mean = pd.read_csv(folder / f"{name}.csv")
            score = cells.groupby("cell")[metric].mean().mean()
            ax.plot(mean[x], mean[y], color="black", lw=2.5, label=f"mean, {shown} {score:.3f}")
            if name == "roc":
                ax.plot([0, 1], [0, 1], color="#999999", lw=1, ls=":", label="chance")
            ax.set(xlabel=x_label, ylabel=y_label, xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
            ax.legend(loc="lower right" if name == "roc" else "lower left")
        fig.suptitle(f"Test genes: {title} (thin lines: cell types, coloured by lineage)")


def training(path: Path, title: str, history: pd.DataFrame) -> None:
    """Draw training loss and validation AUROC by epoch: every model and their mean.

    history: cell, seed, epoch, train_loss, valid_auroc. A model that stopped early keeps its last
    values in the mean.
    """
    order = lineage(sorted(history["cell"].unique()))
    panels = {"train_loss": "training loss", "valid_auroc": "AUROC on validation genes"}
    with figure(path, 11, 4.4, ncols=2) as (fig, axes):
        for ax, (column, label) in zip(axes, panels.items(), strict=True):
            wide = history.pivot(index="epoch", columns=["cell", "seed"], values=column)
            for (cell, _), values in wide.items():
                ax.plot(wide.index, values, color=order["color"][cell], lw=1, alpha=0.7)
            ax.plot(wide.index, wide.ffill().mean(axis=1), color="black", lw=2.5, label="mean")
            ax.set(xlabel="epoch", ylabel=label)
            ax.grid(color="#eeeeee")
            ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
        axes[0].legend()
        n = len(order)
        fig.suptitle(f"{title}: {n} cell type{'s' * (n > 1)} (thin lines, coloured by lineage)")


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
        names = [f"{cell}  {str(name)[:30]}".rstrip() for cell, name in order["name"].items()]
        ax.set_yticks(range(len(order)), names)
        ax.set(ylim=(len(order) - 0.5, -0.5), xlabel=xlabel)
        ax.axvline(scores.groupby("cell")["auroc"].mean().mean(), color="black", lw=1, ls=":")
        ax.grid(axis="x", color="#dddddd")
        ax.set_axisbelow(True)
        ax.set_title(f"{title}\n(dots: seeds, coloured by lineage; dotted: mean)")


def cross_cell(path: Path, title: str, matrix: pd.DataFrame) -> None:
    """Draw the cross-cell matrix: rows train, columns test, ordered and coloured by lineage."""
    order = lineage(sorted(matrix["train_cell"].unique()))
    wide = matrix.pivot(index="train_cell", columns="test_cell", values="auroc")
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


def color_ticks(ax: Axes, colors: pd.Series) -> None:
    """Colour the tick labels of both axes by lineage."""
    for labels in (ax.get_xticklabels(), ax.get_yticklabels()):
        for label, color in zip(labels, colors, strict=True):
            label.set_color(color)
            label.set_fontweight("bold")


BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#999999"
"""Told apart by colour-blind readers (Okabe and Ito)."""


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
        names = [f"{cell}  {str(name)[:30]}".rstrip() for cell, name in order["name"].items()]
        axes[0].set_yticks(range(n), names)
        fig.suptitle(
            f"Rows and columns of the matrix: {title}\n"
            f"(bars: 95% intervals over genes; {share['interaction']:.0%} of the variance between "
            "cell types is particular to the pair)"
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


def published(path: Path, title: str, table: pd.DataFrame) -> None:
    """Draw published AUROCs beside ours; grey where they are not comparable.

    table: as `published_results.beside` returns it; of its first source.
    """
    source = table["source"].iloc[0]
    table = table[table["source"] == source]
    cell = "cell" if "cell" in table.columns else "test_cell"
    order = lineage(sorted(table[cell].unique()))
    n = len(order)
    height = max(5.4, 1.8 + 0.24 * n)
    with figure(path, 11, height, ncols=2) as (fig, (left, right)):
        low = min(table["ours"].min(), table["published"].min())
        high = max(table["ours"].max(), table["published"].max())
        pad = 0.05 * (high - low) + 0.005
        left.plot([low - pad, high + pad], [low - pad, high + pad], color="black", lw=1, ls=":")
        size = float(np.clip(400 / np.sqrt(len(table)), 8, 60))
        row_of = {name: row for row, name in enumerate(order.index)}
        for comparable, rows in table.groupby("comparable"):
            color = order["color"][rows[cell]].to_numpy() if comparable else GREY
            style = {"color": color} if comparable else {"facecolors": "none", "edgecolors": GREY}
            left.scatter(rows["published"], rows["ours"], s=size, alpha=0.8, **style)
            right.scatter(rows["difference"], rows[cell].map(row_of), s=size, alpha=0.8, **style)
        left.set(
            xlabel=f"published AUROC: {source}",
            ylabel="our AUROC",
            xlim=(low - pad, high + pad),
            ylim=(low - pad, high + pad),
            aspect="equal",
        )
        left.locator_params(nbins=6)
        left.set_anchor("N")
        if len(table) > n:
            means = table.groupby(cell)["difference"].mean()[order.index]
            right.plot(means, range(n), "|", color="black", ms=10, mew=1.5, label="mean")
            right.legend(loc="lower left", bbox_to_anchor=(0, 1))
        right.axvline(0, color="black", lw=1, ls=":")
        names = [f"{cell}  {str(name)[:30]}".rstrip() for cell, name in order["name"].items()]
        right.set_yticks(range(n), names, fontsize=10 if n <= 20 else 8)
        right.set(ylim=(n - 0.5, -0.5), xlabel="ours - published")
        right.grid(axis="x", color="#dddddd")
        right.set_axisbelow(True)
        note = ""
        if not table["comparable"].all():
            reason = table.loc[~table["comparable"], "reason"].iloc[0]
            note = "\n" + "\n".join(textwrap.wrap(f"hollow, grey: not comparable; {reason}", 100))
        fig.suptitle(f"Published beside ours: {title}{note}")


def lineage_legend(fig: Figure, order: pd.DataFrame) -> None:
    """Put a legend of lineages' colours below a matrix."""
    for group, rows in order.groupby("group", sort=False):
        fig.axes[0].plot([], [], "s", color=rows["color"].iloc[0], label=group or "no lineage")
    fig.legend(loc="outside lower center", ncols=4, fontsize=9)


FAR = 0.05
"""A difference in AUROC that would hide all others if it were drawn to scale."""


def compare_models(path: Path, title: str, models: pd.DataFrame, cells: pd.DataFrame) -> None:
    """Draw each model's mean AUROC with its 95% interval, and its cell types as circles.

    A model that is far below the best is an arrow at the edge. models: model, parameters, auroc,
    low and high, the best first. cells: model, cell, auroc.
    """
    near = models["auroc"] > models["auroc"].iloc[0] - FAR
    scores = cells.groupby(["model", "cell"])["auroc"].mean()
    left = min(models.loc[near, "low"].min(), scores[models.loc[near, "model"]].min()) - 0.005
    with figure(path, 9, 1.8 + 0.42 * len(models)) as (_, ax):
        for row, (one, shown) in enumerate(zip(models.itertuples(), near, strict=True)):
            if shown:
                dots = scores[one.model]
                ax.plot(dots, [row + 0.22] * len(dots), "o", color=BLUE, mfc="none", ms=4)
                ax.plot([one.low, one.high], [row, row], color="black", lw=2, solid_capstyle="butt")
                ax.plot(one.auroc, row, "o", color="black", ms=7)
            else:
                ax.plot(left + 0.003, row, "<", color="black", ms=7)
            ax.text(1.01, row, f"{one.auroc:.3f}", transform=ax.get_yaxis_transform(), va="center")
        names = [f"{one.model}  ({one.parameters:,})" for one in models.itertuples()]
        ax.set_yticks(range(len(names)), names)
        ax.set(ylim=(len(names) - 0.5, -0.5), xlabel="AUROC", ylabel="model (parameters)")
        ax.set_xlim(left=left)
        ax.grid(axis="x", color="#dddddd")
        ax.set_axisbelow(True)
        ax.set_title(
            f"{title}\nbars: 95% intervals over genes and cell types; circles: cell types\n"
            "models share genes and cell types: compare them by their paired differences",
            fontsize=10,
            loc="right",
        )


def compare_pairs(path: Path, title: str, pairs: pd.DataFrame, margin: float) -> None:
    """Draw the difference of every pair with its 95% interval, beside the margin.

    A very large difference is an arrow at the edge. pairs: first, second, difference, low, high,
    verdict.
    """
    looks = {
        "better": (ORANGE, "D", ORANGE),
        "equivalent": (BLUE, "o", BLUE),
        "undecided": (GREY, "o", "white"),
    }
    near = pairs["difference"] < FAR
    finite = pairs[near & np.isfinite(pairs["low"])]
    low = min(-1.3 * margin, finite["low"].min() * 1.1) if len(finite) else -1.3 * margin
    high = max(1.3 * margin, finite["high"].max() * 1.1) if len(finite) else FAR
    with figure(path, 9, 1.8 + 0.26 * len(pairs)) as (_, ax):
        ax.axvspan(-margin, margin, color="#e8e8e8", lw=0)
        ax.axvline(0, color="black", lw=1, ls=":")
        for row, (one, shown) in enumerate(zip(pairs.itertuples(), near, strict=True)):
            color, marker, face = looks[one.verdict]
            if not shown:
                ax.plot(0.99 * high, row, ">", color=color, mfc=face, mew=1.8, ms=6)
            else:
                if np.isfinite(one.low):
                    bar = [one.low, one.high]
                    ax.plot(bar, [row, row], color=color, lw=2, solid_capstyle="butt")
                ax.plot(one.difference, row, marker, color=color, mfc=face, mew=1.8, ms=6)
            value = f"{one.difference:.3f}"
            ax.text(1.01, row, value, transform=ax.get_yaxis_transform(), va="center", fontsize=9)
        names = [f"{one.first} - {one.second}" for one in pairs.itertuples()]
        ax.set_yticks(range(len(names)), names, fontsize=9)
        ax.set(ylim=(len(names) - 0.5, -0.5), xlim=(low, high))
        ax.set_xlabel("difference in AUROC, first minus second")
        for word, (color, marker, face) in looks.items():
            if word in set(pairs["verdict"]):
                label = {"better": "first is better"}.get(word, word)
                ax.plot([], [], marker, color=color, mfc=face, mew=1.8, ms=6, label=label)
        ax.legend(loc="upper left", bbox_to_anchor=(1.08, 1), fontsize=9)
        ax.set_title(
            f"{title}\nbars: 95% intervals over cell types and genes; grey: within {margin:g}",
            fontsize=10,
            loc="right",
        )


def training_sets(path: Path, title: str, by_cell: pd.DataFrame, means: pd.DataFrame) -> None:
    """Draw what training sets gain over `own`: the mean with its interval, and each cell type.

    by_cell: test_cell, training_set, difference. means: training_set, n, n_cells, difference, low,
    high.
    """
    tested = by_cell["test_cell"].nunique()
    means = means[means["training_set"] != "own"].reset_index(drop=True)
    colors = lineage(sorted(by_cell["test_cell"].unique()))["color"]
    with figure(path, 8, 1.8 + 0.5 * len(means)) as (_, ax):
        for row, one in means.iterrows():
            mine = by_cell[by_cell["training_set"] == one["training_set"]]
            shift = np.linspace(-0.18, 0.18, len(mine)) if len(mine) > 1 else np.zeros(1)
            ax.scatter(
                mine["difference"], row + shift, c=colors[mine["test_cell"]], s=16, alpha=0.6
            )
            ax.plot([one["low"], one["high"]], [row, row], color="black", lw=2.5)
            ax.plot(one["difference"], row, "o", color="white", mec="black", ms=7, mew=1.5)
        names = []
        for one in means.itertuples():
            unit = "cell type" if one.n_cells == 1 else "cell types"
            of = "" if one.n == tested else f"; for {one.n} of {tested}"
            names.append(f"{one.training_set.replace('_', ' ')}\n{one.n_cells:.3g} {unit}{of}")
        ax.set_yticks(range(len(means)), names)
        ax.set(
            ylim=(len(means) - 0.5, -0.5), xlabel="AUROC minus that of the cell type's own model"
        )
        ax.axvline(0, color="black", lw=1, ls=":")
        ax.grid(axis="x", color="#dddddd")
        ax.set_axisbelow(True)
        ax.set_title(
            f"Training on several cell types: {title}\n"
            "(mean, 95% interval; dots: tested cell types, coloured by lineage)"
        )


def curve_of_cells(path: Path, title: str, curve: pd.DataFrame, found: str) -> None:
    """Draw what is gained over one other cell type by training on more, with and without more data.

    curve: n_cells, examples, auroc, gain, low, high. found: in words, what it shows; may be empty.
    """
    kinds = {
        "all": (BLUE, "o", -1, "all their genes"),
        "as one cell type": (ORANGE, "s", 1, "as many as one has"),
    }
    with figure(path, 7, 4.6) as (_, ax):
        for examples, (color, marker, side, label) in kinds.items():
            mine = curve[curve["examples"] == examples]
            at = mine["n_cells"] * 1.02**side  # beside each other
            ax.plot(at, mine["gain"], color=color, marker=marker, label=label)
            ax.vlines(at, mine["low"], mine["high"], color=color, lw=2)
        ax.axhline(0, color="black", lw=1, ls=":")
        ax.set_xscale("log", base=2)
        ticks = sorted(curve["n_cells"].unique())
        ax.set_xticks(ticks, ticks)
        ax.minorticks_off()
        first = curve.loc[curve["n_cells"] == 1, "auroc"].iloc[-1]
        ax.set(
            xlabel="cell types trained on, without the tested one",
            ylabel=f"AUROC above that of one\nother cell type ({first:.3f})",
        )
        low, high = ax.get_ylim()
        room = max(0.0, 0.02 - (high - low)) / 2  # what is less than a hundredth looks like it
        ax.set_ylim(low - room, high + room)
        ax.grid(color="#eeeeee")
        ax.set_axisbelow(True)
        ax.legend(title="training genes (bars: 95% intervals)", ncols=2, loc="upper left")
        words = "\n".join(found.split(", ")) if found else ""
        ax.set_title(f"More data, or more diverse data? {title}\n{words}".rstrip())
