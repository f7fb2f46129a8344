"""What the models of one cell type look for: attribution and occlusion, and checks of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from deepchrome import MARKS, N_BINS
from deepchrome.data.dataset import CellType
from deepchrome.errors import DeepChromeError
from deepchrome.evaluation.metrics import auroc
from deepchrome.interpretation import attribution as attributing
from deepchrome.interpretation.histone_code import CLASSES
from deepchrome.interpretation.log_odds import Score, scorer
from deepchrome.interpretation.maximisation import REGIONS, region_means
from deepchrome.interpretation.signals import log_signals
from deepchrome.params import InterpretParams
from deepchrome.training.store import Models

OCCLUSION_BASELINES = 4
"""Genes that lend their parts to an occluded one, at most."""

CHECKED = 10
"""Genes of a model that are explained again with re-drawn weights."""

DRAWS = 4
"""How often weights are re-drawn, for each model."""


@dataclass(frozen=True)
class Explanation:
    """What attribution and occlusion say of one cell type's models.

    `y`: shape=(genes,). `attribution`: mean over seeds, shape=(genes, bins, marks). `profile`:
    effects, shape=(seeds, bins, marks). `total`, `occlusion`, `auroc_lost`: of whole marks,
    shape=(seeds, marks). `regions`: effects, mean over seeds, shape=(regions, marks). `linear`:
    weights per SD, shape=(seeds or 1, marks). `error`: of completeness, relative, mean over seeds.
    `redrawn`: rank correlation of attributions with those of re-drawn weights, mean over seeds.
    `attention`: of bins, shape=(bins, marks), and of marks by class, of `attentive` only.
    """

    cell: str
    y: np.ndarray
    attribution: np.ndarray
    profile: np.ndarray
    total: np.ndarray
    occlusion: np.ndarray
    auroc_lost: np.ndarray
    regions: np.ndarray
    linear: np.ndarray
    error: float
    redrawn: float
    attention: dict[str, tuple[np.ndarray, np.ndarray]] | None


def sample(y: np.ndarray, genes: int, rng: np.random.Generator) -> np.ndarray:
    """Draw genes, half of them high where there are enough of each; positions in y, sorted."""
    parts = [rng.permutation(np.flatnonzero(y == label))[: genes // 2] for label in (1, 0)]
    return np.sort(np.concatenate(parts))


def attribute(
    trained: Models, cell: CellType, params: InterpretParams, advance: Callable[[], object]
) -> Explanation:
    """Explain a sample of one cell type's test genes by each of its models.

    advance: called after each model.
    """
    rng = np.random.default_rng([params.seed, crc32(cell.cell.encode())])
    train, test = cell.part("train"), cell.part("test")
    for part, of in ((train, "training"), (test, "test")):
        if len(np.unique(part.y)) < 2:
            raise DeepChromeError(
                f"{cell.cell}: all {len(part.y)} {of} genes have one label; "
                "nothing to tell apart, leave the cell type out ('cells' in params.yaml)"
            )
    chosen = sample(test.y, params.genes, rng)
    y, device = test.y[chosen], trained.device
    x = torch.from_numpy(log_signals(test.X[chosen], np.float32)).to(device)
    log_train = log_signals(train.X, np.float32)
    drawn = attributing.baselines(train.y, len(x), params.baselines, rng)
    against = torch.from_numpy(log_train[drawn]).to(device)
    each: list[dict[str, Any]] = []
    attended = []
    for seed in range(len(trained.seeds)):
        score = scorer(trained, cell.cell, seed)
        attributed = attributing.integrated_gradients(score, x, against)
        got, expected = attributing.completeness(score, x, against, attributed)
        values, signal = attributed.cpu().numpy(), x.cpu().numpy()
        each.append(
            {
                "attribution": values,
                "profile": attributing.effect(values, signal),
                "total": attributing.effect(values.sum(1), signal.mean(1)),
                "error": float((got - expected).abs().mean() / expected.abs().mean()),
                **_occlusion(score, x, y, against),
                "redrawn": _redrawn(trained, cell.cell, seed, x, against, values, rng),
            }
        )
        if trained.info["architecture"] == "attentive":
            attended.append(attributing.attention(trained, cell.cell, seed, x))
        advance()

    def by_seed(name: str) -> np.ndarray:
        return np.stack([one[name] for one in each])

    linear = attributing.linear_weights(trained, cell.cell, torch.from_numpy(log_train).to(device))
    return Explanation(
        cell=cell.cell,
        y=y,
        attribution=by_seed("attribution").mean(0),
        profile=by_seed("profile"),
        total=by_seed("total"),
        occlusion=by_seed("occlusion"),
        auroc_lost=by_seed("auroc_lost"),
        regions=by_seed("regions").mean(0).reshape(REGIONS, len(MARKS)),
        linear=regression(log_train, train.y)[None] if linear is None else linear,
        error=float(by_seed("error").mean()),
        redrawn=float(np.nanmean(by_seed("redrawn"))),
        attention={
            label: (
                np.mean([bins[y == value].mean(0) for bins, _ in attended], axis=0),
                np.mean([marks[y == value].mean(0) for _, marks in attended], axis=0),
            )
            for label, value in CLASSES.items()
        }
        if attended
        else None,
    )


def _occlusion(score: Score, x: Tensor, y: np.ndarray, against: Tensor) -> dict[str, Any]:
    """Return the effects of whole marks and of regions by occlusion, and the AUROC lost.

    x, against: as for `attribution.integrated_gradients`. y: the label of each gene.
    """
    # the first few of each half
    k = min(OCCLUSION_BASELINES, len(against)) // 2
    lent = torch.cat([against[:k], against[len(against) // 2 :][:k]])
    whole = attributing.masks_of_marks(N_BINS, len(MARKS)).to(x.device)
    pieces = attributing.masks_of_regions(N_BINS, len(MARKS), REGIONS).to(x.device)
    before = score(x).detach()
    after_whole = attributing.occluded(score, x, lent, whole)
    after_pieces = attributing.occluded(score, x, lent, pieces)
    change = (before - after_whole.mean(1)).T.cpu().numpy()  # (genes, marks)
    change_pieces = (before - after_pieces.mean(1)).T.cpu().numpy()
    signal = x.cpu().numpy()
    own = auroc(y, before.cpu().numpy())
    return {
        "occlusion": attributing.effect(change, signal.mean(1)),
        # region by region, mark by mark: as the masks
        "regions": attributing.effect(change_pieces, region_means(signal)),
        "auroc_lost": [
            own - np.mean([auroc(y, one) for one in by_baseline])
            for by_baseline in after_whole.cpu().numpy()
        ],
    }


def _redrawn(
    trained: Models,
    cell: str,
    seed: int,
    x: Tensor,
    against: Tensor,
    values: np.ndarray,
    rng: np.random.Generator,
) -> float:
    """Return the rank correlation of a model's attributions with those of re-drawn weights.

    values: its attributions of the genes x. The mean over draws, of a few of the genes.
    """
    check = rng.permutation(len(x))[:CHECKED]
    found = []
    for draw in rng.integers(2**31, size=DRAWS):
        other = scorer(trained, cell, seed, attributing.redrawn(trained, int(draw)))
        theirs = attributing.integrated_gradients(other, x[check], against[:, check])
        found.append(attributing.rank_correlation(values[check], theirs.cpu().numpy()))
    return float(np.nanmean(found))


def regression(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return logistic regression's weight of each mark's mean log signal, per SD, shape=(marks,).

    x: training genes, shape=(genes, bins, marks). The yardstick beside models that have no weight
    of a mark.
    """
    features = StandardScaler().fit_transform(x.mean(1, dtype=np.float64))
    return LogisticRegression().fit(features, y).coef_[0]
