"""The tables behind the figures of what the models look for."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd

from deepchrome import MARKS, N_BINS
from deepchrome.interpretation.explanation import Explanation
from deepchrome.interpretation.maximisation import REGIONS


def attribution_table(explanations: Sequence[Explanation]) -> pd.DataFrame:
    """Return one row a cell type, bin (from 1) and mark.

    high, low: mean attribution of the class's genes. effect: mean over models. genes: how many.
    """
    tables = []
    for one in explanations:
        parts = {
            "high": one.attribution[one.y == 1].mean(0),
            "low": one.attribution[one.y == 0].mean(0),
            "effect": one.profile.mean(0),
        }
        tables.append(
            pd.DataFrame(
                {
                    "cell": one.cell,
                    "mark": np.tile(MARKS, N_BINS),
                    "bin": np.repeat(np.arange(1, N_BINS + 1), len(MARKS)),
                    **{name: values.ravel() for name, values in parts.items()},
                    "genes": len(one.y),
                }
            )
        )
    return pd.concat(tables)


def cells_table(explanations: Sequence[Explanation]) -> pd.DataFrame:
    """Return one row a cell type and mark: its effect by each method, mean over models."""
    rows = [
        {
            "cell": one.cell,
            "mark": mark,
            "attribution": one.total[:, i].mean(),
            "occlusion": one.occlusion[:, i].mean(),
            "auroc_lost": one.auroc_lost[:, i].mean(),
            "linear": one.linear[:, i].mean(),
        }
        for one, (i, mark) in product(explanations, enumerate(MARKS))
    ]
    return pd.DataFrame(rows)


def regions_table(explanations: Sequence[Explanation]) -> pd.DataFrame:
    """Return one row a cell type, region (from 1) and mark: the effect by occlusion."""
    rows = [
        {"cell": one.cell, "mark": mark, "region": region + 1, "effect": one.regions[region, i]}
        for one, region, (i, mark) in product(explanations, range(REGIONS), enumerate(MARKS))
    ]
    return pd.DataFrame(rows)
