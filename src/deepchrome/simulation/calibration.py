"""Fit the simulator to real chromatin.

`calibrate` turns a raw directory in the published layout and Roadmap's RPKM table into the
statistics of `simulator`.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import optimize, stats

from deepchrome import MARKS
from deepchrome.data import reference
from deepchrome.data.sources import published
from deepchrome.data.sources.genes import orient
from deepchrome.errors import DeepChromeError
from deepchrome.simulation import simulator
from deepchrome.simulation.simulator import Statistics
from deepchrome.simulation.states import KNOTS, RPKM_KNOTS, fit_signal, rounded, rpkm_basis

MARK = b"fitted by 'deepchrome calibrate'"
"""Stands near the start of the statistics."""
_LEVELS = (0, 0.01, 0.02, *np.arange(0.05, 0.96, 0.025).round(3), 0.97, 0.98, 0.99, 0.995, 0.999, 1)
_TUNING_ROUNDS = 12


@dataclass(frozen=True)
class RealCell:
    """Genes of one cell type, sorted by id; only those with a known RPKM and strand.

    `X`: shape=(genes, bins, marks), int64 reads (H3K4me3 halved), bins in the direction of
    transcription. `rpkm`, `high`: shape=(genes,). `high` is RPKM above the median of the table.
    """

    cell: str
    gene_id: np.ndarray
    X: np.ndarray
    rpkm: np.ndarray
    high: np.ndarray

    def take(self, rows: np.ndarray) -> "RealCell":
        """Return some of the genes."""
        return RealCell(self.cell, *(a[rows] for a in (self.gene_id, self.X, self.rpkm, self.high)))


def read_cell(raw: Path, expression: pd.DataFrame, cell: str) -> RealCell:
    """Read one cell type of a directory in the published layout."""
    table, _ = published.read_splits(raw, cell)
    strands = reference.genes().drop_duplicates("gene_id").set_index("gene_id")["strand"]
    known = np.isin(table.gene_id, expression.index) & np.isin(table.gene_id, strands.index)
    gene_id = table.gene_id[known]
    X = published.halve_h3k4me3(table.X[known], gene_id, raw / cell)
    rpkm = expression.loc[gene_id, cell].to_numpy(float)
    return RealCell(
        cell=cell,
        gene_id=gene_id,
        X=orient(X, gene_id, strands).astype(np.int64),
        rpkm=rpkm,
        high=rpkm > expression[cell].median(),
    )


def read_cells(raw: Path, expression: pd.DataFrame) -> list[RealCell]:
    """Read every cell type of `raw` that the RPKM table has."""
    names = [name for name in published.cell_types(raw) if name in expression.columns]
    if not names:
        raise DeepChromeError(
            f"{raw}: no <EID>/classification folder of a cell type in the RPKM table"
        )
    return [read_cell(raw, expression, name) for name in names]


def calibrate(raw: str | Path, expression: pd.DataFrame) -> Statistics:
    """Fit all statistics of the simulator.

    `raw`: a directory in the published layout, any number of cell types and genes. `expression`:
    Roadmap's RPKM table, as `read_rpkm` returns it. Raises DeepChromeError where `raw` cannot be
    read.
    """
    cells = read_cells(Path(raw), expression)
    sizes = " and ".join(f"{s.cell} ({len(s.gene_id)} genes)" for s in cells)
    statistics: Statistics = {
        "description": (
            f"Statistics of the simulator, {MARK.decode()} on {sizes} of "
            "the published archive (Zenodo 2652278; Roadmap Epigenomics reads) and on the RPKM of "
            f"{expression.shape[1]} Roadmap epigenomes. Means, slopes, factors and residual_sd are "
            "of log reads, one row of `knots` (bins in the direction of transcription) a mark, in "
            f"the order {', '.join(MARKS)}; slopes are per unit of (log(RPKM + 0.1) - 1) / 3. "
            "state_logits has a row an `rpkm_knots` and a column a state."
        ),
        "knots": list(KNOTS),
        "rpkm_knots": list(RPKM_KNOTS),
        "expression": fit_expression(expression),
        "signal_of": _nearest(expression, [s.cell for s in cells]),
        "equal_depth_signal": max(cells, key=lambda s: len(s.gene_id)).cell,
        "gene_share": _gene_share(cells),
        "mappability": {"shape": 0.5, "start_rate": 0.02, "mean_bins": 1.8},
        "signals": {s.cell: fit_signal(s.X, s.rpkm) for s in cells},
    }
    tune(statistics, cells)
    return statistics


def as_json(statistics: Statistics) -> str:
    """Return the statistics as text, one row of numbers a line."""
    text = json.dumps(statistics, indent=1, allow_nan=False)
    return re.sub(r"\[[^][{}\"]*\]", lambda row: re.sub(r"\s+", "", row[0]), text) + "\n"


# --- expression ---------------------------------------------------------------------------------


def fit_expression(table: pd.DataFrame) -> Statistics:
    """Fit quantiles per cell type, and how expression is shared between and within lineages.

    A gene's share of variance that differs between cell types is beta distributed: its mean gives
    the correlation of cell types of different lineages, its spread the agreement of their labels.
    """
    cells = list(table.columns)
    lineages = np.array([simulator.lineage(cell) for cell in cells])
    ranks = (table.rank() - 0.5) / len(table)
    correlation = np.corrcoef(stats.norm.ppf(ranks).T)
    high = (table > table.median()).to_numpy()
    agreement = np.array([[(a == b).mean() for b in high.T] for a in high.T])
    same = lineages[:, None] == lineages
    related = same & ~np.eye(len(cells), dtype=bool)
    between = correlation[~same].mean()
    # with no two cell types of one lineage, half of what differs is taken to be the lineage's
    within = correlation[related].mean() if related.any() else (1 + between) / 2
    target = between, agreement[~same].mean()

    grid = (np.arange(1000) + 0.5) / 1000

    def distance(log_parameters: np.ndarray) -> float:
        variability = stats.beta.ppf(grid, *np.exp(log_parameters))
        agree = 1 - np.arccos(1 - variability) / np.pi
        return np.hypot((1 - variability).mean() - target[0], agree.mean() - target[1])

    beta = np.exp(optimize.minimize(distance, [-1.0, 0.0], method="Nelder-Mead").x)
    return {
        "variability_beta": rounded(beta, 4),
        "lineage_share": round(float((within - between) / (1 - between)), 4),
        "levels": rounded(np.array(_LEVELS), 4),
        "quantiles": {
            cell: [float(f"{q:.4g}") for q in np.quantile(table[cell], _LEVELS)] for cell in cells
        },
    }


def _nearest(table: pd.DataFrame, fitted: list[str]) -> dict[str, str]:
    """Name, for each cell type, the fitted one whose expression correlates most with its own."""
    correlation = table.rank().corr()[fitted]
    return {cell: str(correlation.loc[cell].idxmax()) for cell in table.columns}


def _gene_share(cells: list[RealCell]) -> float:
    """Return the correlation between cell types of what a gene's marks have beyond its RPKM."""
    residual = {}
    for cell in cells:
        X = rpkm_basis(cell.rpkm)
        y = np.log1p(cell.X.sum(axis=1))
        residual[cell.cell] = pd.DataFrame(
            y - X @ np.linalg.lstsq(X, y, rcond=None)[0], index=cell.gene_id
        )
    shares = [
        residual[a.cell].corrwith(residual[b.cell]).mean()
        for i, a in enumerate(cells)
        for b in cells[:i]
        if len(np.intersect1d(a.gene_id, b.gene_id)) >= 50
    ]
    return round(float(np.clip(np.mean(shares), 0, 1)), 3) if shares else 0.3


# --- noise, by matching what simulated counts show ------------------------------------------------


def _texture(X: np.ndarray) -> dict[str, np.ndarray]:
    """Measure what `tune` matches, in counts of shape=(genes, bins, marks)."""
    root = np.sqrt(X + 0.375)  # the variance of Poisson counts becomes constant
    lag = {h: ((root[:, h:] - root[:, :-h]) ** 2).mean(axis=(0, 1)) for h in (1, 2, 5)}
    step = np.diff(root, axis=1).reshape(-1, len(MARKS))
    empty = X.sum(axis=2) == 0
    return {
        "mean": X.mean(axis=(0, 1)),
        "level": np.log1p(X.sum(axis=1)).mean(axis=0),
        "near": lag[1],
        "second": lag[2],
        "far": lag[5],
        "common": np.cov(step.T)[np.triu_indices(len(MARKS), 1)].mean(),
        "empty": empty.mean(),
        "empty_runs": (empty[:, 1:] & empty[:, :-1]).mean(),
        "empty_genes": empty.any(axis=1).mean(),
    }


def _mean_texture(textures: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {key: np.mean([t[key] for t in textures], axis=0) for key in textures[0]}


def tune(statistics: Statistics, cells: list[RealCell], seeds: int = 3) -> None:
    """Set noise, mappability and overall means so that simulated counts have the real texture.

    A fixed-point iteration: simulate at the real genes' RPKM, compare, correct.
    """
    real = [_texture(cell.X) for cell in cells]
    for _ in range(_TUNING_ROUNDS):
        simulated = [
            _mean_texture([_texture(simulate_like(s, seed, statistics)) for seed in range(seeds)])
            for s in cells
        ]
        for cell, want, got in zip(cells, real, simulated, strict=True):
            _tune_signal(statistics["signals"][cell.cell], want, got)
        _tune_mappability(statistics["mappability"], _mean_texture(real), _mean_texture(simulated))


def _tune_signal(signal: Statistics, want: dict, got: dict) -> None:
    noise = signal["noise"]
    # For small log noise of variance v, neighbours' roots differ by about mean / 2 (1 - r) v.
    leverage = want["mean"] / 2 * (1 - noise["neighbour"])
    variance = np.square(noise["mark_sd"]) + 0.7 * (want["near"] - got["near"]) / leverage
    noise["mark_sd"] = rounded(np.sqrt(np.clip(variance, 0, 1)), 3)
    common = noise["common_sd"] ** 2 + 0.7 * (want["common"] - got["common"]) / leverage.mean()
    noise["common_sd"] = round(float(np.sqrt(np.clip(common, 0, 1))), 3)
    ratio = (got["second"] / got["near"] - want["second"] / want["near"]).mean()
    noise["neighbour"] = round(float(np.clip(noise["neighbour"] - 0.5 * ratio, 0, 0.9)), 3)

    shift = want["level"] - got["level"]
    ceiling = np.array(signal["log_ceiling"]) + np.log(want["mean"] / got["mean"])
    signal["log_ceiling"] = rounded(ceiling, 3)
    rough = np.clip((want["far"] / got["far"]) ** 0.8, 0.8, 1.25)
    for state in signal["states"]:
        state["mean"] = rounded(np.array(state["mean"]) + shift[:, None], 3)
        state["residual_sd"] = rounded(np.array(state["residual_sd"]) * rough[:, None], 3)


def _tune_mappability(fitted: Statistics, want: dict, got: dict) -> None:
    def corrected(key: str, factor: float, low: float, high: float) -> None:
        value = fitted[key] * np.clip(factor, 0.8, 1.25)
        fitted[key] = round(float(np.clip(value, low, high)), 4)

    runs = (want["empty_runs"] / want["empty"]) / (got["empty_runs"] / got["empty"])
    corrected("start_rate", want["empty"] / got["empty"], 1e-4, 0.2)
    corrected("mean_bins", runs, 1.01, 20)
    corrected("shape", (want["empty_genes"] / got["empty_genes"]) ** 2, 0.05, 5)


def simulate_like(cell: RealCell, seed: int, statistics: Statistics) -> np.ndarray:
    """Simulate counts for the cell type's genes, shape as `cell.X`, from their own RPKM."""
    forward = np.full(len(cell.gene_id), "+")
    return simulator.counts(cell.cell, cell.rpkm, forward, seed, statistics).astype(np.int64)
