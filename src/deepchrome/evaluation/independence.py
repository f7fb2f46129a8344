"""Is the relation of chromatin to expression the same in every cell type? Arrays in, numbers out.

A matrix has shape=(cells, cells): rows are the cell types trained on, columns those tested on.
Statistics of a matrix take it as it is and in every resample of the genes, and weigh cell types by
how often they were drawn (docs/cross_cell.md).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
from scipy.spatial.distance import squareform
from scipy.stats import norm, rankdata, t

from deepchrome.data import reference
from deepchrome.evaluation.metrics import GeneBootstrap, auroc

ABSENT = -1
"""The label of a gene that a cell type lacks."""

RESAMPLES = 400
"""Resamples of the genes."""

CELL_DRAWS = 5
"""Resamples of the cell types for each resample of the genes."""

SHUFFLES = 200
"""How often labels are shuffled."""

PERMUTATIONS = 5000
"""Permutations behind the p-value of clusters against lineages."""


@dataclass(frozen=True)
class Scores:
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


def matrices(scores: Scores, advance: Callable[[], None] = lambda: None) -> dict[str, Matrix]:
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


@dataclass(frozen=True)
class Estimate:
    """A statistic and its 95% interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


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


@dataclass(frozen=True)
class Effects:
    """AUROC = mean + rows + columns + residual between cell types, and + own within.

    rows: how well a cell type teaches, columns: how easy it is to predict; both sum to 0.
    own: what a cell type's own model has over the others', shape=(..., cells); its mean is the gap.
    residual: NaN on the diagonal, shape=(..., cells, cells).
    """

    mean: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    own: np.ndarray
    residual: np.ndarray


def effects(matrix: np.ndarray) -> Effects:
    """Fit rows and columns to what lies off the diagonal, by least squares.

    matrix: shape=(..., cells, cells), three cell types or more.
    """
    n = matrix.shape[-1]
    others = np.where(np.eye(n, dtype=bool), 0, np.asarray(matrix, np.float64))
    by_row, by_column = others.sum(axis=-1), others.sum(axis=-2)
    mean = by_row.sum(axis=-1, keepdims=True) / (n * (n - 1))
    # the normal equations: a row's sum lacks its own column's effect, as the diagonal is left out
    row, column = by_row - (n - 1) * mean, by_column - (n - 1) * mean
    rows = ((n - 1) * row + column) / (n * (n - 2))
    columns = ((n - 1) * column + row) / (n * (n - 2))
    residual = matrix - mean[..., None] - rows[..., :, None] - columns[..., None, :]
    own = np.diagonal(residual, axis1=-2, axis2=-1).copy()
    residual[..., np.eye(n, dtype=bool)] = np.nan
    return Effects(mean[..., 0], rows, columns, own, residual)


def decomposition(matrix: Matrix) -> pd.DataFrame:
    """Return how much cell types differ in AUROC, and in what: a row a term.

    columns: how easy a cell type is to predict. rows: how well it teaches. interaction: what is
    particular to the pair. sd: over cell types (pairs), in AUROC. chance_sd: what the choice of
    test genes alone makes of it. share: of the variance between cell types; columns first, then
    what rows add.
    """
    fit, resampled = effects(matrix.value), effects(matrix.resampled)
    off = ~np.eye(len(matrix.value), dtype=bool)
    total = np.sum((matrix.value[off] - fit.mean) ** 2)
    interaction = np.nansum(fit.residual**2)
    easy = np.where(off, matrix.value, np.nan)
    columns = np.sum(off.sum(axis=0) * (np.nanmean(easy, axis=0) - fit.mean) ** 2)
    shares = {
        "columns": columns,
        "rows": total - interaction - columns,
        "interaction": interaction,
    }
    parts = {
        "columns": (fit.columns, resampled.columns),
        "rows": (fit.rows, resampled.rows),
        "interaction": (fit.residual[off], resampled.residual[:, off]),
    }
    return pd.DataFrame(
        [
            {
                "term": term,
                "sd": np.sqrt(np.mean(value**2)),
                "chance_sd": np.sqrt(np.mean(np.nanvar(drawn, axis=0))),
                "share": shares[term] / total,
            }
            for term, (value, drawn) in parts.items()
        ]
    )


def shuffled(scores: Scores, seed: int = 0) -> Estimate:
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


def lineages(cells: list[str]) -> np.ndarray:
    """Return the lineage of each cell type; its own name where none is known."""
    group = reference.cell_types()["group"].reindex(cells)
    known = group.notna() & ~group.isin(reference.UNRELATED_GROUPS)
    return group.where(known, pd.Series(cells, cells)).to_numpy(object)


@dataclass(frozen=True)
class Clusters:
    """Cell types clustered by how little they lose when they swap models.

    order: shape=(cells,), of the tree's leaves. cluster: shape=(cells,), from 1, as many as there
    are lineages. adjusted_rand: agreement with lineages, 1 if the same, 0 as by chance. p: the
    share of permuted lineages that agree as well. Both NaN where no lineage has two cell types, or
    one has all.
    """

    order: np.ndarray
    cluster: np.ndarray
    adjusted_rand: float
    p: float

    def describe(self) -> str:
        """Say in a line whether clusters are lineages."""
        if np.isnan(self.adjusted_rand):
            return "(no lineages to compare with)"
        return (
            f"(agreement with lineages: adjusted Rand {self.adjusted_rand:.2f}, p = {self.p:.2g})"
        )


def clusters(loss: np.ndarray, lineage: np.ndarray, seed: int = 0) -> Clusters:
    """Cluster four cell types or more: near are two that lose little when they swap models.

    loss: shape=(cells, cells), of `losses`. Average linkage.
    """
    distance = loss - loss.min()  # losses near 0 may come out below it
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average")
    groups = len(set(lineage))
    cluster = fcluster(tree, groups, "maxclust")
    order = leaves_list(tree)
    if groups in (1, len(lineage)):
        return Clusters(order, cluster, np.nan, np.nan)
    pairs = np.triu_indices(len(lineage), 1)
    clustered = (cluster[:, None] == cluster)[pairs]
    related = lineage[:, None] == lineage
    # which pairs agree is all that a permutation changes in the adjusted Rand index
    agreed = np.sum(clustered & related[pairs])
    expected = clustered.sum() * related[pairs].sum() / len(pairs[0])
    most = (clustered.sum() + related[pairs].sum()) / 2
    rng = np.random.default_rng(seed)
    as_well = 0
    for _ in range(PERMUTATIONS):
        moved = rng.permutation(len(lineage))
        as_well += np.sum(clustered & related[np.ix_(moved, moved)][pairs]) >= agreed
    return Clusters(
        order,
        cluster,
        float((agreed - expected) / (most - expected)),
        (1 + as_well) / (1 + PERMUTATIONS),
    )


@dataclass(frozen=True)
class Findings:
    """All that is said of the matrix; empty or None what needs more cell types, or a whole matrix.

    estimates: by name: those of `matrices`, within, between, gap, gap_genes (its interval is over
    genes alone), shuffled. cells: a row a cell type. pairs: a row a pair, trained on and tested on.
    lineage: gap to cell types of the same and of other lineages, and the difference.
    """

    estimates: dict[str, Estimate]
    cells: pd.DataFrame
    pairs: pd.DataFrame
    decomposition: pd.DataFrame
    lineage: pd.DataFrame
    clusters: Clusters | None


def find(
    scores: Scores, agreement: pd.DataFrame, advance: Callable[[], None] = lambda: None
) -> Findings:
    """Compute everything of two cell types or more.

    agreement: cells x cells, the share of genes with the same label.
    """
    cells, n = scores.cells, len(scores.cells)
    found = matrices(scores, advance)
    matrix, drawn = found["all"], draw_cells(n)
    estimates = {
        "within": estimate(within, matrix, drawn),
        "between": estimate(between, matrix, drawn),
        "gap": estimate(gap, matrix, drawn),
        "gap_genes": estimate(gap, matrix, None),
        "no_chromatin": estimate(within, found["no_chromatin"], drawn),
        "shuffled": shuffled(scores),
    }
    of_pairs = [name for name in found if name not in ("all", "no_chromatin")]
    estimates |= {name: estimate(between, found[name], drawn) for name in of_pairs}

    lineage = lineages(cells)
    related = lineage[:, None] == lineage
    trained, tested = (at.ravel() for at in np.indices((n, n)))
    pairs = pd.DataFrame(
        {
            "train_cell": np.array(cells)[trained],
            "test_cell": np.array(cells)[tested],
            "same_lineage": related.ravel(),
            "label_agreement": agreement.loc[cells, cells].to_numpy().ravel(),
            "auroc": matrix.value.ravel(),
            "loss": losses(matrix.value).ravel(),
            "switching_genes": [
                scores.switching(int(a), int(b)).sum() for a, b in zip(trained, tested, strict=True)
            ],
        }
        | {name: found[name].value.ravel() for name in of_pairs}
    )
    by_cell = pd.DataFrame(
        {
            "cell": cells,
            "lineage": lineage,
            "own_auroc": np.diagonal(matrix.value),
            "no_chromatin": np.diagonal(found["no_chromatin"].value),
            "averaged_cells": _averaged(scores),
        }
    )
    if n < 3 or np.isnan(matrix.value).any():
        nothing = pd.DataFrame()
        return Findings(estimates, by_cell, pairs[trained != tested], nothing, nothing, None)

    fit, resampled = effects(matrix.value), effects(matrix.resampled)
    for name in ("rows", "columns", "own"):
        value, half = getattr(fit, name), 1.96 * np.nanstd(getattr(resampled, name), axis=0)
        by_cell[name], by_cell[f"{name}_low"], by_cell[f"{name}_high"] = (
            value,
            value - half,
            value + half,
        )
    pairs["residual"] = fit.residual.ravel()
    clustered = clusters(losses(matrix.value), lineage) if n > 3 else None
    if clustered:
        by_cell["cluster"] = clustered.cluster
    return Findings(
        estimates,
        by_cell,
        pairs[trained != tested],
        decomposition(matrix),
        _by_lineage(matrix, drawn, related),
        clustered,
    )


def _averaged(scores: Scores) -> list[int]:
    """Return how many other cell types the no-chromatin baseline of each averages."""
    known = (~np.isnan(scores.expression)).any(axis=1)
    return [int(known.sum() - known[i]) for i in range(len(known))]


def _by_lineage(matrix: Matrix, drawn: np.ndarray | None, related: np.ndarray) -> pd.DataFrame:
    """Return the gap to cell types of the same and of other lineages; empty without either."""
    off = ~np.eye(len(related), dtype=bool)
    if not (related & off).any() or related.all():
        return pd.DataFrame()
    same, other = partial(gap, which=related), partial(gap, which=~related)

    def more(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
        return other(values, counts) - same(values, counts)

    rows = []
    for name, statistic, which in (
        ("same", same, related & off),
        ("other", other, ~related),
        ("other - same", more, None),
    ):
        one = estimate(statistic, matrix, drawn)
        pairs = None if which is None else int(which.sum()) // 2
        rows.append(
            {"lineage": name, "pairs": pairs, "gap": one.value, "low": one.low, "high": one.high}
        )
    return pd.DataFrame(rows).astype({"pairs": "Int64"})


@dataclass(frozen=True)
class Verdict:
    """`word`, and the sentences that say why."""

    word: Literal["same", "differs", "undecided"]
    text: str


def verdict(findings: Findings, margin: float) -> Verdict:
    """Say whether the relation is the same in every cell type, by the 95% intervals of the gap.

    same: the interval over genes and cell types lies below `margin`, and one model's scores tell
    in which of two cell types a gene is high (the interval of `difference` lies above 0.5), so that
    it is chromatin that carries over. differs: the interval over genes alone lies above the margin:
    it takes no more than these cell types to show that not all are alike. undecided: neither.
    """
    found, n = findings.estimates, len(findings.cells)
    gap_, alone, difference = found["gap"], found["gap_genes"], found["difference"]
    if np.isnan(gap_.value):
        text = "Undecided: a cell type's test genes are all high or all low, so it has no AUROC."
        return Verdict("undecided", text)
    if n < 3:
        interval = f"95% CI over genes {_range(alone)}"
    else:
        interval = f"95% CI over genes and cell types {_range(gap_)}, over genes {_range(alone)}"
    loses = (
        f"a model from another cell type loses {gap_.value:z.3f} AUROC against the cell type's own "
        f"({found['between'].value:.3f} against {found['within'].value:.3f}; {interval}; margin "
        f"{margin:g})."
    )
    word: Literal["same", "differs", "undecided"] = "undecided"
    first = f"Undecided whether the relation is the same in the {n} cell types: {loses} "
    if alone.low > margin:
        word = "differs"
        first = f"The relation differs between these {n} cell types: {loses}"
    elif not gap_.high < margin:
        first += "The interval reaches across the margin."
    elif not difference.low > 0.5:
        first += (
            "That is little, but the gene alone may explain it: on genes whose label differs, "
            "scores do not clearly tell in which cell type it is high."
        )
    else:
        word = "same"
        first = f"The relation is the same in all {n} cell types as far as these data tell: {loses}"
    return Verdict(word, " ".join([first, *_controls(findings)]))


def _controls(findings: Findings) -> list[str]:
    """Say what the controls show, a sentence each."""
    found = findings.estimates
    said = []
    genes = findings.pairs["switching_genes"]
    if np.isnan(found["switching"].value):
        said.append("No control on genes whose label differs: there are too few.")
    else:
        said.append(
            f"On genes whose label differs between the two ({genes.mean():,.0f} test genes a "
            f"pair) it scores {_shown(found['switching'])}, the cell type's own model "
            f"{found['switching_own'].value:.3f}; the difference of its scores tells in which of "
            f"the two the gene is high with AUROC {_shown(found['difference'])}."
        )
    if np.isnan(found["no_chromatin"].value):
        said.append("No control without chromatin: expression (RPKM) is not known.")
    else:
        averaged = findings.cells["averaged_cells"].max()
        others = "the other cell type" if averaged == 1 else f"{averaged} other cell types"
        there = found["switching_no_chromatin"].value
        said.append(
            f"Without any chromatin, the gene's mean expression in {others} scores "
            f"{_shown(found['no_chromatin'])} on all test genes"
            + ("." if np.isnan(there) else f" but {there:.3f} on those whose label differs.")
        )
    return [*said, f"Shuffled labels give {found['shuffled'].value:.3f}."]


def _shown(one: Estimate) -> str:
    return f"{one.value:.3f} (95% CI {_range(one)})"


def _range(one: Estimate) -> str:
    return f"{one.low:z.3f} to {one.high:z.3f}"
