"""Fit the simulator to real chromatin, and show how well it holds.

`calibrate` turns a raw directory in the published layout and Roadmap's RPKM table into the
statistics of `simulator`; `compare` measures real beside simulated; `draw` shows them.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import optimize, special, stats
from scipy.cluster.vq import kmeans2

from deepchrome import MARKS, N_BINS, files
from deepchrome.data import reference
from deepchrome.data.sources import published
from deepchrome.data.sources.expression import read_rpkm
from deepchrome.data.sources.genes import orient
from deepchrome.errors import DeepChromeError
from deepchrome.simulation import simulator
from deepchrome.simulation.simulator import Statistics

KNOTS = (1, 14, 26, 34, 40, 44, 47, 49, 51, 53, 56, 60, 66, 75, 87, 100)
"""Bins, in the direction of transcription, whose log intensities are fitted; densest at the TSS."""

RPKM_KNOTS = (0, 0.1, 0.5, 2, 8, 30, 150)
"""RPKM between which the log odds of chromatin states are interpolated."""

_LEVELS = (0, 0.01, 0.02, *np.arange(0.05, 0.96, 0.025).round(3), 0.97, 0.98, 0.99, 0.995, 0.999, 1)
_STATES = 8
_FACTORS = 12
_ROUNDS = 25
_TUNING_ROUNDS = 12
_POOLED_GENES = 61.0  # genes' worth of the pooled correlations in each state's covariance
_LOG_BOUND = 8.0


@dataclass(frozen=True)
class Sample:
    """Genes of one cell type, sorted by id; only those with a known RPKM and strand.

    `X`: shape=(genes, bins, marks), int64 reads (H3K4me3 halved), bins in the direction of
    transcription. `rpkm`, `high`: shape=(genes,). `high` is RPKM above the median of the table.
    """

    cell: str
    gene_id: np.ndarray
    X: np.ndarray
    rpkm: np.ndarray
    high: np.ndarray

    def take(self, rows: np.ndarray) -> "Sample":
        """Return some of the genes."""
        return Sample(self.cell, *(a[rows] for a in (self.gene_id, self.X, self.rpkm, self.high)))


def read_sample(raw: Path, expression: pd.DataFrame, cell: str) -> Sample:
    """Read one cell type of a directory in the published layout."""
    table, _ = published.read_splits(raw, cell)
    strands = reference.genes().drop_duplicates("gene_id").set_index("gene_id")["strand"]
    known = np.isin(table.gene_id, expression.index) & np.isin(table.gene_id, strands.index)
    gene_id = table.gene_id[known]
    X = published.halve_h3k4me3(table.X[known], gene_id, raw / cell)
    rpkm = expression.loc[gene_id, cell].to_numpy(float)
    return Sample(
        cell=cell,
        gene_id=gene_id,
        X=orient(X, gene_id, strands).astype(np.int64),
        rpkm=rpkm,
        high=rpkm > expression[cell].median(),
    )


def read_samples(raw: Path, expression: pd.DataFrame) -> list[Sample]:
    """Read every cell type of `raw` that the RPKM table has."""
    cells = [cell for cell in published.cell_types(Path(raw)) if cell in expression.columns]
    if not cells:
        raise DeepChromeError(
            f"{raw}: no <EID>/classification folder of a cell type in the RPKM table"
        )
    return [read_sample(Path(raw), expression, cell) for cell in cells]


def calibrate(raw: str | Path, expression: str | Path) -> Statistics:
    """Fit all statistics of the simulator.

    `raw`: a directory in the published layout, any number of cell types and genes. `expression`:
    Roadmap's RPKM table. Raises DeepChromeError where either cannot be read.
    """
    table = read_rpkm(Path(expression))
    samples = read_samples(Path(raw), table)
    sizes = " and ".join(f"{s.cell} ({len(s.gene_id)} genes)" for s in samples)
    statistics: Statistics = {
        "description": (
            f"Statistics of the simulator, fitted by 'deepchrome calibrate' on {sizes} of "
            "the published archive (Zenodo 2652278; Roadmap Epigenomics reads) and on the RPKM of "
            f"{table.shape[1]} Roadmap epigenomes. Means, slopes, factors and residual_sd are of "
            "log reads, one row of `knots` (bins in the direction of transcription) a mark, in "
            f"the order {', '.join(MARKS)}; slopes are per unit of (log(RPKM + 0.1) - 1) / 3. "
            "state_logits has a row an `rpkm_knots` and a column a state."
        ),
        "knots": list(KNOTS),
        "rpkm_knots": list(RPKM_KNOTS),
        "expression": fit_expression(table),
        "signal_of": _nearest_sample(table, [s.cell for s in samples]),
        "equal_depth_signal": max(samples, key=lambda s: len(s.gene_id)).cell,
        "gene_share": _gene_share(samples),
        "mappability": {"shape": 0.5, "start_rate": 0.02, "mean_bins": 1.8},
        "signals": {s.cell: fit_signal(s) for s in samples},
    }
    tune(statistics, samples)
    return statistics


def fit_and_write(raw: str | Path, expression: str | Path, output: str | Path) -> None:
    """Fit as `calibrate` does and write the statistics as JSON, one row of numbers a line."""
    text = json.dumps(calibrate(raw, expression), indent=1, allow_nan=False)
    text = re.sub(r"\[[^][{}\"]*\]", lambda row: re.sub(r"\s+", "", row[0]), text)
    with files.replacing(output) as (path,):
        path.write_text(text + "\n", encoding="utf-8")


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
        "variability_beta": _rounded(beta, 4),
        "lineage_share": round(float((within - between) / (1 - between)), 4),
        "levels": _rounded(np.array(_LEVELS), 4),
        "quantiles": {
            cell: [float(f"{q:.4g}") for q in np.quantile(table[cell], _LEVELS)] for cell in cells
        },
    }


def _nearest_sample(table: pd.DataFrame, fitted: list[str]) -> dict[str, str]:
    """Name, for each cell type, the fitted one whose expression correlates most with its own."""
    correlation = table.rank().corr()[fitted]
    return {cell: str(correlation.loc[cell].idxmax()) for cell in table.columns}


def _gene_share(samples: list[Sample]) -> float:
    """Return the correlation between cell types of what a gene's marks have beyond its RPKM."""
    residual = {}
    for sample in samples:
        X = _rpkm_basis(sample.rpkm)
        y = np.log1p(sample.X.sum(axis=1))
        residual[sample.cell] = pd.DataFrame(
            y - X @ np.linalg.lstsq(X, y, rcond=None)[0], index=sample.gene_id
        )
    shares = [
        residual[a.cell].corrwith(residual[b.cell]).mean()
        for i, a in enumerate(samples)
        for b in samples[:i]
        if len(np.intersect1d(a.gene_id, b.gene_id)) >= 50
    ]
    return round(float(np.clip(np.mean(shares), 0, 1)), 3) if shares else 0.3


# --- signal of one cell type --------------------------------------------------------------------


def _rpkm_basis(rpkm: np.ndarray) -> np.ndarray:
    return simulator.rpkm_basis(rpkm, RPKM_KNOTS)


def fit_signal(sample: Sample) -> Statistics:
    """Fit chromatin states by expectation maximisation.

    Counts are negative binomial around intensities whose logs are linear between knots; the knots'
    values are normal within a state (Laplace approximation). Covariances are shrunk to pooled
    correlations. Noise of bins gets rough values here; `tune` sets them.
    """
    y = np.swapaxes(sample.X, 1, 2).astype(float)  # genes, marks, bins
    B = simulator.basis(KNOTS)
    n, J, S = len(y), len(MARKS) * len(KNOTS), min(_STATES, max(1, len(y) // 25))
    x = simulator.expression_feature(sample.rpkm)
    gate_X, mean_X = _rpkm_basis(sample.rpkm), np.stack([np.ones(n), x], axis=1)

    responsibility = _first_states(sample, S)
    theta = np.log(np.einsum("bk,gmb->gmk", B / B.sum(axis=0), y) + 0.3).reshape(n, J)
    covariance = np.repeat((0.3 * np.cov(theta.T) + 0.01 * np.eye(J))[None], S, axis=0)
    theta = np.repeat(theta[None], S, axis=0)
    coefficients = np.stack([_ridge(mean_X, theta[s], responsibility[:, s]) for s in range(S)])
    logits = _fit_logits(gate_X, responsibility, np.zeros((len(RPKM_KNOTS), S)))
    ceiling = np.log(np.quantile(sample.X, 0.9995, axis=(0, 1)))
    dispersion = np.full(len(MARKS), 0.1)

    for round_ in range(_ROUNDS):
        log_p = special.log_softmax(gate_X @ logits, axis=1)
        spread = np.empty((S, n, J, J), dtype=np.float32)
        for s in range(S):
            precision, mean = np.linalg.inv(covariance[s]), mean_X @ coefficients[s]
            for _ in range(3 if round_ == 0 else 1):
                theta[s], hessian = _newton(y, B, ceiling, dispersion, theta[s], mean, precision)
            d = theta[s] - mean
            log_p[:, s] += (
                _log_likelihood(y, _intensity(B, theta[s], ceiling), dispersion)
                - 0.5 * np.einsum("gi,ij,gj->g", d, precision, d)
                + 0.5 * (np.linalg.slogdet(precision)[1] - np.linalg.slogdet(hessian)[1])
            )
            spread[s] = np.linalg.inv(hessian)
        responsibility = special.softmax(log_p, axis=1)
        if round_ < 4:  # soft at first, so that no state locks in
            responsibility = 0.8 * responsibility + 0.2 * responsibility.mean(axis=0)

        total = np.empty((S, J, J))
        for s in range(S):
            w = responsibility[:, s]
            coefficients[s] = _ridge(mean_X, theta[s], w)
            d = theta[s] - mean_X @ coefficients[s]
            total[s] = (w[:, None] * d).T @ d + np.einsum("g,gij->ij", w, spread[s])
        covariance = np.stack(
            [_shrunk(t, total, responsibility[:, s].sum(), n) for s, t in enumerate(total)]
        )
        logits = _fit_logits(gate_X, responsibility, logits)
        if round_ % 4 == 2:
            best = np.einsum("gs,sgj->gj", responsibility, theta)
            dispersion = _fit_dispersion(y, _intensity(B, best, ceiling))

    tss = slice(KNOTS.index(49), KNOTS.index(60))
    activity = coefficients[:, 0].reshape(S, len(MARKS), -1)[:, MARKS.index("H3K4me3"), tss]
    order = np.argsort(activity.mean(axis=1))
    return {
        "state_logits": _rounded(logits[:, order], 3),
        "log_ceiling": _rounded(ceiling, 3),
        "noise": {"mark_sd": [0.25] * len(MARKS), "common_sd": 0.3, "neighbour": 0.3},
        "states": [_state(coefficients[s], covariance[s]) for s in order],
    }


def _shrunk(own: np.ndarray, total: np.ndarray, size: float, n: int) -> np.ndarray:
    """Shrink a state's covariance to its own variances with the pooled correlations.

    `own`: the state's sum of squares. `total`: those of all states. `size`: its genes of n.
    """
    pooled = total.sum(axis=0) / n
    few = 5.0  # genes' worth of the pooled variances
    variance = (np.diag(own) + few * np.diag(pooled)) / (size + few)
    scale = np.sqrt(variance / np.diag(pooled))
    prior = scale[:, None] * pooled * scale
    return (own + _POOLED_GENES * prior) / (size + _POOLED_GENES)


def _state(coefficients: np.ndarray, covariance: np.ndarray) -> Statistics:
    values, vectors = np.linalg.eigh(covariance)
    factors = (vectors * np.sqrt(np.maximum(values, 0))).T[::-1][:_FACTORS]
    residual = np.maximum(np.diag(covariance) - (factors**2).sum(axis=0), 1e-4)
    by_mark = len(MARKS), len(KNOTS)
    return {
        "mean": _rounded(coefficients[0].reshape(by_mark), 2),
        "slope": _rounded(coefficients[1].reshape(by_mark), 2),
        "residual_sd": _rounded(np.sqrt(residual).reshape(by_mark), 2),
        "factors": _rounded(factors.reshape(-1, *by_mark), 2),
    }


def _rounded(values: np.ndarray, digits: int) -> list:
    return np.round(np.asarray(values, dtype=float), digits).tolist()


def _first_states(sample: Sample, n_states: int) -> np.ndarray:
    """Return soft memberships to start from: k-means on log counts up-, at and downstream."""
    parts = np.split(sample.X, (40, 60), axis=1)
    features = np.log1p(np.concatenate([part.sum(axis=1) for part in parts], axis=1))
    features = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-9)
    x = 2 * simulator.expression_feature(sample.rpkm)
    states = kmeans2(np.column_stack([features, x]), n_states, minit="++", seed=0)[1]
    return 0.9 * np.eye(n_states)[states] + 0.1 / n_states


def _ridge(X: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Regress y on an intercept and a slope; a penalty of 5 genes' worth holds the slope back."""
    return np.linalg.solve(
        X.T @ (weight[:, None] * X) + np.diag([0.01, 5.0]), X.T @ (weight[:, None] * y)
    )


def _fit_logits(X: np.ndarray, target: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Fit a softmax regression whose coefficients are smooth along the RPKM knots."""
    steps = np.diff(np.eye(X.shape[1]), axis=0)
    penalty = 0.05 * np.eye(X.shape[1]) + steps.T @ steps

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = flat.reshape(start.shape)
        log_p = special.log_softmax(X @ w, axis=1)
        gradient = X.T @ (np.exp(log_p) - target) + penalty @ w
        return 0.5 * np.sum(w * (penalty @ w)) - np.sum(target * log_p), gradient.ravel()

    return optimize.minimize(loss, start.ravel(), jac=True, method="L-BFGS-B").x.reshape(
        start.shape
    )


def _intensity(B: np.ndarray, theta: np.ndarray, ceiling: np.ndarray) -> np.ndarray:
    """Return expected counts, shape=(genes, marks, bins), from knots' values."""
    eta = theta.reshape(-1, len(MARKS), B.shape[1]) @ B.T
    return np.exp(simulator.saturate(np.maximum(eta, -_LOG_BOUND), ceiling[:, None]))


def _newton(
    y: np.ndarray,
    B: np.ndarray,
    ceiling: np.ndarray,
    dispersion: np.ndarray,
    theta: np.ndarray,
    mean: np.ndarray,
    precision: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Take one Newton step towards each gene's most probable knots; also return the Hessian."""
    eta = theta.reshape(-1, len(MARKS), B.shape[1]) @ B.T
    m = np.exp(simulator.saturate(np.maximum(eta, -_LOG_BOUND), ceiling[:, None]))
    slope = special.expit((ceiling[:, None] - eta) / simulator.BEND)  # of the saturation
    scale = 1 + dispersion[:, None] * m
    gradient = ((y - m) / scale * slope @ B).reshape(theta.shape) - (theta - mean) @ precision
    hessian = np.repeat(precision[None], len(y), axis=0)
    K = B.shape[1]
    for i in range(len(MARKS)):
        block = slice(i * K, (i + 1) * K)
        weighted = (m / scale * slope**2)[:, i, :, None] * B
        hessian[:, block, block] += B.T @ weighted
    step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
    step *= np.minimum(1, 2 / np.maximum(np.abs(step).max(axis=1, keepdims=True), 1e-12))
    return theta + step, hessian


def _log_likelihood(y: np.ndarray, m: np.ndarray, dispersion: np.ndarray) -> np.ndarray:
    """Return each gene's negative binomial log likelihood."""
    size = (1 / dispersion)[:, None]
    log_p = special.gammaln(y + size) - special.gammaln(size) - special.gammaln(y + 1)
    log_p += y * np.log(m / (m + size)) - size * np.log1p(m / size)
    return log_p.sum(axis=(1, 2))


def _fit_dispersion(y: np.ndarray, m: np.ndarray) -> np.ndarray:
    def fit(i: int) -> float:
        def loss(log_dispersion: float) -> float:
            one = np.exp([log_dispersion])
            return -_log_likelihood(y[:, i : i + 1], m[:, i : i + 1], one).sum()

        return np.exp(optimize.minimize_scalar(loss, bounds=(-6, 2), method="bounded").x)

    return np.array([fit(i) for i in range(len(MARKS))])


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


def tune(statistics: Statistics, samples: list[Sample], seeds: int = 3) -> None:
    """Set noise, mappability and overall means so that simulated counts have the real texture.

    A fixed-point iteration: simulate at the real genes' RPKM, compare, correct.
    """
    real = [_texture(sample.X) for sample in samples]
    for _ in range(_TUNING_ROUNDS):
        simulated = [
            _mean_texture([_texture(simulate_like(s, seed, statistics)) for seed in range(seeds)])
            for s in samples
        ]
        for sample, want, got in zip(samples, real, simulated, strict=True):
            _tune_signal(statistics["signals"][sample.cell], want, got)
        _tune_mappability(statistics["mappability"], _mean_texture(real), _mean_texture(simulated))


def _tune_signal(signal: Statistics, want: dict, got: dict) -> None:
    noise = signal["noise"]
    # For small log noise of variance v, neighbours' roots differ by about mean / 2 (1 - r) v.
    leverage = want["mean"] / 2 * (1 - noise["neighbour"])
    variance = np.square(noise["mark_sd"]) + 0.7 * (want["near"] - got["near"]) / leverage
    noise["mark_sd"] = _rounded(np.sqrt(np.clip(variance, 0, 1)), 3)
    common = noise["common_sd"] ** 2 + 0.7 * (want["common"] - got["common"]) / leverage.mean()
    noise["common_sd"] = round(float(np.sqrt(np.clip(common, 0, 1))), 3)
    ratio = (got["second"] / got["near"] - want["second"] / want["near"]).mean()
    noise["neighbour"] = round(float(np.clip(noise["neighbour"] - 0.5 * ratio, 0, 0.9)), 3)

    shift = want["level"] - got["level"]
    ceiling = np.array(signal["log_ceiling"]) + np.log(want["mean"] / got["mean"])
    signal["log_ceiling"] = _rounded(ceiling, 3)
    rough = np.clip((want["far"] / got["far"]) ** 0.8, 0.8, 1.25)
    for state in signal["states"]:
        state["mean"] = _rounded(np.array(state["mean"]) + shift[:, None], 3)
        state["residual_sd"] = _rounded(np.array(state["residual_sd"]) * rough[:, None], 3)


def _tune_mappability(fitted: Statistics, want: dict, got: dict) -> None:
    def corrected(key: str, factor: float, low: float, high: float) -> None:
        value = fitted[key] * np.clip(factor, 0.8, 1.25)
        fitted[key] = round(float(np.clip(value, low, high)), 4)

    runs = (want["empty_runs"] / want["empty"]) / (got["empty_runs"] / got["empty"])
    corrected("start_rate", want["empty"] / got["empty"], 1e-4, 0.2)
    corrected("mean_bins", runs, 1.01, 20)
    corrected("shape", (want["empty_genes"] / got["empty_genes"]) ** 2, 0.05, 5)


def simulate_like(sample: Sample, seed: int, statistics: Statistics) -> np.ndarray:
    """Simulate counts for the sample's genes, shape as `sample.X`, from their own RPKM."""
    forward = np.full(len(sample.gene_id), "+")
    return simulator.counts(sample.cell, sample.rpkm, forward, seed, statistics).astype(np.int64)


# --- how well it holds ----------------------------------------------------------------------------

_COLUMNS = (
    *("cell", "measure", "mark", "genes", "real", "simulated"),
    *("difference", "ceiling", "bound", "holds"),
)

_FLAT_BELOW = 0.8
"""Ceiling of a profile's correlation below which its shape is mostly noise, so RMSE is compared."""


def compare(
    raw: str | Path,
    expression: str | Path,
    statistics: Statistics | None = None,
    *,
    splits: int = 50,
    seeds: int = 5,
    trees: bool = True,
) -> pd.DataFrame:
    """Measure simulated beside real counts of the same genes.

    Each measure stands beside its ceiling: the same measure between random halves of the real
    genes, median over `splits`. Simulated values are means over `seeds`. `trees`: also train
    boosted trees and logistic regression to tell real from simulated (needs scikit-learn).

    Returns a row a measure: cell, measure, mark, genes (all, low or high expression), real,
    simulated, difference (or correlation), ceiling, bound, holds (null where no bound is set).
    """
    statistics = statistics or simulator.load_statistics()
    rows: list[dict] = []
    for sample in read_samples(Path(raw), read_rpkm(Path(expression))):
        rng = np.random.default_rng(0)
        halves = [np.array_split(rng.permutation(len(sample.gene_id)), 2) for _ in range(splits)]
        # seeds that `tune` has not seen
        simulated = [simulate_like(sample, 1000 + seed, statistics) for seed in range(seeds)]
        found = [
            *_compare_profiles(sample, simulated, halves),
            *_compare_levels(sample, simulated, halves),
            *_compare_correlations(sample, simulated, halves),
        ]
        if trees:
            found += _compare_by_classifier(sample, simulated, halves)
        rows += [{"cell": sample.cell, **row} for row in found]
    return pd.DataFrame(rows, columns=list(_COLUMNS))


_Halves = list[list[np.ndarray]]


def _compare_profiles(sample: Sample, simulated: list[np.ndarray], halves: _Halves) -> list[dict]:
    def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.array([np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(len(MARKS))])

    def relative_rmse(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.sqrt(((a - b) ** 2).mean(axis=0)) / real.mean(axis=0)

    rows = []
    for name, of in (("low", ~sample.high), ("high", sample.high)):
        real = sample.X[of].mean(axis=0)
        ours = [X[of].mean(axis=0) for X in simulated]
        pairs = [[sample.X[half[of[half]]].mean(axis=0) for half in both] for both in halves]
        ceiling = np.median([correlation(*pair) for pair in pairs], axis=0)
        noise = np.median([relative_rmse(*pair) for pair in pairs], axis=0)
        reached = np.mean([correlation(real, profile) for profile in ours], axis=0)
        rmse = np.mean([relative_rmse(real, profile) for profile in ours], axis=0)
        level = np.mean(ours, axis=(0, 1))
        for i, mark in enumerate(MARKS):
            row = {"mark": mark, "genes": name, "real": real[:, i].mean(), "simulated": level[i]}
            if ceiling[i] >= _FLAT_BELOW:
                row |= {"measure": "profile, correlation", "difference": reached[i]}
                row |= {"ceiling": ceiling[i], "bound": ceiling[i] - 0.03}
                row["holds"] = bool(reached[i] >= row["bound"])
            else:
                row |= {"measure": "profile, RMSE over mean", "difference": rmse[i]}
                row |= {"ceiling": noise[i], "bound": noise[i] + 0.03}
                row["holds"] = bool(rmse[i] <= row["bound"])
            rows.append(row)
    return rows


def _compare_levels(sample: Sample, simulated: list[np.ndarray], halves: _Halves) -> list[dict]:
    measures = {
        "zero fraction": lambda X: (X == 0).mean(axis=(0, 1)),
        "mean": lambda X: X.mean(axis=(0, 1)),
    }
    rows = []
    for name, measure in measures.items():
        real, ours = measure(sample.X), np.mean([measure(X) for X in simulated], axis=0)
        ratios = [measure(sample.X[a]) / measure(sample.X[b]) for a, b in halves]
        ceiling = np.median(np.abs(np.array(ratios) - 1), axis=0)
        for i, mark in enumerate(MARKS):
            row = {"measure": name, "mark": mark, "genes": "all", "ceiling": ceiling[i]}
            row |= {"real": real[i], "simulated": ours[i], "bound": 0.15}
            row["difference"] = ours[i] / real[i] - 1
            row["holds"] = bool(abs(row["difference"]) <= 0.15)
            rows.append(row)
    return rows


def _compare_correlations(
    sample: Sample, simulated: list[np.ndarray], halves: _Halves
) -> list[dict]:
    upper = np.triu_indices(len(MARKS), 1)

    def measure(X: np.ndarray) -> np.ndarray:
        return np.corrcoef(np.log1p(X.sum(axis=1)).T)[upper]

    real, ours = measure(sample.X), np.mean([measure(X) for X in simulated], axis=0)
    ceiling = np.median([np.abs(measure(sample.X[a]) - measure(sample.X[b])) for a, b in halves], 0)
    return [
        {
            "measure": "correlation of log sums",
            "mark": f"{MARKS[i]}, {MARKS[j]}",
            "genes": "all",
            "real": real[k],
            "simulated": ours[k],
            "difference": ours[k] - real[k],
            "ceiling": ceiling[k],
            "bound": 0.1,
            "holds": bool(abs(ours[k] - real[k]) <= 0.1),
        }
        for k, (i, j) in enumerate(zip(*upper, strict=True))
    ]


def _compare_by_classifier(
    sample: Sample, simulated: list[np.ndarray], halves: _Halves
) -> list[dict]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)

    def auroc(model: object, X: np.ndarray, y: np.ndarray) -> float:
        scores = cross_val_predict(model, X, y, cv=folds, method="predict_proba")[:, 1]
        return float(roc_auc_score(y, scores))

    def features(X: np.ndarray) -> np.ndarray:
        bins = np.log1p(X).reshape(len(X), -1)
        return np.column_stack([bins, np.log1p(X.sum(1)), np.log1p(X.max(1)), X.argmax(1)])

    def told_apart(model: object, a: np.ndarray, b: np.ndarray) -> float:
        y = np.repeat([1, 0], [len(a), len(b)])
        return auroc(model, np.concatenate([features(a), features(b)]), y)

    few = slice(0, 3)  # each takes seconds
    rows = []
    models = {
        "real told from simulated, trees": HistGradientBoostingClassifier(random_state=0),
        "real told from simulated, logistic": logistic,
    }
    for name, model in models.items():
        value = np.mean([told_apart(model, sample.X, X) for X in simulated[few]])
        halved = [told_apart(model, sample.X[a], sample.X[b]) for a, b in halves[few]]
        rows.append({"measure": name, "difference": value, "ceiling": np.median(halved)})

    def predicts(X: np.ndarray, of: np.ndarray) -> float:
        return auroc(logistic, np.log1p(X.sum(axis=1))[of], sample.high[of].astype(int))

    everyone = np.arange(len(sample.gene_id))
    real = predicts(sample.X, everyone)
    ours = np.mean([predicts(X, everyone) for X in simulated])
    halved = [abs(predicts(sample.X, a) - predicts(sample.X, b)) for a, b in halves[:10]]
    rows.append(
        {
            "measure": "AUROC of log sums, logistic",
            "real": real,
            "simulated": ours,
            "difference": ours - real,
            "ceiling": np.median(halved),
            "bound": 0.03,
            "holds": bool(abs(ours - real) <= 0.03),
        }
    )
    return [{"mark": "all", "genes": "all", **row} for row in rows]


def draw(
    raw: str | Path,
    expression: str | Path,
    output: str | Path,
    statistics: Statistics | None = None,
) -> list[Path]:
    """Draw real beside simulated counts: `<output>/calibration_<EID>.png` for each cell type.

    Per mark: mean profiles of high and low genes, and all genes as heatmaps sorted by RPKM.
    Bins are in the direction of transcription. Returns the files.
    """
    from matplotlib.figure import Figure

    statistics = statistics or simulator.load_statistics()
    samples = read_samples(Path(raw), read_rpkm(Path(expression)))
    paths = []
    kb = (np.arange(N_BINS) + 0.5 - N_BINS / 2) / 10
    for sample in samples:
        simulated = simulate_like(sample, 0, statistics)
        order = np.argsort(-sample.rpkm, kind="stable")
        figure = Figure(figsize=(14, 9), layout="constrained")
        axes = figure.subplots(3, len(MARKS), sharex=True, height_ratios=[1.2, 1, 1])
        for i, mark in enumerate(MARKS):
            top = axes[0, i]
            for name, of, color in (("high", sample.high, "C3"), ("low", ~sample.high, "C0")):
                for kind, X, style in (("real", sample.X, "-"), ("simulated", simulated, "--")):
                    mean = X[of, :, i].mean(axis=0)
                    top.plot(kb, mean, style, color=color, lw=1.2, label=f"{name}, {kind}")
            top.set(title=mark, ylim=(0, None))
            brightest = np.log1p(np.quantile(sample.X[:, :, i], 0.995))
            for row, kind, X in ((1, "real", sample.X), (2, "simulated", simulated)):
                axes[row, i].imshow(
                    np.log1p(X[order, :, i]),
                    aspect="auto",
                    interpolation="nearest",
                    cmap="magma",
                    vmin=0,
                    vmax=brightest,
                    extent=(-N_BINS / 20, N_BINS / 20, len(order), 0),
                )
                axes[row, i].set_yticks([])
                if i == 0:
                    axes[row, i].set_ylabel(f"{kind}: {len(order)} genes, highest RPKM first")
        axes[0, 0].set_ylabel("mean reads per bin")
        axes[0, 0].legend(fontsize=7)
        figure.supxlabel("kb from the TSS, in the direction of transcription")
        figure.suptitle(f"{sample.cell}: real and simulated reads of the same genes")
        with files.replacing(Path(output) / f"calibration_{sample.cell}.png") as (path,):
            figure.savefig(path, dpi=110, format="png")
        paths.append(Path(output) / f"calibration_{sample.cell}.png")
    return paths
