"""What it takes for high and for low: signals optimised for one cell type's models."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from deepchrome import MARKS, N_BINS
from deepchrome.data.dataset import CellType
from deepchrome.interpretation.attribution import ROWS
from deepchrome.interpretation.histone_code import CLASSES
from deepchrome.interpretation.log_odds import scorer
from deepchrome.interpretation.maximisation import (
    distances,
    mark_frequency,
    maximise,
    maximise_latent,
)
from deepchrome.interpretation.signals import log_signals
from deepchrome.params import InterpretParams
from deepchrome.training.store import Models

if TYPE_CHECKING:
    from deepchrome.interpretation.generator import Generator


@dataclass(frozen=True)
class Optima:
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


def optimise(
    trained: Models, cell: CellType, params: InterpretParams, source: "Generator | None"
) -> Optima:
    """Optimise signals for both classes, by the mean log-odds of the cell type's models.

    source: the generator among whose signals they are sought, too; None where there is none.
    """
    train, test = cell.part("train"), cell.part("test")
    log_train, log_test = (log_signals(part.X, np.float32) for part in (train, test))
    scores = [scorer(trained, cell.cell, seed) for seed in range(len(trained.seeds))]

    def score(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([one(x) for one in scores]).mean(0)

    @torch.no_grad()
    def scored(x: np.ndarray) -> np.ndarray:
        parts = torch.from_numpy(x).to(trained.device).split(ROWS)
        return torch.cat([score(part) for part in parts]).cpu().numpy()

    n, device = params.starts, trained.device
    high = torch.arange(2 * n, device=device) < n
    random = torch.Generator().manual_seed(params.seed)
    start = torch.rand(2 * n, N_BINS, len(MARKS), generator=random).to(device)
    by_method = {"unconstrained": maximise(score, start, high).cpu().numpy()}
    if source is not None and cell.cell in source.cells:
        where = torch.full((2 * n,), source.cells.index(cell.cell), device=device)
        z = torch.randn(2 * n, source.latent, generator=random).to(device)
        _, made = maximise_latent(
            score, lambda z: source.log_counts(z, high.long(), where), z, high
        )
        by_method["generator"] = made.cpu().numpy()

    held_out = {label: scored(log_test[test.y == value]) for label, value in CLASSES.items()}
    mean_of = {label: log_train[train.y == value].mean(0) for label, value in CLASSES.items()}
    reads = {label: train.X[train.y == value].mean() for label, value in CLASSES.items()}
    usual = float(np.median(distances(log_test, log_train)))
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
                    "distance": distances(mine, log_train).mean() / usual,
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

    return Optima(
        maps={**means, "genes": mean_of},
        table=pd.DataFrame(rows).assign(cell=cell.cell),
        generated=difference(means["generator"]) if "generator" in means else None,
        genes=difference(mean_of),
    )


def _active(maps: np.ndarray) -> dict[str, float]:
    counts = mark_frequency(maps).mean(0)
    return {f"active_{mark}": float(count) for mark, count in zip(MARKS, counts, strict=True)}


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Correlate two maps over bins and marks; 0 for an empty one, which is like nothing."""
    return (
        float(np.corrcoef(a.ravel(), b.ravel())[0, 1]) if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0
    )
