"""Tests and intervals that tell two models apart: arrays in, numbers out.

A model's score in a cell type is its AUROC on that cell type's test genes, mean over seeds. A
difference between two models varies with the cell types and with the genes that happened to be
tested. All cell types are tested on the same genes, so what these genes favour by chance, they
favour everywhere: a test across cell types alone does not see it.
"""

import numpy as np
from scipy import stats

from deepchrome.evaluation.estimate import Estimate, Interval


def over_cells(values: np.ndarray) -> Estimate:
    """Estimate the mean over cell types, as a t-test does: for new cell types, on these genes.

    values: shape=(cell types,). With one cell type the error is infinite.
    """
    values = np.asarray(values, float)
    n = len(values)
    if n == 1:
        return Estimate.from_errors(float(values[0]), ((np.inf, 1),))
    error = float(values.std(ddof=1) / np.sqrt(n))
    return Estimate.from_errors(float(values.mean()), ((error, n - 1),))


def over_cells_and_genes(values: np.ndarray, resampled: np.ndarray) -> Estimate:
    """Estimate the mean over cell types, for new cell types and new genes.

    values: shape=(cell types,). resampled: shape=(resamples, cell types), the same values with
    resampled genes, the same genes for every cell type (`metrics.GeneBootstrap`).

    To the variance between cell types comes what their values have in common by sharing genes: the
    mean covariance of two cell types over resamples. So do Obuchowski and Rockette (1995, Commun.
    Stat. Simul. Comput. 24:285) for readers who judge the same cases; cell types are the readers.
    The interval is never narrower than that of `over_cells`.
    """
    cells = over_cells(values)
    n = len(values)
    if n == 1:
        return cells
    covariance = np.cov(_defined(resampled).T)
    shared = max(0.0, (covariance.sum() - np.trace(covariance)) / (n * (n - 1)))
    return Estimate.from_errors(cells.value, (*cells.errors, (float(np.sqrt(shared)), np.inf)))


def two_level_bootstrap(resampled: np.ndarray, seed: int = 0) -> Interval:
    """Return the 95% bootstrap interval of a mean over cell types, over genes and cell types.

    resampled: as of `over_cells_and_genes`; of a paired difference, the differences. To each
    resample of genes comes one of cell types. The percentiles lie further out than 2.5% and 97.5%,
    because n cell types vary less in their resamples than cell types do (expanded percentiles,
    Hesterberg 2015, The American Statistician 69:371). One or two cell types say nothing of how
    cell types vary: then over genes only.
    """
    resampled = _defined(resampled)
    draws, n = resampled.shape
    if n <= 2:
        means, tail = resampled.mean(axis=1), 0.025
    else:
        drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws)
        means = (resampled * drawn).sum(axis=1) / n
        tail = stats.norm.cdf(stats.t.ppf(0.025, n - 1) * np.sqrt(n / (n - 1)))
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(low), float(high))


def _defined(resampled: np.ndarray) -> np.ndarray:
    """Leave out resamples in which a cell type has no high or no low gene."""
    return resampled[~np.isnan(resampled).any(axis=1)]


def placements(label: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return DeLong's structural components; ties count half, and the mean of either is the AUROC.

    label: shape=(genes,). score: shape=(..., genes). Returns for each high gene the share of low
    genes below it, and for each low gene the share of high genes above it, shape=(..., high genes)
    and (..., low genes). From ranks, O(genes log genes), as by Sun and Xu (2014, IEEE Signal
    Process. Lett. 21:1389).
    """
    high = np.asarray(label) == 1
    score = np.asarray(score, float)
    ranks = stats.rankdata(score, axis=-1)
    above = ranks[..., high] - stats.rankdata(score[..., high], axis=-1)
    below = ranks[..., ~high] - stats.rankdata(score[..., ~high], axis=-1)
    return above / (~high).sum(), 1 - below / high.sum()


def delong(label: np.ndarray, score_a: np.ndarray, score_b: np.ndarray) -> Estimate:
    """Estimate AUROC a minus b on the same genes of one cell type (DeLong et al. 1988).

    label: shape=(genes,), both classes at least twice. score_a, score_b: shape=(seeds, genes) or
    (genes,); with several seeds, of the mean AUROC over them.
    """
    n = len(label)
    both = []
    for score in (score_a, score_b):
        by_seed = placements(label, np.reshape(score, (-1, n)))
        both.append([part.mean(axis=0) for part in by_seed])
    high, low = (a - b for a, b in zip(*both, strict=True))
    variance = high.var(ddof=1) / len(high) + low.var(ddof=1) / len(low)
    return Estimate.from_errors(float(high.mean()), ((float(np.sqrt(variance)), np.inf),))


def wilcoxon(difference: np.ndarray) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test; 1 where nothing differs.

    difference: shape=(cell types,). Exact up to 50 cell types without ties.
    """
    difference = np.asarray(difference, float)
    if not difference.any():
        return 1.0
    return float(stats.wilcoxon(difference).pvalue)


def smallest_wilcoxon(n: int) -> float:
    """Return the smallest p-value that n cell types can give: all differences have one sign."""
    return min(1.0, 2.0 ** (1 - n))


def holm(p: np.ndarray) -> np.ndarray:
    """Adjust p-values of several tests by Holm's step-down method, shape=(tests,)."""
    p = np.asarray(p, float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted
