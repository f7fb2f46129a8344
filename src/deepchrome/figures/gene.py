"""The figure of one gene: its signal and what moved its prediction."""

from pathlib import Path

import numpy as np
from matplotlib.layout_engine import ConstrainedLayoutEngine

from deepchrome import MARKS
from deepchrome.figures.style import DOWN, ORANGE, UP, figure
from deepchrome.figures.window import EDGE, color_limit, strip, x_label
from deepchrome.interpretation.histone_code import CENTRES


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
    limit = color_limit(attributed)
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
