"""Figures of training."""

from pathlib import Path

import pandas as pd
from matplotlib.ticker import MaxNLocator

from deepchrome.data.reference import lineage
from deepchrome.figures.style import figure
from deepchrome.figures.text import Text, count, number


def curves(path: Path, title: str, history: pd.DataFrame) -> None:
    """Draw training loss and validation AUROC by epoch: every model and their mean.

    history: cell, seed, epoch, train_loss, valid_auroc. A model that stopped early keeps its last
    values in the mean.
    """
    order = lineage(sorted(history["cell"].unique()))
    panels = {"train_loss": "training loss", "valid_auroc": "AUROC on validation genes"}
    with figure(path, 11, 4.4, ncols=2) as (fig, axes):
        for ax, (column, label) in zip(axes, panels.items(), strict=True):
            wide = history.pivot(index="epoch", columns=["cell", "seed"], values=column)
            for (cell, _), values in wide.items():
                ax.plot(wide.index, values, color=order["color"][cell], lw=1, alpha=0.7)
            ax.plot(wide.index, wide.ffill().mean(axis=1), color="black", lw=2.5, label="mean")
            ax.set(xlabel="epoch", ylabel=label)
            ax.grid(color="#eeeeee")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes[0].legend()
        n = len(order)
        fig.suptitle(f"{title}: {n} cell type{'s' * (n > 1)} (thin lines, coloured by lineage)")


def curves_text(means: pd.DataFrame) -> Text:
    """Return the words of `curves`. means: over models, by epoch: train_loss, valid_auroc."""
    last = means.iloc[-1]
    peak = means.loc[means["valid_auroc"].idxmax()]
    return Text(
        f"Two panels over {count(len(means), 'epoch')}. Left: the mean training loss falls "
        f"from {number(means['train_loss'].iloc[0])} to {number(last['train_loss'])}. Right: "
        f"the mean AUROC on validation genes is highest, {number(peak['valid_auroc'])}, in "
        f"epoch {int(peak['epoch'])}.",
        "Training. The epoch with the best AUROC on validation genes is kept; test genes play no "
        "part.",
    )
