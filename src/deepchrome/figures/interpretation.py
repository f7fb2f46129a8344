"""Figures of what the models look for."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from deepchrome import MARKS
from deepchrome.data.reference import lineage
from deepchrome.figures.style import (
    BLUE,
    DARK_GREY,
    DOWN,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    UP,
    figure,
)
from deepchrome.figures.text import Text, cited, rows, spoken
from deepchrome.figures.window import color_limit, strip, x_label


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
        limit = color_limit(mean)
        image = strip(top, mean, limit)
        top.set(xlabel=x_label(orientation), title="mean over cell types" if rows else cells[0])
        fig.colorbar(image, ax=top, label="log-odds a bin\nred: towards high", extend="both")
        names = lineage(cells)
        for i, ax in enumerate(axes[1:].ravel()):
            if i >= len(cells):
                ax.remove()
                continue
            cell = cells[i]
            strip(ax, by_cell[cell], color_limit(by_cell[cell]))
            ax.set_title(f"{cell} {str(names['name'][cell])[:20]}", fontsize=9)
            ax.set_yticks(range(len(MARKS)), MARKS if i % columns == 0 else [], fontsize=8)
            ax.set_xticks([-4, 0, 4])
            ax.tick_params(axis="x", labelsize=8)
        each = "; small: each cell type, in its own range of colours" if rows else ""
        fig.suptitle(
            f"What makes high genes high: attribution, {title}\n"
            f"(the lack of a repressive mark counts towards high, too{each}){note}"
        )


def attribution_text(numbers: Sequence[tuple[str, str]]) -> Text:
    """Return the words of `attribution`. numbers: those of the stage, name and value."""
    return Text(
        "Heat map of marks by position: mean attribution for high genes."
        + cited(numbers, "attribution", "sum", "stability"),
        "Integrated gradients of test genes, averaged: how much each bin of each mark adds to the "
        "score.",
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


def occlusion_text(numbers: Sequence[tuple[str, str]]) -> Text:
    """Return the words of `occlusion`. numbers: as for `attribution_text`."""
    return Text(
        "Change of the score when a mark or a region is taken away." + cited(numbers, "occlusion"),
        "Occlusion by mark and by region: how the score changes without them.",
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
            limit = color_limit(*maps[method].values())
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


def maximisation_text(numbers: Sequence[tuple[str, str]]) -> Text:
    """Return the words of `maximisation`. numbers: as for `attribution_text`."""
    return Text(
        "Inputs optimised for the highest class score, without and with the generator as a "
        "constraint, side by side." + cited(numbers, "maximisation"),
        "Activation maximisation. Left as in DeepChrome 2016: an input optimised for the class "
        "score; right the same within what the generator can make.",
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
    limit = color_limit(*scaled.values())
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


def attention_text(numbers: Sequence[tuple[str, str]]) -> Text:
    """Return the words of `attention`. numbers: as for `attribution_text`."""
    return Text(
        "Attention over bins and over marks, means over test genes." + cited(numbers, "attention"),
        "Attention of the model over bins and marks.",
    )


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
            axes[0].text(-0.12, row + 0.22, one["place"], fontsize=8, color=DARK_GREY, **beside)
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


def code_text(marks: pd.DataFrame | None) -> Text:
    """Return the words of `code`. marks: as for it; None where the table is not there."""
    text = "Summary, a row for each mark: sign, size and place of its effect on the prediction."
    if marks is not None:
        names = [spoken(name) for name in marks.columns]
        told = [
            f"{row[0]}: "
            + ", ".join(
                f"{name} {value}" for name, value in list(zip(names, row, strict=True))[1:4]
            )
            for row in rows(marks.head(10))
        ]
        text += f" {'; '.join(told)}."
    return Text(
        text,
        "The code of histones: for each mark, what it does to the prediction and where, by every "
        "method.",
    )
