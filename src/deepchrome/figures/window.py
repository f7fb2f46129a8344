"""The window around a TSS as a heat map: marks by bins."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from deepchrome import BIN_WIDTH, MARKS, N_BINS

EDGE = N_BINS * BIN_WIDTH / 2000
"""kb from the TSS to either end of the window."""


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


def color_limit(*values: np.ndarray) -> float:
    """Return a colour limit that a few extreme bins do not set."""
    together = np.concatenate([np.abs(one).ravel() for one in values])
    return float(np.quantile(together, 0.995)) or 1.0
