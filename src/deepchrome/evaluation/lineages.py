"""Do models carry over better within a lineage? Cell types clustered, and the gap by lineage."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
from scipy.spatial.distance import squareform

from deepchrome.evaluation.cross_cell import Matrix, estimate, gap

PERMUTATIONS = 5000
"""Permutations behind the p-value of clusters against lineages."""


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


def gap_by_lineage(matrix: Matrix, drawn: np.ndarray | None, related: np.ndarray) -> pd.DataFrame:
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
