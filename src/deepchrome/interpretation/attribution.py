"""What moves a trained model's log-odds of high: attribution to each mark in each bin.

Everything here works on **log signals**, log(1 + counts) of shape=(genes, bins, marks), whatever
the model itself is fed: what it does to counts (reduce, transform, standardize) is part of the
function that is explained. So one unit is about a factor of e in reads, for every architecture.

A gene is explained by comparison with **real training genes, half of them high and half low**
(`baselines`), and the attributions are averaged over these. Why not with
- no reads at all? No such gene was trained on; it looks like a stretch where no read maps, and all
  marks together would be credited with the depth of sequencing.
- the mean training signal? It is smooth, which no gene is. Its maximum lies below that of nearly
  every gene, so a model that takes maxima (`linear`, the CNN's pooling) would find more of every
  mark in every gene.
- genes of the other class? Then what all genes share is never zero, and the sum depends on the
  class the gene is said to have, which is what the model is asked for.
Half of each class makes the sum independent of the class balance of a cell type.
"""

from itertools import pairwise
from threading import Lock

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor
from torch.func import functional_call

from deepchrome import N_BINS
from deepchrome.interpretation.log_odds import Score, weights_of
from deepchrome.models import build
from deepchrome.training.store import NETWORK, Models

STEPS = 8
"""Points on the way from a baseline to a gene at which the gradient is taken."""

ROWS = 1024
"""Genes scored at once."""

_DRAWING = Lock()  # torch's generator belongs to all threads


def redrawn(models: Models, seed: int) -> dict[str, Tensor]:
    """Return initial weights of the models' architecture: what training starts from."""
    bins, marks = 1 if models.preprocessing.reduce else N_BINS, len(models.info["marks"])
    with _DRAWING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(models.info["architecture"], bins, marks, models.info["options"])
    return {name: p.detach().to(models.device) for name, p in network.named_parameters()}


def baselines(y: np.ndarray, genes: int, each: int, rng: np.random.Generator) -> np.ndarray:
    """Draw what genes are compared with, half high and half low, anew for each gene.

    y: labels of the training genes, of both classes. each: how many for a gene; even.
    Returns positions in y, shape=(each, genes).
    """
    parts = [rng.choice(np.flatnonzero(y == label), (each // 2, genes)) for label in (1, 0)]
    return np.concatenate(parts)


def integrated_gradients(score: Score, x: Tensor, against: Tensor, steps: int = STEPS) -> Tensor:
    """Attribute a score to each mark in each bin (Sundararajan et al. 2017).

    The gradient, averaged over the straight line from baseline to gene (midpoint rule), times their
    difference. Averaged over baselines that are real examples: expected gradients (Erion et al.
    2021). x: log signals, shape=(genes, bins, marks). against: the baselines of each gene,
    shape=(baselines, genes, bins, marks). Returns the shape of x; each gene's sum is
    score(x) - mean over baselines of score(baseline), up to the error of the rule.
    """
    result = torch.zeros_like(x)
    for baseline in against:
        difference = x - baseline
        for step in range(steps):
            at = (baseline + (step + 0.5) / steps * difference).requires_grad_()
            (gradient,) = torch.autograd.grad(score(at).sum(), at)
            result += gradient * difference
    return result / (steps * len(against))


@torch.no_grad()
def completeness(
    score: Score, x: Tensor, against: Tensor, attribution: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what each gene's attributions sum to, and what they should, each shape=(genes,)."""
    expected = score(x) - torch.stack([score(baseline) for baseline in against]).mean(0)
    return attribution.sum((1, 2)), expected


@torch.no_grad()
def occluded(score: Score, x: Tensor, against: Tensor, masks: Tensor) -> Tensor:
    """Score genes of which a part is replaced by that of another gene.

    masks: bool, true where it is replaced, shape=(masks, bins, marks). x, against: as in
    `integrated_gradients`. Returns shape=(masks, baselines, genes).
    """
    n, k = len(x), len(against)
    whole = x.repeat(k, 1, 1)
    others = against.flatten(0, 1)
    rows = []
    for mask in masks:
        replaced = torch.where(mask, others, whole)
        rows.append(torch.cat([score(part) for part in replaced.split(ROWS)]))
    return torch.stack(rows).view(len(masks), k, n)


def masks_of_marks(bins: int, marks: int) -> Tensor:
    """Return a mask for each mark as a whole, shape=(marks, bins, marks)."""
    return torch.eye(marks, dtype=torch.bool)[:, None].expand(marks, bins, marks)


def masks_of_regions(bins: int, marks: int, regions: int) -> Tensor:
    """Return a mask for each mark in each of equal regions, shape=(regions * marks, bins, marks).

    Region by region, in each mark by mark.
    """
    edges = np.linspace(0, bins, regions + 1).astype(int)
    masks = torch.zeros(regions, marks, bins, marks, dtype=torch.bool)
    for region, (start, end) in enumerate(pairwise(edges)):
        for mark in range(marks):
            masks[region, mark, start:end, mark] = True
    return masks.flatten(0, 1)


def effect(attribution: np.ndarray, signal: np.ndarray) -> np.ndarray:
    """Return how attributions rise with the signal: log-odds per standard deviation of it.

    Its sign is the direction of the model's relation: whether more of a mark, the other marks being
    what they are, moves the score up or down. (The mean attribution of high genes is no such sign:
    the lack of a repressive mark moves them up.) The slope of attribution on signal over genes,
    times the signal's standard deviation; for a linear model the weight of a standardized input.
    attribution, signal: shape=(genes, ...). Returns shape=(...); 0 where a signal does not vary.
    """
    signal = signal - signal.mean(0)
    sd = signal.std(0)
    covariance = (signal * attribution).mean(0)
    return np.divide(covariance, sd, out=np.zeros_like(covariance), where=sd > 1e-6)


def linear_weights(models: Models, cell: str, x: Tensor) -> np.ndarray | None:
    """Return the weights of a `linear` model on reduced marks, shape=(seeds, marks); else None.

    In log-odds per standard deviation of the reduced mark over genes (x, as above).
    """
    if models.info["architecture"] != "linear" or not models.preprocessing.reduce:
        return None
    at = models.index(cell)
    weight = models.tensors[NETWORK + "layer.weight"][at]  # (seeds, 2, marks)
    sd = models.preprocessing.features(x.expm1()).std((0, 1), correction=0)
    standardized = sd / models.tensors["scale"][at]  # 1 where the model standardizes
    return ((weight[:, 1] - weight[:, 0]) * standardized).cpu().numpy()


@torch.no_grad()
def attention(models: Models, cell: str, seed: int, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return where an `attentive` model looks: shapes (genes, bins, marks) and (genes, marks).

    Weights of the bins of each mark, and of the marks; each sums to 1.
    """
    own, shift, scale = weights_of(models, cell, seed)
    features = (models.preprocessing.features(x.expm1()) - shift) / scale
    inside = {f"network.{name}": weight for name, weight in own.items()}
    bins, marks = functional_call(_Attention(models.network), inside, (features,))
    return bins.swapaxes(1, 2).cpu().numpy(), marks.cpu().numpy()


class _Attention(torch.nn.Module):
    """A network's `attention` in place of its `forward`, for functional_call."""

    def __init__(self, network: torch.nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.attention(x)  # type: ignore[operator]


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Spearman's correlation of two genes' attributions, mean over genes.

    a, b: shape=(genes, bins, marks). Genes whose attributions are all alike in either are left out;
    NaN where none is left.
    """
    found = [
        spearmanr(mine.ravel(), other.ravel()).statistic
        for mine, other in zip(a, b, strict=True)
        if np.ptp(mine) > 0 and np.ptp(other) > 0
    ]
    return float(np.mean(found)) if found else float("nan")
