"""A generative model of expression and histone marks, fitted on real chromatin.

Expression: a gene's rank in a cell type is a Gaussian copula of a program that all cell types
share, one that its lineage shares, and the cell type's own part; genes differ in how variable they
are. The cell type's quantile function turns ranks into RPKM.

Marks: given its RPKM, a gene is in one of a few chromatin states (active, bivalent, silent, ...).
In a state, the log intensities of the five marks at `knots` along the gene are normal, with a mean
linear in log RPKM and a covariance that ties positions and marks together. Between knots they are
linear; bins add correlated noise, partly common to the five marks, and stretches where no read can
be mapped. Reads are Poisson, and one that crosses into the next bin counts in both.

`calibration` fits all numbers; `reference/simulator.json` holds them. Every random number comes
from a stream named by what it belongs to (gene, lineage, cell type), so that one cell type's
numbers do not depend on which others are simulated.
"""

import json
import zlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np

from deepchrome import MARKS, N_BINS
from deepchrome.data import reference
from deepchrome.errors import DeepChromeError, nearest
from deepchrome.files import read_json

Statistics = dict[str, Any]

READ_CROSSES = 0.35
"""Share of reads that also reach the next bin: a read of 36 bp starts within 35 bp of the end of
a bin of 100 bp."""

BEND = np.float32(0.6)
"""Log units over which intensities approach the ceiling."""

REFERENCE_RNA = "E000"
"""Roadmap's universal human reference: expression, no chromatin."""

# Effects behind the two knobs, in natural-log units of intensity. Large enough that a model which
# sees the right feature reaches the AUROC of the calibrated relation.
_OWN_EFFECT = 0.55
_BUMP_HEIGHT = 2.2
_BUMP_WIDTH = 3.0
_BUMP_BINS = (22.0, 80.0)
_BUMP_MARKS = ("H3K36me3", "H3K9me3")


def load_statistics(path: str | Path | None = None) -> Statistics:
    """Read fitted statistics, by default those that come with the package.

    Raises DeepChromeError where the file is missing or is not JSON.
    """
    if path is None:
        return _packaged()
    return read_json(path, "expected statistics of the simulator, as 'deepchrome calibrate' writes")


@cache
def _packaged() -> Statistics:
    text = (files("deepchrome.data.reference") / "simulator.json").read_text(encoding="utf-8")
    return json.loads(text)


def lineage(cell: str) -> str:
    """Return what a cell type shares its lineage program with; its own EID where nothing is known.

    Raises DeepChromeError for an EID that Roadmap's 56 cell types and E000 do not have.
    """
    if cell == REFERENCE_RNA:
        return cell
    table = reference.cell_types()
    if cell not in table.index:
        raise DeepChromeError(
            f"unknown cell type {cell!r}{nearest(cell, table.index)} (simulated cell types have "
            f"the EIDs of Roadmap's {len(table)}: {table.index[0]} ... {table.index[-1]})"
        )
    return str(reference.lineages([cell])[0])


def _stream(seed: int, *names: str) -> np.random.Generator:
    """Return the random stream of one named thing under one seed."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


def _uniform_ranks(z: np.ndarray) -> np.ndarray:
    """Return each value's rank, spread evenly over (0, 1)."""
    ranks = np.empty(len(z))
    ranks[np.argsort(z, kind="stable")] = np.arange(len(z)) + 0.5
    return ranks / len(z)


def expression(
    gene_ids: Sequence[str], cells: Sequence[str], seed: int, statistics: Statistics
) -> np.ndarray:
    """Simulate expression.

    Returns RPKM, shape=(genes, cells), rounded to the three decimals Roadmap prints. `gene_ids`
    are among `reference.genes()`, `cells` among Roadmap's 56 and E000. A gene's values depend on
    neither the other genes nor the other cell types asked for. Raises DeepChromeError for an
    unknown gene or cell type.
    """
    fitted = statistics["expression"]
    universe = reference.genes()["gene_id"].drop_duplicates().to_numpy()
    position = {gene: i for i, gene in enumerate(universe)}
    unknown = next((gene for gene in gene_ids if gene not in position), None)
    if unknown is not None:
        raise DeepChromeError(f"unknown gene {unknown!r}: it is not in the published gene list")
    chosen = np.array([position[gene] for gene in gene_ids], dtype=int)

    n = len(universe)
    genes = _stream(seed, "expression", "genes")
    shared = genes.standard_normal(n)
    a, b = fitted["variability_beta"]
    variable = genes.beta(a, b, n)  # of each gene's variance, the share that is not common to all
    within = fitted["lineage_share"]
    levels = np.array(fitted["levels"])
    rpkm = np.empty((len(chosen), len(cells)))
    for i, cell in enumerate(cells):
        program = _stream(seed, "expression", "lineage", lineage(cell)).standard_normal(n)
        own = _stream(seed, "expression", "cell", cell).standard_normal(n)
        z = np.sqrt(1 - variable) * shared + np.sqrt(variable) * (
            np.sqrt(within) * program + np.sqrt(1 - within) * own
        )
        quantiles = np.log(np.array(fitted["quantiles"][cell]) + 1e-3)
        values = np.exp(np.interp(_uniform_ranks(z), levels, quantiles)) - 1e-3
        rpkm[:, i] = np.round(np.maximum(values, 0), 3)[chosen]
    return rpkm


def counts(
    cell: str,
    rpkm_column: np.ndarray,
    strand: np.ndarray,
    seed: int,
    statistics: Statistics,
    *,
    cell_specificity: float = 0.0,
    interaction: float = 0.0,
    depth: Literal["calibrated", "equal"] = "calibrated",
) -> np.ndarray:
    """Simulate the read counts of one cell type from its expression.

    `rpkm_column`: shape=(genes,). `strand`: shape=(genes,), "+" or "-".
    `cell_specificity`, in [0, 1]: 0, marks depend on expression alike in every cell type; 1, in
    each in its own way. `interaction`, in [0, 1]: at 1, expression shows only in whether two marks
    peak at the same place, not in the amount of any. `depth`: "equal" gives all cell types the
    depth, signal quality and distribution of expression of one, "calibrated" each its own.

    Returns shape=(genes, bins, marks), uint16, bins in genomic order. The same genes in the same
    order have the same gene-level chances in every cell type. Raises DeepChromeError for an
    unknown cell type.
    """
    lineage(cell)  # refuses an unknown one
    rpkm = np.asarray(rpkm_column, dtype=float)
    rng = _stream(seed, "marks", "cell", cell)
    source = statistics["signal_of"].get(cell) if depth == "calibrated" else None
    source = source or statistics["equal_depth_signal"]
    signal = statistics["signals"][source]

    high = _uniform_ranks(rpkm + 1e-6 * rng.random(len(rpkm)))
    driver = rpkm
    if depth == "equal":  # expression counts by rank, or cell types' medians would tell them apart
        fitted = statistics["expression"]
        driver = np.interp(high, fitted["levels"], fitted["quantiles"][source])
    # What moves the marks in the fitted way is, to the extent of the knobs, not this gene's RPKM
    # but that of another gene: marginal distributions stay, the shared relation fades.
    decoupled = 1 - (1 - cell_specificity) * (1 - interaction)
    if decoupled:
        driver = _decoupled(driver, decoupled, rng)

    log_intensity = _log_intensity(driver, signal, statistics, seed, rng)
    if cell_specificity:
        log_intensity += cell_specificity * (1 - interaction) * _own_effect(cell, high, seed)
    if interaction:
        log_intensity += _interaction_effect(high, interaction, rng)
    if depth == "calibrated":
        log_intensity += np.log(_relative_depth(cell, source)).astype(np.float32)

    log_intensity += _bin_noise(signal["noise"], len(rpkm), rng)
    log_intensity += _mappability(statistics["mappability"], len(rpkm), seed)
    reads = _reads(np.exp(np.minimum(log_intensity, 9.0)), rng)
    minus = np.asarray(strand) == "-"
    reads[minus] = reads[minus, ::-1]  # the model runs in the direction of transcription
    return reads


def _relative_depth(cell: str, source: str) -> np.ndarray:
    """Return reads of `cell` over those of the cell type its signal was fitted on, per mark."""
    columns = [f"reads_{mark}" for mark in MARKS]
    table = reference.cell_types()[columns]
    return (table.loc[cell] / table.loc[source]).to_numpy(float)


def _decoupled(rpkm: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return the same RPKM values reordered: as they were at share 0, at random at share 1."""
    order = np.argsort(rpkm, kind="stable")
    z = np.empty(len(rpkm))
    z[order] = np.sort(rng.standard_normal(len(rpkm)))
    z = np.sqrt(1 - share**2) * z + share * rng.standard_normal(len(rpkm))
    result = np.empty(len(rpkm))
    result[np.argsort(z)] = rpkm[order]
    return result


def expression_feature(rpkm: np.ndarray) -> np.ndarray:
    """Return what states and intensities depend on: log RPKM, centred and scaled by constants."""
    return (np.log(rpkm + 0.1) - 1) / 3


def rpkm_basis(rpkm: np.ndarray, knots: Sequence[float]) -> np.ndarray:
    """Return the interpolation from values at RPKM knots to genes, shape=(genes, knots)."""
    log_knots = np.log(np.array(knots) + 0.1)
    return np.stack(
        [np.interp(np.log(rpkm + 0.1), log_knots, unit) for unit in np.eye(len(knots))], axis=1
    )


def basis(knots: Sequence[float]) -> np.ndarray:
    """Return the interpolation from values at knots to bins 1..100, shape=(bins, knots)."""
    bins = np.arange(1, N_BINS + 1)
    return np.stack([np.interp(bins, knots, unit) for unit in np.eye(len(knots))], axis=1)


def _log_intensity(
    driver: np.ndarray,
    signal: Statistics,
    statistics: Statistics,
    seed: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return log expected counts in transcription orientation, shape=(genes, bins, marks)."""
    x = expression_feature(driver)
    n, knots = len(x), statistics["knots"]
    gene = _stream(seed, "marks", "genes")
    common = statistics["gene_share"]  # of a gene's deviation, what all cell types share

    def latent(columns: int) -> np.ndarray:
        both = gene.standard_normal((n, columns)), rng.standard_normal((n, columns))
        return np.sqrt(common) * both[0] + np.sqrt(1 - common) * both[1]

    logits = rpkm_basis(driver, statistics["rpkm_knots"]) @ np.array(signal["state_logits"])
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    u = _uniform_ranks(latent(1)[:, 0])
    state = (u[:, None] > np.cumsum(shares, axis=1)[:, :-1]).sum(axis=1)

    rank = len(signal["states"][0]["factors"])
    width = len(MARKS) * len(knots)
    scores, residual = latent(rank), latent(width)
    values = np.empty((n, width))
    for s, fitted in enumerate(signal["states"]):
        at = state == s
        values[at] = (
            np.ravel(fitted["mean"])
            + x[at, None] * np.ravel(fitted["slope"])
            + scores[at] @ np.array(fitted["factors"]).reshape(rank, width)
            + residual[at] * np.ravel(fitted["residual_sd"])
        )
    by_mark = values.reshape(n, len(MARKS), len(knots))
    bins = np.einsum(
        "bk,gmk->gbm", basis(knots).astype(np.float32), by_mark.astype(np.float32), optimize=True
    )
    return saturate(bins, np.array(signal["log_ceiling"], dtype=np.float32))


def saturate(log_intensity: np.ndarray, ceiling: np.ndarray) -> np.ndarray:
    """Bend log intensities so that none exceeds its mark's ceiling, as peaks of real marks do.

    Far below the ceiling nothing changes; `ceiling` broadcasts against `log_intensity`.
    """
    return log_intensity - BEND * np.logaddexp(0, (log_intensity - ceiling) / BEND)


def _own_effect(cell: str, high: np.ndarray, seed: int) -> np.ndarray:
    """Return a cell type's own effect of expression on each mark, shape=(genes, 1, marks)."""
    direction = _stream(seed, "marks", "own effect", cell).standard_normal(len(MARKS))
    direction *= _OWN_EFFECT * np.sqrt(len(MARKS)) / np.linalg.norm(direction)
    return ((2 * high - 1)[:, None, None] * direction).astype(np.float32)


def _interaction_effect(high: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Return bumps of two marks, in the same place where expression is high, else in two places.

    Each mark's bump is upstream or downstream with equal chance whatever the expression, so that
    no mark alone tells anything. shape=(genes, bins, marks).
    """
    n = len(high)
    together = rng.random(n) < 1 / (1 + np.exp(-40 * (high - 0.5)))
    first = rng.integers(0, 2, n)
    second = np.where(together, first, 1 - first)
    bins = np.arange(1, N_BINS + 1)
    bumps = np.exp(-0.5 * ((bins - np.array(_BUMP_BINS)[:, None]) / _BUMP_WIDTH) ** 2)
    effect = np.zeros((n, N_BINS, len(MARKS)), dtype=np.float32)
    for mark, place in zip(_BUMP_MARKS, (first, second), strict=True):
        effect[:, :, MARKS.index(mark)] = np.sqrt(strength) * _BUMP_HEIGHT * bumps[place]
    return effect


def _autoregressive(
    shape: tuple[int, ...], neighbour: float, rng: np.random.Generator
) -> np.ndarray:
    """Return unit-variance normal noise along axis 1 with the given correlation of neighbours."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    fresh = np.float32(np.sqrt(1 - neighbour**2))
    for b in range(1, shape[1]):
        noise[:, b] = np.float32(neighbour) * noise[:, b - 1] + fresh * noise[:, b]
    return noise


def _bin_noise(fitted: Statistics, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return log noise of bins with mean intensity 1, shape=(genes, bins, marks)."""
    own_sd = np.array(fitted["mark_sd"], dtype=np.float32)
    common_sd = np.float32(fitted["common_sd"])
    noise = own_sd * _autoregressive((n, N_BINS, len(MARKS)), fitted["neighbour"], rng)
    noise += common_sd * _autoregressive((n, N_BINS, 1), fitted["neighbour"], rng)
    return noise - (own_sd**2 + common_sd**2) / 2


def _mappability(fitted: Statistics, n: int, seed: int) -> np.ndarray:
    """Return the log share of each bin to which reads map, the same for all marks and cell types.

    shape=(genes, bins, 1). Unmappable stretches start at a rate that differs between genes and
    end after `mean_bins` bins on average.
    """
    rng = _stream(seed, "mappability")
    rate = rng.gamma(fitted["shape"], fitted["start_rate"] / fitted["shape"], size=n)
    leave = 1 / fitted["mean_bins"]
    masked = np.empty((n, N_BINS), dtype=bool)
    masked[:, 0] = rng.random(n) < rate / (rate + leave)
    for b in range(1, N_BINS):
        u = rng.random(n)
        masked[:, b] = np.where(masked[:, b - 1], u > leave, u < rate)
    return np.where(masked, np.float32(np.log(0.03)), np.float32(0))[:, :, None]


def _reads(intensity: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw counts whose mean is `intensity`, shape=(genes, bins, marks), a crossing read twice."""
    starts = intensity / (1 + READ_CROSSES)
    reads = rng.poisson(starts * (1 - READ_CROSSES)).astype(np.int32)
    # C[b] cross from bin b to b + 1; the two ends lack a neighbour in view, but it is there
    edges = np.pad(starts, ((0, 0), (1, 1), (0, 0)), mode="edge")
    crossing = rng.poisson(READ_CROSSES * (edges[:, 1:] + edges[:, :-1]) / 2)
    reads += crossing[:, 1:] + crossing[:, :-1]
    return np.minimum(reads, 30_000).astype(np.uint16)  # doubled, it still fits
