"""How far generated signals can be trusted: measures against held-out genes, and rivals.

Every measure compares as many generated as real examples, and stands beside the same measure of
real against real and of two rivals that a GAN has to beat: bins drawn independently, and a Gaussian
on log counts. Signals are of shape=(genes, bins, marks) throughout.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from deepchrome import MARKS, N_BINS
from deepchrome.data.dataset import CellType
from deepchrome.evaluation.metrics import auroc
from deepchrome.interpretation.signals import log_signals

FOLDS = 5
WINDOW = 10
"""Bins averaged to one feature where distances are measured."""

NEIGHBOURS = 3
"""Of precision and recall (Kynkaanniemi et al. 2019)."""

ENOUGH, AT_MOST = 400, 3
"""Examples over which a measure is averaged: small data sets are sampled so often, at most."""

PROFILE_CUTS = 20


@dataclass(frozen=True)
class Set:
    """Examples: `X` signals, `y` labels, positions of `cell` types, `gene` ids; one row an example.

    The same gene stands there once for each cell type.
    """

    X: np.ndarray
    y: np.ndarray
    cell: np.ndarray
    gene: np.ndarray

    @classmethod
    def of(cls, cells: Sequence[CellType], split: str) -> "Set":
        """Return the genes of one split of all cell types."""
        parts = [cell.part(split) for cell in cells]
        sizes = [len(part.y) for part in parts]
        return cls(
            np.concatenate([part.X for part in parts]),
            np.concatenate([part.y for part in parts]),
            np.repeat(np.arange(len(parts)), sizes),
            np.concatenate([part.gene_id for part in parts]).astype(str),
        )

    def rows(self, index: np.ndarray) -> "Set":
        """Return some of the examples."""
        return Set(self.X[index], self.y[index], self.cell[index], self.gene[index])

    def with_signals(self, X: np.ndarray) -> "Set":
        """Return other signals for the same labels and cell types."""
        return Set(X, self.y, self.cell, self.gene)


def tree_features(X: np.ndarray) -> np.ndarray:
    """Return what the trees see: log1p of every bin; each mark's log sum, maximum and its bin."""
    x = log_signals(X)
    per_mark = [np.log1p(np.expm1(x).sum(1)), x.max(1), x.argmax(1)]
    return np.concatenate([x.reshape(len(X), -1), *per_mark], axis=1)


def pooled(X: np.ndarray) -> np.ndarray:
    """Return where distances are measured: mean log1p of windows of 10 bins, each mark's log sum.

    shape=(genes, 55).
    """
    x = log_signals(X)
    windows = x.reshape(len(X), N_BINS // WINDOW, WINDOW, len(MARKS)).mean(2)
    return np.concatenate([windows.reshape(len(X), -1), np.log1p(np.expm1(x).sum(1))], axis=1)


def separability(real: np.ndarray, other: np.ndarray, seed: int, *, trees: bool = True) -> float:
    """Return the AUROC of a classifier told to separate two sets of signals; 0.5: it cannot.

    Boosted trees, or logistic regression on the same features; 5-fold cross-validation.
    """
    features = tree_features(np.concatenate([real, other]))
    which = np.repeat([0, 1], [len(real), len(other)]).astype(np.int8)
    model = (
        HistGradientBoostingClassifier(random_state=seed)
        if trees
        else make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    )
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    score = cross_val_predict(model, features, which, cv=folds, method="predict_proba")
    return float(auroc(which, score[:, 1]))


def independent_bins(train: Set, like: Set, rng: np.random.Generator) -> np.ndarray:
    """Draw each bin of each mark by itself from training genes of the same label and cell type."""

    def draw(mine: np.ndarray, n: int) -> np.ndarray:
        picked = rng.integers(0, len(mine), (n, mine[0].size))
        return np.take_along_axis(mine.reshape(len(mine), -1), picked, 0)

    return _by_condition(train, like, draw)


def gaussian(train: Set, like: Set, rng: np.random.Generator) -> np.ndarray:
    """Draw from a Gaussian on log1p signals of the same label and cell type; round counts.

    It has the mean and the whole covariance of the training genes.
    """

    def draw(mine: np.ndarray, n: int) -> np.ndarray:
        x = log_signals(mine).reshape(len(mine), -1)
        mean = x.mean(0)
        spread = (x - mean) / np.sqrt(max(1, len(x) - 1))
        drawn = np.expm1((mean + rng.standard_normal((n, len(x))) @ spread).clip(0, 11))
        return np.rint(drawn) if np.issubdtype(train.X.dtype, np.integer) else drawn

    return _by_condition(train, like, draw)


def _by_condition(
    train: Set, like: Set, draw: Callable[[np.ndarray, int], np.ndarray]
) -> np.ndarray:
    """Draw for each label and cell type of `like` from training genes of the same."""
    out = np.empty(like.X.shape, train.X.dtype)
    for cell in np.unique(like.cell):
        for label in (0, 1):
            places = np.flatnonzero((like.cell == cell) & (like.y == label))
            mine = train.X[(train.cell == cell) & (train.y == label)]
            if len(places) and len(mine):
                drawn = draw(mine, len(places)).astype(train.X.dtype)
                out[places] = drawn.reshape(len(places), *like.X.shape[1:])
    return out


def mmd(a: np.ndarray, b: np.ndarray) -> float:
    """Return the squared maximum mean discrepancy of two sets of features, unbiased.

    Gaussian kernel, its width the median distance within `a` (Gretton et al. 2012). 0 on average
    for two samples of the same distribution.
    """
    within_a, within_b, between = cdist(a, a), cdist(b, b), cdist(a, b)
    width = np.median(within_a[~np.eye(len(a), dtype=bool)])

    def kernel(distance: np.ndarray) -> np.ndarray:
        return np.exp(-(distance**2) / (2 * width**2))

    n, m = len(a), len(b)
    inner_a = (kernel(within_a).sum() - n) / (n * (n - 1))
    inner_b = (kernel(within_b).sum() - m) / (m * (m - 1))
    return float(inner_a + inner_b - 2 * kernel(between).mean())


def profile_correlations(a: Set, b: Set) -> np.ndarray:
    """Return the correlation of class-mean log profiles, shape=(2 labels, marks)."""
    found = np.empty((2, len(MARKS)))
    for label in (0, 1):
        mean_a = log_signals(a.X[a.y == label]).mean(0)
        mean_b = log_signals(b.X[b.y == label]).mean(0)
        for m in range(len(MARKS)):
            found[label, m] = np.corrcoef(mean_a[:, m], mean_b[:, m])[0, 1]
    return found


def mark_correlations(X: np.ndarray) -> np.ndarray:
    """Return the correlation of marks over genes, by their log sums; shape=(marks, marks)."""
    return np.corrcoef(np.log1p(X.astype(np.float64).sum(1)), rowvar=False)


def coverage(points: np.ndarray, of: np.ndarray) -> float:
    """Return the share of points within the neighbourhood of one of `of`.

    A neighbourhood reaches to the third nearest of `of`. With generated points of real: precision;
    with real points of generated: recall (Kynkaanniemi et al. 2019).
    """
    radii = NearestNeighbors(n_neighbors=NEIGHBOURS + 1).fit(of).kneighbors(of)[0][:, -1]
    return float((cdist(points, of) <= radii).any(1).mean())


def nearest_distance(points: np.ndarray, to: np.ndarray) -> float:
    """Return the median distance of points to the nearest of `to`."""
    return float(np.median(NearestNeighbors(n_neighbors=1).fit(to).kneighbors(points)[0]))


def nearest_genes(points: Set, of: Set) -> np.ndarray:
    """Return for each example the row of `of` nearest to it, of the same label and cell type."""
    theirs = pooled(of.X)
    spread = theirs.std(0) + 1e-9
    apart = cdist(pooled(points.X) / spread, theirs / spread)
    same = (of.y == points.y[:, None]) & (of.cell == points.cell[:, None])
    return np.where(same, apart, np.inf).argmin(1)


def classifier_auroc(train: Set, test: Set) -> float:
    """Train a classifier of high and low on one set, test it on another: mean over cell types.

    Logistic regression on windows of 10 bins and log sums, for each cell type by itself.
    """
    found = []
    for cell in np.unique(test.cell):
        mine, there = train.rows(train.cell == cell), test.rows(test.cell == cell)
        if len(np.unique(mine.y)) < 2 or len(np.unique(there.y)) < 2:
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
        model.fit(pooled(mine.X), mine.y)
        found.append(auroc(there.y, model.predict_proba(pooled(there.X))[:, 1]))
    return float(np.mean(found)) if found else float("nan")


def diversity(generated: Set, real: Set) -> float:
    """Return how far generated examples lie apart over how far real ones do.

    The mean distance within a label and cell type, averaged; near 0: mode collapse.
    """
    ratios = []
    for cell in np.unique(real.cell):
        for label in (0, 1):
            made, found = (
                pooled(one.X[(one.cell == cell) & (one.y == label)][:200])
                for one in (generated, real)
            )
            if len(made) > 1 and len(found) > 1:
                ratios.append(_mean_distance(made) / max(_mean_distance(found), 1e-12))
    return float(np.mean(ratios)) if ratios else float("nan")


def _mean_distance(points: np.ndarray) -> float:
    return float(cdist(points, points).sum() / (len(points) * (len(points) - 1)))


def seeds(test: Set, examples: int, seed: int) -> list[int]:
    """Return a seed for each pair of samples to average over: more where they are small."""
    n = len(halves(test, examples, seed)[0].y)
    return [seed + i for i in range(min(AT_MOST, math.ceil(ENOUGH / n)))]


def halves(test: Set, examples: int, seed: int) -> tuple[Set, Set]:
    """Cut held-out genes at random into two samples of equal size, at most `examples` each.

    One is what everything is compared with; the other gives the labels and cell types to generate,
    and stands for real ones. No gene is in both: what is particular to a gene, in all cell types,
    would make real ones look more alike than signals of other genes can.
    """
    rng = np.random.default_rng(seed)
    genes = rng.permutation(np.unique(test.gene))
    first = np.isin(test.gene, genes[: len(genes) // 2])
    parts = [rng.permutation(np.flatnonzero(side)) for side in (first, ~first)]
    n = min(examples, *(len(part) for part in parts))
    return test.rows(parts[0][:n]), test.rows(parts[1][:n])


def compare(real: Set, other: Set, train_set: Set, seed: int) -> dict[str, float]:
    """Return every measure of one set of signals against real ones."""
    points, of = pooled(other.X), pooled(real.X)
    mean = pooled(train_set.X)
    centre, spread = mean.mean(0), mean.std(0) + 1e-9
    points, of, train_points = ((one - centre) / spread for one in (points, of, mean))
    difference = mark_correlations(real.X) - mark_correlations(other.X)
    return {
        "separability": separability(real.X, other.X, seed),
        "separability_logistic": separability(real.X, other.X, seed, trees=False),
        "mmd": mmd(of, points),
        "mark_correlation_difference": float(np.abs(difference).max()),
        "precision": coverage(points, of),
        "recall": coverage(of, points),
        "nearest_training_gene": nearest_distance(points, train_points),
    }


def profiles_over_cuts(
    test: Set, examples: int, seed: int, make: Callable[[Set, int], Set]
) -> dict[str, float]:
    """Return the correlation of class-mean profiles with real ones, averaged over 20 cuts.

    One cut's correlation is noisy: the profile of some marks is nearly flat. make: signals for the
    labels and cell types of a set, with a seed.
    """
    found = []
    for one in range(seed, seed + PROFILE_CUTS):
        real, other = halves(test, examples, one)
        found.append(profile_correlations(real, make(other, one)))
    mean = np.mean(found, axis=0)
    return {
        "profile_correlation": float(mean.mean()),
        "profile_correlation_lowest": float(mean.min()),
    }


Rivals = dict[str, dict[str, float]]
"""By rival (real, independent_bins, gaussian): its measures, as `compare` names them."""


Maker = Callable[[Set, Set, np.random.Generator], np.ndarray]
"""Draws signals from training genes, for the labels and cell types of another set."""


def compare_rivals(train_set: Set, test: Set, examples: int, seed: int, threads: int) -> Rivals:
    """Return every measure of the two rivals and of real genes, and what training on them gives."""
    makers: dict[str, Maker] = {"independent_bins": independent_bins, "gaussian": gaussian}
    found: dict[str, list[dict[str, float]]] = {"real": [], **{name: [] for name in makers}}
    useful = {"real": classifier_auroc(train_set, test)}
    profiles = {"real": profiles_over_cuts(test, examples, seed, lambda other, _: other)}
    with threadpool_limits(max(1, threads)):
        for one in seeds(test, examples, seed):
            real, other = halves(test, examples, one)
            found["real"].append(compare(real, other, train_set, one))
            for name, make in makers.items():
                drawn = other.with_signals(make(train_set, other, np.random.default_rng(one)))
                found[name].append(compare(real, drawn, train_set, one))
        for name, make in makers.items():
            drawn = train_set.with_signals(make(train_set, train_set, np.random.default_rng(seed)))
            useful[name] = classifier_auroc(drawn, test)

            def again(other: Set, one: int, make: Maker = make) -> Set:
                return other.with_signals(make(train_set, other, np.random.default_rng(one)))

            profiles[name] = profiles_over_cuts(test, examples, seed, again)
    return {
        name: {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        | profiles[name]
        | {"train_on_generated": useful[name]}
        for name, rows in found.items()
    }
