"""The house style: a figure's frame, its colours, and how cell types are named and coloured."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

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
    "text.parse_math": False,  # a name may hold a dollar sign
}

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#999999"
PURPLE = "#CC79A7"
"""Told apart by colour-blind readers (Okabe and Ito)."""

SOURCE = "DeepChrome"
"""Stands in every figure's file."""

DARK_GREY = "#666666"
UP, DOWN = "#B2182B", "#2166AC"
"""The ends of the diverging colour map RdBu_r, which colour-blind readers can tell apart."""


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
            fig.savefig(path, metadata={"Software": None, "Source": SOURCE})
        finally:
            plt.close(fig)


def plain_logarithmic(axis: Axis) -> None:
    """Write the ticks of a logarithmic axis as numbers, not as formulas."""
    axis.set_major_formatter(LogFormatter())
    axis.set_minor_formatter(LogFormatter(labelOnlyBase=False))


def tick_names(order: pd.DataFrame) -> list[str]:
    """Write id and name of cell types beside an axis. order: as `reference.lineage` returns it."""
    return [f"{cell}  {str(name)[:30]}".rstrip() for cell, name in order["name"].items()]


def color_ticks(ax: Axes, colors: pd.Series) -> None:
    """Colour the tick labels of both axes by lineage."""
    for labels in (ax.get_xticklabels(), ax.get_yticklabels()):
        for label, color in zip(labels, colors, strict=True):
            label.set_color(color)
            label.set_fontweight("bold")


def lineage_legend(fig: Figure, order: pd.DataFrame) -> None:
    """Put a legend of lineages' colours below a matrix."""
    for group, rows in order.groupby("group", sort=False):
        fig.axes[0].plot([], [], "s", color=rows["color"].iloc[0], label=group or "no lineage")
    fig.legend(loc="outside lower center", ncols=4, fontsize=9)
