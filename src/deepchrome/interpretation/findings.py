"""What the models of one cell type look for: attribution, occlusion and optimised signals."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from deepchrome import MARKS, N_BINS
from deepchrome.data.dataset import CellType
from deepchrome.errors import DeepChromeError
from deepchrome.evaluation.metrics import auroc
from deepchrome.interpretation import attribution as attributing
from deepchrome.interpretation import maximisation as maximising
from deepchrome.params import InterpretParams
from deepchrome.training.store import Models

if TYPE_CHECKING:
    from deepchrome.interpretation.generator import Generator

OCCLUSION_BASELINES = 4
"""Genes that lend their parts to an occluded one, at most."""

CHECKED = 10
"""Genes of a model that are explained again with re-drawn weights."""

DRAWS = 4
"""How often weights are re-drawn, for each model."""

CLASSES = {"high": 1, "low": 0}


@dataclass(frozen=True)
class Found:
    """What attribution and occlusion say of one cell type's models.

    `y`: shape=(genes,). `attribution`: mean over seeds, shape=(genes, bins, marks). `profile`:
    effects, shape=(seeds, bins, marks). `total`, `occlusion`, `auroc_lost`: of whole marks,
    shape=(seeds, marks). `regions`: effects, mean over seeds, shape=(regions, marks). `linear`:
    weights per SD, shape=(seeds or 1, marks). `error`: of completeness, relative, mean over seeds.
    `redrawn`, `between_seeds`: rank correlation of attributions with those of re-drawn weights and
    of other seeds (NaN with one). `attention`: of bins and of marks by class, of `attentive` only.
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


def log_signals(X: np.ndarray) -> np.ndarray:
    """Return log(1 + counts), float32."""
    return np.log1p(X.astype(np.float32))


def sample(y: np.ndarray, genes: int, rng: np.random.Generator) -> np.ndarray:
    """Draw genes, half of them high where there are enough of each; positions in y, sorted."""
    parts = [rng.permutation(np.flatnonzero(y == label))[: genes // 2] for label in (1, 0)]
    return np.sort(np.concatenate(parts))


def attribute(trained: Models, cell: CellType, params: InterpretParams, advance: Any) -> Found:
    """Explain a sample of one cell type's test genes by each of its models."""
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
    x = torch.from_numpy(log_signals(test.X[chosen])).to(device)
    log_train = log_signals(train.X)
    drawn = attributing.baselines(train.y, len(x), params.baselines, rng)
    against = torch.from_numpy(log_train[drawn]).to(device)
    # the first few of each half
    k = min(OCCLUSION_BASELINES, params.baselines) // 2
    lent = torch.cat([against[:k], against[params.baselines // 2 :][:k]])
    whole = attributing.masks_of_marks(N_BINS, len(MARKS)).to(device)
    pieces = attributing.masks_of_regions(N_BINS, len(MARKS), maximising.REGIONS).to(device)
    signal = x.cpu().numpy()
    in_regions = maximising.region_means(signal)  # as the masks: region by region, mark by mark
    each: list[dict[str, Any]] = []
    attended = []
    for seed in range(len(trained.seeds)):
        score = attributing.scorer(trained, cell.cell, seed)
        attributed = attributing.integrated_gradients(score, x, against)
        got, expected = attributing.completeness(score, x, against, attributed)
        before = score(x).detach()
        after_whole = attributing.occluded(score, x, lent, whole)
        after_pieces = attributing.occluded(score, x, lent, pieces)
        change = (before - after_whole.mean(1)).T.cpu().numpy()  # (genes, marks)
        change_pieces = (before - after_pieces.mean(1)).T.cpu().numpy()
        values = attributed.cpu().numpy()
        own = auroc(y, before.cpu().numpy())
        check = rng.permutation(len(x))[:CHECKED]
        meaningless = []
        for draw in rng.integers(2**31, size=DRAWS):
            weights = attributing.redrawn(trained, int(draw))
            other = attributing.scorer(trained, cell.cell, seed, weights)
            other_values = attributing.integrated_gradients(other, x[check], against[:, check])
            meaningless.append(
                attributing.rank_correlation(values[check], other_values.cpu().numpy())
            )
        each.append(
            {
                "attribution": values,
                "profile": attributing.effect(values, signal),
                "total": attributing.effect(values.sum(1), signal.mean(1)),
                "occlusion": attributing.effect(change, signal.mean(1)),
                "regions": attributing.effect(change_pieces, in_regions),
                "auroc_lost": [
                    own - np.mean([auroc(y, one) for one in by_baseline])
                    for by_baseline in after_whole.cpu().numpy()
                ],
                "error": float((got - expected).abs().mean() / expected.abs().mean()),
                "redrawn": np.nanmean(meaningless),
            }
        )
        if trained.info["architecture"] == "attentive":
            attended.append(attributing.attention(trained, cell.cell, seed, x))
        advance()

    def stacked(name: str) -> np.ndarray:
        return np.stack([one[name] for one in each])

    linear = attributing.linear_weights(trained, cell.cell, torch.from_numpy(log_train).to(device))
    return Found(
        cell=cell.cell,
        y=y,
        attribution=stacked("attribution").mean(0),
        profile=stacked("profile"),
        total=stacked("total"),
        occlusion=stacked("occlusion"),
        auroc_lost=stacked("auroc_lost"),
        regions=stacked("regions").mean(0).reshape(maximising.REGIONS, len(MARKS)),
        linear=regression(log_train, train.y)[None] if linear is None else linear,
        error=float(stacked("error").mean()),
        redrawn=float(np.nanmean(stacked("redrawn"))),
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


def regression(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return logistic regression's weight of each mark's mean log signal, per SD, shape=(marks,).

    x: training genes, shape=(genes, bins, marks). The yardstick beside models that have no weight
    of a mark.
    """
    features = StandardScaler().fit_transform(x.mean(1, dtype=np.float64))
    return LogisticRegression().fit(features, y).coef_[0]


@dataclass(frozen=True)
class Maximised:
    """Optimised signals of one cell type.

    `maps`: mean log signals over starts, shape=(bins, marks), by method and class. `table`: cell,
    method, class, log_odds, surer_than, reads, likeness, distance, active_<mark>; means over
    starts. `generated`, `genes`: high minus low of each mark's mean log signal in standard
    deviations over training genes, shape=(marks,); generated is None without a generator.
    """

    maps: dict[str, dict[str, np.ndarray]]
    table: pd.DataFrame
    generated: np.ndarray | None
    genes: np.ndarray


def maximise(
    trained: Models, cell: CellType, params: InterpretParams, source: "Generator | None"
) -> Maximised:
    """Optimise signals for both classes, by the mean log-odds of the cell type's models."""
    train, test = cell.part("train"), cell.part("test")
    log_train, log_test = log_signals(train.X), log_signals(test.X)
    scores = [attributing.scorer(trained, cell.cell, seed) for seed in range(len(trained.seeds))]

    def score(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([one(x) for one in scores]).mean(0)

    @torch.no_grad()
    def scored(x: np.ndarray) -> np.ndarray:
        parts = torch.from_numpy(x).to(trained.device).split(attributing.ROWS)
        return torch.cat([score(part) for part in parts]).cpu().numpy()

    n, device = params.starts, trained.device
    high = torch.arange(2 * n, device=device) < n
    random = torch.Generator().manual_seed(params.seed)
    start = torch.rand(2 * n, N_BINS, len(MARKS), generator=random).to(device)
    by_method = {"unconstrained": maximising.maximise(score, start, high).cpu().numpy()}
    if source is not None and cell.cell in source.cells:
        where = torch.full((2 * n,), source.cells.index(cell.cell), device=device)
        z = torch.randn(2 * n, source.latent, generator=random).to(device)
        _, made = maximising.maximise_latent(
            score, lambda z: source.log_counts(z, high.long(), where), z, high
        )
        by_method["generator"] = made.cpu().numpy()

    held_out = {label: scored(log_test[test.y == value]) for label, value in CLASSES.items()}
    mean_of = {label: log_train[train.y == value].mean(0) for label, value in CLASSES.items()}
    reads = {label: train.X[train.y == value].mean() for label, value in CLASSES.items()}
    usual = float(np.median(maximising.distances(log_test, log_train)))
    rows = []
    for method, maps in by_method.items():
        for label, mine in zip(CLASSES, (maps[:n], maps[n:]), strict=True):
            sign = 1 if label == "high" else -1
            odds = scored(mine)
            rows.append(
                {
                    "method": method,
                    "class": label,
                    "log_odds": odds.mean(),
                    "surer_than": (sign * held_out[label] < sign * odds.mean()).mean(),
                    "reads": np.expm1(mine).mean() / reads[label],
                    "likeness": np.mean([_correlation(one, mean_of[label]) for one in mine]),
                    "distance": maximising.distances(mine, log_train).mean() / usual,
                    **_active(mine),
                }
            )
    rows += [
        {
            "method": "genes",
            "class": label,
            "log_odds": held_out[label].mean(),
            "surer_than": np.nan,
            "reads": 1.0,
            "likeness": 1.0,
            "distance": 1.0,
            **_active(log_train[train.y == value]),
        }
        for label, value in CLASSES.items()
    ]
    means = {
        method: {"high": maps[:n].mean(0), "low": maps[n:].mean(0)}
        for method, maps in by_method.items()
    }
    sd = log_train.mean(1).std(0)

    def difference(of: dict[str, np.ndarray]) -> np.ndarray:
        change = (of["high"] - of["low"]).mean(0)
        return np.divide(change, sd, out=np.zeros_like(change), where=sd > 1e-6)

    return Maximised(
        maps={**means, "genes": mean_of},
        table=pd.DataFrame(rows).assign(cell=cell.cell),
        generated=difference(means["generator"]) if "generator" in means else None,
        genes=difference(mean_of),
    )


def _active(maps: np.ndarray) -> dict[str, float]:
    counts = maximising.mark_frequency(maps).mean(0)
    return {f"active_{mark}": float(count) for mark, count in zip(MARKS, counts, strict=True)}


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Correlate two maps over bins and marks; 0 for an empty one, which is like nothing."""
    return (
        float(np.corrcoef(a.ravel(), b.ravel())[0, 1]) if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0
    )
