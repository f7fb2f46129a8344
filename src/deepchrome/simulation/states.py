"""Chromatin states fitted to the reads of one cell type, by expectation maximisation.

Counts are negative binomial around intensities whose logs are linear between knots; the knots'
values are normal within a state (Laplace approximation). Covariances are shrunk to pooled
correlations.
"""

import numpy as np
from scipy import optimize, special
from scipy.cluster.vq import kmeans2

from deepchrome import MARKS
from deepchrome.simulation import simulator
from deepchrome.simulation.simulator import Statistics

KNOTS = (1, 14, 26, 34, 40, 44, 47, 49, 51, 53, 56, 60, 66, 75, 87, 100)
"""Bins, in the direction of transcription, whose log intensities are fitted; densest at the TSS."""

RPKM_KNOTS = (0, 0.1, 0.5, 2, 8, 30, 150)
"""RPKM between which the log odds of chromatin states are interpolated."""

_STATES = 8
_FACTORS = 12
_ROUNDS = 25
_POOLED_GENES = 61.0  # genes' worth of the pooled correlations in each state's covariance
_LOG_BOUND = 8.0


def rpkm_basis(rpkm: np.ndarray) -> np.ndarray:
    """Return the interpolation from values at `RPKM_KNOTS` to genes, shape=(genes, knots)."""
    return simulator.rpkm_basis(rpkm, RPKM_KNOTS)


def fit_signal(X: np.ndarray, rpkm: np.ndarray) -> Statistics:
    """Fit the statistics of one cell type's signal.

    X: shape=(genes, bins, marks), reads, bins in the direction of transcription. rpkm:
    shape=(genes,). Noise of bins gets rough values here; `calibration.tune` sets them.
    """
    y = np.swapaxes(X, 1, 2).astype(float)  # genes, marks, bins
    B = simulator.basis(KNOTS)
    n, J, S = len(y), len(MARKS) * len(KNOTS), min(_STATES, max(1, len(y) // 25))
    x = simulator.expression_feature(rpkm)
    gate_X, mean_X = rpkm_basis(rpkm), np.stack([np.ones(n), x], axis=1)

    responsibility = _first_states(X, rpkm, S)
    theta = np.log(np.einsum("bk,gmb->gmk", B / B.sum(axis=0), y) + 0.3).reshape(n, J)
    covariance = np.repeat((0.3 * np.cov(theta.T) + 0.01 * np.eye(J))[None], S, axis=0)
    theta = np.repeat(theta[None], S, axis=0)
    coefficients = np.stack([_ridge(mean_X, theta[s], responsibility[:, s]) for s in range(S)])
    logits = _fit_logits(gate_X, responsibility, np.zeros((len(RPKM_KNOTS), S)))
    ceiling = np.log(np.quantile(X, 0.9995, axis=(0, 1)))
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
        "state_logits": rounded(logits[:, order], 3),
        "log_ceiling": rounded(ceiling, 3),
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
        "mean": rounded(coefficients[0].reshape(by_mark), 2),
        "slope": rounded(coefficients[1].reshape(by_mark), 2),
        "residual_sd": rounded(np.sqrt(residual).reshape(by_mark), 2),
        "factors": rounded(factors.reshape(-1, *by_mark), 2),
    }


def rounded(values: np.ndarray, digits: int) -> list:
    """Return numbers as they stand in the statistics: nested lists, a few decimals."""
    return np.round(np.asarray(values, dtype=float), digits).tolist()


def _first_states(X: np.ndarray, rpkm: np.ndarray, n_states: int) -> np.ndarray:
    """Return soft memberships to start from: k-means on log counts up-, at and downstream."""
    parts = np.split(X, (40, 60), axis=1)
    features = np.log1p(np.concatenate([part.sum(axis=1) for part in parts], axis=1))
    features = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-9)
    x = 2 * simulator.expression_feature(rpkm)
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
    return _saturated(_log_intensity(B, theta), ceiling)


def _log_intensity(B: np.ndarray, theta: np.ndarray) -> np.ndarray:
    return theta.reshape(-1, len(MARKS), B.shape[1]) @ B.T


def _saturated(eta: np.ndarray, ceiling: np.ndarray) -> np.ndarray:
    """Return expected counts from log intensities that know no ceiling."""
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
    eta = _log_intensity(B, theta)
    m = _saturated(eta, ceiling)
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
