"""The code of histones in one table: for each mark the sign and place of its effect, by method."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from deepchrome import BIN_WIDTH, MARKS, N_BINS
from deepchrome.errors import joined

CENTRES = (np.arange(N_BINS) + 0.5 - N_BINS / 2) * BIN_WIDTH / 1000
"""Middle of each bin, kb from the TSS."""

FAINT = 0.05
"""Of the strongest mark's effect: below it a mark has no sign."""

SPREAD = 0.6
"""Of the stretch that half of an even effect fills; one that fills more is all along the window."""

SURE = 0.8
"""Share of models that must agree on a mark's sign for it to have one."""

METHODS = ("attribution", "occlusion", "linear", "generator")

CLASSES = {"high": 1, "low": 0}
"""Label of each class."""


@dataclass(frozen=True)
class Effects:
    """What each method says of each mark, one row a model or a cell type.

    `profile`: attribution, log-odds per SD of the signal in a bin, shape=(models, bins, marks).
    `attribution`, `occlusion`: log-odds per SD of a mark's mean signal, shape=(models, marks).
    `auroc_lost`: by swapping the mark with other genes', shape=(models, marks).
    `linear`: weights per SD, shape=(models or cell types, marks). `generator`: high minus low of
    its optimised signals, in SDs of a mark's mean signal, shape=(cell types, marks), or None.
    `genes`: the same of training genes, shape=(cell types, marks).
    """

    profile: np.ndarray
    attribution: np.ndarray
    occlusion: np.ndarray
    auroc_lost: np.ndarray
    linear: np.ndarray
    generator: np.ndarray | None
    genes: np.ndarray


def marks_table(effects: Effects, oriented: bool) -> pd.DataFrame:
    """Return one row a mark: sign, where, the effect by each method, and whether they agree.

    sign: of the mean attribution effect over models, "up" or "down"; "unclear" where fewer than
    80% of the models have it or where it is below 5% of the strongest mark's. same_sign: that
    share of models. agree: of the methods, how many have the sign of the attribution.
    from_kb, to_kb, place: the shortest stretch that holds half of the effect. oriented: whether
    bins run in the direction of transcription; if not, both sides of the TSS count as one and the
    stretch is of distances from it.
    """
    mean = effects.attribution.mean(0)
    columns = {
        "attribution": mean,
        "occlusion": effects.occlusion.mean(0),
        "linear": effects.linear.mean(0),
        "generator": np.full(len(MARKS), np.nan)
        if effects.generator is None
        else effects.generator.mean(0),
        "genes": effects.genes.mean(0),
    }
    rows = []
    for i, mark in enumerate(MARKS):
        same = float((np.sign(effects.attribution[:, i]) == np.sign(mean[i])).mean())
        clear = same >= SURE and abs(mean[i]) >= FAINT * np.abs(mean).max() > 0
        known = [columns[name][i] for name in METHODS if not np.isnan(columns[name][i])]
        start, end = where(effects.profile[:, :, i].mean(0), np.sign(mean[i]), oriented)
        rows.append(
            {
                "mark": mark,
                "sign": ("up" if mean[i] > 0 else "down") if clear else "unclear",
                "same_sign": same,
                "from_kb": start,
                "to_kb": end,
                "place": place(start, end, oriented),
                **{name: values[i] for name, values in columns.items()},
                "auroc_lost": effects.auroc_lost[:, i].mean(),
                "methods": len(known),
                "agree": sum(np.sign(value) == np.sign(mean[i]) for value in known),
            }
        )
    return pd.DataFrame(rows)


def where(profile: np.ndarray, sign: float, oriented: bool) -> tuple[float, float]:
    """Return the shortest stretch that holds half of an effect, in kb from the TSS.

    profile: shape=(bins,); only its values of the given sign count. oriented: as in `marks_table`.
    NaN where there is no effect.
    """
    weight = np.clip(profile * sign, 0, None)
    first, half = CENTRES[0] - BIN_WIDTH / 2000, N_BINS // 2
    if not oriented:
        weight, first = weight[half:] + weight[:half][::-1], 0.0
    if not weight.sum() > 0:
        return np.nan, np.nan
    total = np.concatenate([[0], np.cumsum(weight)]) / weight.sum()
    ends = np.searchsorted(total, total[:-1] + 0.5 - 1e-9)  # the first edge by which half is passed
    lengths = np.where(ends <= len(weight), ends - np.arange(len(weight)), len(weight) + 1)
    start = int(lengths.argmin())
    edges = first + np.array([start, ends[start]]) * BIN_WIDTH / 1000
    return round(float(edges[0]), 3), round(float(edges[1]), 3)


def place(start: float, end: float, oriented: bool) -> str:
    """Say in words where half of an effect lies. start, end: as `where` returns them."""
    if np.isnan(start):
        return "nowhere"
    even = N_BINS * BIN_WIDTH / 1000 / (2 if oriented else 4)
    if end - start > SPREAD * even:
        return "all along"
    if oriented:
        return f"{start:+.1f} to {end:+.1f} kb"
    return f"within {end:.1f} kb" if start < 0.15 else f"{start:.1f} to {end:.1f} kb either side"


def sentence(marks: pd.DataFrame, positions: bool) -> str:
    """Say which marks move the prediction up and down, for a verdict.

    positions: whether the model knows where a signal lies.
    """

    def those(sign: str) -> str:
        mine = marks[marks["sign"] == sign]
        mine = mine.reindex(mine["attribution"].abs().sort_values(ascending=False).index)
        return joined(
            [
                f"{one['mark']} ({one['place']})" if positions else one["mark"]
                for _, one in mine.iterrows()
            ]
        )

    up, down = those("up"), those("down")
    parts = []
    if up:
        parts.append(f"more {up} makes it call a gene high")
    if down:
        parts.append(f"more {down} {'low' if up else 'makes it call a gene low'}")
    said = ", ".join(parts) or "no mark has a direction of its own"
    unclear = marks[marks["sign"] == "unclear"]
    if len(unclear) and parts:
        names = joined(list(unclear["mark"]))
        said += f"; {names} {'has' if len(unclear) == 1 else 'have'} no clear direction"
    lost = unclear[unclear["auroc_lost"] > 0.02]
    if len(lost):
        names = joined([f"{one.mark} ({one.auroc_lost:.2f})" for one in lost.itertuples()])
        said += f", yet swapping it costs AUROC, so it tells in combination: {names}"
    return said


def correlations(profiles: np.ndarray, cells: Sequence[str], seeds: Sequence[int]) -> pd.DataFrame:
    """Correlate the effect profiles of any two models of the same cell type or the same seed.

    profiles: shape=(cell types, seeds, bins, marks). Returns between ("seeds" or "cell types"),
    cell_a, seed_a, cell_b, seed_b, correlation; NaN for a profile without any effect.
    """
    flat = profiles.reshape(len(cells) * len(seeds), -1)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.atleast_2d(np.corrcoef(flat))
    models = [(cell, seed) for cell in cells for seed in seeds]
    rows = [
        ("seeds" if a[0] == b[0] else "cell types", *a, *b, r[i, j])
        for i, a in enumerate(models)
        for j, b in enumerate(models)
        if i < j and (a[0] == b[0] or a[1] == b[1])
    ]
    columns = ["between", "cell_a", "seed_a", "cell_b", "seed_b", "correlation"]
    return pd.DataFrame(rows, columns=columns)
