"""How well scores rank and classify genes: arrays in, numbers out."""

import numpy as np
import pandas as pd

from deepchrome.evaluation.estimate import Interval


def auroc(label: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a high gene scores above a low one, ties half.

    label: shape=(genes,), 0 or 1. score: shape=(genes,). NaN where a class is absent or
    a score is NaN.
    """
    label = np.asarray(label) == 1
    positives, negatives = int(label.sum()), int((~label).sum())
    if not positives or not negatives or np.isnan(score).any():
        return float("nan")
    ranks = pd.Series(score).rank().to_numpy()[label].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def auprc(label: np.ndarray, score: np.ndarray) -> float:
    """Average precision: the precision at each distinct score, weighted by the gain in recall.

    No interpolation between points, as in scikit-learn's `average_precision_score`.
    """
    precision, recall, _ = precision_recall_curve(label, score)
    return float(np.sum(np.diff(recall, prepend=0) * precision)) if len(recall) else float("nan")


def accuracy(label: np.ndarray, log_odds: np.ndarray) -> float:
    """Share of genes whose log-odds are at least 0 exactly where the label is 1."""
    return float(np.mean((np.asarray(log_odds) >= 0) == (np.asarray(label) == 1)))


def _cumulative(label: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return high and low genes at or above each distinct score, and the scores, descending."""
    order = np.argsort(-np.asarray(score), kind="stable")
    ordered = np.asarray(score)[order]
    high = np.cumsum(np.asarray(label)[order] == 1)
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    return high[last], last + 1 - high[last], ordered[last]


def roc_curve(label: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return false and true positive rates at each distinct score, from (0, 0) to (1, 1)."""
    high, low, _ = _cumulative(label, score)
    with np.errstate(invalid="ignore"):
        return np.append(0, low / low[-1]), np.append(0, high / high[-1])


def precision_recall_curve(
    label: np.ndarray, score: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return precision, recall and threshold at each distinct score, recall rising."""
    high, low, threshold = _cumulative(label, score)
    with np.errstate(invalid="ignore"):
        return high / (high + low), high / high[-1], threshold


class GeneBootstrap:
    """Percentile bootstrap over genes, the same resampled genes for every model and cell type.

    A gene's scores in several cell types are not independent, so genes are resampled as wholes:
    one vector of weights for all genes, used for each AUROC that goes into a statistic.
    """

    def __init__(self, gene_id: np.ndarray, resamples: int = 1000, seed: int = 0):
        self.genes = pd.Index(np.unique(gene_id))
        n = len(self.genes)
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(n, np.full(n, 1 / n), size=resamples)
        self._by_gene = np.ascontiguousarray(drawn.T, dtype=np.float32)

    @property
    def weights(self) -> np.ndarray:
        """How often each gene was drawn in each resample, shape=(resamples, genes)."""
        return self._by_gene.T

    def auroc(self, gene_id: np.ndarray, label: np.ndarray, score: np.ndarray) -> np.ndarray:
        """Return the AUROC in every resample, shape=(resamples,), ties counting half.

        NaN where a resample lacks a class. Raises KeyError for a gene that was not named at first.
        """
        rows, score = self.genes.get_indexer(gene_id), np.asarray(score)
        if (rows < 0).any():
            raise KeyError(np.asarray(gene_id)[rows < 0][0])
        high = np.asarray(label) == 1
        order = np.argsort(score, kind="stable")
        positives, negatives = order[high[order]], order[~high[order]]
        # the weight of the negatives below each place in their order, summed row by row: NumPy's
        # cumsum along the first axis is seven times slower. Sums of counts are exact in float32
        below = np.zeros((len(negatives) + 1, self._by_gene.shape[1]), np.float32)
        for i, row in enumerate(rows[negatives]):
            np.add(below[i], self._by_gene[row], out=below[i + 1])
        under, upto = (
            np.searchsorted(score[negatives], score[positives], side) for side in ("left", "right")
        )
        beaten = below[under]
        if (under != upto).any():
            beaten = (beaten + below[upto]) / 2
        weights = self._by_gene[rows[positives]]
        with np.errstate(invalid="ignore"):
            total = np.einsum("pr,pr->r", weights, beaten)
            return total / (np.einsum("pr->r", weights) * below[-1].astype(np.float64))

    @staticmethod
    def interval(values: np.ndarray) -> Interval:
        """Return the middle 95% of a statistic's resampled values."""
        low, high = np.nanpercentile(values, [2.5, 97.5])
        return Interval(float(low), float(high))
