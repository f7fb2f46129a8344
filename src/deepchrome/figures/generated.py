"""Figures of generated signals beside real ones."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from PIL import Image

from deepchrome import MARKS
from deepchrome.data.reference import lineage
from deepchrome.figures.style import BLUE, GREY, ORANGE, STYLE, figure, plain_logarithmic
from deepchrome.figures.text import Text, cited
from deepchrome.figures.window import strip, x_label
from deepchrome.interpretation.histone_code import CENTRES, CLASSES
from deepchrome.interpretation.quality import Set, mark_correlations
from deepchrome.interpretation.signals import log_signals

MILLISECONDS = 100
"""For which a frame of the animation is shown."""

COLORS = {"high": ORANGE, "low": BLUE}


def amount(made: np.ndarray) -> str:
    """Name the unit of log signals: reads, or signal where they are not whole numbers."""
    return "log(1 + reads)" if np.issubdtype(made.dtype, np.integer) else "log(1 + signal)"


def training(path: Path, title: str, curve: pd.DataFrame) -> None:
    """Draw the critic's distance and the gradient norms by step. curve: as in `training.csv`."""
    with figure(path, 10, 3.8, ncols=2) as (fig, (left, right)):
        left.plot(curve["step"], curve["distance"], color="black")
        left.set(xlabel="step", ylabel="distance as the critic sees it", ylim=(0, None))
        for name, color in (("critic", BLUE), ("generator", ORANGE)):
            right.plot(curve["step"], curve[f"{name}_gradient"], color=color, label=name)
        right.set(xlabel="step", ylabel="norm of the gradient", yscale="log")
        plain_logarithmic(right.yaxis)
        right.legend()
        for ax in (left, right):
            ax.grid(color="#eeeeee")
        fig.suptitle(f"Training of the generator: {title}")


def means(path: Path, title: str, made: Set, real: Set, orientation: str) -> None:
    """Draw the mean signal of high and of low: generated, held-out genes, and the difference."""
    profiles = {
        (name, kind): log_signals(one.X[one.y == label]).mean(0)
        for name, label in CLASSES.items()
        for kind, one in (("made", made), ("real", real))
    }
    limit = float(np.quantile(np.abs(list(profiles.values())), 0.995))
    apart = {name: profiles[name, "made"] - profiles[name, "real"] for name in CLASSES}
    with figure(path, 13, 5, nrows=2, ncols=3) as (fig, axes):
        for row, name in zip(axes, CLASSES, strict=True):
            image = strip(row[0], profiles[name, "made"], limit, "viridis")
            strip(row[1], profiles[name, "real"], limit, "viridis")
            difference = strip(row[2], apart[name], limit / 4)
            row[0].set_title(f"{name}: generated")
            row[1].set_title(f"{name}: held-out genes")
            row[2].set_title(f"{name}: generated - held-out")
            for ax in row[1:]:
                ax.set_yticks([])
        for ax in axes[1]:
            ax.set_xlabel(x_label(orientation), fontsize=10)
        fig.colorbar(image, ax=axes[:, :2], label=amount(made.X), extend="max", shrink=0.8)
        fig.colorbar(difference, ax=axes[:, 2], label=f"difference in {amount(made.X)}", shrink=0.8)
        fig.suptitle(f"What high and low genes look like, on average: {title}")


def means_text(numbers: Sequence[tuple[str, str]]) -> Text:
    """Return the words of `means`. numbers: those of the stage, name and value."""
    return Text(
        "Heat maps of bins by marks: mean generated signals of high and of low genes, beside the "
        "means of real held-out genes, and their differences." + cited(numbers, "profile"),
        "Mean signals. Generated genes of either label beside real ones that the generator was "
        "not trained on.",
    )


def profiles(path: Path, title: str, made: Set, real: Set, orientation: str) -> None:
    """Draw each mark around the TSS: mean of high and low, and the middle half of genes."""
    with figure(path, 13, 5.6, nrows=2, ncols=len(MARKS), sharex=True, sharey="col") as (fig, axes):
        for row, (kind, one) in zip(
            axes, {"generated": made, "held-out genes": real}.items(), strict=True
        ):
            for m, (ax, mark) in enumerate(zip(row, MARKS, strict=True)):
                for name, label in CLASSES.items():
                    x = log_signals(one.X[one.y == label][:, :, m])
                    low, high = np.quantile(x, [0.25, 0.75], axis=0)
                    ax.fill_between(CENTRES, low, high, color=COLORS[name], alpha=0.2, lw=0)
                    ax.plot(CENTRES, x.mean(0), color=COLORS[name], lw=2, label=name)
                ax.axvline(0, color="black", lw=0.8, ls=":")
                ax.set(ylim=(0, None), xticks=[-4, 0, 4])
                if row is axes[0]:
                    ax.set_title(mark)
            row[0].set_ylabel(f"{kind}\n{amount(made.X)}")
        axes[0, -1].legend(loc="upper right")
        fig.supxlabel(x_label(orientation), fontsize=11)
        fig.suptitle(f"Marks around the TSS: {title} (lines: means; bands: middle half of genes)")


def profiles_text(numbers: Sequence[tuple[str, str]]) -> Text:
    """Return the words of `profiles`. numbers: as for `means_text`."""
    return Text(
        "Lines with bands around the TSS, a panel for each mark: generated and real genes, high "
        "and low." + cited(numbers, "profile"),
        "Profiles of the marks around the TSS: means by bin, with bands, of generated and of "
        "held-out real genes.",
    )


def genes(
    path: Path, title: str, made: Set, nearest: np.ndarray, names: list[str], orientation: str
) -> None:
    """Draw single generated genes, each beside the nearest training gene of its kind.

    made: the genes, high ones first. nearest: shape as `made.X`. names: each one's cell type.
    """
    n = len(made.y)
    x, close = log_signals(made.X), log_signals(nearest)
    limit = float(np.quantile(np.concatenate([x, close]), 0.995))
    with figure(path, 12, 1.1 + 1.05 * n, nrows=n, ncols=2, squeeze=False) as (fig, axes):
        for i, (left, right) in enumerate(axes):
            label = "high" if made.y[i] == 1 else "low"
            image = strip(left, x[i], limit, "viridis")
            strip(right, close[i], limit, "viridis")
            left.set_yticks(range(len(MARKS)), MARKS, fontsize=7)
            right.set_yticks([])
            right.text(
                1.01, 0.5, f"{label}\n{names[i]}", transform=right.transAxes, va="center",
                color=COLORS[label], fontweight="bold",
            )  # fmt: skip
            if i < n - 1:
                left.set_xticks([])
                right.set_xticks([])
        axes[0, 0].set_title("generated")
        axes[0, 1].set_title("nearest training gene, same label and cell type")
        for ax in axes[-1]:
            ax.set_xlabel(x_label(orientation), fontsize=10)
        fig.colorbar(image, ax=axes, label=amount(made.X), extend="max", shrink=0.5, pad=0.02)
        fig.suptitle(f"Single genes, drawn at random: {title}")


def genes_text(numbers: Sequence[tuple[str, str]]) -> Text:
    """Return the words of `genes`. numbers: as for `means_text`."""
    return Text(
        "Sheet of single generated genes, each beside the real gene nearest to it."
        + cited(numbers, "nearest", "distance", "copy"),
        "Single genes. Each generated gene beside its nearest real one: alike in kind, and not a "
        "copy.",
    )


def correlation(path: Path, title: str, made: np.ndarray, real: np.ndarray) -> None:
    """Draw how marks go together over genes: correlations of log sums, generated and real."""
    n = len(MARKS)
    with figure(path, 11, 4.6, ncols=2) as (fig, axes):
        for ax, name, X in zip(axes, ("generated", "held-out genes"), (made, real), strict=True):
            values = mark_correlations(X)
            image = ax.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1)
            for (i, j), value in np.ndenumerate(values):
                dark = abs(value) > 0.6
                ax.text(
                    j, i, f"{value:.2f}", ha="center", va="center",
                    color="white" if dark else "black", fontsize=10,
                )  # fmt: skip
            ax.set_xticks(range(n), MARKS, rotation=30, ha="right")
            ax.set_yticks(range(n), MARKS if ax is axes[0] else [])
            ax.spines[:].set_visible(False)
            ax.tick_params(length=0)
            ax.set_title(name)
        fig.colorbar(image, ax=axes, label="correlation over genes")
        fig.suptitle(f"Which marks go together: {title} (log of each gene's sum)")


def correlation_text(numbers: Sequence[tuple[str, str]]) -> Text:
    """Return the words of `correlation`. numbers: as for `means_text`."""
    return Text(
        "Two matrices, mark by mark: correlation of marks in generated and in real genes."
        + cited(numbers, "correlation"),
        "Which marks go together, in generated and in real genes.",
    )


def cells(path: Path, title: str, by_cell: dict[str, list[np.ndarray]], orientation: str) -> None:
    """Draw the mean generated signal of high and of low genes in each cell type.

    by_cell: signals of high and of low genes. At most eight cell types, spread over lineages.
    """
    order = lineage(sorted(by_cell))
    chosen = order.index[np.unique(np.linspace(0, len(order) - 1, min(8, len(order))).astype(int))]
    made = {
        cell: [
            log_signals(X).mean(0) if len(X) else np.full((100, 5), np.nan) for X in by_cell[cell]
        ]
        for cell in chosen
    }
    limit = float(np.nanquantile(list(made.values()), 0.995))
    n = len(chosen)
    with figure(path, 11, 1.2 + 1.15 * n, nrows=n, ncols=2, squeeze=False) as (fig, axes):
        for row, cell in zip(axes, chosen, strict=True):
            for ax, values in zip(row, made[cell], strict=True):
                image = strip(ax, values, limit, "viridis")
                ax.set_yticks(range(len(MARKS)), MARKS if ax is row[0] else [], fontsize=7)
                if row is not axes[-1]:
                    ax.set_xticks([])
            row[1].text(
                1.01, 0.5, f"{cell}\n{str(order['name'][cell])[:18]}", va="center", fontsize=9,
                transform=row[1].transAxes, color=order["color"][cell], fontweight="bold",
            )  # fmt: skip
        for ax, name in zip(axes[0], CLASSES, strict=True):
            ax.set_title(f"{name}, generated")
        for ax in axes[-1]:
            ax.set_xlabel(x_label(orientation), fontsize=10)
        unit = amount(by_cell[chosen[0]][0])
        fig.colorbar(image, ax=axes, label=unit, extend="max", shrink=0.6, pad=0.02)
        fig.suptitle(f"Generated signals by cell type, means: {title}")


def cells_text() -> Text:
    """Return the words of `cells`."""
    return Text(
        "Mean generated signals of high and of low genes, cell types side by side.",
        "Mean generated signals by cell type: the generator is told label and cell type.",
    )


def walk(path: Path, title: str, frames: np.ndarray, cell: str, orientation: str) -> None:
    """Draw the way from low to high as a filmstrip: one generated gene a row.

    frames: expected log signals, shape=(frames, genes, bins, marks).
    """
    n, rows = frames.shape[:2]
    limit = float(np.quantile(frames, 0.998))
    with figure(path, 14, 1.5 + 1.15 * rows, nrows=rows, ncols=n) as (fig, axes):
        for j in range(n):
            for i in range(rows):
                ax = axes[i, j]
                image = strip(ax, frames[j, i], limit, "viridis")
                ax.set_yticks(range(len(MARKS)), MARKS if j == 0 else [], fontsize=8)
                ax.set_xticks([-4, 0, 4] if i == rows - 1 else [])
            share = j / (n - 1)
            name = {0: "low", 1: "high"}.get(share, f"{share:.0%}")
            axes[0, j].set_title(name)
        fig.supxlabel(x_label(orientation), fontsize=11)
        fig.colorbar(image, ax=axes, label="log(1 + what is expected)", extend="max")
        fig.suptitle(f"From low to high: four generated genes of {cell}, {title}")


def walk_text() -> Text:
    """Return the words of `walk`."""
    return Text(
        "Filmstrip, from left to right: four generated genes, a row each, whose label is moved "
        "from low to high in steps.",
        "From low to high. Each row keeps its latent vector; only the label moves.",
    )


def animation(path: Path, title: str, frames: np.ndarray, cell: str, orientation: str) -> None:
    """Write the way from low to high and back as an animated GIF. frames: as for `walk`."""
    limit = float(np.quantile(frames, 0.998))
    n = len(frames)
    drawn = []
    with mpl.rc_context(STYLE):
        fig, axes = plt.subplots(2, 2, figsize=(9, 4.6), sharex=True, dpi=80)
        images = []
        for i, ax in enumerate(axes.ravel()):
            images.append(strip(ax, frames[0, i], limit, "viridis"))
            ax.set_yticks(range(len(MARKS)), MARKS if i % 2 == 0 else [], fontsize=9)
        fig.supxlabel(x_label(orientation), fontsize=10)
        fig.colorbar(images[0], ax=axes, label="log(1 + what is expected)", extend="max")
        heading = fig.suptitle("\n")
        fig.canvas.draw()
        fig.set_layout_engine("none")  # laid out once: only the signals change
        for k, frame in enumerate(frames):
            for image, signal in zip(images, frame, strict=True):
                image.set_data(signal.T)
            bar = "■" * round(10 * k / (n - 1))
            heading.set_text(f"Four generated genes of {cell}, {title}\nlow {bar:□<10} high")
            fig.canvas.draw()
            pixels = np.asarray(fig.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]
            drawn.append(Image.fromarray(pixels).quantize(128))
        plt.close(fig)
    first, *rest = [*drawn, *drawn[-2:0:-1]]
    first.save(path, save_all=True, append_images=rest, duration=MILLISECONDS, loop=0)


def animation_text() -> Text:
    """Return the words of `animation`."""
    return Text(
        "Animation of the walk from low to high that the filmstrip shows.",
        "the walk from low to high, moving",
    )


def quality(path: Path, title: str, measured: pd.DataFrame) -> None:
    """Draw the measures of trust: the generator beside real genes and two rivals.

    measured: as in `quality.csv`.
    """
    table = measured.set_index("measure")
    panels = {
        "separability": "separability\n(AUROC of trees; 0.5: as real)",
        "profile_correlation": "class-mean profiles\n(correlation with real)",
        "precision": "precision\n(looks like a real one)",
        "recall": "recall\n(real ones covered)",
        "train_on_generated": "trained on these,\nAUROC on real test genes",
    }
    rows = {
        "value": ("generator", ORANGE),
        "gaussian": ("Gaussian", GREY),
        "independent_bins": ("independent bins", GREY),
        "real": ("real genes", "black"),
    }
    with figure(path, 13, 2.9, ncols=len(panels), sharey=True) as (fig, axes):
        for ax, (measure, label) in zip(axes, panels.items(), strict=True):
            for y, (name, (_, color)) in enumerate(rows.items()):
                value = float(table.loc[measure, name])
                ax.plot([0, value], [y, y], color=color, lw=2, alpha=0.5)
                ax.plot(value, y, "o", color=color, ms=8)
                ax.annotate(
                    f"{value:.2f}", (value, y), (0, 7), textcoords="offset points", ha="center",
                    fontsize=9,
                )  # fmt: skip
            ax.axvline(float(table.loc[measure, "real"]), color="black", lw=0.8, ls=":")
            ax.set(xlim=(0, 1.08), ylim=(len(rows) - 0.5, -0.7))
            ax.set_title(label, fontsize=10)
            ax.grid(axis="x", color="#eeeeee")
        axes[0].set_yticks(range(len(rows)), [name for name, _ in rows.values()])
        fig.suptitle(f"How far to trust generated signals: {title} (dotted: real against real)")


def quality_text(numbers: Sequence[tuple[str, str]]) -> Text:
    """Return the words of `quality`. numbers: as for `means_text`."""
    return Text(
        "How well generated genes can be told from real ones, beside real against real and beside "
        "simpler generators." + cited(numbers, "separability", "train on generated"),
        "How far to trust the generator. All measures are on held-out genes, at equal sample "
        "sizes.",
    )
