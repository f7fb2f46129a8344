"""What is gained by training on several cell types: differences of AUROCs on the same test genes.

Against a cell type's own model for every training set; against one other cell type for the curve
over their number, in which more data and more diverse data are told apart.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from deepchrome.data.dataset import CellType
from deepchrome.evaluation.estimate import Estimate
from deepchrome.evaluation.metrics import GeneBootstrap, auroc
from deepchrome.evaluation.statistics import over_cells_and_genes
from deepchrome.evaluation.training_sets import ALL, AS_ONE, SETS, Design, TrainingSet

EFFECTS = {"more_diverse": "more diverse data", "more_data": "more data"}
"""What `effects` tells apart, in words."""


@dataclass(frozen=True)
class DesignScores:
    """AUROCs on the test genes of a design's models, means over seeds.

    by_cell: test_cell, training_set, auroc, and the difference to own with its 95% interval over
    genes (low, high). points: of the curve, test_cell, repeat, n_cells, examples, auroc. resampled:
    the AUROC of every training set, and of every kind of point on the mean over repeats, in each
    resample of the genes: by training set or (n_cells, examples), a column a cell type.
    """

    by_cell: pd.DataFrame
    points: pd.DataFrame
    resampled: dict[str | tuple[int, str], pd.DataFrame]


def score(
    design: Design,
    test_genes: np.ndarray,
    tested: Iterable[tuple[CellType, dict[str, np.ndarray]]],
) -> DesignScores:
    """Compute the AUROCs of a design's models.

    test_genes: ids of the test genes of all cell types. tested: of each test cell type the test
    genes, and the scores of its models (`Design.models_of`) by name, shape=(seeds, genes).
    """
    bootstrap = GeneBootstrap(test_genes)
    rows, points = [], []
    resampled: dict[str | tuple[int, str], dict[str, np.ndarray]] = {}
    for test, scores in tested:
        cell = test.cell
        value, by_gene = {}, {}
        for name, by_seed in scores.items():
            value[name] = float(np.mean([auroc(test.y, one) for one in by_seed]))
            again = [bootstrap.auroc(test.gene_id, test.y, one) for one in by_seed]
            by_gene[name] = np.mean(again, axis=0)
        for training_set, name in design.models_of_sets(cell).items():
            resampled.setdefault(training_set, {})[cell] = by_gene[name]
            interval = GeneBootstrap.interval(by_gene[name] - by_gene[cell])
            rows.append(
                {
                    "test_cell": cell,
                    "training_set": training_set,
                    "auroc": value[name],
                    "difference": value[name] - value[cell],
                    "low": interval.low,
                    "high": interval.high,
                }
            )
        at: dict[tuple[int, str], list[np.ndarray]] = {}
        for draw, examples, name in design.models_of_curve(cell):
            points.append(
                {
                    "test_cell": cell,
                    "repeat": draw.repeat,
                    "n_cells": len(draw.cells),
                    "examples": examples,
                    "auroc": value[name],
                }
            )
            at.setdefault((len(draw.cells), examples), []).append(by_gene[name])
        for point, repeats in at.items():
            resampled.setdefault(point, {})[cell] = np.mean(repeats, axis=0)
    return DesignScores(
        pd.DataFrame(rows),
        pd.DataFrame(points),
        {name: pd.DataFrame(columns) for name, columns in resampled.items()},
    )


def mean_difference(difference: pd.Series, resampled: pd.DataFrame) -> Estimate:
    """Estimate a mean over cell types, over cell types and genes; for one, over genes alone.

    difference: by cell type. resampled: the same in each resample of the genes, a column a cell
    type.
    """
    drawn = resampled[difference.index].to_numpy()
    if len(difference) == 1:
        interval = GeneBootstrap.interval(drawn[:, 0])
        return Estimate(float(difference.iloc[0]), interval.low, interval.high)
    return over_cells_and_genes(difference.to_numpy(), drawn)


def over_cell_types(scores: DesignScores, sets: Sequence[TrainingSet]) -> pd.DataFrame:
    """Return by training set: n, n_cells, auroc, difference to own and its 95% interval.

    n: tested cell types that have this set; all else is over them. n_cells: how many it is trained
    on, the mean.
    """
    sizes = pd.DataFrame([(one.name, len(one.cells)) for one in sets], columns=["name", "n"])
    own = scores.resampled["own"]
    rows = []
    for name in [name for name in SETS if name in scores.resampled]:
        mine = scores.by_cell[scores.by_cell["training_set"] == name].set_index("test_cell")
        drawn = scores.resampled[name]
        difference = mean_difference(mine["difference"], drawn - own[drawn.columns])
        rows.append(
            {
                "training_set": name,
                "n": len(mine),
                "n_cells": sizes.loc[sizes["name"] == name, "n"].mean(),
                "auroc": mine["auroc"].mean(),
                "difference": difference.value,
                "low": difference.low,
                "high": difference.high,
            }
        )
    return pd.DataFrame(rows)


def gain(
    scores: DesignScores, to: tuple[int, str], start: tuple[int, str] = (1, AS_ONE)
) -> Estimate:
    """Estimate what is gained from one kind of point of the curve to another.

    A kind of point: number of cell types, and `ALL` or `AS_ONE`.
    """
    table = scores.points.pivot_table("auroc", "test_cell", ["n_cells", "examples"])
    return mean_difference(table[to] - table[start], scores.resampled[to] - scores.resampled[start])


def effects(scores: DesignScores) -> dict[str, Estimate]:
    """Tell apart what all other cell types give beyond one of them.

    more_diverse: of as many examples as one cell type has. more_data: of all their examples instead
    of so many. Empty where there is no choice of other cell types.
    """
    if scores.points.empty or (most := int(scores.points["n_cells"].max())) < 2:
        return {}
    return {
        "more_diverse": gain(scores, (most, AS_ONE)),
        "more_data": gain(scores, (most, ALL), (most, AS_ONE)),
    }


def describe(found: dict[str, Estimate]) -> str:
    """Say `effects` in words."""
    return ", ".join(
        f"{EFFECTS[name]} {one.value:+.4f} ({one.low:+.4f} to {one.high:+.4f})"
        for name, one in found.items()
    )


def over_draws(scores: DesignScores) -> pd.DataFrame:
    """Return the curve, means over cell types and repeats: n_cells, examples, auroc, and the gain.

    gain: over one other cell type, with its 95% interval (low, high).
    """
    mean = scores.points.groupby(["n_cells", "examples"])["auroc"].mean()
    rows = []
    for (n_cells, examples), value in mean.items():
        one = gain(scores, (n_cells, examples))
        rows.append(
            {
                "n_cells": n_cells,
                "examples": examples,
                "auroc": value,
                "gain": one.value,
                "low": one.low,
                "high": one.high,
            }
        )
    return pd.DataFrame(rows)


def summary(means: pd.DataFrame, found: dict[str, Estimate]) -> dict[str, Any]:
    """Return the mean AUROC of every training set and the effects; None what there is not.

    means: of `over_cell_types`. found: of `effects`.
    """
    said: dict[str, Any] = dict.fromkeys(SETS)
    said |= means.set_index("training_set")["auroc"].round(6).to_dict()
    for name in EFFECTS:
        one = found.get(name)
        said[name] = one and round(one.value, 6)
        said[f"{name}_ci95"] = one and [round(one.low, 6), round(one.high, 6)]
    return said
