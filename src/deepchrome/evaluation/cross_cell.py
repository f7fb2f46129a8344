"""The cross-cell matrix: every cell type's model on every cell type's test genes.

A matrix has shape=(cells, cells): rows are the cell types trained on, columns those tested on.
Statistics of a matrix take it as it is and in every resample of the genes, and weigh cell types by
how often they were drawn (docs/cross_cell.md).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm, rankdata, t

from deepchrome.evaluation.estimate import Estimate
from deepchrome.evaluation.metrics import GeneBootstrap, auroc

ABSENT = -1
"""The label of a gene that a cell type lacks."""

RESAMPLES = 400
"""Resamples of the genes."""

CELL_DRAWS = 5
"""Resamples of the cell types for each resample of the genes."""

SHUFFLES = 200
"""How often labels are shuffled."""


@dataclass(frozen=True)
class CrossCellScores:
    """What every model says of the test genes of every cell type.

    cells: names. label: shape=(cells, genes), int8, 0, 1 or ABSENT. log_odds: shape=(seeds, cells,
    cells, genes), float32: by seed, cell type trained on, cell type tested on, gene; NaN where the
    tested cell type lacks the gene. expression: shape=(cells, genes), log(1 + RPKM), NaN where
    unknown.
    """

    cells: list[str]
    label: np.ndarray
    log_odds: np.ndarray
    expression: np.ndarray

    def switching(self, a: int, b: int) -> np.ndarray:
        """Return which genes both cell types have, with different labels, shape=(genes,)."""
        first, second = self.label[a], self.label[b]
        return (first != ABSENT) & (second != ABSENT) & (first != second)

    def no_chromatin(self, cell: int) -> np.ndarray:
        """Return each gene's mean expression in the other cell types, NaN where none knows it."""
        others = np.delete(self.expression, cell, axis=0)
        known = ~np.isnan(others)
        with np.errstate(invalid="ignore"):
            return np.nansum(others, axis=0) / known.sum(axis=0)


@dataclass(frozen=True)
class Matrix:
    """AUROCs of pairs of cell types.

    value: shape=(cells, cells). resampled: shape=(resamples of the genes, cells, cells). NaN where
    a pair has none: one class only, or not asked.
    """

    value: np.ndarray
    resampled: np.ndarray


def matrices(
    scores: CrossCellScores, advance: Callable[[], None] = lambda: None
) -> dict[str, Matrix]:
    """Return AUROCs by pair of cell types, means over seeds, all with the same resampled genes.

    all             every test gene of the tested cell type
    no_chromatin    the same (diagonal only), of the gene's mean expression in the other cell types
    switching       genes whose label differs between the two cell types, in the tested one
    switching_own   those genes, scored by the tested cell type's own model
    switching_no_chromatin  those genes, of their mean expression in the other cell types
    difference      those genes: log-odds in the cell type trained on minus log-odds in the tested
                    one, by one model, against the label in the first
    difference_own  the same, each cell type scored by its own model

    advance: called after every pair.
    """
    n = len(scores.cells)
    genes = np.arange(scores.label.shape[1])
    bootstrap = GeneBootstrap(genes, RESAMPLES)
    found: dict[str, Matrix] = {}

    def add(
        name: str, pair: tuple[int, int], on: np.ndarray, label: np.ndarray, score: np.ndarray
    ) -> None:
        if name not in found:
            found[name] = Matrix(
                np.full((n, n), np.nan), np.full((RESAMPLES, n, n), np.nan, np.float32)
            )
        by_seed = [one[on] for one in np.atleast_2d(score)]
        here = label[on]
        found[name].value[pair] = np.mean([auroc(here, one) for one in by_seed])
        resampled = [bootstrap.auroc(genes[on], here, one) for one in by_seed]
        found[name].resampled[:, *pair] = np.mean(resampled, axis=0)

    log_odds = scores.log_odds
    for tested in range(n):
        label, baseline = scores.label[tested], scores.no_chromatin(tested)
        known = (label != ABSENT) & ~np.isnan(baseline)
        add("no_chromatin", (tested, tested), known, label, baseline)
        for trained in range(n):
            pair = trained, tested
            add("all", pair, label != ABSENT, label, log_odds[:, trained, tested])
            if trained != tested:
                on, first = scores.switching(*pair), scores.label[trained]
                own = log_odds[:, tested, tested]
                there = log_odds[:, trained, trained]
                carried = log_odds[:, trained, tested]
                add("switching", pair, on, label, carried)
                add("switching_own", pair, on, label, own)
                add("switching_no_chromatin", pair, on & known, label, baseline)
                add("difference", pair, on, first, there - carried)
                add("difference_own", pair, on, first, there - own)
            advance()
    return found


Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Of matrices, shape=(draws, cells, cells), and how often each cell type was drawn, shape=(draws,
cells), to values of shape=(draws,)."""


def within(matrix: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Mean of the diagonal."""
    return _mean(np.diagonal(matrix, axis1=-2, axis2=-1), drawn)


def between(matrix: np.ndarray, drawn: np.ndarray, which: np.ndarray | None = None) -> np.ndarray:
    """Mean over pairs of different cell types, or over those of them in `which`.

    A cell type drawn twice makes no pair with itself.
    """
    pairs = ~np.eye(matrix.shape[-1], dtype=bool)
    weight = drawn[:, :, None] * drawn[:, None, :] * (pairs if which is None else pairs & which)
    return _mean(matrix, weight)


def losses(matrix: np.ndarray) -> np.ndarray:
    """Return the AUROC lost when two cell types swap models, shape=(..., cells, cells).

    The mean of the two within minus the mean of the two between: how well a cell type teaches and
    how easy it is to predict cancel. Symmetric; the mean over all pairs is within minus between.
    """
    own = np.diagonal(matrix, axis1=-2, axis2=-1)
    within_pair = own[..., :, None] + own[..., None, :]
    return (within_pair - matrix - np.swapaxes(matrix, -1, -2)) / 2


def gap(matrix: np.ndarray, drawn: np.ndarray, which: np.ndarray | None = None) -> np.ndarray:
    """Within minus between: mean loss over pairs of different cell types, or those in `which`."""
    return between(losses(matrix), drawn, which)


def _mean(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted mean over all axes but the first, without what is NaN."""
    axes = tuple(range(1, values.ndim))
    weight = np.where(np.isnan(values), 0, weight)
    with np.errstate(invalid="ignore"):
        return np.nansum(values * weight, axis=axes) / weight.sum(axis=axes)


def draw_cells(n: int, seed: int = 0) -> np.ndarray | None:
    """Return how often each of n cell types is drawn, shape=(CELL_DRAWS, RESAMPLES, n).

    Every draw has two different cell types at least. None for two: they say nothing of how cell
    types vary.
    """
    if n < 3:
        return None
    drawn = np.zeros((CELL_DRAWS * RESAMPLES, n))
    rng = np.random.default_rng(seed)
    while (again := (drawn > 0).sum(axis=1) < 2).any():
        drawn[again] = rng.multinomial(n, np.full(n, 1 / n), size=int(again.sum()))
    return drawn.reshape(CELL_DRAWS, RESAMPLES, n)


def estimate(statistic: Statistic, matrix: Matrix, drawn: np.ndarray | None) -> Estimate:
    """Return a statistic with its 95% interval over genes and cell types.

    drawn: of `draw_cells`; None for an interval over genes alone, with these cell types as they
    are. The interval comes from the standard deviation of the resampled values. With cell types
    drawn it is Student's t, widened because n cell types vary less in their resamples than cell
    types do, by (n - 1) / n.
    """
    n = len(matrix.value)
    value = float(statistic(matrix.value[None], np.ones((1, n)))[0])
    if drawn is None:
        factor = norm.ppf(0.975)
        drawn = np.ones((1, len(matrix.resampled), n))
    else:
        factor = t.ppf(0.975, n - 1) * np.sqrt(n / (n - 1))
    resampled = np.concatenate([statistic(matrix.resampled, once) for once in drawn])
    resampled = resampled[~np.isnan(resampled)]
    if np.isnan(value) or not len(resampled):
        return Estimate(np.nan, np.nan, np.nan)
    half = float(factor * resampled.std())
    return Estimate(value, max(value - half, -1.0), min(value + half, 1.0))


def shuffled(scores: CrossCellScores, seed: int = 0) -> Estimate:
    """Return the mean AUROC over all pairs with labels shuffled among the genes of a cell type.

    A gene goes to the same place in every cell type. The interval holds 95% of the shuffles; it
    has 0.5 in it unless scores and labels were put together wrongly.
    """
    rng = np.random.default_rng(seed)
    keys = rng.random((SHUFFLES, scores.label.shape[1]))
    means = []
    for tested, label in enumerate(scores.label):
        on = label != ABSENT
        drawn = label[on][np.argsort(keys[:, on], axis=1)]  # (shuffles, genes)
        ranks = rankdata(scores.log_odds[:, :, tested][..., on], axis=-1).mean(axis=(0, 1))
        high = int(label[on].sum())
        with np.errstate(invalid="ignore"):
            means.append(
                (drawn @ ranks - high * (high + 1) / 2) / np.float64(high * (on.sum() - high))
            )
    values = np.nanmean(means, axis=0)  # a cell type of one class has none
    low, high = np.quantile(values, [0.025, 0.975])
    return Estimate(float(values.mean()), float(low), float(high))


def label_agreement(labels: pd.DataFrame) -> pd.DataFrame:
    """Return the share of genes with the same label in two cell types, cells x cells.

    labels: a row for each gene and cell type: gene_id, cell, label.
    """
    label = labels.pivot(index="cell", columns="gene_id", values="label")
    values = label.to_numpy(np.float32)
    known = ~np.isnan(values)
    high, low = (values == 1).astype(np.float32), (values == 0).astype(np.float32)
    with np.errstate(invalid="ignore"):
        both = known.astype(np.float32) @ known.T.astype(np.float32)
        return pd.DataFrame((high @ high.T + low @ low.T) / both, label.index, label.index)
