"""The figure of published results beside ours."""

import textwrap
from pathlib import Path

import numpy as np
import pandas as pd

from deepchrome.data.reference import lineage
from deepchrome.figures.style import GREY, figure, tick_names
from deepchrome.figures.text import Text, number


def published_beside_ours(path: Path, title: str, table: pd.DataFrame) -> None:
    """Draw published AUROCs beside ours; grey where they are not comparable.

    table: as `published_results.beside` returns it; of its first source.
    """
    source = table["source"].iloc[0]
    table = table[table["source"] == source]
    cell = "cell" if "cell" in table.columns else "test_cell"
    order = lineage(sorted(table[cell].unique()))
    n = len(order)
    height = max(5.4, 1.8 + 0.24 * n)
    with figure(path, 11, height, ncols=2) as (fig, (left, right)):
        low = min(table["ours"].min(), table["published"].min())
        high = max(table["ours"].max(), table["published"].max())
        pad = 0.05 * (high - low) + 0.005
        left.plot([low - pad, high + pad], [low - pad, high + pad], color="black", lw=1, ls=":")
        size = float(np.clip(400 / np.sqrt(len(table)), 8, 60))
        row_of = {name: row for row, name in enumerate(order.index)}
        for comparable, rows in table.groupby("comparable"):
            color = order["color"][rows[cell]].to_numpy() if comparable else GREY
            style = {"color": color} if comparable else {"facecolors": "none", "edgecolors": GREY}
            left.scatter(rows["published"], rows["ours"], s=size, alpha=0.8, **style)
            right.scatter(rows["difference"], rows[cell].map(row_of), s=size, alpha=0.8, **style)
        left.set(
            xlabel=f"published AUROC: {source}",
            ylabel="our AUROC",
            xlim=(low - pad, high + pad),
            ylim=(low - pad, high + pad),
            aspect="equal",
        )
        left.locator_params(nbins=6)
        left.set_anchor("N")
        if len(table) > n:
            means = table.groupby(cell)["difference"].mean()[order.index]
            right.plot(means, range(n), "|", color="black", ms=10, mew=1.5, label="mean")
            right.legend(loc="lower left", bbox_to_anchor=(0, 1))
        right.axvline(0, color="black", lw=1, ls=":")
        right.set_yticks(range(n), tick_names(order), fontsize=10 if n <= 20 else 8)
        right.set(ylim=(n - 0.5, -0.5), xlabel="ours - published")
        right.grid(axis="x", color="#dddddd")
        right.set_axisbelow(True)
        note = ""
        if not table["comparable"].all():
            reason = table.loc[~table["comparable"], "reason"].iloc[0]
            note = "\n" + "\n".join(textwrap.wrap(f"hollow, grey: not comparable; {reason}", 100))
        fig.suptitle(f"Published beside ours: {title}{note}")


def published_text(table: pd.DataFrame, said: str) -> Text:
    """Return the words of `published_beside_ours`. said: a sentence on all sources."""
    first = table[table["source"] == table["source"].iloc[0]]
    return Text(
        f"Left: published against our AUROC, {len(first):,} pairs, "
        f"{int(first['comparable'].sum()):,} of them comparable. Right: ours minus published "
        f"by cell type, from {number(first['difference'].min(), sign=True)} to "
        f"{number(first['difference'].max(), sign=True)}, mean "
        f"{number(first['difference'].mean(), sign=True)}. {said}",
        "Published results beside ours. Hollow grey: not comparable, because the published scores "
        "are against labels that compare RPKM as text.",
    )
