"""Figures of models beside each other."""

from pathlib import Path

import numpy as np
import pandas as pd

from deepchrome.figures.style import BLUE, GREY, ORANGE, figure
from deepchrome.figures.text import Text, interval, number

FAR = 0.05
"""A difference in AUROC that would hide all others if it were drawn to scale."""


def scores(path: Path, title: str, models: pd.DataFrame, cells: pd.DataFrame) -> None:
    """Draw each model's mean AUROC with its 95% interval, and its cell types as circles.

    A model that is far below the best is an arrow at the edge. models: model, parameters, auroc,
    low and high, the best first. cells: model, cell, auroc.
    """
    near = models["auroc"] > models["auroc"].iloc[0] - FAR
    by_cell = cells.groupby(["model", "cell"])["auroc"].mean()
    left = min(models.loc[near, "low"].min(), by_cell[models.loc[near, "model"]].min()) - 0.005
    with figure(path, 9, 1.8 + 0.42 * len(models)) as (_, ax):
        for row, (one, shown) in enumerate(zip(models.itertuples(), near, strict=True)):
            if shown:
                dots = by_cell[one.model]
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


def scores_text(models: pd.DataFrame) -> Text:
    """Return the words of `scores`. models: as for it."""
    said = "; ".join(
        f"{row.model} {number(row.auroc)} ({interval(row.low, row.high)})"
        for row in models.itertuples()
    )
    return Text(
        "Mean test AUROC with its 95% interval, a row for each model, and a circle for each cell "
        f"type. {said}.",
        "Mean AUROC over cell types. Bars: 95% intervals over genes and cell types; circles: cell "
        "types.",
    )


def differences(path: Path, title: str, pairs: pd.DataFrame, margin: float) -> None:
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


def differences_text(pairs: pd.DataFrame) -> Text:
    """Return the words of `differences`. pairs: as for it."""
    said = "; ".join(
        f"{row.first} minus {row.second} {number(row.difference)} "
        f"({interval(row.low, row.high)}), {row.verdict}"
        for row in pairs.itertuples()
    )
    return Text(
        f"Differences with 95% intervals beside the margin, a row for each pair. {said}.",
        "Paired differences. Bars: 95% intervals over cell types and genes; grey: within the "
        "margin.",
    )
