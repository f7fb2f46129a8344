"""What is written on a figure, taken where it is saved."""

from dataclasses import dataclass

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Panel:
    """The words of one pair of axes."""

    title: str
    x: str
    y: str
    x_ticks: list[str]
    y_ticks: list[str]
    legend: list[str]

    @classmethod
    def of(cls, ax: Axes) -> "Panel":
        legend = ax.get_legend()
        return cls(
            "".join(ax.get_title(side) for side in ("left", "center", "right")),
            ax.get_xlabel(),
            ax.get_ylabel(),
            [one.get_text() for one in ax.get_xticklabels()],
            [one.get_text() for one in ax.get_yticklabels()],
            [one.get_text() for one in legend.get_texts()] if legend else [],
        )


@dataclass(frozen=True)
class Drawing:
    """The words of a figure, panel by panel; `texts`: those that stand in the panels."""

    heading: str
    panels: list[Panel]
    texts: list[str]
    legend: list[str]


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Return a function that draws without saving: `drawn(draw, ...)`, less the path."""
    found: list[Drawing] = []

    def read(fig: Figure, path: object, **options: object) -> None:
        fig.draw_without_rendering()
        found.append(
            Drawing(
                fig.get_suptitle(),
                [Panel.of(ax) for ax in fig.axes],
                [one.get_text() for ax in fig.axes for one in ax.texts],
                [one.get_text() for legend in fig.legends for one in legend.get_texts()],
            )
        )

    monkeypatch.setattr(Figure, "savefig", read)

    def draw(function, *arguments: object) -> Drawing:
        function(tmp_path / "figure.png", *arguments)
        return found.pop()

    return draw
