"""Figures of what the models look for, in the house style of `plots`. Knows nothing of torch."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine

from deepchrome import BIN_WIDTH, MARKS, N_BINS
from deepchrome.figures.plots import BLUE, GREEN, GREY, ORANGE, OTHER, figure, lineage
from deepchrome.interpretation.histone_code import CENTRES

EDGE = N_BINS * BIN_WIDTH / 2000
"""kb from the TSS to either end of the window."""

PURPLE = "#CC79A7"
UP, DOWN = "#B2182B", "#2166AC"
"""The ends of the diverging colour map RdBu_r, which colour-blind readers can tell apart."""


def x_label(orientation: str) -> str:
    """Name the axis along a gene. orientation: as in dataset.json."""
    if orientation == "transcription":
        return "kb from the TSS, in the direction of transcription"
    return "kb from the TSS, genomic direction"


def strip(ax: Axes, values: np.ndarray, limit: float, cmap: str = "RdBu_r") -> AxesImage:
    """Draw marks x bins as a heatmap over kb. values: shape=(bins, marks)."""
    low = -limit if cmap == "RdBu_r" else 0
    n = values.shape[1]
    image = ax.imshow(
        values.T,
        aspect="auto",
        interpolation="nearest",
        cmap=cmap,
        vmin=low,
        vmax=limit,
        extent=(-EDGE, EDGE, n - 0.5, -0.5),
    )
    ax.set_yticks(range(n), MARKS if n == len(MARKS) else [])
    ax.axvline(0, color="black" if cmap == "RdBu_r" else "white", lw=0.8, ls=":")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    return image


def _limit(*values: np.ndarray) -> float:
    """Return a colour limit that a few extreme bins do not set."""
    together = np.concatenate([np.abs(one).ravel() for one in values])
    return float(np.quantile(together, 0.995)) or 1.0


def attribution(
    path: Path, title: str, by_cell: dict[str, np.ndarray], orientation: str, note: str = ""
) -> None:
    """Draw the mean attribution of high genes: mean over cell types, and each cell type.

    by_cell: shape=(bins, marks) for each cell type. note: one more line for the title.
    """
    cells = list(lineage(sorted(by_cell)).index)
    mean = np.mean([by_cell[cell] for cell in cells], axis=0)
    columns = 1 if len(cells) == 1 else 4
    rows = 0 if len(cells) == 1 else -(-len(cells) // columns)
    heights = {"height_ratios": [2.2, *[1] * rows]}
    with figure(
        path,
        11,
        3.6 + 1.35 * rows,
        nrows=1 + rows,
        ncols=columns,
        gridspec_kw=heights,
        squeeze=False,
    ) as (fig, axes):
        grid = axes[0, 0].get_gridspec()
        for ax in axes[0]:
            ax.remove()
        top = fig.add_subplot(grid[0, :])
        limit = _limit(mean)
        image = strip(top, mean, limit)
        top.set(xlabel=x_label(orientation), title="mean over cell types" if rows else cells[0])
        fig.colorbar(image, ax=top, label="log-odds a bin\nred: towards high", extend="both")
        names = lineage(cells)
        for i, ax in enumerate(axes[1:].ravel()):
            if i >= len(cells):
                ax.remove()
                continue
            cell = cells[i]
            strip(ax, by_cell[cell], _limit(by_cell[cell]))
            ax.set_title(f"{cell} {str(names['name'][cell])[:20]}", fontsize=9)
            ax.set_yticks(range(len(MARKS)), MARKS if i % columns == 0 else [], fontsize=8)
            ax.set_xticks([-4, 0, 4])
            ax.tick_params(axis="x", labelsize=8)
        each = "; small: each cell type, in its own range of colours" if rows else ""
        fig.suptitle(
            f"What makes high genes high: attribution, {title}\n"
            f"(the lack of a repressive mark counts towards high, too{each}){note}"
        )


def occlusion(
    path: Path,
    title: str,
    regions: np.ndarray,
    lost: pd.DataFrame,
    orientation: str,
) -> None:
    """Draw what replacing parts of genes by those of other genes does.

    regions: effect of each region's signal, shape=(regions, marks). lost: mark, cell, auroc_lost.
    """
    sides = {"width_ratios": [2.4, 1]}
    with figure(path, 11, 3.8, ncols=2, gridspec_kw=sides) as (fig, (left, right)):
        image = strip(left, regions, float(np.abs(regions).max()) or 1.0)
        left.set(xlabel=x_label(orientation), title="one kilobase of a mark replaced")
        fig.colorbar(image, ax=left, label="log-odds per SD of\nthe signal; red: up")
        colors = lineage(sorted(lost["cell"].unique()))["color"]
        for row, mark in enumerate(MARKS):
            mine = lost[lost["mark"] == mark]
            shift = np.linspace(-0.2, 0.2, len(mine)) if len(mine) > 1 else np.zeros(1)
            right.scatter(mine["auroc_lost"], row + shift, c=colors[mine["cell"]], s=16, alpha=0.7)
            right.plot(mine["auroc_lost"].mean(), row, "|", color="black", ms=16, mew=2)
        right.axvline(0, color="black", lw=1, ls=":")
        right.set(ylim=(len(MARKS) - 0.5, -0.5), xlabel="AUROC lost", title="a whole mark replaced")
        right.set_yticks(range(len(MARKS)), [])
        right.grid(axis="x", color="#dddddd")
        right.set_axisbelow(True)
        fig.suptitle(
            f"Occlusion: {title}\n(replaced by the same part of other genes; "
            "dots: cell types, coloured by lineage)"
        )


def maximisation(
    path: Path,
    title: str,
    maps: dict[str, dict[str, np.ndarray]],
    found: pd.DataFrame,
    orientation: str,
) -> None:
    """Draw the optimised signals of both classes beside the class means of training genes.

    maps: mean log signals, shape=(bins, marks), by method ("unconstrained", "generator", "genes")
    and class ("high", "low"); "generator" may be absent. found: method, class, log_odds, reads,
    likeness and active_<mark>, one row for each of these.
    """
    names = {
        "unconstrained": "optimised freely (2016)",
        "generator": "among the generator's signals",
        "genes": "mean of training genes",
    }
    shown = [name for name in names if name in maps]
    counts = found.set_index(["method", "class"])
    sides = {"width_ratios": [1, 1, 0.55]}
    with figure(
        path,
        12,
        1.5 + 2.1 * len(shown),
        nrows=len(shown),
        ncols=3,
        gridspec_kw=sides,
        squeeze=False,
    ) as (fig, axes):
        for row, method in enumerate(shown):
            limit = _limit(*maps[method].values())
            for ax, label in zip(axes[row, :2], ("high", "low"), strict=True):
                image = strip(ax, maps[method][label], limit, "viridis")
                one = counts.loc[(method, label)]
                said = f"log-odds {one['log_odds']:+.1f}"
                if method != "genes":
                    said += f", {one['reads']:.0%} of the reads, r = {one['likeness']:.2f}"
                ax.set_title(f"{label}: {names[method]}\n{said}", fontsize=10)
                if label == "low":
                    ax.set_yticks([])
            fig.colorbar(image, ax=axes[row, 1], label="log(1 + reads)", extend="max")
            right = axes[row, 2]
            for shift, label, color in ((-0.2, "high", ORANGE), (0.2, "low", BLUE)):
                active = counts.loc[(method, label), [f"active_{mark}" for mark in MARKS]]
                right.barh(np.arange(len(MARKS)) + shift, active, 0.36, color=color, label=label)
            right.set(ylim=(len(MARKS) - 0.5, -0.5), yticks=[])
            right.spines["left"].set_visible(False)
            if row == 0:
                right.set_title("active bins of each mark", fontsize=10)
                right.legend(loc="lower right", fontsize=9)
        for ax in axes[-1, :2]:
            ax.set_xlabel(x_label(orientation), fontsize=10)
        axes[-1, 2].set_xlabel("bins above 25% of\nthe map's maximum", fontsize=10)
        fig.suptitle(
            f"What the model takes for the most high and the most low: {title}\n"
            "(reads and r: against the mean of the class's genes; each row in its own colours)"
        )


def attention(
    path: Path,
    title: str,
    bins: dict[str, np.ndarray],
    marks: dict[str, np.ndarray],
    orientation: str,
) -> None:
    """Draw where `attentive` looks in high and in low genes, as a multiple of looking everywhere.

    bins: by class, shape=(bins, marks), each mark's sums to 1. marks: by class, shape=(marks,).
    """
    scaled = {label: values * len(values) for label, values in bins.items()}
    limit = _limit(*scaled.values())
    sides = {"width_ratios": [1, 1, 0.6]}
    with figure(path, 12, 3.6, ncols=3, gridspec_kw=sides) as (fig, axes):
        for ax, (label, values) in zip(axes, scaled.items(), strict=False):
            image = strip(ax, values, limit, "viridis")
            ax.set(title=f"bins, {label} genes", xlabel=x_label(orientation))
        axes[1].set_yticks([])
        fig.colorbar(image, ax=axes[:2], label="attention, times\nthe mean", extend="max")
        for shift, (label, values), color in zip(
            (-0.2, 0.2), marks.items(), (ORANGE, BLUE), strict=True
        ):
            axes[2].barh(np.arange(len(MARKS)) + shift, values, 0.36, color=color, label=label)
        axes[2].axvline(1 / len(MARKS), color="black", lw=1, ls=":")
        axes[2].set(title="marks", xlabel="share (dotted: even)", yticks=[])
        axes[2].set_ylim(len(MARKS) - 0.5, -0.5)
        axes[2].legend()
        fig.suptitle(f"Where the model looks: attention, {title} (mean over cell types)")


def code(
    path: Path,
    title: str,
    marks: pd.DataFrame,
    profile: np.ndarray,
    generated: np.ndarray | None,
    orientation: str,
    note: str = "",
) -> None:
    """Draw the code of histones: sign and place of each mark's effect, and how methods agree.

    marks: as `histone_code.marks_table` returns it. profile: mean attribution effect,
    shape=(bins, marks). generated: the generator's optimised high minus low, likewise.
    """
    looks = {
        "attribution": ("attribution", "o", ORANGE),
        "occlusion": ("occlusion", "s", BLUE),
        "linear": ("linear weights", "D", GREEN),
        "generator": ("generator, high - low", "^", PURPLE),
        "genes": ("genes, high - low", "x", GREY),
    }
    n = len(MARKS)
    strips = 1 if generated is None else 2
    sides = {"width_ratios": [1] * strips + [1.15], "wspace": 0.04}
    with figure(path, 7 + 3 * strips, 4.4, ncols=strips + 1, gridspec_kw=sides) as (fig, axes):
        panels = {"attribution": "where more of it moves\nthe prediction (attribution)"}
        if generated is not None:
            panels["generator"] = "where the generator's most high\nhas more than its most low"
        values_of = {"attribution": profile, "generator": generated}
        for ax, (name, label) in zip(axes, panels.items(), strict=False):
            values = values_of[name]
            assert values is not None
            strongest = np.abs(values).max(0)  # of each mark: how strong it is stands on the right
            strip(ax, values / np.where(strongest > 0, strongest, 1), 1)
            ax.set_xlabel(x_label(orientation), fontsize=9)
            ax.set_title(label)
            if ax is not axes[0]:
                ax.set_yticks([])
        axes[0].set_yticks(range(n), [""] * n)
        words = {"up": ("▲", UP), "down": ("▼", DOWN), "unclear": ("?", GREY)}
        for row, one in marks.iterrows():
            arrow, color = words[one["sign"]]
            beside = {"transform": axes[0].get_yaxis_transform(), "va": "center", "ha": "right"}
            axes[0].text(-0.02, row, arrow, color=color, fontsize=15, **beside)
            axes[0].text(-0.12, row - 0.13, one["mark"], fontweight="bold", **beside)
            axes[0].text(-0.12, row + 0.22, one["place"], fontsize=8, color=OTHER, **beside)
        right = axes[-1]
        for step, (name, (label, marker, color)) in enumerate(looks.items()):
            values = marks[name].to_numpy(float)
            if np.isnan(values).all():
                continue
            scaled = values / np.abs(values).max() if np.abs(values).max() else values
            at = np.arange(n) + (step - 2) * 0.15
            right.hlines(at, 0, scaled, color=color, lw=1.5, alpha=0.6)
            right.plot(scaled, at, marker, color=color, ms=6, label=label)
        for row, one in marks.iterrows():
            right.text(
                1.02,
                row,
                f"{one['agree']} of {one['methods']}",
                transform=right.get_yaxis_transform(),
                va="center",
                fontsize=10,
            )
        right.text(
            1.02, -0.62, "agree", transform=right.get_yaxis_transform(), va="center", fontsize=10
        )
        right.axvline(0, color="black", lw=1)
        right.set(xlim=(-1.08, 1.08), ylim=(n - 0.5, -0.5), yticks=[], xticks=[-1, 0, 1])
        right.set_xticklabels(["lower", "0", "higher"])
        right.set_title("effect of more of the mark,\nby method")
        right.set_xlabel("as a share of the method's strongest", fontsize=9)
        right.spines["left"].set_visible(False)
        fig.legend(loc="outside lower right", ncols=5, fontsize=9)
        fig.suptitle(
            f"The code of histones: {title}{note}\n"
            "(red: up, blue: down, each mark in its own range; agree: methods with the same sign)"
        )


def gene(
    path: Path,
    title: str,
    signal: np.ndarray,
    typical: np.ndarray,
    attributed: np.ndarray,
    orientation: str,
    values: str,
) -> None:
    """Draw one gene: its signal, where and how much each mark moved its prediction.

    signal, typical (mean of the genes it is compared with): counts, shape=(bins, marks).
    attributed: log-odds, likewise. values: "counts" or "signal".
    """
    n = len(MARKS)
    limit = _limit(attributed)
    total = attributed.sum(0)
    sides = {"width_ratios": [4, 1], "height_ratios": [3, 0.8] * n, "hspace": 0.02}
    with figure(path, 10, 8, nrows=2 * n, ncols=2, gridspec_kw=sides) as (fig, axes):
        grid = axes[0, 0].get_gridspec()
        for ax in axes[:, 1]:
            ax.remove()
        right = fig.add_subplot(grid[:, 1])
        fig.set_layout_engine(ConstrainedLayoutEngine(h_pad=0.01, hspace=0))
        for i, mark in enumerate(MARKS):
            ax, below = axes[2 * i, 0], axes[2 * i + 1, 0]
            ax.fill_between(CENTRES, signal[:, i], step="mid", color="#777777", lw=0)
            ax.plot(CENTRES, typical[:, i], color=ORANGE, lw=1.2)
            ax.set(xlim=(-EDGE, EDGE), ylim=(0, None), xticks=[])
            ax.set_ylabel(mark, rotation=0, ha="right", va="center")
            ax.locator_params(axis="y", nbins=2, integer=values == "counts")
            ax.axvline(0, color="black", lw=0.8, ls=":")
            image = strip(below, attributed[:, [i]], limit)
            if i < n - 1:
                below.set_xticks([])
        below.set_xlabel(x_label(orientation))
        left = list(axes[:, 0])
        fig.colorbar(
            image, ax=left, location="bottom", label="log-odds a bin", extend="both", aspect=40
        )
        rows = np.arange(n)
        right.barh(rows, total, 0.5, color=[UP if one > 0 else DOWN for one in total])
        right.axvline(0, color="black", lw=1)
        right.set_yticks(rows, [f"{one:+.2f}" for one in total])
        right.yaxis.tick_right()
        right.tick_params(axis="y", length=0)
        right.set(ylim=(n - 0.5, -0.5), xlabel="log-odds", title="whole mark")
        right.spines["left"].set_visible(False)
        unit = "reads" if values == "counts" else "signal"
        fig.suptitle(
            f"{title}\ngrey: {unit} a bin; orange: mean of the training genes compared with; "
            "strips: attribution, red up, blue down",
            fontsize=11,
        )
