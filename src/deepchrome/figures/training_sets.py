"""Figures of what is gained by training on several cell types."""

from pathlib import Path

import numpy as np
import pandas as pd

from deepchrome.data.reference import lineage
from deepchrome.errors import joined
from deepchrome.figures.style import BLUE, ORANGE, figure
from deepchrome.figures.text import Text, interval, number, spoken


def sets(path: Path, title: str, by_cell: pd.DataFrame, means: pd.DataFrame) -> None:
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
            names.append(f"{spoken(one.training_set)}\n{one.n_cells:.3g} {unit}{of}")
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


def sets_text(means: pd.DataFrame, model: str) -> Text:
    """Return the words of `sets`. means: as for it."""
    listed = "; ".join(
        f"{spoken(row.training_set)} {number(row.difference, sign=True)} "
        f"({interval(row.low, row.high, sign=True)})"
        for row in means[means["training_set"] != "own"].itertuples()
    )
    return Text(
        "Dots with 95% intervals, a row for each training set: AUROC minus that of the cell type's "
        f"own model. {listed}.",
        f"Training sets. {model}, trained on each set and tested on the same test genes as the "
        "cell type's own model.",
    )


def curve(path: Path, title: str, curve: pd.DataFrame, found: str) -> None:
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


def curve_text(curve: pd.DataFrame) -> Text:
    """Return the words of `curve`. curve: as for it."""
    most = curve["n_cells"].max()
    last = curve[curve["n_cells"] == most].set_index("examples")["gain"]
    ends = joined(f"{number(gain, sign=True)} with {what}" for what, gain in last.items())
    return Text(
        "Two lines: AUROC above that of one other cell type, against the number of cell types "
        f"trained on. At {most} cell types: {ends} of their training genes.",
        "More data, or more diverse data? Trained on 1, 2, 4, ... other cell types, with all their "
        "training genes and with as many as one cell type has.",
    )
