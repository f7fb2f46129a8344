"""What is to be seen on pictures: how much ink each panel holds, taken where a figure is saved."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

LITTLE = 0.001
"""The share of a panel that its least ink covers: a thin line across it."""


def ink(pixels: np.ndarray) -> float:
    """Return the share of pixels of other colours than the most frequent one."""
    colours = pixels.reshape(-1, 3).astype(np.int64) @ [1 << 16, 1 << 8, 1]
    return 1 - np.unique(colours, return_counts=True)[1].max() / len(colours)


@dataclass
class Pictures:
    """The pictures saved in a test: the ink within each panel's axes, by the name of the file."""

    panels: dict[str, list[float]] = field(default_factory=dict)

    def note(self, fig: Figure, name: str) -> None:
        """Measure a figure that is about to be saved."""
        canvas = FigureCanvasAgg(fig)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]
        found = []
        for ax in fig.axes:
            if ax.get_visible() and ax.axison:
                x0, y0, x1, y1 = ax.get_window_extent().extents.astype(int)
                rows = slice(len(pixels) - y1 + 2, len(pixels) - y0 - 2)  # less the spines
                found.append(ink(pixels[rows, x0 + 2 : x1 - 2]))
        self.panels[name] = found

    def check(self, path: Path) -> None:
        """Check that a file is a whole picture, none of whose panels is empty."""
        with Image.open(path) as image:
            image.load()
            assert min(image.size) > 100, path.name
            assert ink(np.asarray(image.convert("RGB"))) > LITTLE, path.name
        (panels, *_) = [ink for name, ink in self.panels.items() if name.endswith(path.name)]
        assert panels, f"{path.name}: no panel"
        assert min(panels) > LITTLE, f"{path.name}: an empty panel: {panels}"
